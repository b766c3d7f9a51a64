"""Choosing an engine and reading its settings."""

import numpy as np
import pytest

from trunkline.proto.errors import BadSettings
from trunkline.runtime.settings import load
from trunkline.tts.registry import open_engine
from trunkline.tts.settings import TtsSettings, check


def test_an_unknown_engine_names_those_there_are() -> None:
    with pytest.raises(BadSettings, match=r"TRUNKLINE_ENGINE_TTS: unknown engine 'parrot'; allowed: piper, tone"):
        open_engine(TtsSettings(engine_tts="parrot"))


def test_a_voice_that_is_no_file_is_named() -> None:
    with pytest.raises(BadSettings, match=r"TRUNKLINE_PIPER_MODEL: /nowhere/joe.onnx is no file"):
        open_engine(TtsSettings(piper_model="/nowhere/joe.onnx"))


@pytest.mark.parametrize("variable", ["TRUNKLINE_TTS_THREADS", "TRUNKLINE_TONE_SEGMENT_MS"])
def test_a_setting_out_of_range_is_named(variable: str) -> None:
    with pytest.raises(BadSettings, match=f"{variable}: -1; allowed: 0 to "):
        check(load(TtsSettings, {variable: "-1"}))


def test_a_tone_goes_by_its_characters_and_speed() -> None:
    engine = open_engine(TtsSettings(engine_tts="tone"))

    assert sum(map(len, engine.synthesise("ten signs.", 2.0))) == 10 * 60 * engine.rate_hz // 2000


def test_a_tone_that_is_work_sounds_the_same_and_leaves_the_event_loop_alone() -> None:
    easy = open_engine(TtsSettings(engine_tts="tone", tone_segment_ms=450))
    hard = open_engine(TtsSettings(engine_tts="tone", tone_segment_ms=450, tone_work_percent=1))

    assert np.array_equal(*(np.concatenate(list(engine.synthesise("a", 1.0))) for engine in (easy, hard)))
    assert (easy.inline, hard.inline) == (True, False)


def test_a_tone_of_fixed_length_is_the_same_for_every_text() -> None:
    engine = open_engine(TtsSettings(engine_tts="tone", tone_segment_ms=25_000))
    short, long = (np.concatenate(list(engine.synthesise(text, 1.0))) for text in ("a", "a long text"))

    assert len(short) == 25 * engine.rate_hz
    assert np.array_equal(short, long)
