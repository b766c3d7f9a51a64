"""One 20 ms beat for all speaking calls of the process; it sleeps while nobody speaks."""

import asyncio
from collections.abc import Callable

from trunkline.gateway import metrics
from trunkline.proto.audio import FRAME_MS

PERIOD_S = FRAME_MS / 1000


class Ticker:
    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._pumps: set[Callable[[], None]] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._due_s = 0.0

    def add(self, pump: Callable[[], None]) -> None:
        """pump is called every beat until it is removed; it must not raise."""
        self._pumps.add(pump)
        if self._timer is None:
            self._due_s = self._loop.time() + PERIOD_S
            self._timer = self._loop.call_at(self._due_s, self._tick)

    def remove(self, pump: Callable[[], None]) -> None:
        self._pumps.discard(pump)

    def close(self) -> None:
        self._pumps.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _tick(self) -> None:
        now_s = self._loop.time()
        metrics.ticker_late_s.observe(max(0.0, now_s - self._due_s))
        for pump in list(self._pumps):
            pump()
        if not self._pumps:
            self._timer = None
            return
        self._due_s = max(self._due_s + PERIOD_S, now_s)
        self._timer = self._loop.call_at(self._due_s, self._tick)
