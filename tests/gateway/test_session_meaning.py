"""What a client's session means for its call: turns, silence, models, voices, languages, and how the model is asked."""

import msgspec
import pytest

from gateway.test_session import OWN, fresh, update, vad
from stt.driving import Caller
from trunkline.gateway.dialects.realtime.offer import Offer
from trunkline.gateway.dialects.realtime.session import wishes
from trunkline.gateway.dialects.realtime.session_audio import Transcription
from trunkline.gateway.dialects.realtime.session_tracing import Tracing, attributes_of
from trunkline.gateway.dialects.realtime.turn_detection import SemanticVad, ServerVad, rules_of
from trunkline.gateway.settings import GatewaySettings, aliases_of
from trunkline.gateway.turns import Policy
from trunkline.proto.errors import BadInput
from trunkline.proto.response import Equip
from trunkline.stt.vad import WINDOW_SAMPLES

HOUSE = Offer(
    "frontdesk",
    "Be kind.",
    "joe",
    agents=("frontdesk", "nightdesk"),
    aliases=aliases_of(GatewaySettings(model_aliases="night=nightdesk, shimmer=amy, gone=nobody")),
    voices=("joe", "amy"),
    languages=("en",),
)


def waited_s(eagerness: str, words: str) -> float:
    """From the end of a voice to the end of the turn, with a recogniser that takes 0.1 s."""
    detection = msgspec.convert({"type": "semantic_vad", "eagerness": eagerness}, SemanticVad)
    caller = Caller(rules_of(detection), lambda attempt: words).hear([0.9] * 30)
    quiet = 0
    while not caller.finals:
        caller.hear([0.0])
        quiet += 1
        assert quiet * WINDOW_SAMPLES / 16_000 < 10
    return quiet * WINDOW_SAMPLES / 16_000


@pytest.mark.parametrize(
    ("eagerness", "finished_s", "unfinished_s"),
    [("high", 0.3, 2.0), ("medium", 0.6, 4.0), ("auto", 0.6, 4.0), ("low", 1.0, 8.0)],
)
def test_semantic_vad_waits_for_words_as_long_as_its_eagerness_says(
    eagerness: str, finished_s: float, unfinished_s: float
) -> None:
    assert waited_s(eagerness, "I want to order a pizza.") == pytest.approx(finished_s, abs=0.05)
    assert waited_s(eagerness, "I want to order a pizza and") == pytest.approx(unfinished_s, abs=0.05)


def test_another_kind_of_turn_detection_begins_with_its_own_defaults() -> None:
    session = update(fresh(), audio=vad({"type": "server_vad", "threshold": 0.7, "create_response": False}))
    semantic = update(session, audio=vad({"type": "semantic_vad", "eagerness": "low"}))
    kept = update(semantic, audio=vad({"interrupt_response": False}))
    back = update(kept, audio=vad({"type": "server_vad"}))

    assert semantic.audio.input.turn_detection == SemanticVad("low")
    assert kept.audio.input.turn_detection == SemanticVad("low", interrupt_response=False)
    assert back.audio.input.turn_detection == ServerVad()
    assert wishes(kept, OWN).policy == Policy(True, True, False)


def test_null_is_the_default_of_a_field_and_of_the_other_kind_nothing() -> None:
    session = update(fresh(), audio=vad({"type": "server_vad", "threshold": 0.7, "idle_timeout_ms": 6000}))
    nulls = {"threshold": None, "idle_timeout_ms": None, "eagerness": None, "model_version": None}

    assert wishes(session, OWN).idle_s == 6.0
    assert update(session, audio=vad(nulls)).audio.input.turn_detection == ServerVad()


def test_turn_detection_that_was_off_needs_its_kind() -> None:
    off = update(fresh(), audio=vad(None))

    with pytest.raises(BadInput) as refused:
        update(off, audio=vad({"threshold": 0.5}))
    assert (refused.value.param, refused.value.code) == (
        "session.audio.input.turn_detection.type",
        "missing_required_parameter",
    )


