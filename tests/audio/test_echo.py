"""Telling the agent's own voice from the caller's, on real speech."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from trunkline.audio import echo, pcm, wav
from trunkline.audio.pcm import Samples
from trunkline.audio.resample import resample

CALLERS = Path(__file__).parent.parent / "data" / "callers"
STORY = wav.read_file(CALLERS / "long_story.wav").samples
OTHERS = ["weather_tokyo", "order_status", "wait_stop", "yes_please"]
ENDS = range(32_000, len(STORY) - 8_000, 8_000)


def played_until(end: int) -> Samples:
    return STORY[end - echo.WINDOW_SAMPLES - echo.LAG_SAMPLES : end]


def echo_of(end: int, *, delay_ms: int, gain_db: float = -20.0, smooth: int = 1) -> Samples:
    """What a microphone hears of the story: later, weaker, and duller by a moving average."""
    end -= delay_ms * 16
    heard: NDArray[np.float64] = STORY[end - echo.WINDOW_SAMPLES - smooth : end].astype(np.float64)
    dull = np.convolve(heard, np.ones(smooth) / smooth, mode="same")[-echo.WINDOW_SAMPLES :]
    noise = np.random.default_rng(end).normal(0.0, 5.0, len(dull))
    return np.rint(dull * 10 ** (gain_db / 20) + noise).astype(np.int16)


def is_voiced(end: int) -> bool:
    """An echo of a pause is nothing that a voice detector would hear."""
    return pcm.level_dbfs(STORY[end - echo.WINDOW_SAMPLES : end]) > -35.0


def windows_of(name: str) -> list[Samples]:
    clip = wav.read_file(CALLERS / f"{name}.wav").samples
    cut = [clip[at : at + echo.WINDOW_SAMPLES] for at in range(0, len(clip) - echo.WINDOW_SAMPLES, 4_000)]
    return [window for window in cut if pcm.level_dbfs(window) > -35.0]


@pytest.mark.parametrize("delay_ms", [0, 40, 250, 600])
@pytest.mark.parametrize("smooth", [1, 5])
def test_our_own_voice_at_minus_20_db_is_likely_an_echo(delay_ms: int, smooth: int) -> None:
    ends = [end for end in ENDS if is_voiced(end - delay_ms * 16)]
    scores = [echo.likeness(echo_of(end, delay_ms=delay_ms, smooth=smooth), played_until(end)) for end in ends]

    assert len(ends) > 5
    assert min(scores) > 0.5


@pytest.mark.parametrize("delay_ms", [0, 250, 600])
@pytest.mark.parametrize("smooth", [1, 5])
def test_what_is_kept_of_our_own_voice_is_enough_to_know_its_echo(delay_ms: int, smooth: int) -> None:
    ends = [end for end in ENDS if is_voiced(end - delay_ms * 16)]
    kept = [echo.thick(echo.thin(resample(played_until(end), 16_000, 24_000).tobytes())) for end in ends]
    heard = [echo_of(end, delay_ms=delay_ms, smooth=smooth) for end in ends]
    scores = [echo.likeness(one, played) for one, played in zip(heard, kept, strict=True)]

    assert min(scores) > 0.75


@pytest.mark.parametrize("name", OTHERS)
def test_somebody_else_is_not(name: str) -> None:
    scores = [echo.likeness(window, played_until(end)) for end in ENDS for window in windows_of(name)]

    assert np.percentile(scores, 95) < 0.45
    assert np.median(scores) < 0.25


@pytest.mark.parametrize("name", OTHERS)
def test_somebody_who_speaks_over_the_echo_is_still_heard(name: str) -> None:
    scores = [
        echo.likeness(window + echo_of(end, delay_ms=100), played_until(end))
        for end in ENDS
        for window in windows_of(name)
    ]

    assert np.median(scores) < 0.3


def test_silence_on_either_side_is_no_echo() -> None:
    nothing = np.zeros(echo.WINDOW_SAMPLES + echo.LAG_SAMPLES, dtype=np.int16)

    assert echo.likeness(nothing[: echo.WINDOW_SAMPLES], played_until(48_000)) == 0.0
    assert echo.likeness(echo_of(48_000, delay_ms=0), nothing) == 0.0
    assert echo.likeness(pcm.EMPTY, pcm.EMPTY) == 0.0


@pytest.mark.parametrize("spoken_ms", [60, 96, 128, 160, 200])
def test_a_hum_below_the_band_is_no_echo_by_what_its_onset_leaves_in_it(spoken_ms: int) -> None:
    at_s = np.arange(echo.WINDOW_SAMPLES) / 16_000
    hum = (8_000 * np.sin(2 * np.pi * 180 * at_s)).astype(np.int16)[: spoken_ms * 16]
    tone = (8_000 * np.cos(2 * np.pi * 440 * at_s)).astype(np.int16)
    caller = np.concatenate((np.zeros(echo.WINDOW_SAMPLES - len(hum), dtype=np.int16), hum))
    played = np.concatenate((np.zeros(echo.LAG_SAMPLES - len(hum), dtype=np.int16), tone, np.zeros_like(hum)))

    assert echo.likeness(caller, played) < 0.1
