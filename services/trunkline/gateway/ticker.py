"""One timer for the playout of all calls of the process, on beats of 20 ms: it sleeps where nobody is due.

A call is due every 100 ms or so, when more of its audio may be sent or some has been heard to its end.
"""

import asyncio
import heapq
from collections.abc import Callable
from math import ceil

from trunkline.gateway import metrics
from trunkline.proto.audio import FRAME_MS

PERIOD_S = FRAME_MS / 1000
Pump = Callable[[], None]


class Ticker:
    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._beats: dict[Pump, int] = {}  # of all who are due at some time
        self._due: dict[int, dict[Pump, None]] = {}  # by beat
        self._heap: list[int] = []  # the beats of _due
        self._beat = 0  # the last one that was carried out
        self._timer: asyncio.TimerHandle | None = None
        self._timer_beat = 0

    def at(self, pump: Pump, due_s: float) -> None:
        """pump is called once, on the first beat from due_s (of the loop's clock) on; it must not raise.

        Of several times the last counts.
        """
        beat = max(ceil(due_s / PERIOD_S), self._beat + 1)
        before = self._beats.get(pump)
        if before == beat:
            return
        if before is not None:
            self._due[before].pop(pump)
        self._beats[pump] = beat
        due = self._due.get(beat)
        if due is None:
            due = self._due[beat] = {}
            heapq.heappush(self._heap, beat)
        due[pump] = None
        self._arm()

    def remove(self, pump: Pump) -> None:
        beat = self._beats.pop(pump, None)
        if beat is not None:
            self._due[beat].pop(pump)
        if not self._beats:
            self.close()

    def close(self) -> None:
        self._beats.clear()
        self._due.clear()
        self._heap.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _arm(self) -> None:
        beat = self._heap[0]
        if self._timer is not None:
            if self._timer_beat <= beat:
                return
            self._timer.cancel()
        self._timer_beat = beat
        self._timer = self._loop.call_at(beat * PERIOD_S, self._tick)

    def _tick(self) -> None:
        now_s = self._loop.time()
        metrics.ticker_late_s.observe(max(0.0, now_s - self._timer_beat * PERIOD_S))
        self._beat = max(self._timer_beat, int(now_s / PERIOD_S))
        try:
            self._pump()  # with the timer that is over still in place, so that nobody sets another meanwhile
        finally:
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None
            if self._heap:
                self._arm()

    def _pump(self) -> None:
        while self._heap and self._heap[0] <= self._beat:
            beat = heapq.heappop(self._heap)
            due = self._due[beat]
            while due:  # a pump may remove another
                pump, _ = due.popitem()
                del self._beats[pump]
                pump()
            self._due.pop(beat, None)
