"""What a client has said, in order, so that a later gateway can hear it again. Pure.

Positions are samples at SPEECH_RATE_HZ since the call began, whatever the session's format (a sample of G.711 counts
three). A connection reads the tape from a mark of its own; nothing is sent that isn't on the tape.
"""

import binascii
from collections import deque
from typing import NamedTuple

from trunkline.proto.audio import SPEECH_RATE_HZ

PER_MS = SPEECH_RATE_HZ // 1000
KEPT_SAMPLES = 30 * SPEECH_RATE_HZ
BURST_SAMPLES = 200 * PER_MS  # in one message, when there is much to send
G711_SAMPLE = 3  # positions that one of its samples takes
COMMIT_SAMPLES = 100 * PER_MS  # the least that a client may commit


class _Audio(NamedTuple):
    """step: positions per byte, as (positions, bytes)."""

    at: int
    data: bytes
    step: tuple[int, int]

    @property
    def end(self) -> int:
        return self.at + len(self.data) * self.step[0] // self.step[1]


class _Order(NamedTuple):
    """An event that isn't audio. again: it acts on the audio before it, so it is said again with that."""

    at: int
    text: str
    again: bool

    @property
    def end(self) -> int:
        return self.at


class Mark(NamedTuple):
    """Where a connection reads: the next entry by number, and of audio the next position. since: where it began."""

    number: int
    at: int
    since: int


class Fallen(Exception):
    """What the mark is at was given up before the connection could read it."""


class Tape:
    def __init__(self) -> None:
        self.end = 0  # of all audio that was ever appended
        self.settled = 0  # audio before needn't be sent again
        self._step = (1, 2)
        self._entries: deque[_Audio | _Order] = deque()
        self._first = 0  # number of the first entry
        self._read_to = 0  # number behind the last entry that any connection has read
        self._holds = False

    @property
    def first(self) -> int:
        """The audio from here on is kept."""
        return next((entry.at for entry in self._entries if isinstance(entry, _Audio)), self.end)

    def follow(self, format_type: str) -> None:
        """The session's input format, from the next audio on."""
        self._step = (1, 2) if format_type == "audio/pcm" else (G711_SAMPLE, 1)

    def append(self, data: bytes) -> None:
        """Raises ValueError for a torn sample."""
        if len(data) % self._step[1]:
            raise ValueError(f"audio has an odd number of bytes: {len(data)}")
        if data:
            audio = _Audio(self.end, data, self._step)
            self._entries.append(audio)
            self.end = audio.end
            self._trim()

    def order(self, text: str, *, again: bool) -> int:
        """Its number."""
        self._entries.append(_Order(self.end, text, again))
        return self._end_number - 1

    @property
    def told(self) -> int:
        """Entries with lower numbers have gone out to some gateway."""
        return self._read_to

    def hold(self) -> None:
        """Who has the call is being decided: orders, and the audio behind them, wait for that."""
        self._holds = True

    def release(self) -> None:
        self._holds = False

    def settle(self, audio_end_ms: int) -> None:
        self.settled = max(self.settled, min(audio_end_ms * PER_MS, self.end))
        self._trim()

    def begin(self) -> Mark:
        """For the first connection: from the beginning."""
        return Mark(self._first, 0, 0)

    def come_back(self, audio_from_ms: int) -> Mark:
        """For a later one: audio from there on, the orders that act on it, and what was never sent."""
        since = audio_from_ms * PER_MS
        mark = Mark(self._first, since, since)
        while mark.number < self._end_number and not self._wanted(mark):
            mark = mark._replace(number=mark.number + 1)
        return mark

    def read(self, mark: Mark) -> tuple[str, Mark]:
        """The next event to send, and the mark behind it; an empty text when there is none. Raises Fallen."""
        if mark.number < self._first:
            raise Fallen
        while mark.number < self._end_number and not self._wanted(mark):
            mark = mark._replace(number=mark.number + 1)
        if mark.number == self._end_number:
            return "", mark
        entry = self._entries[mark.number - self._first]
        if isinstance(entry, _Order):
            if self._holds:
                return "", mark
            text, mark = entry.text, mark._replace(number=mark.number + 1)
        else:
            text, mark = self._burst(mark, entry.step)
        self._read_to = max(self._read_to, mark.number)
        return text, mark

    @property
    def _end_number(self) -> int:
        return self._first + len(self._entries)

    def _wanted(self, mark: Mark) -> bool:
        entry = self._entries[mark.number - self._first]
        if isinstance(entry, _Audio):
            return entry.end > mark.at
        return mark.number >= self._read_to or (entry.again and entry.at >= mark.since + COMMIT_SAMPLES)

    def _burst(self, mark: Mark, step: tuple[int, int]) -> tuple[str, Mark]:
        parts: list[bytes] = []
        number, at, to = mark.number, mark.at, 0
        while number < self._end_number:
            entry = self._entries[number - self._first]
            if not isinstance(entry, _Audio) or entry.step != step:
                break
            at = max(at, entry.at)
            to = to or at + BURST_SAMPLES
            begin = (at - entry.at) * step[1] // step[0]
            parts.append(entry.data[begin : begin + (to - at) * step[1] // step[0]])
            at += len(parts[-1]) * step[0] // step[1]
            if at < entry.end:
                break
            number += 1
            if at >= to:
                break
        audio = binascii.b2a_base64(b"".join(parts), newline=False).decode()
        return f'{{"type":"input_audio_buffer.append","audio":"{audio}"}}', Mark(number, at, mark.since)

    def _trim(self) -> None:
        oldest = max(self.settled, self.end - KEPT_SAMPLES)
        while self._entries and self._entries[0].end <= oldest:
            if isinstance(self._entries[0], _Order) and self._first >= self._read_to:
                break  # nobody has been told of it
            self._entries.popleft()
            self._first += 1
