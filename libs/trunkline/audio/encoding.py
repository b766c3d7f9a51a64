"""Audio as files that go out while they are written: PCM, WAV, FLAC, MP3 and Opus in Ogg, mono.

Rule: what has been taken is never written again, so no format may need it: a length that isn't known yet is said to be
unknown. Formats: RIFF (sizes of 0xFFFFFFFF), RFC 9639 (FLAC, total samples of 0), ISO 13818-3 (MP3), RFC 7845 (Opus).
"""

import io
import struct
from typing import Literal, Protocol

import numpy as np

from trunkline.audio.pcm import from_bytes

Format = Literal["pcm", "wav", "flac", "mp3", "opus"]

UNKNOWN_BYTES = 0xFFFFFFFF
FLAC_HELD_BYTES = 256 * 1024  # some ten seconds of speech: a file as short as that has its length and its checksum
MP3_COMPRESSION = (
    0.6  # a constant 64 kbit/s at 24 kHz; players can't tell the length of a variable rate by its first frames
)
OPUS_PAGE_MS = 100.0  # of sound in a page of Ogg; libsndfile would wait for a second of it
SILENCE_SAMPLES = 1  # instead of none: without one libsndfile writes no header, and the file would be none
_SET_OGG_PAGE_LATENCY_MS = 0x1302  # of sf_command(), in sndfile.h


class Encoder(Protocol):
    """inline: so cheap that it needs no thread. feed and finish give what is ready to go out, maybe nothing."""

    inline: bool

    def feed(self, pcm: bytes) -> bytes:
        """pcm: int16 LE mono."""
        ...

    def finish(self) -> bytes: ...


def open_encoder(form: Format, rate_hz: int) -> Encoder:
    """Each but PCM and WAV needs the extra `gateway`."""
    match form:
        case "pcm":
            return _Plain(b"")
        case "wav":
            return _Plain(endless_wav_header(rate_hz))
        case "flac":
            return _Encoded("FLAC", "PCM_16", rate_hz, hold_bytes=FLAC_HELD_BYTES)
        case "mp3":
            return _Encoded("MP3", "MPEG_LAYER_III", rate_hz, compression=MP3_COMPRESSION)
        case "opus":
            return _Encoded("OGG", "OPUS", rate_hz)


def endless_wav_header(rate_hz: int) -> bytes:
    """Of 16 bit mono whose length isn't known: the data goes to the end of the file."""
    form = struct.pack("<IHHIIHH", 16, 1, 1, rate_hz, rate_hz * 2, 2, 16)
    return b"RIFF" + struct.pack("<I", UNKNOWN_BYTES) + b"WAVEfmt " + form + b"data" + struct.pack("<I", UNKNOWN_BYTES)


class _Plain:
    inline = True

    def __init__(self, header: bytes) -> None:
        self._header = header

    def feed(self, pcm: bytes) -> bytes:
        header, self._header = self._header, b""
        return header + pcm

    def finish(self) -> bytes:
        return self.feed(b"")


class _Encoded:
    """hold_bytes: that stay back until there are more, so that the header of a short file is right."""

    inline = False

    def __init__(
        self, form: str, subtype: str, rate_hz: int, *, compression: float | None = None, hold_bytes: int = 0
    ) -> None:
        import soundfile  # type: ignore[import-untyped]  # ships no types

        self._sink = _Sink(hold_bytes)
        self._fed = False
        constant = {} if compression is None else {"compression_level": compression, "bitrate_mode": "CONSTANT"}
        self._file = soundfile.SoundFile(self._sink, "w", rate_hz, 1, subtype, format=form, **constant)
        if subtype == "OPUS":  # soundfile has no word of its own for it
            page_ms = soundfile._ffi.new("double *", OPUS_PAGE_MS)
            soundfile._snd.sf_command(self._file._file, _SET_OGG_PAGE_LATENCY_MS, page_ms, 8)

    def feed(self, pcm: bytes) -> bytes:
        self._file.write(from_bytes(pcm))
        self._fed = True
        return self._sink.take()

    def finish(self) -> bytes:
        if not self._fed:
            self._file.write(np.zeros(SILENCE_SAMPLES, dtype=np.int16))
        self._file.close()
        return self._sink.take(whole=True)


class _Sink:
    """The file that libsndfile writes: of what has been taken nothing changes any more."""

    def __init__(self, hold_bytes: int) -> None:
        self._hold_bytes = hold_bytes
        self._left = bytearray()  # not taken yet
        self._taken = 0
        self._at = 0

    def take(self, *, whole: bool = False) -> bytes:
        if not whole and len(self._left) <= self._hold_bytes:
            return b""
        taken = bytes(self._left)
        self._left.clear()
        self._taken += len(taken)
        self._hold_bytes = 0
        return taken

    def write(self, data: bytes) -> int:
        begin = self._at - self._taken
        fresh = data[max(0, -begin) :]  # a header that is told again has gone out
        self._left[max(0, begin) : max(0, begin) + len(fresh)] = fresh
        self._at += len(data)
        return len(data)

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._taken + len(self._left)}[whence]
        self._at = base + offset
        return self._at

    def tell(self) -> int:
        return self._at

    def read(self, size: int = -1) -> bytes:
        """libsndfile asks for nothing of what it writes."""
        return b""
