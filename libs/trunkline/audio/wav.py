"""WAV files in and out: what people bring in many widths becomes mono int16.

Reads PCM of 8, 16, 24 and 32 bit and 32-bit float, plain or WAVE_FORMAT_EXTENSIBLE, of any rate, and
mixes channels down. Format: Microsoft RIFF, chunks `fmt ` and `data`. Anything else raises BadInput.
"""

import io
import struct
import wave
from collections.abc import Iterator
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from trunkline.audio import pcm
from trunkline.audio.pcm import Samples
from trunkline.proto.errors import BadInput

_PCM, _FLOAT, _EXTENSIBLE = 0x0001, 0x0003, 0xFFFE
_ALLOWED = "a WAV file of 8, 16, 24 or 32 bit PCM or 32 bit float"
_ENDLESS = (0, 0xFFFFFFFF)  # data sizes of writers that couldn't seek back: the data goes to the end of the file
_RATES_HZ = range(1_000, 384_001)


class UnknownCoding(BadInput):
    """A WAV file as such; another reader may know its coding."""


class Clip(msgspec.Struct, frozen=True):
    """samples: mono."""

    samples: Samples
    rate_hz: int

    @property
    def seconds(self) -> float:
        return len(self.samples) / self.rate_hz


class _Format(msgspec.Struct, frozen=True):
    coding: int
    channels: int
    rate_hz: int
    bits: int


def read_file(path: Path | str) -> Clip:
    """Raises BadInput, its param the path."""
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise BadInput(str(path), f"can't be read ({error.strerror})", _ALLOWED) from error
    return read_bytes(data, str(path))


def read_bytes(data: bytes, param: str) -> Clip:
    """param: what a BadInput names. A file cut short in its data gives what is there."""
    reader = Reader(data, param)
    return Clip(reader.read(reader.frames), reader.rate_hz)


class Reader:
    """A file in memory, decoded piece by piece. Raises BadInput, its param as given.

    frames: that are there. missing_bytes: of data that the header promises beyond what is there.
    """

    def __init__(self, data: bytes, param: str) -> None:
        self._layout, self._body, promised = _find_data(memoryview(data), param)
        self.rate_hz = self._layout.rate_hz
        self.missing_bytes = promised - len(self._body)
        self._width = self._layout.bits // 8 * self._layout.channels
        self.frames = len(self._body) // self._width
        self._at = 0

    def read(self, frames: int) -> Samples:
        """The next so many, mono; fewer at the end."""
        begin, self._at = self._at, min(self._at + frames, self.frames)
        body = bytes(self._body[begin * self._width : self._at * self._width])
        return _mix_down(_decode(body, self._layout), self._layout.channels)


def write_bytes(samples: Samples, rate_hz: int) -> bytes:
    """16 bit mono."""
    target = io.BytesIO()
    with wave.open(target, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate_hz)
        file.writeframes(pcm.to_bytes(samples))
    return target.getvalue()


def write_file(path: Path | str, samples: Samples, rate_hz: int) -> None:
    Path(path).write_bytes(write_bytes(samples, rate_hz))


def _find_data(data: memoryview, param: str) -> tuple[_Format, memoryview, int]:
    """The format, the data, and how many bytes of it the file says there are."""
    if bytes(data[:4]) != b"RIFF" or bytes(data[8:12]) != b"WAVE":
        raise BadInput(param, "is no WAV file", _ALLOWED)
    layout: _Format | None = None
    for name, body, size in _chunks(data):
        if name == b"fmt ":
            layout = _read_format(bytes(body), param)
        elif name == b"data":
            if layout is None:
                raise BadInput(param, "has its data before its format", _ALLOWED)
            return layout, body, size
    raise BadInput(param, "has no data chunk", _ALLOWED)


def _chunks(data: memoryview) -> Iterator[tuple[bytes, memoryview, int]]:
    at = 12
    while at + 8 <= len(data):
        name, size = struct.unpack_from("<4sI", data, at)
        if name == b"data" and size in _ENDLESS:
            size = len(data) - at - 8
        yield name, data[at + 8 : at + 8 + size], size
        at += 8 + size + size % 2  # chunks are padded to even sizes


def _read_format(body: bytes, param: str) -> _Format:
    if len(body) < 16:
        raise BadInput(param, "has a format chunk that is too short", _ALLOWED)
    coding, channels, rate_hz, _, _, bits = struct.unpack_from("<HHIIHH", body)
    if coding == _EXTENSIBLE and len(body) >= 26:
        coding = struct.unpack_from("<H", body, 24)[0]  # the sub-format's first field is the plain coding
    if (coding, bits) not in {(_PCM, 8), (_PCM, 16), (_PCM, 24), (_PCM, 32), (_FLOAT, 32)}:
        raise UnknownCoding(param, f"is coded as format {coding:#06x} with {bits} bits", _ALLOWED)
    if not 1 <= channels <= 32:
        raise BadInput(param, f"has {channels} channels", "1 to 32 channels")
    if rate_hz not in _RATES_HZ:
        raise BadInput(param, f"has a rate of {rate_hz} Hz", f"{_RATES_HZ[0]} to {_RATES_HZ[-1]} Hz")
    return _Format(coding, channels, rate_hz, bits)


def _decode(body: bytes, layout: _Format) -> NDArray[np.float32]:
    """body: whole frames. Interleaved channels, full scale 1.0."""
    if layout.coding == _FLOAT:
        floats: NDArray[np.float32] = np.nan_to_num(np.frombuffer(body, dtype="<f4"))
        return floats
    if layout.bits == 8:
        return (np.frombuffer(body, dtype=np.uint8).astype(np.float32) - 128.0) / 128.0
    if layout.bits == 16:
        return pcm.to_float(pcm.from_bytes(body))
    if layout.bits == 24:
        body = np.pad(np.frombuffer(body, dtype=np.uint8).reshape(-1, 3), ((0, 0), (1, 0))).tobytes()
    return (np.frombuffer(body, dtype="<i4") / 2.0**31).astype(np.float32)


def _mix_down(interleaved: NDArray[np.float32], channels: int) -> Samples:
    return pcm.from_float(interleaved.reshape(-1, channels).mean(axis=1, dtype=np.float32))
