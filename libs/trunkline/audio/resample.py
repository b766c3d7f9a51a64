"""Change of sample rate, with milliseconds of delay for live audio.

After flush, whatever the chunks were, exactly samples in * to_hz / from_hz samples have come out, rounded half up.
Streaming libraries hand out audio in blocks: at 20 ms frames soxr holds back 37 ms from 24 to 16 kHz and 115 ms from
8 to 16 kHz. A caller waits for every one of them, so live audio has a filter of its own.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import gcd

import numpy as np
import numpy.typing as npt

from trunkline.audio import pcm
from trunkline.audio.pcm import Samples
from trunkline.proto.audio import SAMPLE_BYTES

WING = 16  # zero crossings of the filter to each side: the delay is so many samples at the lower rate
KAISER_BETA = 8.0  # 80 dB of stopband
PASSBAND = 0.92  # of the lower rate's half: where the filter begins to fall
BLOCKS_HZ = 500  # cycles of the ratio are run in blocks of up to 2 ms: larger ones wait longer, smaller ones copy more
STEPS_LIMIT = 640  # of the ratio's terms: beyond, the filter bank would be larger than its use

Kernel = npt.NDArray[np.float32]


@dataclass(frozen=True, eq=False, slots=True)
class Bank:
    """What all streams between two rates share. step, made: samples in and out of a block; wing: before the first one
    that counts. kernel: [2 * wing + step, made]."""

    step: int
    made: int
    wing: int
    kernel: Kernel


class Resampler:
    """A polyphase filter bank: a windowed sinc, one block of samples in, one out, at a time.

    Formula: J. O. Smith, Digital Audio Resampling: the ideal band-limited interpolation, under a Kaiser window.
    Equal rates pass through untouched, and have no bank. tail: int16 LE, what came and is still needed.
    """

    __slots__ = ("_taken", "bank", "tail")

    def __init__(self, from_hz: int, to_hz: int) -> None:
        """Raises ValueError for rates below 1 Hz, and for a ratio that needs terms above STEPS_LIMIT."""
        if from_hz < 1 or to_hz < 1:
            raise ValueError(f"rates must be 1 Hz or more, not {from_hz} and {to_hz}")
        self.bank = None if from_hz == to_hz else _bank(from_hz, to_hz)
        self._restart()

    def push(self, samples: Samples) -> Samples:
        return samples if self.bank is None else pcm.from_bytes(push_together([self], [pcm.to_bytes(samples)])[0])

    def flush(self) -> Samples:
        """The rest of the stream; a new stream begins afterwards."""
        bank = self.bank
        if bank is None:
            return pcm.EMPTY
        blocks = (self._taken + bank.wing - len(self.tail) // SAMPLE_BYTES) // bank.step
        due = (2 * self._taken * bank.made + bank.step) // (2 * bank.step) - blocks * bank.made
        tail = self.push(np.zeros(bank.wing + 2 * bank.step, dtype=np.int16))[:due]
        self._restart()
        return tail

    def took(self, samples: int, tail: bytes) -> None:
        """For push_together."""
        self._taken += samples
        self.tail = tail

    def _restart(self) -> None:
        self._taken = 0
        self.tail = b"" if self.bank is None else bytes(self.bank.wing * SAMPLE_BYTES)  # silence came before


def push_together(streams: Sequence[Resampler], frames: Sequence[bytes]) -> list[bytes]:
    """The next of each stream, int16 LE in and out. All are of one bank, their tails as long, their frames as long.

    Every numpy call costs more than its work on one frame of 20 ms, so the frames of many callers share them: the
    blocks whose whole filter is covered are one product.
    """
    bank, tail_bytes, frame_bytes = streams[0].bank, len(streams[0].tail), len(frames[0])
    if bank is None:
        return list(frames)
    joined = b"".join([part for stream, frame in zip(streams, frames, strict=True) for part in (stream.tail, frame)])
    filled_bytes = tail_bytes + frame_bytes
    span = len(bank.kernel)
    blocks = max(0, (filled_bytes // SAMPLE_BYTES - span) // bank.step + 1)
    used_bytes = blocks * bank.step * SAMPLE_BYTES
    for at, stream in enumerate(streams):
        stream.took(frame_bytes // SAMPLE_BYTES, joined[at * filled_bytes + used_bytes : (at + 1) * filled_bytes])
    if not blocks:
        return [b""] * len(streams)
    work = pcm.from_bytes(joined).astype(np.float32)
    strides = (filled_bytes // SAMPLE_BYTES * work.itemsize, bank.step * work.itemsize, work.itemsize)
    windows: Kernel = np.ndarray((len(streams), blocks, span), np.float32, work, 0, strides)
    made = windows.reshape(-1, span) @ bank.kernel  # BLAS takes no overlapping rows: they are copied
    made.clip(-32768.0, 32767.0, out=made)
    given = made.astype("<i2").tobytes()  # cuts off below one step of 16 bits
    size = len(given) // len(streams)
    return [given[at : at + size] for at in range(0, len(given), size)]


@lru_cache(maxsize=16)
def _bank(from_hz: int, to_hz: int) -> Bank:
    """Raises ValueError, see Resampler."""
    common = gcd(from_hz, to_hz)
    step, made = from_hz // common, to_hz // common
    if max(step, made) > STEPS_LIMIT:
        raise ValueError(f"{from_hz} to {to_hz} Hz is {step}:{made}, over {STEPS_LIMIT} steps")
    cycles = max(1, from_hz // BLOCKS_HZ // step)
    step, made = step * cycles, made * cycles
    lower = min(1.0, made / step)  # the lower rate, as a share of the incoming one
    wing = int(np.ceil(WING / lower))
    at = np.arange(2 * wing + step)[:, None] - wing  # of each sample in the window, from the cycle's first
    distance = at - (np.arange(made) * step / made)[None, :]
    inside = np.clip(distance / (wing + 1e-9), -1.0, 1.0)
    window = np.i0(KAISER_BETA * np.sqrt(1.0 - inside**2)) / np.i0(KAISER_BETA)
    cutoff = lower * PASSBAND
    kernel = cutoff * np.sinc(cutoff * distance) * window * (np.abs(distance) <= wing)
    kernel /= kernel.sum(axis=0, keepdims=True)  # silence stays silence, a level stays a level
    return Bank(step, made, wing, kernel.astype(np.float32))


def resample(samples: Samples, from_hz: int, to_hz: int) -> Samples:
    """A whole clip, of any rate; soxr takes the odd ratios, so it is needed where files of any rate are read."""
    if max(from_hz, to_hz) // gcd(from_hz, to_hz) <= STEPS_LIMIT:
        stream = Resampler(from_hz, to_hz)
        return np.concatenate((stream.push(samples), stream.flush()))
    import soxr  # type: ignore[import-untyped]  # ships no types

    count = (2 * len(samples) * to_hz + from_hz) // (2 * from_hz)
    made: Samples = soxr.resample(samples, from_hz, to_hz, quality="HQ")[:count]
    return np.pad(made, (0, count - len(made)))
