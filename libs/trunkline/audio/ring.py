"""The last seconds of one stream, addressed by sample position since the stream began.

Holds what lies between `first` and `end` and never more than its limit: an append beyond that lets go of the oldest.
What came as bytes is held as it came, by reference: an append copies nothing, and a read joins what it covers.
"""

from collections import deque
from collections.abc import Iterator

from trunkline.audio import pcm
from trunkline.audio.pcm import Samples
from trunkline.proto.audio import SAMPLE_BYTES


class Ring:
    __slots__ = ("_begin", "_chunks", "_end", "_first", "_limit")

    def __init__(self, limit_samples: int, first: int = 0) -> None:
        """first: position of the first sample that will be appended."""
        if limit_samples < 1:
            raise ValueError(f"limit_samples must be 1 or more, not {limit_samples}")
        self._limit = limit_samples
        self._chunks: deque[bytes] = deque()  # int16 LE, none of them empty
        self._begin = self._first = self._end = first  # of the first chunk; what lies before `first` is let go of

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
        return joined[begin : begin + size]

    def trim(self, to_sample: int) -> None:
        """Let go of everything before to_sample; a position outside what is held is brought to the nearest end."""
        self._let_go(min(max(self._first, to_sample), self._end))

    def silence(self, from_sample: int, to_sample: int) -> None:
        """What is held in between is silence from now on."""
        begin, end = max(from_sample, self._first), min(to_sample, self._end)
        if begin < end:
            self._chunks = deque(self._silenced(begin, end))

    def skip(self, to_sample: int) -> None:
        """Forget everything and go on at to_sample, which lies at or after the end."""
        if to_sample < self._end:
            raise ValueError(f"can't go on at {to_sample}, before the end at {self._end}")
        self._chunks.clear()
        self._begin = self._first = self._end = to_sample

    def _let_go(self, to_sample: int) -> None:
        self._first = to_sample
        while self._chunks and (end := self._begin + len(self._chunks[0]) // SAMPLE_BYTES) <= to_sample:
            self._chunks.popleft()
            self._begin = end

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

    def _silenced(self, from_sample: int, to_sample: int) -> Iterator[bytes]:
        at = self._begin
        for chunk in self._chunks:
            begin = max(from_sample - at, 0) * SAMPLE_BYTES
            end = min(to_sample - at, len(chunk) // SAMPLE_BYTES) * SAMPLE_BYTES
            at += len(chunk) // SAMPLE_BYTES
            yield chunk[:begin] + bytes(end - begin) + chunk[end:] if begin < end else chunk
