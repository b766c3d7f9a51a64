"""A response that the client knows as open: how it is told, and what of it was told. Pure."""

from typing import TypedDict

import msgspec

from trunkline.gateway.dialects.realtime import events_out as out
from trunkline.gateway.dialects.realtime.edge_audio import Mouth
from trunkline.gateway.dialects.realtime.session import Session

REASONS = ("turn_detected", "client_cancelled", "max_output_tokens", "content_filter")
"""Of a response that ended early: all that the vendor's types allow, and a strict client takes no other."""


class Place(TypedDict):
    """Where a piece of content stands; the fields that every such event has."""

    response_id: str
    item_id: str
    output_index: int
    content_index: int


class CallPlace(TypedDict):
    """Where a call of a client's tool stands."""

    response_id: str
    item_id: str
    output_index: int
    call_id: str


class Manner(msgspec.Struct, frozen=True):
    """How a response is told: as its session has it, or the client asked for it alone.

    aside: out of band; its items are in no conversation.
    """

    output: out.ResponseOutput
    max_output_tokens: int | str = "inf"
    metadata: dict[str, str] | None = None
    aside: bool = False


def manner_of(session: Session) -> Manner:
    output = session.audio.output
    return Manner(out.ResponseOutput(output.format, output.voice), session.max_output_tokens)


class OpenResponse:
    """mouth: makes its audio, in its format. known: its items of which an earlier gateway has told.

    own: those of a response out of band, by id; others are in the conversation.
    """

    def __init__(self, response: str, audible: bool, manner: Manner, mouth: Mouth, known: list[str]) -> None:
        self.id = response
        self.audible = audible
        self.manner = manner
        self.mouth = mouth
        self.items = list(known)
        self.own: dict[str, out.AnyItem] = {}

    def index(self, item: str) -> int:
        """Its place in the output, the next one for an item that is new."""
        if item not in self.items:
            self.items.append(item)
        return self.items.index(item)

    def place(self, item: str) -> Place:
        return {"response_id": self.id, "item_id": item, "output_index": self.index(item), "content_index": 0}

    def call_place(self, item: str, tool_call: str) -> CallPlace:
        return {"response_id": self.id, "item_id": item, "output_index": self.index(item), "call_id": tool_call}

    def part(self, text: str) -> out.Part:
        """Of an item's content."""
        return out.Part("output_audio", transcript=text) if self.audible else out.Part("output_text", text=text)

    def told_part(self, text: str) -> out.Part:
        """Of an event, which has other names for it."""
        return out.Part("audio", transcript=text) if self.audible else out.Part("text", text=text)

    def tell(self, status: out.ResponseState, output: list[out.AnyItem], conversation: str) -> out.Response:
        return out.Response(
            id=self.id,
            object="realtime.response",
            status=status,
            output=output,
            output_modalities=["audio" if self.audible else "text"],
            audio=out.ResponseAudio(self.manner.output),
            max_output_tokens=self.manner.max_output_tokens,
            conversation_id=None if self.manner.aside else conversation,
            metadata=self.manner.metadata,
        )


def details_of(status: out.ResponseState, reason: str) -> out.Reason | None:
    """Why a response ended as it did."""
    if status == "completed":
        return None
    if status == "failed":
        return out.Reason("failed", error={"type": "server_error", "code": "response_failed", "message": reason})
    return out.Reason(status, reason=reason if reason in REASONS else None)


def usage_of(input_tokens: int, output_tokens: int) -> out.Usage:
    details = out.Tokens(input_tokens, 0), out.Tokens(output_tokens, 0)
    return out.Usage(input_tokens + output_tokens, input_tokens, output_tokens, *details)
