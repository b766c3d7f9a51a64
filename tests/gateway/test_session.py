"""The session of a Realtime client: what an update changes, and what it may not; audio at the client's edge."""

import msgspec
import numpy as np
import pytest

from trunkline.audio import g711, pcm
from trunkline.gateway.dialects.realtime import events_in
from trunkline.gateway.dialects.realtime.edge_audio import Mouth, ear_of
from trunkline.gateway.dialects.realtime.events_in import BadEvent
from trunkline.gateway.dialects.realtime.offer import ANYTHING, Offer
from trunkline.gateway.dialects.realtime.session import Session, SessionPatch, merge, new_session, wishes
from trunkline.gateway.dialects.realtime.session_audio import Format
from trunkline.gateway.dialects.realtime.turn_detection import ServerVad
from trunkline.gateway.settings import RANGES, GatewaySettings, aliases_of, keys_of, origins_of
from trunkline.gateway.turns import Policy
from trunkline.proto.errors import BadInput, BadSettings
from trunkline.runtime.settings import check_ranges

PCMU = {"audio": {"input": {"format": {"type": "audio/pcmu"}}, "output": {"format": {"type": "audio/pcmu"}}}}


OWN = Offer("frontdesk", "Be kind.", "joe")


def fresh() -> Session:
    return new_session("rtc_00_x", "gpt-realtime", "Be kind.", "joe")


def update(session: Session, offer: Offer = ANYTHING, /, **fields: object) -> Session:
    text = msgspec.json.encode({"type": "realtime"} | fields)
    return merge(session, msgspec.json.decode(text, type=SessionPatch), offer)


def vad(value: object) -> dict[str, object]:
    return {"input": {"turn_detection": value}}


def test_an_update_changes_what_it_names_and_nothing_else() -> None:
    session = update(fresh(), audio=vad({"type": "server_vad", "threshold": 0.7}))
    session = update(session, instructions="Be brief.")
    session = update(session, **PCMU)

    assert session.audio.input.turn_detection == ServerVad(threshold=0.7)
    assert session.instructions == "Be brief."
    assert session.audio.input.format == session.audio.output.format == Format("audio/pcmu")
    assert session.output_modalities == ["audio"]


def test_what_is_echoed_has_the_defaults_of_the_vad() -> None:
    echoed = msgspec.json.decode(msgspec.json.encode(fresh()))

    assert echoed["audio"]["input"]["turn_detection"] == {
        "type": "server_vad",
        "threshold": 0.5,
        "prefix_padding_ms": 300,
        "silence_duration_ms": 500,
        "create_response": True,
        "interrupt_response": True,
        "idle_timeout_ms": None,
    }
    assert echoed["audio"]["input"]["format"] == {"type": "audio/pcm", "rate": 24000}
    assert (echoed["type"], echoed["object"]) == ("realtime", "realtime.session")


def test_no_turn_detection_is_push_to_talk() -> None:
    wished = wishes(update(fresh(), audio=vad(None)), OWN)

    assert not wished.rules.automatic
    assert wished.policy == Policy(automatic=False, respond=False, interrupt=False)


def test_the_agent_s_own_words_and_voice_are_no_wish() -> None:
    own = wishes(fresh(), OWN)
    other = wishes(update(fresh(), instructions="Rhyme.", audio={"output": {"voice": "ann"}}), OWN)
    vendor = wishes(update(fresh(), audio={"output": {"voice": "marin"}}), OWN)

    assert (own.instructions, own.voice) == ("", "")
    assert (other.instructions, other.voice) == ("Rhyme.", "ann")
    assert vendor.voice == ""


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"type": "transcription"}, "session.type"),
        ({"id": "sess_other"}, "session.id"),
        ({"output_modalities": ["audio", "text"]}, "session.output_modalities"),
        ({"instructions": "\u6f22" * 90_000}, "session.instructions"),
        ({"tool_choice": "perhaps"}, "session.tool_choice"),
        ({"tool_choice": {"type": "mcp", "server_label": "x"}}, "session.tool_choice.type"),
        ({"tools": [{"type": "mcp", "server_label": "x"}]}, "session.tools[0].type"),
        ({"max_output_tokens": 0}, "session.max_output_tokens"),
        ({"max_output_tokens": 4097}, "session.max_output_tokens"),
        ({"truncation": "disabled"}, "session.truncation"),
        ({"truncation": msgspec.Raw(b"1e999999")}, "session.truncation"),
        ({"truncation": {"type": "retention_ratio", "retention_ratio": 0.5}}, "session.truncation"),
        ({"prompt": {"id": "pmpt_1"}}, "session.prompt"),
        ({"include": ["item.input_audio_transcription.logprobs"]}, "session.include"),
        ({"tracing": {"metadata": {"x": "y" * 5000}}}, "session.tracing.metadata"),
        ({"audio": {"input": {"transcription": {"prompt": "Say."}}}}, "session.audio.input.transcription.prompt"),
        ({"audio": {"input": {"transcription": {"keywords": ["a"]}}}}, "session.audio.input.transcription.keywords"),
        ({"audio": {"input": {"noise_reduction": {"type": "near_field"}}}}, "session.audio.input.noise_reduction"),
        ({"audio": {"input": {"format": {"type": "audio/pcm", "rate": 16000}}}}, "session.audio.input.format.rate"),
        ({"audio": {"output": {"speed": 9}}}, "session.audio.output.speed"),
        ({"audio": vad({"threshold": 1.5})}, "session.audio.input.turn_detection.threshold"),
        ({"audio": vad({"silence_duration_ms": 5})}, "session.audio.input.turn_detection.silence_duration_ms"),
        ({"audio": vad({"idle_timeout_ms": 4999})}, "session.audio.input.turn_detection.idle_timeout_ms"),
        ({"audio": vad({"idle_timeout_ms": 30001})}, "session.audio.input.turn_detection.idle_timeout_ms"),
        ({"audio": vad({"model_version": "2"})}, "session.audio.input.turn_detection.model_version"),
        ({"audio": vad({"eagerness": "low"})}, "session.audio.input.turn_detection.eagerness"),
        (
            {"audio": vad({"type": "semantic_vad", "threshold": 0.4})},
            "session.audio.input.turn_detection.threshold",
        ),
        (
            {"audio": vad({"type": "semantic_vad", "idle_timeout_ms": 6000})},
            "session.audio.input.turn_detection.idle_timeout_ms",
        ),
        ({"audio": vad({"type": "psychic"})}, "session.audio.input.turn_detection.type"),
    ],
)
def test_what_cannot_be_honoured_is_refused_by_name(fields: dict[str, object], param: str) -> None:
    with pytest.raises(BadInput) as refused:
        update(fresh(), **fields)
    assert refused.value.param == param


