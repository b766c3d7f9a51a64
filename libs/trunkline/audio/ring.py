"""The last seconds of one stream, addressed by sample position since the stream began.

Holds what lies between `first` and `end` and never more than its limit: an append beyond that lets go of the oldest.
What came as bytes is held as it came, by reference: an append copies nothing, and a read joins what it covers. What
was silenced is silent by what a read makes of it: most of it is let go of before anybody reads it.
"""

from collections import deque

from trunkline.audio import pcm
from trunkline.audio.pcm import Samples
from trunkline.proto.audio import SAMPLE_BYTES


class Ring:
    __slots__ = ("_begin", "_chunks", "_end", "_first", "_limit", "_silent")

    def __init__(self, limit_samples: int, first: int = 0) -> None:
        """first: position of the first sample that will be appended."""
        if limit_samples < 1:
            raise ValueError(f"limit_samples must be 1 or more, not {limit_samples}")
        self._limit = limit_samples
        self._chunks: deque[bytes] = deque()  # int16 LE, none of them empty
        self._begin = self._first = self._end = first  # of the first chunk; what lies before `first` is let go of
        self._silent: list[tuple[int, int]] = []  # from, to: apart from each other, some of each is held

    @property
    def first(self) -> int:
        """Position of the oldest sample held; equal to end when nothing is."""
        return self._first

    @property
    def end(self) -> int:
        """Position after the newest sample."""
        return self._end

    def __len__(self) -> int:
        return self._end - self._first

    def append(self, samples: Samples | bytes) -> int:
        """bytes: int16 LE. Returns how many samples the limit pushed out: the oldest held, or the head of a longer
        append."""
        chunk = samples if isinstance(samples, bytes) else pcm.to_bytes(samples)
        if not chunk:
            return 0
        self._chunks.append(chunk)
        self._end += len(chunk) // SAMPLE_BYTES
        pushed_out = self._end - self._first - self._limit
        if pushed_out <= 0:
            return 0
        self._let_go(self._first + pushed_out)
        return pushed_out

    def read(self, from_sample: int, to_sample: int) -> Samples:
        """Not to be written to. Raises ValueError for any position that isn't held."""
        return pcm.from_bytes(self.read_bytes(from_sample, to_sample))

    def read_bytes(self, from_sample: int, to_sample: int) -> bytes:
        """int16 LE. Raises ValueError for any position that isn't held."""
        if not self._first <= from_sample <= to_sample <= self._end:
            raise ValueError(f"samples {from_sample} to {to_sample} are not within {self._first} to {self._end}")
        if from_sample == to_sample:
            return b""
        parts, at = self._covering(from_sample, to_sample)
        begin = (from_sample - at) * SAMPLE_BYTES
        size = (to_sample - from_sample) * SAMPLE_BYTES
        joined = parts[0] if len(parts) == 1 else b"".join(parts)
        found = joined[begin : begin + size]
        return self._silenced(found, from_sample, to_sample) if self._silent else found

    def trim(self, to_sample: int) -> None:
        """Let go of everything before to_sample; a position outside what is held is brought to the nearest end."""
        self._let_go(min(max(self._first, to_sample), self._end))

    def silence(self, from_sample: int, to_sample: int) -> None:
        """What is held in between is silence from now on."""
        begin, end = max(from_sample, self._first), min(to_sample, self._end)
        if begin < end:
            apart = [span for span in self._silent if span[1] < begin or span[0] > end]
            joined = [span for span in self._silent if not (span[1] < begin or span[0] > end)]
            joined.append((begin, end))
            apart.append((min(span[0] for span in joined), max(span[1] for span in joined)))
            self._silent = apart

    def skip(self, to_sample: int) -> None:
        """Forget everything and go on at to_sample, which lies at or after the end."""
        if to_sample < self._end:
            raise ValueError(f"can't go on at {to_sample}, before the end at {self._end}")
        self._chunks.clear()
        self._silent = []
        self._begin = self._first = self._end = to_sample

    def _let_go(self, to_sample: int) -> None:
        self._first = to_sample
        while self._chunks and (end := self._begin + len(self._chunks[0]) // SAMPLE_BYTES) <= to_sample:
            self._chunks.popleft()
            self._begin = end
        if self._silent:
            self._silent = [span for span in self._silent if span[1] > to_sample]

    def _covering(self, from_sample: int, to_sample: int) -> tuple[list[bytes], int]:
        """The chunks that cover it, and where they begin; sought from the nearer end of what is held."""
        parts: list[bytes] = []
        if self._end - to_sample <= from_sample - self._begin:
            at = self._end
            for chunk in reversed(self._chunks):
                begin = at - len(chunk) // SAMPLE_BYTES
                if begin < to_sample:
                    parts.append(chunk)
                at = begin
                if at <= from_sample:
                    break
            parts.reverse()
            return parts, at
        at, first = self._begin, 0
        for chunk in self._chunks:
            end = at + len(chunk) // SAMPLE_BYTES
            if end > from_sample:
                first = first if parts else at
                parts.append(chunk)
            at = end
            if at >= to_sample:
                break
        return parts, first

    def _silenced(self, audio: bytes, from_sample: int, to_sample: int) -> bytes:
        heard = bytearray(audio)
        for begin, end in self._silent:
            begin, end = max(begin, from_sample), min(end, to_sample)
            if begin < end:
                heard[(begin - from_sample) * SAMPLE_BYTES : (end - from_sample) * SAMPLE_BYTES] = bytes(
                    (end - begin) * SAMPLE_BYTES
                )
        return bytes(heard)
