"""Real models on the callers' lines: in noise, on the telephone, and with pauses in what is dictated."""

import json
from pathlib import Path

import numpy as np
import pytest

from support.judge import word_error_rate, words
from trunkline.audio import g711, pcm, wav
from trunkline.audio.pcm import Samples
from trunkline.audio.resample import resample
from trunkline.proto.speech import TurnRules
from trunkline.stt.engines.moonshine import Moonshine
from trunkline.stt.vad import WINDOW_SAMPLES, Silero, step

from .driving import Caller, hear_audio, quiet

pytestmark = pytest.mark.engines

CALLERS = Path(__file__).parent.parent / "data" / "callers"
TRANSCRIPTS = {name: line["text"] for name, line in json.loads((CALLERS / "transcripts.json").read_text()).items()}
SENTENCES = sorted(TRANSCRIPTS.keys() - {"mhm"})  # no recogniser spells a backchannel alike twice
ORDER = TurnRules(dictations=(r"\d{4}",))
BEFORE_FOUR_S, BEFORE_SEVEN_S, BEFORE_TWO_S = 3.34, 3.665, 4.175  # of order_status.wav


@pytest.fixture(scope="module")
def moonshine() -> Moonshine:
    engine = Moonshine()
    engine.warm()
    return engine


@pytest.fixture(scope="module")
def silero() -> Silero:
    detector = Silero()
    detector.warm()
    return detector


def clip(name: str) -> Samples:
    return wav.read_file(CALLERS / f"{name}.wav").samples


def in_a_call(*parts: Samples) -> Samples:
    return np.concatenate((quiet(1.0), *parts, quiet(2.0)))


def with_noise(samples: Samples, ratio_db: float) -> Samples:
    level = pcm.level_dbfs(samples) - ratio_db
    call = in_a_call(samples)
    noise = np.random.default_rng(3).normal(0.0, 10 ** (level / 20) * pcm.FULL_SCALE, len(call))
    return np.clip(call + noise, -32768, 32767).astype(np.int16)


def on_the_telephone(samples: Samples) -> Samples:
    narrow = resample(samples, 16_000, 8_000)
    return resample(g711.decode_mulaw(g711.encode_mulaw(narrow)), 8_000, 16_000)


def text_of(caller: Caller) -> str:
    return " ".join(final.text for final in caller.finals)


@pytest.mark.parametrize("line", ["clean", "noisy", "telephone"])
def test_the_callers_lines_are_understood(line: str, moonshine: Moonshine, silero: Silero) -> None:
    heard = []
    for name in SENTENCES:
        samples = with_noise(clip(name), 15.0) if line == "noisy" else in_a_call(clip(name))
        if line == "telephone":
            samples = on_the_telephone(samples)
        heard.append(text_of(hear_audio(samples, ORDER, silero, moonshine)))

    said = " ".join(TRANSCRIPTS[name] for name in SENTENCES)
    assert word_error_rate(said, " ".join(heard)) <= 0.08


@pytest.mark.parametrize("name", sorted(TRANSCRIPTS))
def test_every_line_starts_at_its_voice_and_ends_behind_it(name: str, silero: Silero, moonshine: Moonshine) -> None:
    samples = clip(name)
    finals = hear_audio(in_a_call(samples), TurnRules(), silero, moonshine).finals

    assert finals
    assert 16_000 - 8_000 <= finals[0].from_sample <= 16_000 + 3_200
    assert finals[-1].to_sample <= 16_000 + len(samples) + 1_600


@pytest.mark.parametrize("pause_s", [0.5, 0.9, 1.2])
@pytest.mark.parametrize("cuts_s", [[BEFORE_FOUR_S], [BEFORE_SEVEN_S], [BEFORE_SEVEN_S, BEFORE_TWO_S]])
def test_pauses_while_dictating_a_number_cut_nobody_off(
    pause_s: float, cuts_s: list[float], moonshine: Moonshine, silero: Silero
) -> None:
    parts = np.split(clip("order_status"), [round(cut * 16_000) for cut in cuts_s])
    spoken = [piece for part in parts[:-1] for piece in (part, quiet(pause_s))] + [parts[-1]]

    caller = hear_audio(in_a_call(*spoken), ORDER, silero, moonshine)

    assert len(caller.finals) == 1
    assert words(caller.finals[0].text)[-4:] == ["four", "seven", "one", "two"]


def test_a_batch_of_calls_hears_exactly_what_each_would_alone(silero: Silero) -> None:
    clips = [clip(name)[:16_000] for name in ("weather_tokyo", "order_status", "wait_stop")]
    alone = []
    for samples in clips:
        place = silero.open()
        alone.append([step(silero, [place], [window_of(samples, at)])[0] for at in range(31)])
        silero.close(place)

    places = [silero.open() for _ in clips]
    together = [step(silero, places, [window_of(samples, at) for samples in clips]) for at in range(31)]

    assert np.allclose(np.array(alone).T, np.array(together), atol=1e-5)


def test_a_call_that_comes_while_others_are_heard_gets_a_place_without_memory(silero: Silero) -> None:
    samples = clip("order_status")
    first = [silero.open() for _ in range(20)]
    fresh = [step(silero, [first[0]], [window_of(samples, at)])[0] for at in range(20)]
    silero.close(first[0])

    again = silero.open()
    more = [silero.open() for _ in range(40)]
    heard = [step(silero, [again, more[at]], [window_of(samples, at)] * 2)[0] for at in range(20)]

    assert again == first[0]
    assert np.allclose(fresh, heard, atol=1e-5)


def window_of(samples: Samples, number: int) -> bytes:
    return pcm.to_bytes(samples[number * WINDOW_SAMPLES : (number + 1) * WINDOW_SAMPLES])


def test_a_sentence_end_on_the_telephone_cuts_nobody_off(moonshine: Moonshine, silero: Silero) -> None:
    finals = hear_audio(on_the_telephone(in_a_call(clip("order_status"))), ORDER, silero, moonshine).finals

    assert len(finals) == 1
