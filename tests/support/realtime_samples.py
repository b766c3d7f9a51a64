"""One sample at least of every event that a Realtime client can be sent, as the gateway encodes it.

The SDKs' own types and parsers judge them: a new event, or a new field that can be left out, belongs here, with and
without it; test_realtime_samples.py says which is missing.
"""

from collections.abc import Iterator
from typing import Any

import msgspec

from trunkline.gateway.dialects.realtime import events_out as out
from trunkline.gateway.dialects.realtime.session import Session, SessionPatch, merge, new_session
from trunkline.gateway.dialects.realtime.session_audio import Format
from trunkline.gateway.dialects.realtime.transcription_session import (
    TranscriptionSession,
    merge_transcription,
    new_transcription_session,
    read_transcription_patch,
)

OURS = (out.Resumed, out.Settled, out.Move, out.AudioStream)  # to clients of ours alone; no SDK knows them
ID = "event_1"
PLACE: dict[str, Any] = {"response_id": "resp_1", "item_id": "item_1", "output_index": 0, "content_index": 0}
CALL: dict[str, Any] = {"response_id": "resp_1", "item_id": "item_3", "output_index": 1, "call_id": "call_1"}


def _message(role: Any, *content: out.Part, status: out.ItemStatus = "completed", phase: Any = None) -> out.Item:
    return out.Item(
        id="item_1",
        object="realtime.item",
        type="message",
        status=status,
        role=role,
        content=list(content),
        phase=phase,
    )


ITEMS: tuple[out.AnyItem, ...] = (
    _message("user", out.Part("input_audio", transcript=None)),
    _message("user", out.Part("input_audio", transcript="Where is my order?")),
    _message("user", out.Part("input_text", text="Where is my order?")),
    _message("user", out.Part("input_image", file_id="file_1", detail="high")),
    _message("system", out.Part("input_text", text="The caller is in a hurry.")),
    _message("assistant", status="in_progress"),
    _message("assistant", status="in_progress", phase="commentary"),
    _message("assistant", out.Part("output_audio", transcript="One moment."), phase="commentary"),
    _message("assistant", out.Part("output_audio", transcript="It was ship"), status="incomplete"),
    _message("assistant", out.Part("output_text", text="It was shipped."), phase="final_answer"),
    out.FunctionCall(
        id="item_3",
        object="realtime.item",
        type="function_call",
        status="in_progress",
        call_id="call_1",
        name="open_page",
        arguments="",
    ),
    out.FunctionCall(
        id="item_3",
        object="realtime.item",
        type="function_call",
        status="completed",
        call_id="call_1",
        name="open_page",
        arguments='{"page":"seven"}',
    ),
    out.FunctionOutput(
        id="item_4",
        object="realtime.item",
        type="function_call_output",
        status="completed",
        call_id="call_1",
        output="open",
    ),
)
PARTS = (
    out.Part("audio", transcript=""),
    out.Part("audio", transcript="It was shipped."),
    out.Part("text", text=""),
    out.Part("text", text="It was shipped."),
)
PROBLEMS = (
    out.Problem(type="invalid_request_error", code="invalid_value", message="is 7; allowed: 0", param="content_index"),
    out.Problem(type="invalid_request_error", code="invalid_json", message="the event is not JSON"),
    out.Problem(type="server_error", code="response_failed", message="no agent is free", event_id="mine_1"),
)


AUDIO = out.ResponseAudio(out.ResponseOutput(Format("audio/pcm", 24_000)))
IN_VOICE = out.ResponseAudio(out.ResponseOutput(Format("audio/pcmu"), "ash"))


def _response(status: out.ResponseState, *output: out.AnyItem, modality: str = "audio", **more: Any) -> out.Response:
    return out.Response(
        id="resp_1",
        object="realtime.response",
        status=status,
        output=list(output),
        output_modalities=[modality],
        **({"audio": AUDIO, "max_output_tokens": "inf"} | more),
    )


