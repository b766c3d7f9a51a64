"""The sessions that stock SDKs send are taken whole, and what is echoed is what their types allow."""

from typing import Any

import msgspec
import pytest

pytest.importorskip("agents.realtime", reason="the referee isn't installed")

from agents import function_tool
from agents.realtime import RealtimeAgent, realtime_handoff
from agents.realtime.openai_realtime import OpenAIRealtimeWebSocketModel
from openai.types.realtime import SessionUpdateEvent
from openai.types.realtime.realtime_session_create_request import RealtimeSessionCreateRequest
from openai.types.realtime.realtime_session_create_response import RealtimeSessionCreateResponse
from pydantic import TypeAdapter

from gateway.test_session import fresh
from trunkline.gateway.dialects.realtime import events_in
from trunkline.gateway.dialects.realtime.offer import Offer
from trunkline.gateway.dialects.realtime.session import Session, merge, wishes
from trunkline.gateway.dialects.realtime.turn_detection import SemanticVad
from trunkline.gateway.settings import GatewaySettings, aliases_of
from trunkline.proto.errors import BadInput

HOUSE = Offer("frontdesk", "Be kind.", "joe", aliases=aliases_of(GatewaySettings()), voices=("joe",), languages=("en",))

JS_DEFAULT: dict[str, Any] = {
    "type": "realtime",
    "instructions": "You are a helpful assistant.",
    "model": "gpt-realtime-2.1",
    "output_modalities": ["audio"],
    "audio": {
        "input": {
            "format": {"type": "audio/pcm", "rate": 24000},
            "noise_reduction": None,
            "transcription": {"model": "gpt-4o-mini-transcribe"},
            "turn_detection": {"type": "semantic_vad"},
        },
        "output": {"format": {"type": "audio/pcm", "rate": 24000}, "speed": 1},
    },
    "tools": [
        {
            "type": "function",
            "name": "get_weather",
            "description": "Looks the weather up.",
            "parameters": {
                "type": "object",
                "properties": {"city": {"type": "string"}},
                "required": ["city"],
                "additionalProperties": False,
                "$schema": "http://json-schema.org/draft-07/schema#",
            },
        }
    ],
}
"""What @openai/agents-realtime 0.20 sends on its own for an agent with a tool."""


@function_tool
def get_weather(city: str) -> str:
    """Looks the weather up."""
    return city


def of_python(**settings: Any) -> bytes:
    """The event that the Python SDK makes of these settings."""
    model = OpenAIRealtimeWebSocketModel()
    session = model._get_session_config(settings)  # type: ignore[arg-type]  # as its own callers pass them
    event = SessionUpdateEvent(session=session, type="session.update")
    return event.model_dump_json(exclude_unset=True).encode()


def taken(event: bytes | dict[str, Any], session: Session | None = None) -> Session:
    data = event if isinstance(event, bytes) else msgspec.json.encode({"type": "session.update", "session": event})
    update = events_in.decode(data)
    assert isinstance(update, events_in.UpdateSession)
    return merge(session or fresh(), update.session, HOUSE)


def require_valid(session: Session) -> dict[str, Any]:
    echoed: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(session))
    TypeAdapter(RealtimeSessionCreateRequest).validate_python(echoed, strict=True)
    TypeAdapter(RealtimeSessionCreateResponse).validate_python(echoed, strict=True)
    return echoed


def test_the_session_as_it_begins_is_what_the_types_allow() -> None:
    echoed = require_valid(fresh())

    assert echoed["audio"]["input"]["turn_detection"]["type"] == "server_vad"


def test_the_javascript_sdks_default_is_taken_whole() -> None:
    session = taken(JS_DEFAULT)
    echoed = require_valid(session)

    assert {name: echoed[name] for name in JS_DEFAULT if name != "audio"} == {
        name: value for name, value in JS_DEFAULT.items() if name != "audio"
    }
    assert echoed["audio"]["input"]["transcription"] == {"model": "gpt-4o-mini-transcribe"}
    assert echoed["audio"]["input"]["turn_detection"] == {
        "type": "semantic_vad",
        "eagerness": "auto",
        "create_response": True,
        "interrupt_response": True,
    }
    assert (echoed["audio"]["output"]["voice"], wishes(session, HOUSE).voice) == ("joe", "")


def test_the_javascript_sdks_word_on_tracing_changes_nothing_else() -> None:
    session = taken(JS_DEFAULT)

    for choice in ("auto", {"workflow_name": "Realtime"}, None):
        traced = taken({"type": "realtime", "tracing": choice}, session)
        assert require_valid(traced)["tracing"] == choice
        assert msgspec.structs.replace(traced, tracing=None) == session


def test_the_python_sdks_default_is_taken_whole() -> None:
    session = taken(
        of_python(instructions="Be brief.", tools=[get_weather], handoffs=[realtime_handoff(RealtimeAgent("Billing"))])
    )
    echoed = require_valid(session)

    assert [tool["name"] for tool in echoed["tools"]] == ["get_weather", "transfer_to_billing"]
    assert session.audio.input.turn_detection == SemanticVad()
    assert (session.instructions, session.audio.output.voice) == ("Be brief.", "ash")


def test_the_python_sdks_whole_settings_are_taken() -> None:
    session = taken(
        of_python(
            model_name="gpt-realtime-2",
            modalities=["text"],
            audio={
                "input": {
                    "format": "g711_ulaw",
                    "noise_reduction": None,
                    "transcription": {"model": "whisper-1", "language": "en"},
                    "turn_detection": {"type": "server_vad", "threshold": 0.6, "idle_timeout_ms": 8000},
                },
                "output": {"format": "g711_alaw", "voice": {"id": "joe"}, "speed": 1.25},
            },
            tools=[get_weather],
            tool_choice="required",
            parallel_tool_calls=False,
            reasoning={"effort": "high"},
            max_output_tokens=1000,
        )
    )
    echoed, wished = require_valid(session), wishes(session, HOUSE)

    assert (echoed["audio"]["input"]["format"], echoed["audio"]["output"]["format"]) == (
        {"type": "audio/pcmu"},
        {"type": "audio/pcma"},
    )
    assert (wished.audible, wished.speed, wished.idle_s) == (False, 1.25, 8.0)
    assert (wished.equip.tool_choice, wished.equip.effort, wished.equip.max_output_tokens) == ("required", "high", 1000)
    assert not wished.equip.parallel


def test_a_session_that_is_echoed_can_be_sent_back() -> None:
    session = taken(JS_DEFAULT)

    assert taken(require_valid(session), session) == session


def test_a_prompt_of_the_vendors_is_refused_by_name() -> None:
    with pytest.raises(BadInput) as refused:
        taken(of_python(prompt={"id": "pmpt_1"}))
    assert (refused.value.param, refused.value.code) == ("session.prompt", "not_supported")
