"""Which engine a name gives."""

from importlib.metadata import EntryPoint, EntryPoints

import numpy as np
import pytest

from trunkline.audio import dtmf, pcm
from trunkline.audio.pcm import Samples
from trunkline.proto.errors import BadSettings
from trunkline.stt.engines import choose as module
from trunkline.stt.engines.choose import choose
from trunkline.stt.engines.moonshine import read_tokens, spell
from trunkline.stt.engines.scripted import Scripted
from trunkline.stt.service import read_script
from trunkline.stt.vad import WINDOW_SAMPLES, Loudness, step


def test_a_script_goes_round() -> None:
    engine = choose("scripted", ("one", "two"))
    nothing = np.zeros(16_000, dtype=np.float32)

    assert [engine.recogniser.recognise(nothing, utterance) for utterance in (1, 2, 3)] == ["one", "two", "one"]


def test_digits_are_read_off_the_sound() -> None:
    engine = choose("digits")
    keyed = pcm.to_float(dtmf.tones("4711", 16_000))

    assert engine.recogniser.recognise(keyed, 7) == "4711"
    assert engine.recogniser.recognise(np.zeros(16_000, dtype=np.float32), 8) == ""


def test_a_script_is_read_line_by_line() -> None:
    assert read_script("where is my order | four seven one two||") == ("where is my order", "four seven one two")


def test_an_unknown_engine_is_named_with_those_there_are() -> None:
    with pytest.raises(BadSettings, match="'nosuch' is no engine; allowed: digits, moonshine, scripted"):
        choose("nosuch")


def test_a_plugin_is_found_by_its_name_and_never_replaces_a_built_in(monkeypatch: pytest.MonkeyPatch) -> None:
    target = "trunkline.stt.engines.scripted:Scripted"
    plugins = EntryPoints(EntryPoint(name, target, module.GROUP) for name in ("mine", "moonshine"))
    monkeypatch.setattr(module, "entry_points", lambda group: plugins.select(group=group))

    assert isinstance(choose("mine").recogniser, Scripted)
    assert choose("moonshine").recogniser.name == "moonshine"
    with pytest.raises(BadSettings, match="allowed: digits, moonshine, scripted, mine"):
        choose("nosuch")


def test_a_token_table_is_read_with_short_and_long_lengths() -> None:
    long = b"x" * 300
    table = b"\x02ab" + bytes([300 % 128 + 128, 300 // 128]) + long + b"\x00" + b"\x01c"

    assert read_tokens(table) == [b"ab", long, b"", b"c"]


def test_tokens_spell_words_without_the_models_own_marks() -> None:
    space = "\u2581".encode()

    assert spell([b"<s>", space + b"caf", b"\xc3", b"\xa9", space + b"now", b"</s>"]) == "café now"


@pytest.mark.parametrize(("level", "probability"), [(0, 0.0), (100, 0.0), (300, 1.0)])
def test_loudness_tells_a_voice_from_silence(level: int, probability: float) -> None:
    window: Samples = np.full(WINDOW_SAMPLES, level, dtype=np.int16)

    assert step(Loudness(), [0], [pcm.to_bytes(window)]) == [probability]
