"""What a Realtime client hears: one Struct per event; `type` and `event_id` are always there, nulls hardly ever are.

Only `previous_item_id` is null, of the first item. Fields with a default are left out when they have it, so what the
protocol requires has none.
"""

from typing import Literal

import msgspec
from msgspec import UNSET, UnsetType

from trunkline.gateway.dialects.realtime.session import Session
from trunkline.gateway.dialects.realtime.session_audio import Format
from trunkline.gateway.dialects.realtime.transcription_session import TranscriptionSession
from trunkline.proto.errors import BadInput
from trunkline.proto.response import Phase

ResponseState = Literal["in_progress", "completed", "cancelled", "failed", "incomplete"]
ItemStatus = Literal["in_progress", "completed", "incomplete"]


class Part(msgspec.Struct, frozen=True, omit_defaults=True):
    """type: input_audio, input_text, input_image, output_audio, output_text; of an event's `part`: audio or text.

    transcript: null of a caller's audio until it is known: a client fails where an input_audio has none at all.
    file_id, detail: of an input_image, whose bytes the client has itself, or fetches.
    """

    type: str
    text: str | None = None
    transcript: str | UnsetType | None = UNSET
    file_id: str | None = None
    detail: str | None = None


class Item(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    id: str
    object: str
    type: str
    status: ItemStatus
    role: Literal["user", "assistant", "system"]
    content: list[Part]
    phase: Phase | None = None


class FunctionCall(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """The client is asked to carry this out. arguments: JSON object; empty as it begins."""

    id: str
    object: str
    type: str
    status: ItemStatus
    call_id: str
    name: str
    arguments: str


class FunctionOutput(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """What the client says came of it."""

    id: str
    object: str
    type: str
    status: ItemStatus
    call_id: str
    output: str


AnyItem = Item | FunctionCall | FunctionOutput


class Reason(msgspec.Struct, frozen=True, omit_defaults=True):
    type: str
    reason: str | None = None
    error: dict[str, str] | None = None


class Tokens(msgspec.Struct, frozen=True):
    """Models of ours read and write text, whatever is spoken."""

    text_tokens: int
    audio_tokens: int


class Usage(msgspec.Struct, frozen=True):
    total_tokens: int
    input_tokens: int
    output_tokens: int
    input_token_details: Tokens
    output_token_details: Tokens


class ResponseOutput(msgspec.Struct, frozen=True, omit_defaults=True):
    """voice: empty where none is named."""

    format: Format
    voice: str = ""


class ResponseAudio(msgspec.Struct, frozen=True):
    output: ResponseOutput


class Response(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """conversation_id: None for one that is out of band."""

    id: str
    object: str
    status: ResponseState
    output: list[AnyItem]
    output_modalities: list[str]
    audio: ResponseAudio
    max_output_tokens: int | str
    conversation_id: str | None = None
    metadata: dict[str, str] | None = None
    status_details: Reason | None = None
    usage: Usage | None = None


class Duration(msgspec.Struct, frozen=True):
    type: str
    seconds: float


class Problem(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """event_id: the client's event that caused it."""

    type: str
    code: str
    message: str
    param: str | None = None
    event_id: str | None = None


def problem_of(error: BadInput, event_id: str | None, kind: str) -> Problem:
    """What a client is told of it. event_id: the client's event that caused it."""
    message = f"{error.problem}; allowed: {error.allowed}" if error.allowed else error.problem
    if error.param:
        message = f"{error.param}: {message}"
    return Problem(type=kind, code=error.code, message=message, param=error.param or None, event_id=event_id)


class ServerEvent(msgspec.Struct, frozen=True, tag_field="type", omit_defaults=True, kw_only=True):
    event_id: str


class Error(ServerEvent, frozen=True, tag="error"):
    error: Problem


class Trunkline(msgspec.Struct, frozen=True):
    """resume_token: with it the call can be taken up again."""

    resume_token: str


class SessionCreated(ServerEvent, frozen=True, tag="session.created"):
    session: Session | TranscriptionSession
    trunkline: Trunkline | None = None


class SessionUpdated(ServerEvent, frozen=True, tag="session.updated"):
    session: Session | TranscriptionSession


class SpeechStarted(ServerEvent, frozen=True, tag="input_audio_buffer.speech_started"):
    audio_start_ms: int
    item_id: str


class SpeechStopped(ServerEvent, frozen=True, tag="input_audio_buffer.speech_stopped"):
    audio_end_ms: int
    item_id: str


class Committed(ServerEvent, frozen=True, tag="input_audio_buffer.committed"):
    item_id: str
    previous_item_id: str | None


class Cleared(ServerEvent, frozen=True, tag="input_audio_buffer.cleared"):
    pass


class TimeoutTriggered(ServerEvent, frozen=True, tag="input_audio_buffer.timeout_triggered"):
    audio_start_ms: int
    audio_end_ms: int
    item_id: str


class ItemAdded(ServerEvent, frozen=True, tag="conversation.item.added"):
    """previous_item_id: null for the first, here and below: a client that isn't told puts it at the end."""

    item: AnyItem
    previous_item_id: str | None


class ItemDone(ServerEvent, frozen=True, tag="conversation.item.done"):
    item: AnyItem
    previous_item_id: str | None


class ItemDeleted(ServerEvent, frozen=True, tag="conversation.item.deleted"):
    item_id: str


class ItemRetrieved(ServerEvent, frozen=True, tag="conversation.item.retrieved"):
    item: AnyItem


class TranscriptionDelta(ServerEvent, frozen=True, tag="conversation.item.input_audio_transcription.delta"):
    item_id: str
    content_index: int
    delta: str


class TranscriptionCompleted(ServerEvent, frozen=True, tag="conversation.item.input_audio_transcription.completed"):
    item_id: str
    content_index: int
    transcript: str
    usage: Duration


class TranscriptionFailed(ServerEvent, frozen=True, tag="conversation.item.input_audio_transcription.failed"):
    item_id: str
    content_index: int
    error: Problem


class ItemTruncated(ServerEvent, frozen=True, tag="conversation.item.truncated"):
    item_id: str
    content_index: int
    audio_end_ms: int


class ResponseCreated(ServerEvent, frozen=True, tag="response.created"):
    response: Response


class ResponseDone(ServerEvent, frozen=True, tag="response.done"):
    response: Response


class OutputItemAdded(ServerEvent, frozen=True, tag="response.output_item.added"):
    response_id: str
    output_index: int
    item: AnyItem


class OutputItemDone(ServerEvent, frozen=True, tag="response.output_item.done"):
    response_id: str
    output_index: int
    item: AnyItem


class _InItem(ServerEvent, frozen=True):
    response_id: str
    item_id: str
    output_index: int
    content_index: int


class PartAdded(_InItem, frozen=True, tag="response.content_part.added"):
    part: Part


class PartDone(_InItem, frozen=True, tag="response.content_part.done"):
    part: Part


class _InCall(ServerEvent, frozen=True):
    response_id: str
    item_id: str
    output_index: int
    call_id: str


class ArgumentsDelta(_InCall, frozen=True, tag="response.function_call_arguments.delta"):
    delta: str


class ArgumentsDone(_InCall, frozen=True, tag="response.function_call_arguments.done"):
    name: str
    arguments: str


class AudioDelta(_InItem, frozen=True, tag="response.output_audio.delta", gc=False):
    """segment, position, samples: for clients that come back: which samples of which segment, at SPEECH_RATE_HZ."""

    delta: bytes
    segment: int = -1
    position: int = 0
    samples: int = 0


class AudioStream(_InItem, frozen=True, tag="trunkline.audio.stream"):
    """In the binary dialect: binary messages with this number are audio of this segment, in this format."""

    stream: int
    segment: int
    format: Format


class AudioDone(_InItem, frozen=True, tag="response.output_audio.done"):
    pass


class TranscriptDelta(_InItem, frozen=True, tag="response.output_audio_transcript.delta"):
    delta: str
    segment: int = -1


class TranscriptDone(_InItem, frozen=True, tag="response.output_audio_transcript.done"):
    transcript: str


class TextDelta(_InItem, frozen=True, tag="response.output_text.delta"):
    delta: str
    segment: int = -1


class TextDone(_InItem, frozen=True, tag="response.output_text.done"):
    text: str


class _OfOutput(ServerEvent, frozen=True):
    """Over WebRTC, where the gateway plays: of the response whose audio it is."""

    response_id: str


class OutputStarted(_OfOutput, frozen=True, tag="output_audio_buffer.started"):
    pass


class OutputStopped(_OfOutput, frozen=True, tag="output_audio_buffer.stopped"):
    pass


class OutputCleared(_OfOutput, frozen=True, tag="output_audio_buffer.cleared"):
    pass


class Resumed(ServerEvent, frozen=True, tag="trunkline.resumed"):
    """audio_from_ms: the client's audio goes on there, at once and faster than real time. To clients of ours alone,
    as the two that follow."""

    audio_from_ms: int


class Settled(ServerEvent, frozen=True, tag="trunkline.settled"):
    """No gateway needs the client's audio before."""

    audio_end_ms: int


class Move(ServerEvent, frozen=True, tag="trunkline.move"):
    reason: str


Told = ServerEvent | bytes
"""What goes to a client: an event, or a binary message where its dialect has those."""

_encoder = msgspec.json.Encoder()


def encode(event: ServerEvent) -> bytes:
    """JSON; audio as base64."""
    return _encoder.encode(event)
