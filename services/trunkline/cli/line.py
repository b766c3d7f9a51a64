"""What a caller says: one WAV file as 24 kHz samples, and where its last voiced sample is.

The end of speech is found by loudness alone, so figures don't depend on any engine under test.
"""

from pathlib import Path

import msgspec
import numpy as np

from trunkline.audio import resample, wav
from trunkline.audio.pcm import FULL_SCALE, Samples
from trunkline.proto.audio import SPEECH_RATE_HZ
from trunkline.proto.errors import BadInput

_WINDOW_S = 0.01
_BELOW_PEAK = 10 ** (-30 / 20)  # a window this far below the loudest is no speech
_ABOVE_NOISE = 3.0  # nor is one less than this above the noise floor
_AUDIBLE = 10 ** (-55 / 20) * FULL_SCALE


class Line(msgspec.Struct, frozen=True):
    """samples: mono at SPEECH_RATE_HZ. voiced_end: just after the last voiced one, 0 in silence."""

    samples: Samples
    voiced_end: int


def read(path: Path | str) -> Line:
    """A WAV file of any rate, mono or stereo. Raises BadInput, its param the path."""
    clip = wav.read_file(path)
    if not len(clip.samples):
        raise BadInput(str(path), "holds no sound", "a WAV file with at least one sample")
    return make(clip.samples, clip.rate_hz)


def make(samples: Samples, rate_hz: int) -> Line:
    played = resample.resample(samples, rate_hz, SPEECH_RATE_HZ)
    return Line(played, voiced_end(played, SPEECH_RATE_HZ))


def voiced_end(samples: Samples, rate_hz: int) -> int:
    """Just after the last 10 ms window that is loud against both the loudest and the floor of the noise."""
    size = int(rate_hz * _WINDOW_S)
    count = len(samples) // size
    if not count:
        return len(samples)
    windows = samples[: count * size].astype(np.float64).reshape(count, size)
    levels = np.sqrt(np.mean(windows**2, axis=1))
    floor = float(np.percentile(levels, 5))
    loudest = float(levels.max())
    threshold = max(_AUDIBLE, loudest * _BELOW_PEAK, min(floor * _ABOVE_NOISE, loudest / 2))
    voiced = np.flatnonzero(levels > threshold)
    return int(voiced[-1] + 1) * size if len(voiced) else 0
