"""The seam to a model: one request per round, answered by a stream of events.

A phase goes back to the model exactly as it came, or as it was settled; a model never sees words that nobody heard.
"""

from collections.abc import AsyncGenerator
from typing import Literal, Protocol

import msgspec

from trunkline.agents import ModelSettings
from trunkline.proto.image import ShownImage
from trunkline.proto.response import Phase
from trunkline.proto.tool import ToolStatus

Role = Literal["user", "assistant", "system"]


class MessageItem(msgspec.Struct, frozen=True, gc=False):
    """phase: of an assistant's message; None where it never had one, and always for the others'. role: "system" for
    what the client told the model itself, in between. images: of a user's message, in the order of their `at`."""

    role: Role
    phase: Phase | None
    text: str
    images: tuple[ShownImage, ...] = ()


class ToolCallItem(msgspec.Struct, frozen=True, gc=False):
    """arguments: the JSON object that ran."""

    id: str
    name: str
    arguments: str


class ToolOutputItem(msgspec.Struct, frozen=True, gc=False):
    """output: what the model reads: JSON of the return value, or what went wrong in words.

    status: None while it runs. images: that the tool gave beside its words.
    """

    id: str
    output: str
    status: ToolStatus | None
    images: tuple[ShownImage, ...] = ()


HistoryItem = MessageItem | ToolCallItem | ToolOutputItem


class ToolOffer(msgspec.Struct, frozen=True):
    """A tool as a model is told of it. parameters: JSON Schema of an object. commentary: see trunkline.agents.Tool."""

    name: str
    description: str
    parameters: dict[str, object]
    commentary: str = ""


class ModelRequest(msgspec.Struct, frozen=True):
    """One round. items: the conversation so far, oldest first; a tool call is followed by its output.

    model: by the agent's own wish, empty for the engine's. settings: as the agent has them; tool_choice is of this
    round. agent: the name of the one that answers. news: ids of the tool calls of earlier answers whose outcome is to
    be told now; the caller has said nothing new.
    """

    instructions: str
    items: tuple[HistoryItem, ...]
    tools: tuple[ToolOffer, ...]
    call_id: str
    model: str = ""
    settings: ModelSettings = ModelSettings()
    agent: str = ""
    news: frozenset[str] = frozenset()


class TextDelta(msgspec.Struct, frozen=True, gc=False):
    """phase: None where the model doesn't say; it is settled at the round's end."""

    text: str
    phase: Phase | None = None


class MessageEnded(msgspec.Struct, frozen=True, gc=False):
    """The message is over, and what follows is another one, even in the same phase; where its phase isn't known, what
    follows still counts as the same message."""


class ToolCall(msgspec.Struct, frozen=True, gc=False):
    """id: `call_…`, the tool call's idempotency key too, so never used twice. arguments: JSON object."""

    id: str
    name: str
    arguments: str


class RoundDone(msgspec.Struct, frozen=True, gc=False):
    """The last event of every round. cached_tokens: of the input; reasoning_tokens: of the output.

    incomplete: why the model stopped before its end ("max_output_tokens", "content_filter"), empty for a whole round.
    model: that answered, as its endpoint calls it, where there is one.
    """

    input_tokens: int = 0
    output_tokens: int = 0
    cached_tokens: int = 0
    reasoning_tokens: int = 0
    incomplete: str = ""
    model: str = ""


ModelEvent = TextDelta | MessageEnded | ToolCall | RoundDone


class Model(Protocol):
    """Any exception ends the response as failed, never the call. Closing the generator cancels the round.

    repeatable: asked the same again it says the same, so that a round that was cut can be run again; a tool's call
    may have another id then. close: called once, when no round runs any more.
    """

    name: str
    repeatable: bool

    def respond(self, request: ModelRequest) -> AsyncGenerator[ModelEvent, None]: ...

    async def close(self) -> None: ...
