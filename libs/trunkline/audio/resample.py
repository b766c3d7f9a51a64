"""Change of sample rate, with milliseconds of delay for live audio.

After flush, whatever the chunks were, exactly samples in * to_hz / from_hz samples have come out, rounded half up.
Streaming libraries hand out audio in blocks: at 20 ms frames soxr holds back 37 ms from 24 to 16 kHz and 115 ms from
8 to 16 kHz. A caller waits for every one of them, so live audio has a filter of its own.
"""

from functools import lru_cache
from math import gcd

import numpy as np
import numpy.typing as npt

from trunkline.audio.pcm import Samples

WING = 16  # zero crossings of the filter to each side: the delay is so many samples at the lower rate
KAISER_BETA = 8.0  # 80 dB of stopband
PASSBAND = 0.92  # of the lower rate's half: where the filter begins to fall
FRAME_SAMPLES = 512  # room for a usual frame
BLOCKS_HZ = 500  # cycles are run in blocks of up to 2 ms: larger ones wait longer, smaller ones copy more
STEPS_LIMIT = 640  # of the ratio's terms: beyond, the filter bank would be larger than its use

Kernel = npt.NDArray[np.float32]


class Resampler:
    """A polyphase filter bank: a windowed sinc, one cycle of from_hz / gcd samples in, to_hz / gcd out, at a time.

    Formula: J. O. Smith, Digital Audio Resampling: the ideal band-limited interpolation, under a Kaiser window.
    Equal rates pass through untouched.
    """

    def __init__(self, from_hz: int, to_hz: int) -> None:
        """Raises ValueError for rates below 1 Hz, and for a ratio that needs terms above STEPS_LIMIT."""
        if from_hz < 1 or to_hz < 1:
            raise ValueError(f"rates must be 1 Hz or more, not {from_hz} and {to_hz}")
        common = gcd(from_hz, to_hz)
        self._step, self._made = from_hz // common, to_hz // common  # samples in and out, per cycle
        if max(self._step, self._made) > STEPS_LIMIT:
            raise ValueError(f"{from_hz} to {to_hz} Hz is {self._step}:{self._made}, over {STEPS_LIMIT} steps")
        cycles = max(1, from_hz // BLOCKS_HZ // self._step)
        self._step, self._made = self._step * cycles, self._made * cycles
        self._same = from_hz == to_hz
        self._wing, self._kernel = _bank(self._step, self._made)
        self._restart()

    def push(self, samples: Samples) -> Samples:
        if self._same:
            return samples
        self._taken += len(samples)
        given = self._run(samples)
        self._given += len(given)
        return given

    def flush(self) -> Samples:
        """The rest of the stream; a new stream begins afterwards."""
        if self._same:
            return np.zeros(0, dtype=np.int16)
        due = (2 * self._taken * self._made + self._step) // (2 * self._step) - self._given
        tail = self._run(np.zeros(self._wing + 2 * self._step, dtype=np.int16))[:due]
        self._restart()
        return tail

    def _restart(self) -> None:
        self._taken = self._given = 0
        self._work = np.zeros(self._wing + FRAME_SAMPLES, dtype=np.float32)
        self._held = self._wing  # samples at the head of _work that are still needed: silence came before

    def _run(self, samples: Samples) -> Samples:
        """The cycles whose whole filter is covered. Few and large steps: each numpy call costs more than its work."""
        filled = self._held + len(samples)
        if filled > len(self._work):
            self._work = np.concatenate((self._work[: self._held], np.zeros(len(samples), dtype=np.float32)))
        work = self._work
        work[self._held : filled] = samples
        span = len(self._kernel)
        cycles = (filled - span) // self._step + 1
        if cycles < 1:
            self._held = filled
            return np.zeros(0, dtype=np.int16)
        strides = (self._step * work.itemsize, work.itemsize)
        windows: Kernel = np.ndarray((cycles, span), np.float32, work, 0, strides)
        made = np.ascontiguousarray(windows) @ self._kernel  # BLAS takes no overlapping rows
        given: Samples = np.empty(made.shape, dtype=np.int16)
        np.maximum(made, -32768.0, out=made)
        np.minimum(made, 32767.0, out=given, casting="unsafe")  # cuts off below one step of 16 bits
        used = cycles * self._step
        self._held = filled - used
        work[: self._held] = work[used:filled]
        return given.reshape(-1)


@lru_cache(maxsize=16)
def _bank(step: int, made: int) -> tuple[int, Kernel]:
    """(samples before the first one that counts, kernel of shape [2 * wing + step, made])."""
    lower = min(1.0, made / step)  # the lower rate, as a share of the incoming one
    wing = int(np.ceil(WING / lower))
    at = np.arange(2 * wing + step)[:, None] - wing  # of each sample in the window, from the cycle's first
    distance = at - (np.arange(made) * step / made)[None, :]
    inside = np.clip(distance / (wing + 1e-9), -1.0, 1.0)
    window = np.i0(KAISER_BETA * np.sqrt(1.0 - inside**2)) / np.i0(KAISER_BETA)
    cutoff = lower * PASSBAND
    kernel = cutoff * np.sinc(cutoff * distance) * window * (np.abs(distance) <= wing)
    kernel /= kernel.sum(axis=0, keepdims=True)  # silence stays silence, a level stays a level
    return wing, kernel.astype(np.float32)


def resample(samples: Samples, from_hz: int, to_hz: int) -> Samples:
    """A whole clip, of any rate; soxr takes the odd ratios, so it is needed where files of any rate are read."""
    if max(from_hz, to_hz) // gcd(from_hz, to_hz) <= STEPS_LIMIT:
        stream = Resampler(from_hz, to_hz)
        return np.concatenate((stream.push(samples), stream.flush()))
    import soxr  # type: ignore[import-untyped]  # ships no types

    count = (2 * len(samples) * to_hz + from_hz) // (2 * from_hz)
    made: Samples = soxr.resample(samples, from_hz, to_hz, quality="HQ")[:count]
    return np.pad(made, (0, count - len(made)))
