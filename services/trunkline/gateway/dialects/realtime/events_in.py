"""What a Realtime client may say: one Struct per event, decoded in one step, base64 included.

An event that can't be read raises BadEvent with the client's own event_id, so that the answer can be told apart.
"""

from collections.abc import Mapping
from typing import Generic, TypeVar, get_args

import msgspec

from trunkline.gateway.dialects.realtime.session import SessionPatch
from trunkline.gateway.validation import explain_validation
from trunkline.proto.errors import BadInput
from trunkline.proto.response import Phase

MAX_TEXT = 100_000  # characters of one typed item
NULL = msgspec.Raw(b"null")


class _Event(msgspec.Struct, frozen=True, tag_field="type", kw_only=True, forbid_unknown_fields=True):
    event_id: str | None = None


class UpdateSession(_Event, frozen=True, tag="session.update"):
    session: SessionPatch


class AppendAudio(_Event, frozen=True, tag="input_audio_buffer.append", gc=False):
    audio: bytes


class CommitAudio(_Event, frozen=True, tag="input_audio_buffer.commit"):
    pass


class ClearAudio(_Event, frozen=True, tag="input_audio_buffer.clear"):
    pass


class ClearOutput(_Event, frozen=True, tag="output_audio_buffer.clear"):
    """Over WebRTC alone: elsewhere the client has the audio."""


class NewPart(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    type: str
    text: str | None = None
    transcript: str | None = None
    audio: msgspec.Raw = NULL
    image_url: str | None = None
    file_id: str | None = None  # ours
    detail: str | None = None


class NewItem(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Of every kind of item that the protocol has, the fields; `new_items` says which kinds have which."""

    type: str
    id: str | None = None
    object: str | None = None
    role: str | None = None
    status: str | None = None
    phase: Phase | None = None
    content: list[NewPart] = []
    call_id: str | None = None
    name: str | None = None
    arguments: str | None = None
    output: str | None = None


class CreateItem(_Event, frozen=True, tag="conversation.item.create"):
    item: NewItem
    previous_item_id: str | None = None


class RetrieveItem(_Event, frozen=True, tag="conversation.item.retrieve"):
    item_id: str


class DeleteItem(_Event, frozen=True, tag="conversation.item.delete"):
    item_id: str


class TruncateItem(_Event, frozen=True, tag="conversation.item.truncate"):
    item_id: str
    content_index: int
    audio_end_ms: int


class CreateResponse(_Event, frozen=True, tag="response.create"):
    """response: read apart, in `responses_in`."""

    response: msgspec.Raw = NULL


class CancelResponse(_Event, frozen=True, tag="response.cancel"):
    response_id: str | None = None


ClientEvent = (
    UpdateSession
    | AppendAudio
    | CommitAudio
    | ClearAudio
    | CreateItem
    | DeleteItem
    | RetrieveItem
    | TruncateItem
    | CreateResponse
    | CancelResponse
    | ClearOutput
)

SUPPORTED = tuple(sorted(str(t.__struct_config__.tag) for t in ClientEvent.__args__))
NOT_SERVED = {"transcription_session.update": "is of the beta: send session.update, in a transcription session"}
"""Events that are answered with an error of their own."""


class BadEvent(Exception):
    """cause: for the client. event_id: its own, if it could be read."""

    def __init__(self, cause: BadInput, event_id: str | None) -> None:
        super().__init__(str(cause))
        self.cause, self.event_id = cause, event_id


class _Head(msgspec.Struct, frozen=True):
    type: str | None = None
    event_id: str | None = None


_heads = msgspec.json.Decoder(_Head)
E = TypeVar("E", bound=_Event)


class Reader(Generic[E]):
    """Reads the events of one kind of session. refused: what is answered with an error of its own, which says why."""

    def __init__(self, events: type[E], refused: Mapping[str, str]) -> None:
        """events: a union of Structs."""
        self._decoder = msgspec.json.Decoder(events)
        self._supported = sorted(str(kind.__struct_config__.tag) for kind in get_args(events))
        self._refused = refused

    def decode(self, text: bytes | bytearray) -> E:
        """Raises BadEvent."""
        try:
            event = self._decoder.decode(text)
        except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
            raise self._explain(text, error) from error
        if event.event_id is not None and len(event.event_id) > 512:
            raise BadEvent(BadInput("event_id", "is too long", "up to 512 characters"), None)
        return event

    def _explain(self, text: bytes | bytearray, error: Exception) -> BadEvent:
        try:
            head = _heads.decode(text)
        except msgspec.ValidationError:
            return BadEvent(BadInput("", "the event has the wrong shape", "a JSON object with a `type` in text"), None)
        except (msgspec.DecodeError, UnicodeError, RecursionError):
            return BadEvent(BadInput("", "the event is not JSON", "a JSON object", code="invalid_json"), None)
        if head.type in self._supported:
            return BadEvent(explain_validation(error), head.event_id)
        return BadEvent(self._strange(head.type), head.event_id)

    def _strange(self, kind: str | None) -> BadInput:
        allowed = ", ".join(self._supported)
        if kind is None:
            return BadInput("type", "is missing", allowed, code="missing_required_parameter")
        if kind in self._refused:
            return BadInput("type", f"{kind!r} {self._refused[kind]}", allowed, code="not_supported")
        return BadInput("type", f"{kind[:80]!r} is no event of this protocol", allowed, code="unknown_event_type")


_reader: Reader[ClientEvent] = Reader(ClientEvent, NOT_SERVED)  # type: ignore[arg-type]  # a union
decode = _reader.decode