def _responses() -> Iterator[out.ServerEvent]:
    usage = out.Usage(150, 120, 30, out.Tokens(120, 0), out.Tokens(30, 0))
    failed = {"type": "server_error", "code": "response_failed", "message": "the model failed"}
    alone: dict[str, Any] = {"audio": IN_VOICE, "max_output_tokens": 400, "metadata": {"topic": "check"}}
    yield out.ResponseCreated(event_id=ID, response=_response("in_progress", conversation_id="conv_1"))
    yield out.ResponseCreated(event_id=ID, response=_response("in_progress", **alone))
    for response in (
        _response("completed", *ITEMS, usage=usage, conversation_id="conv_1"),
        _response("completed", ITEMS[8], modality="text", usage=usage),
        _response("cancelled", status_details=out.Reason("cancelled", reason="turn_detected"), usage=usage),
        _response("cancelled", status_details=out.Reason("cancelled"), usage=usage),
        _response("incomplete", status_details=out.Reason("incomplete", reason="max_output_tokens"), usage=usage),
        _response("failed", status_details=out.Reason("failed", error=failed), usage=usage),
    ):
        yield out.ResponseDone(event_id=ID, response=response)


PATCHES: tuple[dict[str, object], ...] = (
    {},
    {"instructions": "Be brief.", "output_modalities": ["text"], "audio": {"input": {"turn_detection": None}}},
    {"audio": {"input": {"transcription": {"model": "whisper-1", "language": "en"}}, "output": {"voice": "ash"}}},
    {"audio": {"input": {"format": {"type": "audio/pcmu"}}, "output": {"format": {"type": "audio/pcma"}}}},
    {"audio": {"input": {"turn_detection": {"type": "server_vad", "idle_timeout_ms": 6000, "threshold": 0.6}}}},
    {"audio": {"input": {"transcription": None, "turn_detection": {"type": "semantic_vad", "eagerness": "low"}}}},
    {"tracing": "auto", "reasoning": {"effort": "low"}, "max_output_tokens": 400, "parallel_tool_calls": False},
    {"tracing": {"workflow_name": "desk", "group_id": "calls", "metadata": {"kind": "test"}}},
    {
        "tools": [{"type": "function", "name": "open_page", "parameters": {"type": "object", "properties": {}}}],
        "tool_choice": {"type": "function", "name": "open_page"},
    },
)


def _sessions() -> Iterator[Session]:
    for patch in PATCHES:
        asked = msgspec.json.decode(msgspec.json.encode({"type": "realtime", **patch}), type=SessionPatch)
        yield merge(new_session("rtc_1", "gpt-realtime-2", "Be kind.", ""), asked)


TRANSCRIPTIONS: tuple[dict[str, object], ...] = (
    {},
    {"transcription": {"model": "gpt-4o-transcribe", "language": "en"}, "turn_detection": None},
    {"format": {"type": "audio/pcmu"}, "turn_detection": {"type": "semantic_vad", "eagerness": "low"}},
)


def _transcriptions() -> Iterator[out.ServerEvent]:
    for patch in TRANSCRIPTIONS:
        asked = read_transcription_patch(msgspec.json.encode({"type": "transcription", "audio": {"input": patch}}))
        session = merge_transcription(new_transcription_session("sess_1"), asked, ["gpt-4o-transcribe"])
        yield out.SessionCreated(event_id=ID, session=session)
        yield out.SessionUpdated(event_id=ID, session=session)


def _conversation() -> Iterator[out.ServerEvent]:
    for session in _sessions():
        yield out.SessionCreated(event_id=ID, session=session, trunkline=out.Trunkline("token"))
        yield out.SessionCreated(event_id=ID, session=session)
        yield out.SessionUpdated(event_id=ID, session=session)
    for item in ITEMS:
        for previous in (None, "item_0"):
            yield out.ItemAdded(event_id=ID, item=item, previous_item_id=previous)
            yield out.ItemDone(event_id=ID, item=item, previous_item_id=previous)
        yield out.ItemRetrieved(event_id=ID, item=item)
        yield out.OutputItemAdded(event_id=ID, response_id="resp_1", output_index=0, item=item)
        yield out.OutputItemDone(event_id=ID, response_id="resp_1", output_index=0, item=item)
    for problem in PROBLEMS:
        yield out.Error(event_id=ID, error=problem)
        if problem.event_id is None:  # no event of the client's causes it
            yield out.TranscriptionFailed(event_id=ID, item_id="item_1", content_index=0, error=problem)


