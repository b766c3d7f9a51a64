"""A line ends where its last voiced sample is, whatever the file's rate and noise."""

import numpy as np
import pytest

from trunkline.cli import line
from trunkline.proto.audio import SPEECH_RATE_HZ


def tone(seconds: float, rate_hz: int, amplitude: int = 8000) -> np.ndarray:
    times = np.arange(int(seconds * rate_hz)) / rate_hz
    return (amplitude * np.sin(2 * np.pi * 300 * times)).astype(np.int16)


def silence(seconds: float, rate_hz: int) -> np.ndarray:
    return np.zeros(int(seconds * rate_hz), dtype=np.int16)


@pytest.mark.parametrize("rate_hz", [8_000, 16_000, 24_000, 44_100, 48_000])
def test_trailing_silence_is_no_speech(rate_hz: int) -> None:
    said = line.make(np.concatenate((tone(1.0, rate_hz), silence(0.7, rate_hz))), rate_hz)

    assert said.voiced_end / SPEECH_RATE_HZ == pytest.approx(1.0, abs=0.02)
    assert len(said.samples) / SPEECH_RATE_HZ == pytest.approx(1.7, abs=0.001)


def test_noise_behind_the_speech_is_no_speech() -> None:
    noise = np.random.default_rng(7).normal(0, 1000, 2 * 24_000)
    speech = np.concatenate((tone(1.0, 24_000), silence(1.0, 24_000)))

    said = line.make((speech + noise).astype(np.int16), 24_000)

    assert said.voiced_end / SPEECH_RATE_HZ == pytest.approx(1.0, abs=0.03)


def test_silence_has_no_voiced_sample() -> None:
    assert line.make(silence(1.0, 16_000), 16_000).voiced_end == 0


def test_a_line_shorter_than_a_window_is_taken_whole() -> None:
    assert line.make(tone(0.005, 24_000), 24_000).voiced_end == 120
