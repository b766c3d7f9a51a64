"""Change of sample rate, streaming, one per stream and direction.

After flush, whatever the chunks were, exactly samples in * to_hz / from_hz samples have come out, rounded
half up; until then soxr holds back a few milliseconds. Equal rates pass through untouched.
"""

from typing import Literal

import numpy as np
import soxr  # type: ignore[import-untyped]  # ships no types

from trunkline.audio.pcm import Samples

Quality = Literal["QQ", "LQ", "MQ", "HQ", "VHQ"]


class Resampler:
    def __init__(self, from_hz: int, to_hz: int, *, quality: Quality = "MQ") -> None:
        """quality: soxr's; MQ is beyond what 16-bit speech shows, at half the cost of HQ."""
        if from_hz < 1 or to_hz < 1:
            raise ValueError(f"rates must be 1 Hz or more, not {from_hz} and {to_hz}")
        self._from_hz, self._to_hz = from_hz, to_hz
        self._quality = quality
        self._taken = self._given = 0
        self._stream = self._open()

    def push(self, samples: Samples) -> Samples:
        if self._stream is None:
            return samples
        self._taken += len(samples)
        return self._give(self._stream.resample_chunk(samples))

    def flush(self) -> Samples:
        """The rest of the stream; a new stream begins afterwards."""
        if self._stream is None:
            return np.zeros(0, dtype=np.int16)
        due = (2 * self._taken * self._to_hz + self._from_hz) // (2 * self._from_hz) - self._given
        tail: Samples = self._stream.resample_chunk(np.zeros(0, dtype=np.int16), last=True)[: max(0, due)]
        self._taken = self._given = 0
        self._stream = self._open()
        return np.pad(tail, (0, max(0, due - len(tail))))

    def _open(self) -> soxr.ResampleStream | None:
        if self._from_hz == self._to_hz:
            return None
        return soxr.ResampleStream(self._from_hz, self._to_hz, 1, dtype="int16", quality=self._quality)

    def _give(self, samples: Samples) -> Samples:
        self._given += len(samples)
        return samples


def resample(samples: Samples, from_hz: int, to_hz: int) -> Samples:
    """A whole clip at once."""
    stream = Resampler(from_hz, to_hz, quality="HQ")
    return np.concatenate((stream.push(samples), stream.flush()))