def test_what_the_model_is_asked_goes_with_the_tools() -> None:
    session = update(fresh(), max_output_tokens=300, parallel_tool_calls=False, reasoning={"effort": "low"})
    cleared = update(session, max_output_tokens="inf", parallel_tool_calls=None, reasoning=None)

    assert wishes(session, OWN).equip == Equip(parallel=False, max_output_tokens=300, effort="low")
    assert wishes(cleared, OWN).equip == Equip()


def test_a_name_of_a_model_means_an_agent_of_the_file() -> None:
    names = ("gpt-realtime-2.1", "frontdesk", "nightdesk", "night")

    meant = [wishes(update(fresh(), HOUSE, model=name), HOUSE).agent for name in names]

    assert meant == ["", "frontdesk", "nightdesk", "nightdesk"]
    assert update(fresh(), HOUSE, model="night").model == "night"


@pytest.mark.parametrize("name", ["gpt-9", "gone", "joe"])
def test_a_model_that_is_not_there_is_refused(name: str) -> None:
    with pytest.raises(BadInput) as refused:
        update(fresh(), HOUSE, model=name)
    assert (refused.value.param, refused.value.code) == ("session.model", "model_not_found")
    assert "frontdesk, nightdesk" in refused.value.allowed


def test_a_voice_is_the_agents_own_or_one_that_the_engine_has() -> None:
    given: list[object] = ["marin", "joe", "amy", "shimmer", {"id": "amy"}, None]

    meant = [wishes(update(fresh(), HOUSE, audio={"output": {"voice": one}}), HOUSE).voice for one in given]

    assert meant == ["", "", "amy", "amy", "amy", ""]
    with pytest.raises(BadInput, match="no voice 'voice_1234'") as refused:
        update(fresh(), HOUSE, audio={"output": {"voice": {"id": "voice_1234"}}})
    assert refused.value.param == "session.audio.output.voice"


def test_an_engine_that_tells_no_voices_and_no_languages_takes_any() -> None:
    audio = {"input": {"transcription": {"language": "de"}}, "output": {"voice": "ann"}}

    assert wishes(update(fresh(), OWN, audio=audio), OWN).voice == "ann"


def test_a_language_that_the_recogniser_does_not_know_is_refused() -> None:
    def language(**given: object) -> Transcription | None:
        return update(fresh(), HOUSE, audio={"input": {"transcription": given}}).audio.input.transcription

    assert language(language="en-GB") == Transcription(language="en-GB")
    assert language(languages=["en"], model="whisper-1") == Transcription("whisper-1", languages=["en"])
    with pytest.raises(BadInput, match="'de' is no language") as refused:
        language(language="de")
    assert refused.value.param == "session.audio.input.transcription.language"
    with pytest.raises(BadInput) as refused:
        language(languages=["en", "fr"])
    assert refused.value.param == "session.audio.input.transcription.languages[1]"


def test_instructions_that_are_cleared_are_the_agents_own_again() -> None:
    session = update(fresh(), HOUSE, instructions="Rhyme.")

    assert [update(session, HOUSE, instructions=one).instructions for one in ("", None)] == ["Be kind.", "Be kind."]


def test_a_client_may_name_its_calls_trace_and_change_nothing_else() -> None:
    given = {"workflow_name": "desk", "group_id": "g1", "metadata": {"tier": 1}}
    session = update(fresh(), instructions="Rhyme.", max_output_tokens=300)
    named = update(session, tracing=given)
    nameless = update(named, tracing=None)

    assert named.tracing == Tracing("desk", "g1", {"tier": 1})
    assert msgspec.structs.replace(named, tracing=None) == session == nameless
    assert attributes_of(named.tracing) == {
        "trunkline.workflow_name": "desk",
        "trunkline.group_id": "g1",
        "trunkline.metadata": '{"tier":1}',
    }
    assert attributes_of("auto") == attributes_of(None) == {}
