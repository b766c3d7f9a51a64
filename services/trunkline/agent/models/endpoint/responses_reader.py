"""From the events of a Responses stream to those of a round. Pure.

A phase stands on an item when it is added or done, never on its deltas; endpoints leave out what they like, and at
the end the whole answer is there once more: whatever it has that was not streamed is said then, each thing once.
"""

from collections.abc import Iterator
from typing import get_args

import msgspec

from trunkline.agent.models.endpoint.errors import EndpointFailed, fault
from trunkline.agent.models.endpoint.options import CALLS_LIMIT, Endpoint
from trunkline.agent.models.seam import MessageEnded, ModelEvent, RoundDone, TextDelta, ToolCall
from trunkline.proto.ids import new_tool_call_id
from trunkline.proto.response import Phase

PHASES = get_args(Phase)


class _Part(msgspec.Struct, frozen=True):
    text: str | None = None
    refusal: str | None = None


class _Item(msgspec.Struct, frozen=True):
    """A message, a function call, or what is of no interest."""

    type: str = ""
    id: str | None = None
    phase: str | None = None
    content: list[_Part] | None = None
    call_id: str | None = None
    name: str | None = None
    arguments: str | None = None
    status: str | None = None

    @property
    def text(self) -> str:
        return "".join(part.text or part.refusal or "" for part in self.content or ())


class _InputDetails(msgspec.Struct, frozen=True):
    cached_tokens: int | None = None


class _OutputDetails(msgspec.Struct, frozen=True):
    reasoning_tokens: int | None = None


class _Usage(msgspec.Struct, frozen=True):
    input_tokens: int = 0
    output_tokens: int = 0
    input_tokens_details: _InputDetails | None = None
    output_tokens_details: _OutputDetails | None = None


class _Why(msgspec.Struct, frozen=True):
    reason: str | None = None


class _Response(msgspec.Struct, frozen=True):
    output: list[_Item] | None = None
    usage: _Usage | None = None
    incomplete_details: _Why | None = None
    error: object = None


class _Added(msgspec.Struct, frozen=True, tag="response.output_item.added", tag_field="type"):
    item: _Item


class _Done(msgspec.Struct, frozen=True, tag="response.output_item.done", tag_field="type"):
    item: _Item


class _Text(msgspec.Struct, frozen=True, tag="response.output_text.delta", tag_field="type"):
    delta: str
    item_id: str | None = None


class _Refusal(msgspec.Struct, frozen=True, tag="response.refusal.delta", tag_field="type"):
    delta: str
    item_id: str | None = None


class _Completed(msgspec.Struct, frozen=True, tag="response.completed", tag_field="type"):
    response: _Response


class _Incomplete(msgspec.Struct, frozen=True, tag="response.incomplete", tag_field="type"):
    response: _Response


class _Failed(msgspec.Struct, frozen=True, tag="response.failed", tag_field="type"):
    response: _Response


class _Error(msgspec.Struct, frozen=True, tag="error", tag_field="type"):
    """The vendor's has the error's fields beside the type, others have it inside."""

    error: object = None
    message: str | None = None
    code: str | int | None = None


_Event = _Added | _Done | _Text | _Refusal | _Completed | _Incomplete | _Failed | _Error
_TYPES = frozenset(str(event.__struct_config__.tag) for event in get_args(_Event))


class _Kind(msgspec.Struct, frozen=True):
    type: str = ""
    error: object = None


_kinds = msgspec.json.Decoder(_Kind)
_events = msgspec.json.Decoder(_Event)


class _Message:
    def __init__(self, item: str | None, phase: Phase | None) -> None:
        self.item = item
        self.phase = phase
        self.text: list[str] = []
        self.ended = False


