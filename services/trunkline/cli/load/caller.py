"""One caller: says a burst, waits for the reply, hears it out, rests, says the next; or speaks into the reply. No I/O.

Time comes in with every frame and from the clock given; nothing here waits, so a call costs no task and no timer. What
is sent was framed and masked before the call began.
"""

import random
from collections.abc import Callable, Sequence
from enum import Enum, auto
from typing import NamedTuple, Protocol

import msgspec

from trunkline.cli.load.dialect import Dialect, Turns
from trunkline.cli.load.frames import masked
from trunkline.cli.load.wheel import FRAME_S

REPLY_LIMIT_S = 15.0  # from the end of a burst to the first audio
HEARING_LIMIT_S = 60.0  # from there to the reply's end
SETTLE_S = 0.3  # before the first burst, besides the rest: an agent that greets has begun by then
CUT_AFTER_S = (0.3, 1.0)  # of a reply, before the caller speaks into it
REST_JITTER = (0.5, 1.5)  # of the think time
NEVER_S = float("inf")


class Turn(msgspec.Struct, array_like=True, gc=False):
    """at_s: when the burst ended, on the monotonic clock. added_ms: from the commit to the first audio; -1 with vad."""

    at_s: float
    first_audio_ms: float
    added_ms: float


class Tally(msgspec.Struct):
    """What the callers of a process came to. silence_ms: of each barge-in, from the caller's first voiced sample until
    the agent was silent."""

    turns: list[Turn] = []
    setup_ms: list[float] = []
    failures: list[str] = []
    barge_ins: int = 0
    silence_ms: list[float] = []
    messages: int = 0
    audio_s: float = 0.0


class Wire(Protocol):
    def write(self, data: bytes, /) -> None:
        """Sent at once, or as soon as the socket takes it."""


class Voice(NamedTuple):
    """Whole frames, ready to be written. lines: what may be said; the last frame of each has the commit behind it."""

    silence: bytes
    lines: list[list[bytes]]
    cancel: bytes


class Habits(NamedTuple):
    """think_s: of rest between turns, on average. barge_in: the share of replies that the caller speaks into."""

    turns: Turns
    think_s: float
    barge_in: float


def voice(dialect: Dialect, lines: Sequence[Sequence[bytes]], turns: Turns, key: bytes) -> Voice:
    """lines: PCM, frame by frame. key: the call's mask."""
    said = [[masked(dialect.frame(pcm), key) for pcm in line] for line in lines]
    if turns == "commit":
        commit = b"".join(masked(message, key) for message in dialect.commit())
        for line in said:
            line[-1] += commit
    silence = masked(dialect.frame(bytes(2 * round(dialect.rate_hz * FRAME_S))), key)
    return Voice(silence, said, b"".join(masked(message, key) for message in dialect.cancel()))


class State(Enum):
    RESTING = auto()
    SPEAKING = auto()
    WAITING = auto()
    HEARING = auto()
    OVER = auto()


