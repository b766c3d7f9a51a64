"""WAV files as people bring them."""

import struct
import wave
from pathlib import Path

import numpy as np
import pytest

from trunkline.audio import wav
from trunkline.proto.errors import BadInput

CALLERS = Path(__file__).parent.parent / "data" / "callers"
RAMP = np.linspace(-30_000, 30_000, 400).astype(np.int16)


def riff(coding: int, bits: int, body: bytes, *, channels: int = 1, rate_hz: int = 16_000, extra: bytes = b"") -> bytes:
    width = bits // 8 * channels
    layout = struct.pack("<HHIIHH", coding, channels, rate_hz, rate_hz * width, width, bits) + extra
    chunks = b"fmt " + struct.pack("<I", len(layout)) + layout + b"data" + struct.pack("<I", len(body)) + body
    return b"RIFF" + struct.pack("<I", 4 + len(chunks)) + b"WAVE" + chunks


def as_bits(samples: np.ndarray, bits: int) -> bytes:
    if bits == 8:
        return ((samples >> 8) + 128).astype(np.uint8).tobytes()
    wide = samples.astype("<i4") << (bits - 16 if bits > 16 else 0)
    return wide.view(np.uint8).reshape(-1, 4)[:, : bits // 8].tobytes()


@pytest.mark.parametrize(("bits", "step"), [(8, 256), (16, 0), (24, 0), (32, 1)])
def test_every_width_is_read_as_16_bit(bits: int, step: int) -> None:
    clip = wav.read_bytes(riff(1, bits, as_bits(RAMP, bits)), "clip")

    assert clip.rate_hz == 16_000
    assert np.abs(clip.samples.astype(np.int32) - RAMP).max() <= step


def test_floats_are_read() -> None:
    clip = wav.read_bytes(riff(3, 32, (RAMP / 32768.0).astype("<f4").tobytes()), "clip")

    assert np.array_equal(RAMP, clip.samples)


def test_an_extensible_header_is_read_by_its_sub_format() -> None:
    extra = struct.pack("<HHIH", 22, 16, 0, 1) + bytes(14)

    assert np.array_equal(RAMP, wav.read_bytes(riff(0xFFFE, 16, as_bits(RAMP, 16), extra=extra), "clip").samples)


def test_stereo_is_mixed_down() -> None:
    both = np.stack((RAMP, np.zeros_like(RAMP)), axis=1)

    clip = wav.read_bytes(riff(1, 16, as_bits(both.reshape(-1), 16), channels=2), "clip")

    assert np.abs(clip.samples * 2 - RAMP.astype(np.int32)).max() <= 1


def test_what_is_written_is_read_back_by_us_and_by_the_standard_library(tmp_path: Path) -> None:
    path = tmp_path / "clip.wav"
    wav.write_file(path, RAMP, 24_000)

    clip = wav.read_file(path)
    assert np.array_equal(RAMP, clip.samples)
    assert clip.seconds == pytest.approx(400 / 24_000)
    with wave.open(str(path)) as file:
        assert (file.getframerate(), file.getnframes()) == (24_000, 400)


def test_a_file_of_a_writer_that_could_not_seek_is_read_to_its_end() -> None:
    data = bytearray(riff(1, 16, as_bits(RAMP, 16)))
    data[40:44] = b"\xff\xff\xff\xff"

    assert np.array_equal(RAMP, wav.read_bytes(bytes(data), "clip").samples)


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"", "is no WAV file"),
        (b"ID3" + bytes(100), "is no WAV file"),
        (riff(1, 16, b"")[:36], "has no data chunk"),
        (riff(0x11, 4, b"", channels=1), "format 0x0011 with 4 bits"),
        (riff(1, 16, b"", channels=0), "0 channels"),
        (riff(1, 16, b"", rate_hz=1), "rate of 1 Hz"),
        (b"RIFF\0\0\0\0WAVEdata\0\0\0\0", "data before its format"),
        (b"RIFF\0\0\0\0WAVEfmt \x02\0\0\0\0\0", "too short"),
    ],
)
def test_a_bad_file_is_named_with_what_is_allowed(data: bytes, problem: str) -> None:
    with pytest.raises(BadInput, match=problem) as caught:
        wav.read_bytes(data, "my.wav")

    assert caught.value.param == "my.wav"
    assert caught.value.allowed


def test_a_file_that_is_not_there_is_named() -> None:
    with pytest.raises(BadInput, match=r"nowhere\.wav: can't be read"):
        wav.read_file("nowhere.wav")


def test_the_callers_lines_are_16_khz() -> None:
    clips = [wav.read_file(path) for path in sorted(CALLERS.glob("*.wav"))]

    assert {clip.rate_hz for clip in clips} == {16_000}
    assert len(clips) == 9
