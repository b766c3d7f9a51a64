"""Sound files in: whatever people upload becomes mono int16 at one rate, a second at a time.

Rule: what a file says of itself is never believed: no more is decoded than is asked for, and no longer than allowed.
WAV of the usual codings is read here, the rest by libsndfile (the extra `gateway`).
"""

import io
from fractions import Fraction
from typing import Protocol

import numpy as np

from trunkline.audio import pcm, wav
from trunkline.audio.pcm import Samples
from trunkline.audio.resample import STEPS_LIMIT, Resampler
from trunkline.proto.errors import BadInput

ALLOWED = "a flac, mp3, ogg (opus or vorbis) or wav file"
CHANNELS = 32
RATES_HZ = range(1_000, 384_001)
READ_BY_LIBSNDFILE = {"FLAC", "MP3", "OGG", "WAV", "WAVEX"}
UNKNOWN_FRAMES = 2**63 - 1  # libsndfile's SF_COUNT_MAX: of FLAC by an encoder that didn't know when it began
MP3_SYNC = 0xFFE0  # the first eleven bits of a frame


class _Source(Protocol):
    """frames: as its header says, None where it doesn't."""

    @property
    def rate_hz(self) -> int: ...

    @property
    def frames(self) -> int | None: ...

    def read(self, frames: int) -> Samples:
        """The next so many, mono; fewer at the end."""
        ...


class SoundFile:
    """Blocking; for one thread at a time."""

    def __init__(self, data: bytes | bytearray, to_hz: int, param: str, limit_s: float) -> None:
        """param: what a BadInput names. limit_s: longer files raise BadInput, here or as soon as it shows."""
        self._param = param
        self._limit_s = limit_s
        source = _open(data, param)
        self._source: _Source | None = source
        self._rate_hz = source.rate_hz
        self._taken = 0
        self._ended = False
        self._resampler = _resampler(self._rate_hz, to_hz)
        self._require_short(source.frames or 0)

    def close(self) -> None:
        """Lets go of the data, however long somebody refers to this."""
        self._source = None

    @property
    def seconds(self) -> float:
        """Read so far."""
        return self._taken / self._rate_hz

    def read(self) -> Samples:
        """The next second or so; empty at the end, and only there. Raises BadInput where the file is damaged."""
        made, source = pcm.EMPTY, self._source
        assert source is not None
        while not len(made) and not self._ended:
            taken = source.read(self._rate_hz)
            self._taken += len(taken)
            self._require_short(self._taken)
            self._ended = len(taken) < self._rate_hz
            made = self._resampler.push(taken)
            if self._ended:
                made = np.concatenate((made, self._resampler.flush()))
        return made

    def _require_short(self, frames: int) -> None:
        if frames > self._limit_s * self._rate_hz:
            raise BadInput(self._param, "is too long", f"up to {self._limit_s / 60:g} minutes of sound")


def _open(data: bytes | bytearray, param: str) -> _Source:
    """Raises BadInput."""
    if not data:
        raise BadInput(param, "is empty", ALLOWED)
    source: _Source
    match _kind(data):
        case "wav":
            source = _open_wav(data, param)
        case "flac" | "mp3" | "ogg":
            source = _Decoded(data, param)
        case "":
            raise BadInput(param, "is no sound file that is known here", ALLOWED)
        case other:
            raise BadInput(param, f"is {other}, which isn't supported", ALLOWED, code="not_supported")
    if source.frames == 0:
        raise BadInput(param, "holds no sound", ALLOWED)
    return source


def _kind(data: bytes | bytearray) -> str:
    """By its first bytes, whatever its name says; empty for none that is known."""
    head = data[:12]
    if head[:4] == b"RIFF" and head[8:] == b"WAVE":
        return "wav"
    if head[:4] == b"fLaC":
        return "flac"
    if head[:4] == b"OggS":
        return "ogg"
    if head[4:8] == b"ftyp":
        return "MP4 (m4a)"
    if head[:4] == b"\x1aE\xdf\xa3":
        return "WebM or Matroska"
    if head[:3] == b"ID3" or int.from_bytes(head[:2], "big") & MP3_SYNC == MP3_SYNC:
        return "mp3"
    return ""


def _open_wav(data: bytes | bytearray, param: str) -> _Source:
    try:
        reader = wav.Reader(data, param)
    except wav.UnknownCoding:
        return _Decoded(data, param)
    if reader.missing_bytes:
        raise BadInput(param, f"is cut short: {reader.missing_bytes} bytes of its data are missing", "a whole WAV file")
    return reader


class _Decoded:
    """By libsndfile."""

    def __init__(self, data: bytes | bytearray, param: str) -> None:
        import soundfile  # type: ignore[import-untyped]  # ships no types

        self._error: type[Exception] = soundfile.SoundFileError
        self._param = param
        try:
            self._file = soundfile.SoundFile(io.BytesIO(data))
        except self._error as error:
            raise self._damaged(error) from error
        self._file.seekable = lambda: False  # else each read would end with a seek, which has no place to go at times
        self.rate_hz: int = self._file.samplerate
        self.frames: int | None = self._file.frames if self._file.frames != UNKNOWN_FRAMES else None
        channels, kind = self._file.channels, self._file.format
        if kind not in READ_BY_LIBSNDFILE:
            raise BadInput(param, f"is {kind}, which isn't supported", ALLOWED, code="not_supported")
        if channels > CHANNELS:
            raise BadInput(param, f"has {channels} channels", f"1 to {CHANNELS} channels")
        if self.rate_hz not in RATES_HZ:
            raise BadInput(param, f"has a rate of {self.rate_hz} Hz", f"{RATES_HZ[0]} to {RATES_HZ[-1]} Hz")

    def read(self, frames: int) -> Samples:
        try:
            read = self._file.read(frames, dtype="float32", always_2d=True)
        except self._error as error:
            raise self._damaged(error) from error
        return pcm.from_float(np.nan_to_num(read.mean(axis=1, dtype=np.float32)))

    def _damaged(self, error: Exception) -> BadInput:
        return BadInput(self._param, f"can't be decoded ({getattr(error, 'error_string', error)})", ALLOWED)


def _resampler(from_hz: int, to_hz: int) -> Resampler:
    """The nearest ratio that a filter bank is made for: off by a thousandth at the most."""
    ratio = Fraction(from_hz, to_hz)
    limit = STEPS_LIMIT if ratio <= 1 else int(STEPS_LIMIT / ratio)
    near = ratio.limit_denominator(limit)
    scale = max(1, from_hz // near.numerator)
    return Resampler(near.numerator * scale, near.denominator * scale)
