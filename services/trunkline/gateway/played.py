"""What a caller's side has played in the last seconds, to know its echo by. Pure.

Thinned a pile at a time: a tenth of a second costs nearly as much as half a second.
"""

from collections import deque

from trunkline.audio.echo import THIN, thin
from trunkline.proto.audio import SAMPLE_BYTES, SPEECH_RATE_HZ

PILE_BYTES = SPEECH_RATE_HZ * 400 // 1000 * SAMPLE_BYTES
QUIET = thin(bytes(THIN * SAMPLE_BYTES))


class Played:
    """Clocks and positions in samples at SPEECH_RATE_HZ."""

    __slots__ = ("_pile", "_pile_bytes", "_runs", "ends_at")

    def __init__(self) -> None:
        self.ends_at: int | None = None  # clock at which the newest is over; None where nothing is kept
        self._pile: list[tuple[int, bytes]] = []  # clock of the first sample, int16 LE
        self._pile_bytes = 0
        self._runs: deque[tuple[int, bytes]] = deque()  # likewise, thinned

    def add(self, at: int, pcm: bytes) -> None:
        """pcm: int16 LE, heard from the clock `at` on. It takes the place of what was to be heard then."""
        self._pile.append((at, pcm))
        self._pile_bytes += len(pcm)
        self.ends_at = at + len(pcm) // SAMPLE_BYTES
        if self._pile_bytes >= PILE_BYTES:
            self._thin()

    def forget(self, before: int) -> None:
        """What was over before that clock."""
        if self.ends_at is not None and self.ends_at < before:
            self.ends_at = None
            self._pile, self._pile_bytes = [], 0
            self._runs.clear()
        while self._runs and self._runs[0][0] + len(self._runs[0][1]) * THIN < before:
            self._runs.popleft()

    def window(self, now: int, samples: int) -> bytes:
        """The newest `samples` up to now, silence included, thinned."""
        self._thin()
        window = bytearray(QUIET * (samples // THIN))
        begin = now // THIN - len(window)
        for clock, thinned in self._runs:
            at = clock // THIN
            from_, to = max(at, begin), min(at + len(thinned), now // THIN)
            if from_ < to:
                window[from_ - begin : to - begin] = thinned[from_ - at : to - at]
        return bytes(window)

    def _thin(self) -> None:
        """What follows without a gap is one run."""
        pile, self._pile, self._pile_bytes = self._pile, [], 0
        parts: list[bytes] = []
        begin = end = 0
        for at, pcm in pile:
            if parts and at != end:
                self._runs.append((begin, thin(b"".join(parts))))
                parts = []
            begin = begin if parts else at
            end = at + len(pcm) // SAMPLE_BYTES
            parts.append(pcm)
        if parts:
            self._runs.append((begin, thin(b"".join(parts))))
