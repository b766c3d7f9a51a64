"""Samples as bytes, as int16 and as float, and how loud they are.

On the bus and in files samples are 16-bit little-endian mono; int16 full scale is 32768.
"""

import numpy as np
from numpy.typing import NDArray

Samples = NDArray[np.int16]  # one dimension, mono
Floats = NDArray[np.float32]  # one dimension, mono, full scale 1.0

FULL_SCALE = 32768.0
SILENCE_DBFS = -96.0  # below one step of 16 bits; what level_dbfs says of digital silence
EMPTY: Samples = np.zeros(0, dtype=np.int16)


def from_bytes(pcm: bytes) -> Samples:
    """A read-only view of the bytes, int16 LE. Raises ValueError for a torn sample."""
    return np.frombuffer(pcm, dtype="<i2")


def to_bytes(samples: Samples) -> bytes:
    return samples.astype("<i2", copy=False).tobytes()


def to_float(samples: Samples) -> Floats:
    return samples.astype(np.float32) / np.float32(FULL_SCALE)


def from_float(floats: Floats) -> Samples:
    """Clips what lies beyond full scale."""
    scaled = np.rint(floats * np.float32(FULL_SCALE))
    samples: Samples = np.clip(scaled, -32768, 32767).astype(np.int16)
    return samples


def level_dbfs(samples: Samples) -> float:
    """RMS level against full scale, SILENCE_DBFS at the lowest; a full-scale square wave is 0 dBFS."""
    if not len(samples):
        return SILENCE_DBFS
    mean_square = float(np.mean(np.square(samples, dtype=np.float64)))
    if mean_square == 0.0:
        return SILENCE_DBFS
    return max(SILENCE_DBFS, 10.0 * float(np.log10(mean_square)) - 20.0 * float(np.log10(FULL_SCALE)))


def amplify(samples: Samples, gain_db: float) -> Samples:
    """Clips what lies beyond full scale."""
    return from_float(to_float(samples) * np.float32(10.0 ** (gain_db / 20.0)))
