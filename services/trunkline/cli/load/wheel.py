"""The media clock of all callers of a process: one timer, a slot for each millisecond of a frame.

Frame k of a call is due k frames after the call's first, whatever happened meanwhile: what couldn't be sent in time is
sent at once, and counts as late. No frame is sent before its time.
"""

import asyncio
import math
from collections.abc import Callable
from typing import Protocol

from trunkline.cli.load.lateness import Lateness
from trunkline.proto.audio import FRAME_MS

SLOTS = FRAME_MS  # per frame: one each millisecond, which is as fine as event loops' timers are
FRAME_S = FRAME_MS / 1000
SLOT_S = FRAME_S / SLOTS


class Ticking(Protocol):
    def tick(self, due_s: float) -> None:
        """A frame is due."""


class Wheel:
    """origin_s: on the clock; the due times of slot 0 are whole frames from there."""

    def __init__(self, clock: Callable[[], float], origin_s: float) -> None:
        self.lateness = Lateness()
        self.frames = 0
        self._clock, self._origin_s = clock, origin_s
        self._loop = asyncio.get_running_loop()
        self._slots: list[list[Ticking]] = [[] for _ in range(SLOTS)]
        self._next = 0  # of all slots since the origin
        self._timer: asyncio.TimerHandle | None = None

    def join(self, ticking: Ticking, phase: float) -> None:
        """phase: 0 to 1, where in a frame's time its frames are due. From its next turn on."""
        self._slots[int(phase * SLOTS) % SLOTS].append(ticking)
        if self._timer is None:
            self._next = math.ceil((self._clock() - self._origin_s) / SLOT_S)
            self._arm()

    def leave(self, ticking: Ticking) -> None:
        for slot in self._slots:
            if ticking in slot:
                slot.remove(ticking)

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def _turn(self) -> None:
        while (due_s := self._origin_s + self._next * SLOT_S) <= self._clock():
            slot = self._slots[self._next % SLOTS]
            self._next += 1
            if slot:
                for ticking in slot[:]:  # one that fails leaves
                    ticking.tick(due_s)
                self.frames += len(slot)
                self.lateness.add(self._clock() - due_s, len(slot))
        self._arm()

    def _arm(self) -> None:
        """For the next slot that anybody is in; not at all when there is none."""
        for _ in range(SLOTS):
            if self._slots[self._next % SLOTS]:
                break
            self._next += 1
        else:
            self._timer = None
            return
        # loops round to whole milliseconds: up, so as not to be there too early and spin
        wait_ms = math.ceil((self._origin_s + self._next * SLOT_S - self._clock()) * 1000)
        self._timer = self._loop.call_later(max(wait_ms, 1) / 1000, self._turn)