class Caller:
    """An Ear. on_ready, on_over: once each, the latter with the reason of a failure or ""."""

    def __init__(
        self,
        habits: Habits,
        said: Voice,
        rng: random.Random,
        tally: Tally,
        clock: Callable[[], float],
        wire: Wire,
        on_ready: Callable[[], None],
        on_over: Callable[[str], None],
    ) -> None:
        self._habits, self._voice, self._rng, self._tally = habits, said, rng, tally
        self._clock, self._wire, self._on_ready, self._on_over = clock, wire, on_ready, on_over
        self._dialled_s = clock()
        self._is_set_up = False
        self._state = State.RESTING
        self._line: list[bytes] = []
        self._at = -1  # the next frame of the line, -1 in silence
        self._bursts = 0
        self._alarm_s = NEVER_S  # when the state is to be left
        self._burst_end_s = self._committed_s = 0.0
        self._replies = 0  # that have begun and aren't over
        self._fresh = False  # one began since the burst ended
        self._sound_end_s = 0.0
        self._cuts_in = False  # the alarm is when to speak into the reply
        self._cut_s = 0.0  # when the caller began to speak into a reply that isn't silent yet
        self._last = False  # no turn begins any more

    # frames

    def tick(self, due_s: float) -> None:
        at = self._at
        if at >= 0:
            self._wire.write(self._line[at])
            self._at = at + 1
            if self._at == len(self._line):
                self._end_burst(due_s)
            return
        self._wire.write(self._voice.silence)
        if due_s >= self._alarm_s:
            self._ring(due_s)

    def _ring(self, due_s: float) -> None:
        match self._state:
            case State.RESTING:
                self._begin_burst()
            case State.HEARING if self._cuts_in:
                self._interrupt(due_s)
            case State.WAITING:
                self.failed(f"no reply within {REPLY_LIMIT_S:g} s")
            case _:
                self.failed(f"a reply did not end within {HEARING_LIMIT_S:g} s")

    def _interrupt(self, due_s: float) -> None:
        self._tally.barge_ins += 1
        self._cut_s = due_s  # the next frame's first sample is captured now
        if self._habits.turns == "commit" and self._voice.cancel:
            self._wire.write(self._voice.cancel)
            self._sound_end_s = due_s
        self._begin_burst()

    def _begin_burst(self) -> None:
        lines = self._voice.lines
        self._line, self._at = lines[self._bursts % len(lines)], 0
        self._bursts += 1
        self._state, self._alarm_s, self._cuts_in = State.SPEAKING, NEVER_S, False

    def _end_burst(self, due_s: float) -> None:
        self._at = -1
        self._burst_end_s, self._committed_s = due_s, self._clock()
        self._state, self._fresh, self._alarm_s = State.WAITING, False, due_s + REPLY_LIMIT_S

    # what the server says

    def set_up(self) -> None:
        if not self._is_set_up:
            self._is_set_up = True
            self._tally.setup_ms.append((self._clock() - self._dialled_s) * 1000)

    def may_speak(self) -> None:
        if self._alarm_s == NEVER_S and not self._bursts and self._state is State.RESTING:
            self._alarm_s = self._clock() + SETTLE_S + self._rest_s()
            self._on_ready()

    def not_set_up(self, limit_s: float) -> None:
        """So long after dialling: a failure, unless the call was."""
        if self._alarm_s == NEVER_S and not self._bursts:
            self.failed(f"not set up within {limit_s:g} s")

    def reply_began(self) -> None:
        self._replies += 1
        if self._state is State.WAITING:
            self._fresh = True
        elif self._state is State.RESTING:  # a greeting, or more of the last reply
            self._state, self._alarm_s = State.HEARING, self._clock() + HEARING_LIMIT_S

    def audio(self, seconds: float) -> None:
        now_s = self._clock()
        self._tally.audio_s += seconds
        if not self._replies:
            self.reply_began()
        if self._fresh and self._state is State.WAITING:
            self._first_audio(now_s)
        self._sound_end_s = (self._sound_end_s if self._sound_end_s > now_s else now_s) + seconds

    def _first_audio(self, now_s: float) -> None:
        added_ms = (now_s - self._committed_s) * 1000 if self._habits.turns == "commit" else -1.0
        self._tally.turns.append(Turn(self._burst_end_s, (now_s - self._burst_end_s) * 1000, added_ms))
        self._state, self._alarm_s, self._cut_s = State.HEARING, now_s + HEARING_LIMIT_S, 0.0
        if self._last:
            self._end("")
        elif self._rng.random() < self._habits.barge_in:
            self._alarm_s, self._cuts_in = now_s + self._rng.uniform(*CUT_AFTER_S), True

    def reply_over(self) -> None:
        self._replies = max(0, self._replies - 1)
        if self._cut_s and self._habits.turns == "commit":
            self._silent()
        if self._replies or self._state is not State.HEARING:
            return
        self._state, self._cuts_in = State.RESTING, False
        self._alarm_s = max(self._sound_end_s, self._clock()) + self._rest_s()
        if self._last:
            self._end("")

    def noticed(self) -> None:
        if self._cut_s:
            self._silent()
        self._sound_end_s = min(self._sound_end_s, self._clock())

    def _silent(self) -> None:
        self._tally.silence_ms.append((self._clock() - self._cut_s) * 1000)
        self._cut_s = 0.0

    # the call's end

    def last_orders(self) -> None:
        """No other turn begins; a caller who waits for a reply still waits for it, so that slow ones count."""
        self._last = True
        if self._state in (State.RESTING, State.HEARING) and self._is_set_up:
            self._end("")

    def failed(self, reason: str) -> None:
        self._end(reason)

    def _end(self, reason: str) -> None:
        if self._state is not State.OVER:
            self._state, self._at, self._alarm_s = State.OVER, -1, NEVER_S
            self._on_over(reason)

    def _rest_s(self) -> float:
        return self._habits.think_s * self._rng.uniform(*REST_JITTER)
