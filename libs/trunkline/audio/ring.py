"""The last seconds of one stream, addressed by sample position since the stream began.

Holds what lies between `first` and `end` and never more than its limit: an append beyond that lets go of
the oldest. Memory follows what is held, in doublings, so that a quiet call costs little.
"""

import numpy as np

from trunkline.audio.pcm import Samples

_SMALLEST_SAMPLES = 8_000  # half a second at 16 kHz: what a trimmed call needs most of the time


class Ring:
    def __init__(self, limit_samples: int, first: int = 0) -> None:
        """first: position of the first sample that will be appended."""
        if limit_samples < 1:
            raise ValueError(f"limit_samples must be 1 or more, not {limit_samples}")
        self._limit = limit_samples
        self._store: Samples = np.zeros(min(limit_samples, _SMALLEST_SAMPLES), dtype=np.int16)
        self._first = self._end = first

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

    def append(self, samples: Samples) -> int:
        """Returns how many samples the limit pushed out: the oldest held, or the head of a longer append."""
        end = self._end + len(samples)
        pushed_out = max(0, end - self._first - self._limit)
        begin = max(self._end, end - self._limit)
        self._first += pushed_out
        if end - self._first > len(self._store):
            self._resize(end - self._first)
        self._write(begin, samples[len(samples) - (end - begin) :])
        self._end = end
        return pushed_out

    def read(self, from_sample: int, to_sample: int) -> Samples:
        """A copy. Raises ValueError for any position that isn't held."""
        if not self._first <= from_sample <= to_sample <= self._end:
            raise ValueError(f"samples {from_sample} to {to_sample} are not within {self._first} to {self._end}")
        return self._copy(from_sample, to_sample)

    def trim(self, to_sample: int) -> None:
        """Let go of everything before to_sample; a position outside what is held is brought to the nearest end."""
        self._first = min(max(self._first, to_sample), self._end)
        if len(self._store) > max(_SMALLEST_SAMPLES, 4 * len(self)):
            self._resize(2 * len(self))

    def silence(self, from_sample: int, to_sample: int) -> None:
        """What is held in between is silence from now on."""
        begin, end = max(from_sample, self._first), min(to_sample, self._end)
        if begin < end:
            self._write(begin, np.zeros(end - begin, dtype=np.int16))

    def skip(self, to_sample: int) -> None:
        """Forget everything and go on at to_sample, which lies at or after the end."""
        if to_sample < self._end:
            raise ValueError(f"can't go on at {to_sample}, before the end at {self._end}")
        self._first = self._end = to_sample

    def _copy(self, from_sample: int, to_sample: int) -> Samples:
        size = len(self._store)
        at, length = from_sample % size, to_sample - from_sample
        head = self._store[at : at + length]
        if len(head) == length:
            return head.copy()
        return np.concatenate((head, self._store[: length - len(head)]))

    def _write(self, position: int, samples: Samples) -> None:
        at = position % len(self._store)
        head = len(self._store) - at
        if len(samples) <= head:
            self._store[at : at + len(samples)] = samples
        else:
            self._store[at:] = samples[:head]
            self._store[: len(samples) - head] = samples[head:]

    def _resize(self, needed: int) -> None:
        held_from = min(self._first, self._end)  # an append longer than the limit leaves nothing of what was held
        held = self._copy(held_from, self._end)
        size = _SMALLEST_SAMPLES
        while size < needed:
            size *= 2
        self._store = np.zeros(min(size, self._limit), dtype=np.int16)
        self._write(held_from, held)