def _audio_in() -> Iterator[out.ServerEvent]:
    at = {"event_id": ID, "item_id": "item_1"}
    yield out.SpeechStarted(**at, audio_start_ms=300)
    yield out.SpeechStopped(**at, audio_end_ms=2100)
    yield out.Committed(**at, previous_item_id=None)
    yield out.Committed(**at, previous_item_id="item_0")
    yield out.TimeoutTriggered(**at, audio_start_ms=2100, audio_end_ms=8100)
    yield out.Cleared(event_id=ID)
    yield out.TranscriptionDelta(**at, content_index=0, delta="Where is")
    yield out.TranscriptionCompleted(**at, content_index=0, transcript="", usage=out.Duration("duration", 1.8))
    yield out.ItemDeleted(**at)
    yield out.ItemTruncated(**at, content_index=0, audio_end_ms=1500)


def _output() -> Iterator[out.ServerEvent]:
    for part in PARTS:
        yield out.PartAdded(event_id=ID, **PLACE, part=part)
        yield out.PartDone(event_id=ID, **PLACE, part=part)
    yield out.AudioDelta(event_id=ID, **PLACE, delta=b"\0\1")
    yield out.AudioDelta(event_id=ID, **PLACE, delta=b"\0\1", segment=1, position=480, samples=1)
    yield out.AudioDone(event_id=ID, **PLACE)
    for kind in (out.OutputStarted, out.OutputStopped, out.OutputCleared):
        yield kind(event_id=ID, response_id="resp_1")
    yield out.TranscriptDelta(event_id=ID, **PLACE, delta="It was ")
    yield out.TranscriptDelta(event_id=ID, **PLACE, delta="It was ", segment=1)
    yield out.TranscriptDone(event_id=ID, **PLACE, transcript="It was shipped.")
    yield out.TextDelta(event_id=ID, **PLACE, delta="It was ")
    yield out.TextDelta(event_id=ID, **PLACE, delta="It was ", segment=1)
    yield out.TextDone(event_id=ID, **PLACE, text="It was shipped.")
    yield out.ArgumentsDelta(event_id=ID, **CALL, delta='{"page":"seven"}')
    yield out.ArgumentsDone(event_id=ID, **CALL, name="open_page", arguments='{"page":"seven"}')


def _ours() -> Iterator[out.ServerEvent]:
    yield out.Resumed(event_id=ID, audio_from_ms=1500)
    yield out.Settled(event_id=ID, audio_end_ms=1500)
    yield out.Move(event_id=ID, reason="draining")
    yield out.AudioStream(event_id=ID, **PLACE, stream=1, segment=0, format=Format("audio/pcm", 24_000))


def all_samples() -> list[out.ServerEvent]:
    return [*_conversation(), *_transcriptions(), *_responses(), *_audio_in(), *_output(), *_ours()]


def for_sdks() -> list[str]:
    """JSON of each that a stock client can get."""
    return [out.encode(event).decode() for event in all_samples() if not isinstance(event, OURS)]


def kinds() -> set[type[out.ServerEvent]]:
    """Every event that there is."""

    def below(kind: type[out.ServerEvent]) -> Iterator[type[out.ServerEvent]]:
        for one in kind.__subclasses__():
            yield from ([one] if not one.__name__.startswith("_") else [])
            yield from below(one)

    return set(below(out.ServerEvent))


def unsampled() -> list[str]:
    """Fields of events, and of what is in them, that can be left out but never are in a sample, or always are."""
    values = list(_structs(all_samples()))
    missing = []
    for kind in sorted({type(value) for value in values}, key=lambda kind: kind.__name__):
        ours = [value for value in values if type(value) is kind]
        for field in msgspec.structs.fields(kind):
            if field.default is msgspec.NODEFAULT:
                continue
            left_out = {getattr(value, field.name) == field.default for value in ours}
            if left_out != {True, False}:
                missing.append(f"{kind.__name__}.{field.name} is {'always' if True in left_out else 'never'} left out")
    return missing


def _structs(value: object) -> Iterator[msgspec.Struct]:
    if isinstance(value, list | tuple):
        for one in value:
            yield from _structs(one)
    elif isinstance(value, msgspec.Struct) and not isinstance(value, Session | TranscriptionSession):
        yield value
        for field in value.__struct_fields__:
            yield from _structs(getattr(value, field))