class ResponsesReader:
    """over: the round is done, and what may follow is of no interest."""

    def __init__(self, endpoint: Endpoint) -> None:
        self.over = False
        self._endpoint = endpoint
        self._messages: list[_Message] = []
        self._calls: list[str] = []  # ids as the endpoint gave them

    def read(self, data: bytes) -> Iterator[ModelEvent]:
        """Raises EndpointFailed."""
        if self.over or data == b"[DONE]":
            return
        try:
            kind = _kinds.decode(data)
            if kind.type not in _TYPES and kind.error is None:
                return
            event = _events.decode(data) if kind.type in _TYPES else _Error(kind.error)
        except (msgspec.MsgspecError, RecursionError) as error:
            raise EndpointFailed(self._endpoint, f"sent what can't be read: {error}", code="broken") from None
        match event:
            case _Added(item) if item.type == "message":
                yield from self._begin(item.id, _phase(item))
            case _Text(delta, item_id) | _Refusal(delta, item_id):
                yield from self._say(delta, item_id)
            case _Done(item):
                yield from self._finish(item, self._streamed(item.id))
            case _Completed(response):
                yield from self._complete(response, "")
            case _Incomplete(response):
                why = response.incomplete_details
                yield from self._complete(response, (why and why.reason) or "unknown")
            case _Failed(response):
                raise fault(self._endpoint, response.error)
            case _Error(inside, message, code):
                raise fault(self._endpoint, inside or {"message": message, "code": code})

    def end(self) -> Iterator[ModelEvent]:
        raise EndpointFailed(
            self._endpoint, "the stream ended before the answer was over", code="truncated", retryable=True
        )

    def _begin(self, item: str | None, phase: Phase | None) -> Iterator[ModelEvent]:
        if self._messages:
            yield from self._end(self._messages[-1])
        self._messages.append(_Message(item, phase))

    def _say(self, delta: str, item: str | None) -> Iterator[ModelEvent]:
        message = self._streamed(item)
        if message is None:
            yield from self._begin(item, None)
            message = self._messages[-1]
        if delta and not message.ended:
            message.text.append(delta)
            yield TextDelta(delta, message.phase)

    def _streamed(self, item: str | None) -> _Message | None:
        """The message with this id; the latest if it is told without."""
        if item is None:
            return self._messages[-1] if self._messages and not self._messages[-1].ended else None
        return next((message for message in self._messages if message.item == item), None)

    def _finish(self, item: _Item, message: _Message | None) -> Iterator[ModelEvent]:
        """An item as it is in the end. message: what was streamed of it."""
        if item.type == "function_call":
            yield from self._call(item)
        elif item.type == "message":
            if message is None:
                yield from self._begin(item.id, _phase(item))
                message = self._messages[-1]
            if message.ended:
                return
            said, phase = "".join(message.text), message.phase or _phase(item)
            rest = item.text.removeprefix(said) if item.text.startswith(said) else ""
            if rest or phase != message.phase:
                message.phase = phase
                message.text.append(rest)
                yield TextDelta(rest, phase)
            yield from self._end(message)

    def _end(self, message: _Message) -> Iterator[ModelEvent]:
        if not message.ended:
            message.ended = True
            yield MessageEnded()

    def _call(self, item: _Item) -> Iterator[ModelEvent]:
        given = item.call_id or item.id or ""
        if given and given in self._calls:
            return
        self._calls.append(given)
        if len(self._calls) > CALLS_LIMIT:
            raise EndpointFailed(self._endpoint, f"asks for more than {CALLS_LIMIT} tools at once", code="broken")
        arguments = item.arguments or ("" if item.status == "incomplete" else "{}")
        yield ToolCall(item.call_id or new_tool_call_id(), item.name or "", arguments)

    def _complete(self, response: _Response, incomplete: str) -> Iterator[ModelEvent]:
        """Its items are paired with those that were streamed by their order: some endpoints give them other ids."""
        messages, calls = iter(self._messages[:]), iter(self._calls[:])
        for item in response.output or ():
            if item.type == "message":
                yield from self._finish(item, next(messages, None))
            elif item.type == "function_call" and next(calls, None) is None:
                yield from self._finish(item, None)
        if self._messages:
            yield from self._end(self._messages[-1])
        self.over = True
        usage = response.usage or _Usage()
        inputs, outputs = usage.input_tokens_details, usage.output_tokens_details
        yield RoundDone(
            usage.input_tokens,
            usage.output_tokens,
            (inputs and inputs.cached_tokens) or 0,
            (outputs and outputs.reasoning_tokens) or 0,
            incomplete,
        )


def _phase(item: _Item) -> Phase | None:
    return item.phase if item.phase in PHASES else None  # type: ignore[return-value]  # looked up just now
