"""Sound files of every kind that people upload, whole, damaged and lying about themselves."""

import io
import struct
from fractions import Fraction

import numpy as np
import pytest
import soundfile  # type: ignore[import-untyped]  # ships no types

from trunkline.audio import pcm, wav
from trunkline.audio.decoding import RATES_HZ, SoundFile
from trunkline.audio.pcm import Floats, Samples
from trunkline.proto.errors import BadInput

TO_HZ = 16_000
LIMIT_S = 60.0


def sine(rate_hz: int, seconds: float = 1.5, hz: float = 440.0) -> Floats:
    return (0.3 * np.sin(2 * np.pi * hz * np.arange(round(rate_hz * seconds)) / rate_hz)).astype(np.float32)


def made(samples: Floats, rate_hz: int, kind: str, coding: str | None = None) -> bytes:
    target = io.BytesIO()
    soundfile.write(target, samples, rate_hz, format=kind, subtype=coding)
    return target.getvalue()


def read(data: bytes, limit_s: float = LIMIT_S) -> tuple[Samples, float]:
    """What is in it, and its length in seconds."""
    sound = SoundFile(data, TO_HZ, "file", limit_s)
    parts = []
    while len(part := sound.read()):
        assert len(part) <= 1.1 * TO_HZ
        parts.append(part)
    return np.concatenate(parts), sound.seconds


def refused(data: bytes, limit_s: float = LIMIT_S) -> BadInput:
    with pytest.raises(BadInput) as refusal:
        read(data, limit_s)
    assert refusal.value.param == "file"
    assert refusal.value.allowed
    return refusal.value


def pitch_hz(samples: Samples) -> float:
    spectrum = np.abs(np.fft.rfft(pcm.to_float(samples) * np.hanning(len(samples))))
    return float(spectrum.argmax()) * TO_HZ / len(samples)


@pytest.mark.parametrize(
    ("kind", "coding", "rate_hz"),
    [
        ("WAV", "PCM_16", 24_000),
        ("WAV", "PCM_24", 44_100),
        ("WAV", "FLOAT", 8_000),
        ("WAV", "ULAW", 8_000),
        ("WAV", "DOUBLE", 22_050),
        ("WAV", "PCM_16", 44_099),
        ("WAVEX", "PCM_16", 48_000),
        ("FLAC", "PCM_16", 96_000),
        ("MP3", "MPEG_LAYER_III", 44_100),
        ("OGG", "VORBIS", 48_000),
        ("OGG", "OPUS", 48_000),
    ],
)
def test_every_kind_is_read_in_its_pitch_and_length(kind: str, coding: str, rate_hz: int) -> None:
    samples, seconds = read(made(sine(rate_hz), rate_hz, kind, coding))

    assert seconds == pytest.approx(1.5, abs=0.001)
    assert len(samples) / TO_HZ == pytest.approx(1.5, abs=0.001)
    assert pitch_hz(samples) == pytest.approx(440.0, abs=1.0)
    assert pcm.level_dbfs(samples) == pytest.approx(pcm.level_dbfs(pcm.from_float(sine(TO_HZ))), abs=0.5)


def test_channels_are_mixed_down() -> None:
    both = np.stack((sine(16_000), -sine(16_000)), axis=1)

    assert not read(made(both, 16_000, "FLAC"))[0].any()


@pytest.mark.parametrize("rate_hz", [RATES_HZ[0], 7_999, 11_025, 44_056, 191_999, RATES_HZ[-1]])
def test_no_rate_is_too_odd(rate_hz: int) -> None:
    samples, _ = read(wav.write_bytes(pcm.from_float(sine(rate_hz, 1.5, 300.0)), rate_hz))

    assert pitch_hz(samples) == pytest.approx(300.0, abs=1.0)
    assert len(samples) / TO_HZ == pytest.approx(1.5, abs=0.001)


def test_a_wav_file_that_was_streamed_goes_to_its_end() -> None:
    data = bytearray(wav.write_bytes(pcm.from_float(sine(16_000)), 16_000))
    struct.pack_into("<I", data, 40, 0xFFFFFFFF)

    assert read(bytes(data))[1] == 1.5


def test_a_flac_file_that_does_not_know_its_length_is_read_to_its_end() -> None:
    data = bytearray(made(sine(16_000, 3.0), 16_000, "FLAC"))
    data[21:26] = bytes((data[21] & 0xF0, 0, 0, 0, 0))  # of STREAMINFO: total samples

    assert read(bytes(data))[1] == 3.0
    assert "too long" in refused(bytes(data), limit_s=2.5).problem


def test_a_small_file_of_hours_is_refused_before_it_is_decoded() -> None:
    bomb = made(np.zeros(16_000 * 600, dtype=np.float32), 16_000, "FLAC")

    assert len(bomb) < 60_000
    with pytest.raises(BadInput) as refusal:
        SoundFile(bomb, TO_HZ, "file", 599.0)
    assert "minutes" in refusal.value.allowed


WHOLE = wav.write_bytes(pcm.from_float(sine(24_000)), 24_000)


def layout(channels: int, rate_hz: int) -> bytes:
    """A WAV header of its own words, and a second of nothing."""
    form = struct.pack("<IHHIIHH", 16, 1, channels, rate_hz, rate_hz * 2 * channels, 2 * channels, 16)
    return (
        b"RIFF" + struct.pack("<I", 32_036) + b"WAVEfmt " + form + b"data" + struct.pack("<I", 32_000) + bytes(32_000)
    )


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        pytest.param(b"", "empty", id="nothing"),
        pytest.param(b"Dear Sir or Madam, please find attached", "no sound file", id="a letter"),
        pytest.param(WHOLE[:-1000], "cut short: 1000 bytes", id="a WAV file cut short"),
        pytest.param(WHOLE[:30], "too short", id="half a header"),
        pytest.param(WHOLE[:44][:40] + bytes(4), "no sound", id="a header alone"),
        pytest.param(layout(1, 0), "rate of 0 Hz", id="0 Hz"),
        pytest.param(layout(48, 16_000), "48 channels", id="48 channels"),
        pytest.param(layout(0, 16_000), "0 channels", id="no channel"),
        pytest.param(made(sine(16_000), 16_000, "FLAC")[:2000], "can't be decoded", id="a FLAC file cut short"),
        pytest.param(made(sine(48_000), 48_000, "OGG", "OPUS")[:200], "can't be decoded", id="an Ogg file cut short"),
        pytest.param(b"ID3" + bytes(1000), "can't be decoded", id="an MP3 file of zeros"),
    ],
)
def test_what_is_damaged_says_so(data: bytes, problem: str) -> None:
    assert problem in refused(data).problem


@pytest.mark.parametrize(
    ("head", "kind"), [(b"\0\0\0\x20ftypM4A ", "MP4"), (b"\x1aE\xdf\xa3\x01\0\0\0\0\0\0\x1f", "WebM")]
)
def test_containers_that_nobody_here_reads_are_named(head: bytes, kind: str) -> None:
    refusal = refused(head + bytes(100))

    assert kind in refusal.problem
    assert refusal.code == "not_supported"
    assert "flac, mp3, ogg" in refusal.allowed


def test_the_nearest_ratio_is_within_a_thousandth() -> None:
    for rate_hz in (1_001, 22_051, 44_099, 383_999):
        samples, _ = read(wav.write_bytes(np.zeros(rate_hz, dtype=np.int16), rate_hz))

        assert abs(Fraction(len(samples), TO_HZ) - 1) < Fraction(1, 1_000)