def test_defaults_of_what_is_not_served_are_taken() -> None:
    nothing = {"tools": [], "tool_choice": "auto", "include": None, "truncation": "auto", "prompt": None}

    assert update(fresh(), **nothing, audio={"input": {"noise_reduction": None}}) == fresh()


@pytest.mark.parametrize(
    ("fields", "param", "allowed"),
    [
        ({"voice": "ash"}, "session.voice", "session.audio.output.voice"),
        ({"modalities": ["text"]}, "session.modalities", "session.output_modalities"),
        ({"turn_detection": None}, "session.turn_detection", "session.audio.input.turn_detection"),
        ({"temperature": 0.8}, "session.temperature", ""),
        ({"tools": [{"name": "f", "strict": True}]}, "session.tools[0].strict", ""),
        ({"reasoning": {"effort": "none"}}, "session.reasoning.effort", ""),
    ],
)
def test_what_the_protocol_no_longer_has_is_refused_and_its_new_name_told(
    fields: dict[str, object], param: str, allowed: str
) -> None:
    event = {"type": "session.update", "session": {"type": "realtime"} | fields}
    refused: BadInput | None = None
    try:
        events_in.decode(msgspec.json.encode(event))
        update(fresh(), **fields)
    except BadEvent as bad:
        refused = bad.cause
    except BadInput as error:
        refused = error

    assert refused is not None
    assert (refused.param, refused.allowed) == (param, allowed)


@pytest.mark.parametrize("kind", ["audio/pcm", "audio/pcmu", "audio/pcma"])
def test_a_second_of_audio_is_a_second_on_either_side(kind: str) -> None:
    tone = (8000 * np.sin(np.arange(24_000) / 24_000 * 2 * np.pi * 440)).astype(np.int16)
    wanted = Format(kind)  # type: ignore[arg-type]  # the parameter's values are those
    ear, mouth = ear_of(wanted), Mouth(wanted)

    said = b"".join(mouth.say(pcm.to_bytes(tone[at : at + 480])) for at in range(0, 24_000, 480)) + mouth.rest()
    heard = pcm.from_bytes(b"".join([ear.hear(said[at : at + 320]) for at in range(0, len(said), 320)] + [ear.rest()]))

    assert len(said) == (48_000 if kind == "audio/pcm" else 8_000)
    assert len(heard) == 16_000
    assert 5_000 < np.sqrt(np.mean(heard.astype(float) ** 2)) < 6_300


def test_g711_is_decoded_as_what_it_is() -> None:
    loud = np.full(800, 12_000, np.int16)

    mulaw = ear_of(Format("audio/pcmu")).hear(g711.encode_mulaw(loud))
    alaw = ear_of(Format("audio/pcma")).hear(g711.encode_alaw(loud))

    assert abs(int(pcm.from_bytes(mulaw)[400]) - 12_000) < 500
    assert abs(int(pcm.from_bytes(alaw)[400]) - 12_000) < 500


def test_aliases_add_to_the_vendor_s_names() -> None:
    aliases = aliases_of(GatewaySettings(model_aliases="night = nightdesk, gpt-realtime=day, any="))

    assert (aliases["night"], aliases["gpt-realtime"], aliases["any"], aliases[""]) == ("nightdesk", "day", "", "")
    with pytest.raises(BadSettings, match="TRUNKLINE_MODEL_ALIASES"):
        aliases_of(GatewaySettings(model_aliases="nonsense"))


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("connection_limit", 0),
        ("address_connection_limit", -1),
        ("head_limit_s", 0.0),
        ("first_event_limit_s", float("inf")),
        ("first_event_limit_s", float("nan")),
        ("key_calls", -1),
    ],
)
def test_a_limit_that_nobody_can_mean_is_refused(name: str, wrong: float) -> None:
    with pytest.raises(BadSettings, match=f"TRUNKLINE_{name.upper()}.*allowed"):
        check_ranges(msgspec.structs.replace(GatewaySettings(), **{name: wrong}), RANGES)


def test_keys_are_read_with_blanks_around_them() -> None:
    assert keys_of(GatewaySettings(api_keys=" a, ,b ")) == ["a", "b"]


def test_origins_are_spelt_as_browsers_do() -> None:
    origins = origins_of(GatewaySettings(cors_origins="https://desk.example:8443/, http://localhost"))

    assert origins == ["https://desk.example:8443", "http://localhost"]
    assert origins_of(GatewaySettings()) == ["*"]
    assert origins_of(GatewaySettings(cors_origins="")) == []
    for wrong in ("desk.example", "https://desk.example/page", "https://*.example", "ftp://desk.example"):
        with pytest.raises(BadSettings, match="TRUNKLINE_CORS_ORIGINS"):
            origins_of(GatewaySettings(cors_origins=wrong))
