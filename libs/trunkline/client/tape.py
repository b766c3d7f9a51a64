"""What a client has said, in order, so that a later gateway can hear it again. Pure.

Positions count at POSITIONS_HZ since the call began, whatever the session's format: each of its rates divides that. A
connection reads the tape from a mark of its own; nothing is sent that isn't on the tape.
"""

from collections import deque
from typing import NamedTuple

from trunkline.proto.audio import SAMPLE_BYTES, SPEECH_RATE_HZ
from trunkline.proto.binary_dialect import PCM

POSITIONS_HZ = 48_000
PER_MS = POSITIONS_HZ // 1000
KEPT = 30 * POSITIONS_HZ
BURST = 200 * PER_MS  # in one message, when there is much to send
COMMIT = 100 * PER_MS  # the least that a client may commit
G711_RATE_HZ = 8_000


class Format(NamedTuple):
    """Of audio to the gateway: `type` and `rate` as the session has them."""

    type: str = PCM
    rate_hz: int = SPEECH_RATE_HZ

    @property
    def size(self) -> int:
        """Of a sample, in bytes."""
        return SAMPLE_BYTES if self.type == PCM else 1

    @property
    def span(self) -> int:
        """Of a sample, in positions."""
        return POSITIONS_HZ // (self.rate_hz if self.type == PCM else G711_RATE_HZ)


class _Audio(NamedTuple):
    """size, span: of a sample of its format."""

    at: int
    data: bytes
    size: int
    span: int

    @property
    def end(self) -> int:
        return self.at + len(self.data) // self.size * self.span


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
        self._format = Format()
        self._changes: list[tuple[int, int]] = []  # of the format: number of the entry behind it, position
        self._entries: deque[_Audio | _Order] = deque()
        self._first = 0  # number of the first entry
        self._read_to = 0  # number behind the last entry that any connection has read
        self._holds = False

    @property
    def first(self) -> int:
        """The audio from here on is kept, and none of it is older than the format that gateways were told last: they
        would take it for that."""
        kept = next((entry.at for entry in self._entries if isinstance(entry, _Audio)), self.end)
        return max([kept, *(at for number, at in self._changes if number <= self._read_to)])

    def follow(self, wanted: Format) -> None:
        """The session's input format, from the next audio on."""
        if wanted != self._format:
            self._format = wanted
            self._changes.append((self._end_number, self.end))

    def append(self, data: bytes) -> None:
        """Raises ValueError for a torn sample."""
        size, span = self._format.size, self._format.span
        if len(data) % size:
            raise ValueError(f"audio has an odd number of bytes: {len(data)}")
        if data:
            audio = _Audio(self.end, data, size, span)
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

    def read(self, mark: Mark) -> tuple[str | bytes, Mark]:
        """The next to send, and the mark behind it: an event, or audio as bytes; an empty text for nothing. Raises
        Fallen."""
        if mark.number < self._first:
            raise Fallen
        while mark.number < self._end_number and not self._wanted(mark):
            mark = mark._replace(number=mark.number + 1)
        if mark.number == self._end_number:
            return "", mark
        entry = self._entries[mark.number - self._first]
        said: str | bytes
        if isinstance(entry, _Order):
            if self._holds:
                return "", mark
            said, mark = entry.text, mark._replace(number=mark.number + 1)
        else:
            said, mark = self._burst(mark, entry.size, entry.span)
        self._read_to = max(self._read_to, mark.number)
        return said, mark

    @property
    def _end_number(self) -> int:
        return self._first + len(self._entries)

    def _wanted(self, mark: Mark) -> bool:
        entry = self._entries[mark.number - self._first]
        if isinstance(entry, _Audio):
            return entry.end > mark.at
        return mark.number >= self._read_to or (entry.again and entry.at >= mark.since + COMMIT)

    def _burst(self, mark: Mark, size: int, span: int) -> tuple[bytes, Mark]:
        parts: list[bytes] = []
        number, at, to = mark.number, mark.at, 0
        while number < self._end_number:
            entry = self._entries[number - self._first]
            if not isinstance(entry, _Audio) or (entry.size, entry.span) != (size, span):
                break
            at = max(at, entry.at)
            to = to or at + BURST
            begin, end = (at - entry.at) // span, (to - entry.at) // span
            parts.append(entry.data[begin * size : end * size])
            at = entry.at + begin * span + len(parts[-1]) // size * span
            if at < entry.end:
                break
            number += 1
            if at >= to:
                break
        return b"".join(parts), Mark(number, at, mark.since)

    def _trim(self) -> None:
        oldest = max(self.settled, self.end - KEPT)
        while self._entries and self._entries[0].end <= oldest:
            if isinstance(self._entries[0], _Order) and self._first >= self._read_to:
                break  # nobody has been told of it
            self._entries.popleft()
            self._first += 1
        self._changes = [change for change in self._changes if change[0] > self._first]
