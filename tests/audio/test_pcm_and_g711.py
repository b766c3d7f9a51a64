"""Levels and companding."""

import warnings

import numpy as np
import pytest

from trunkline.audio import g711, pcm

EVERY_SAMPLE = np.arange(-32768, 32768, dtype=np.int32).astype(np.int16)
EVERY_CODE = bytes(range(256))

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)
    audioop = pytest.importorskip("audioop", reason="the referee left Python with 3.13")


def test_mulaw_agrees_with_the_reference_on_every_sample_and_code() -> None:
    assert g711.encode_mulaw(EVERY_SAMPLE) == audioop.lin2ulaw(EVERY_SAMPLE.tobytes(), 2)
    assert g711.decode_mulaw(EVERY_CODE).tobytes() == audioop.ulaw2lin(EVERY_CODE, 2)


def test_alaw_agrees_with_the_reference_on_every_sample_and_code() -> None:
    assert g711.encode_alaw(EVERY_SAMPLE) == audioop.lin2alaw(EVERY_SAMPLE.tobytes(), 2)
    assert g711.decode_alaw(EVERY_CODE).tobytes() == audioop.alaw2lin(EVERY_CODE, 2)


def test_floats_come_back_as_the_samples_they_were() -> None:
    assert np.array_equal(EVERY_SAMPLE, pcm.from_float(pcm.to_float(EVERY_SAMPLE)))


def test_floats_beyond_full_scale_are_clipped() -> None:
    assert pcm.from_float(np.array([1.5, -1.5], dtype=np.float32)).tolist() == [32767, -32768]


def test_bytes_on_the_bus_are_little_endian() -> None:
    assert pcm.to_bytes(np.array([1, -1], dtype=np.int16)) == b"\x01\x00\xff\xff"
    assert pcm.from_bytes(b"\x01\x00\xff\xff").tolist() == [1, -1]


@pytest.mark.parametrize(("peak", "level_dbfs"), [(32767, 0.0), (16384, -6.02), (0, pcm.SILENCE_DBFS)])
def test_the_level_of_a_square_wave_is_that_of_its_peak(peak: int, level_dbfs: float) -> None:
    square = np.array([peak, -peak] * 800, dtype=np.int16)

    assert pcm.level_dbfs(square) == pytest.approx(level_dbfs, abs=0.01)


def test_no_samples_are_silence() -> None:
    assert pcm.level_dbfs(pcm.EMPTY) == pcm.SILENCE_DBFS
