"""Time that passes by itself, and leaps when a test says so; sockets and threads are served as on any loop."""

import asyncio
import heapq
import threading
import time
from collections.abc import Callable
from contextvars import Context
from typing import TypeVarTuple
from weakref import WeakSet

TURNS = 50  # of the loop, in which whatever is ready has its say
THREAD_PATIENCE_S = 0.5  # real seconds that a tool, guardrail or hook in a thread may take before time leaps over it
WORKERS = ("tool-", "guardrail-", "hook-")
LEAST_LEAP_S = 0.001

Ts = TypeVarTuple("Ts")


class LeapingLoop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        super().__init__()
        self.leapt_s = 0.0
        self._due: list[float] = []
        self._hung: WeakSet[threading.Thread] = WeakSet(threading.enumerate())

    def time(self) -> float:
        return super().time() + self.leapt_s

    def wall_us(self) -> int:
        return time.time_ns() // 1000 + round(self.leapt_s * 1e6)

    def call_at(
        self,
        when: float,
        callback: Callable[[*Ts], object],
        *args: *Ts,
        context: Context | None = None,
    ) -> asyncio.TimerHandle:
        self._forget_what_was_due()
        heapq.heappush(self._due, when)
        return super().call_at(when, callback, *args, context=context)

    async def leap(self, seconds: float) -> None:
        """From one timer to the next, so that each finds the time that it was set for."""
        end_s = self.time() + seconds
        await self.quiet()
        while (now_s := self.time()) < end_s:
            self._forget_what_was_due()
            due_s = min(self._due[0] if self._due else end_s, end_s)
            self.leapt_s += max(due_s - now_s, LEAST_LEAP_S)
            await self.quiet()

    def _forget_what_was_due(self) -> None:
        now_s = self.time()
        while self._due and self._due[0] <= now_s:
            heapq.heappop(self._due)

    async def quiet(self) -> None:
        """Until nothing happens any more without time or the outside world, or a thread takes too long."""
        while True:
            for _ in range(TURNS):
                await asyncio.sleep(0)
            busy = [t for t in threading.enumerate() if t.name.startswith(WORKERS) and t not in self._hung]
            if not busy:
                return
            await asyncio.to_thread(busy[0].join, THREAD_PATIENCE_S)
            if busy[0].is_alive():
                self._hung.add(busy[0])
