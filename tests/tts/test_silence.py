"""Trimming the silence around a segment."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline.audio.pcm import EMPTY, Samples
from trunkline.tts.silence import LEAD_MS, SilenceTrimmer, tail_ms

RATE_HZ = 1000  # one sample is one millisecond


def silent(length_ms: int) -> Samples:
    return np.zeros(length_ms, dtype=np.int16)


def loud(length_ms: int) -> Samples:
    return np.full(length_ms, -4000, dtype=np.int16)


def trim(*parts: Samples, keep_ms: int = 120) -> Samples:
    trimmer = SilenceTrimmer(RATE_HZ, tail_ms=keep_ms)
    return np.concatenate([*(trimmer.push(part) for part in parts), trimmer.finish()])


def test_long_silence_around_speech_is_shortened() -> None:
    trimmed = trim(silent(500), loud(300), silent(900))

    assert np.array_equal(np.concatenate((silent(LEAD_MS), loud(300), silent(120))), trimmed)


def test_short_silence_around_speech_stays() -> None:
    assert len(trim(silent(20), loud(300), silent(50))) == 370


def test_silence_between_sentences_stays_whole() -> None:
    assert len(trim(loud(100), silent(400), loud(100))) == 600


def test_an_engine_that_says_nothing_leaves_nothing() -> None:
    assert len(trim(silent(3000))) == 0
    assert len(trim(EMPTY)) == 0


@pytest.mark.parametrize(("text", "kept_ms"), [("It is.", 120), ('"Yes!" ', 120), ("In Tokyo,", 80), ("and then", 30)])
def test_the_pause_after_a_segment_goes_by_how_its_text_ends(text: str, kept_ms: int) -> None:
    assert tail_ms(text) == kept_ms


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 150)), max_size=12), st.integers(1, 97))
def test_trimming_does_not_depend_on_the_chunks(runs: list[tuple[bool, int]], chunk: int) -> None:
    whole = np.concatenate([EMPTY, *(loud(ms // 10 * 10) if on else silent(ms // 10 * 10) for on, ms in runs)])
    chunks = [whole[at : at + chunk * 10] for at in range(0, len(whole), chunk * 10)]

    assert np.array_equal(trim(whole), trim(*chunks))
