"""G.711, the telephone's 8-bit companding: mu-law (North America, Japan) and A-law (elsewhere), by table.

One lookup per sample, so the frames of many calls can be joined and converted at once. Source of the
segments: ITU-T G.711 tables 1 and 2, in the 14-bit and 13-bit integer form of the Sun reference code.
"""

import numpy as np
from numpy.typing import NDArray

from trunkline.audio.pcm import Samples

_MULAW_BIAS = 33  # of 14-bit magnitudes
_MULAW_LIMIT = 0x1FFF


def _bit_length(values: NDArray[np.int32]) -> NDArray[np.int32]:
    exponents: NDArray[np.int32] = np.frexp(values.astype(np.float64))[1].astype(np.int32)
    return exponents


def _mulaw_encoding() -> NDArray[np.uint8]:
    levels = np.arange(65536, dtype=np.uint16).view(np.int16).astype(np.int32) >> 2
    magnitude = np.minimum(np.abs(levels) + _MULAW_BIAS, _MULAW_LIMIT)
    segment = _bit_length(magnitude) - 6
    code = (segment << 4) | ((magnitude >> (segment + 1)) & 0x0F)
    encoding: NDArray[np.uint8] = (code ^ np.where(levels < 0, 0x7F, 0xFF)).astype(np.uint8)
    return encoding


def _mulaw_decoding() -> NDArray[np.int16]:
    code = ~np.arange(256, dtype=np.int32)
    magnitude = (((code & 0x0F) << 3) + 0x84) << ((code & 0x70) >> 4)
    return np.where(code & 0x80, 0x84 - magnitude, magnitude - 0x84).astype(np.int16)


def _alaw_encoding() -> NDArray[np.uint8]:
    levels = np.arange(65536, dtype=np.uint16).view(np.int16).astype(np.int32) >> 3
    magnitude = np.where(levels < 0, -levels - 1, levels)
    segment = np.maximum(_bit_length(magnitude) - 5, 0)
    code = (segment << 4) | ((magnitude >> np.maximum(segment, 1)) & 0x0F)
    encoding: NDArray[np.uint8] = (code ^ np.where(levels < 0, 0x55, 0xD5)).astype(np.uint8)
    return encoding


def _alaw_decoding() -> NDArray[np.int16]:
    code = np.arange(256, dtype=np.int32) ^ 0x55
    segment = (code & 0x70) >> 4
    magnitude = ((code & 0x0F) << 4) + np.where(segment == 0, 0x008, 0x108)
    magnitude <<= np.maximum(segment - 1, 0)
    return np.where(code & 0x80, magnitude, -magnitude).astype(np.int16)


_TO_MULAW, _FROM_MULAW = _mulaw_encoding(), _mulaw_decoding()
_TO_ALAW, _FROM_ALAW = _alaw_encoding(), _alaw_decoding()


def encode_mulaw(samples: Samples) -> bytes:
    """One byte per sample."""
    return _TO_MULAW[samples.view(np.uint16)].tobytes()


def decode_mulaw(code: bytes) -> Samples:
    return _FROM_MULAW[np.frombuffer(code, dtype=np.uint8)]


def encode_alaw(samples: Samples) -> bytes:
    """One byte per sample."""
    return _TO_ALAW[samples.view(np.uint16)].tobytes()


def decode_alaw(code: bytes) -> Samples:
    return _FROM_ALAW[np.frombuffer(code, dtype=np.uint8)]
