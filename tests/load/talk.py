"""A caller without a socket: what it writes is kept, its clock is moved by hand."""

import random

from trunkline.cli.load.caller import Caller, Habits, Tally, voice
from trunkline.cli.load.dialect import Turns
from trunkline.cli.load.realtime import REALTIME
from trunkline.cli.load.wheel import FRAME_S

MASK = b"\0\0\0\0"
BURST_FRAMES = 5


class Talk:
    """sent: what was written, frame by frame. over: None while the call goes on, else its reason."""

    def __init__(self, turns: Turns = "commit", *, think_s: float = 0.0, barge_in: float = 0.0) -> None:
        self.now_s = 100.0
        self.sent: list[bytes] = []
        self.over: str | None = None
        self.tally = Tally()
        burst = [bytes((number,)) * (2 * REALTIME.rate_hz // 50) for number in range(1, BURST_FRAMES + 1)]
        self.voice = voice(REALTIME, [burst], turns, MASK)
        habits = Habits(turns, think_s, barge_in)
        self.caller = Caller(
            habits,
            self.voice,
            random.Random(1),
            self.tally,
            lambda: self.now_s,
            self,
            lambda: None,
            self._on_over,
        )

    def write(self, data: bytes, /) -> None:
        self.sent.append(data)

    def connected(self) -> "Talk":
        self.now_s += 0.004
        self.caller.set_up()
        self.caller.may_speak()
        return self

    def ticks(self, count: int) -> None:
        for _ in range(count):
            self.now_s += FRAME_S
            self.caller.tick(self.now_s)

    def until_said(self) -> float:
        """When the burst ended."""
        for _ in range(1000):
            self.ticks(1)
            if self.sent[-1] == self.voice.lines[0][-1]:
                return self.now_s
        raise AssertionError("no burst was said")

    def after(self, seconds: float) -> None:
        self.now_s += seconds

    def _on_over(self, reason: str) -> None:
        self.over = reason
