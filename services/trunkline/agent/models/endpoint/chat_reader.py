"""From the chunks of a chat completion to the events of a round. Pure.

A tool's call comes in pieces and is given out whole, at the round's end; its arguments pass as they came, readable or
not: the agent says in words what is wrong with them.
"""

from collections.abc import Iterator
from typing import get_args

import msgspec

from trunkline.agent.models.endpoint.errors import EndpointFailed, fault
from trunkline.agent.models.endpoint.options import CALLS_LIMIT, Endpoint
from trunkline.agent.models.seam import ModelEvent, RoundDone, TextDelta, ToolCall
from trunkline.proto.ids import new_tool_call_id
from trunkline.proto.response import Phase

INCOMPLETE = {"length": "max_output_tokens", "content_filter": "content_filter"}
PHASES = get_args(Phase)


class _Function(msgspec.Struct, frozen=True):
    name: str | None = None
    arguments: str | None = None


class _Piece(msgspec.Struct, frozen=True):
    """Of a tool's call."""

    index: int | None = None
    id: str | None = None
    function: _Function | None = None


class _Delta(msgspec.Struct, frozen=True):
    content: str | None = None
    refusal: str | None = None
    tool_calls: list[_Piece] | None = None
    phase: str | None = None


class _Choice(msgspec.Struct, frozen=True):
    index: int = 0
    delta: _Delta | None = None
    finish_reason: str | None = None


class _InputDetails(msgspec.Struct, frozen=True):
    cached_tokens: int | None = None


class _OutputDetails(msgspec.Struct, frozen=True):
    reasoning_tokens: int | None = None


class _Usage(msgspec.Struct, frozen=True):
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    prompt_tokens_details: _InputDetails | None = None
    completion_tokens_details: _OutputDetails | None = None


class _Chunk(msgspec.Struct, frozen=True):
    choices: list[_Choice] | None = None
    usage: _Usage | None = None
    error: object = None


_chunks = msgspec.json.Decoder(_Chunk)


class _Call:
    def __init__(self, index: int | None, id: str) -> None:
        self.index = index
        self.id = id
        self.name = ""
        self.arguments: list[str] = []


class ChatReader:
    """over: the round is done, and what may follow is of no interest."""

    def __init__(self, endpoint: Endpoint) -> None:
        self.over = False
        self._endpoint = endpoint
        self._calls: list[_Call] = []
        self._reason = ""  # why the model stopped, once it has
        self._usage = _Usage()

    def read(self, data: bytes) -> Iterator[ModelEvent]:
        """Raises EndpointFailed."""
        if self.over:
            return
        if data == b"[DONE]":
            yield from self.end()
            return
        try:
            chunk = _chunks.decode(data)
        except (msgspec.MsgspecError, RecursionError) as error:
            raise EndpointFailed(self._endpoint, f"sent what can't be read: {error}", code="broken") from None
        if chunk.error is not None:
            raise fault(self._endpoint, chunk.error)
        self._usage = chunk.usage or self._usage
        for choice in chunk.choices or ():
            if choice.index == 0:
                yield from self._take(choice)

    def end(self) -> Iterator[ModelEvent]:
        """The stream ended; some endpoints end it without saying that it is done. Raises EndpointFailed."""
        if not self._reason:
            problem = "the stream ended before the answer was over"
            raise EndpointFailed(self._endpoint, problem, code="truncated", retryable=True)
        if self._reason == "error":
            raise EndpointFailed(self._endpoint, "the model stopped with an error", code="error", retryable=True)
        self.over = True
        incomplete = INCOMPLETE.get(self._reason, "")
        for call in self._calls:
            arguments = "".join(call.arguments)  # none at all stand for no arguments, but not where they were cut off
            yield ToolCall(call.id or new_tool_call_id(), call.name, arguments or ("" if incomplete else "{}"))
        inputs, outputs = self._usage.prompt_tokens_details, self._usage.completion_tokens_details
        yield RoundDone(
            self._usage.prompt_tokens or 0,
            self._usage.completion_tokens or 0,
            (inputs and inputs.cached_tokens) or 0,
            (outputs and outputs.reasoning_tokens) or 0,
            incomplete,
        )

    def _take(self, choice: _Choice) -> Iterator[ModelEvent]:
        delta = choice.delta or _Delta()
        phase: Phase | None = delta.phase if delta.phase in PHASES else None  # type: ignore[assignment]  # looked up
        if text := delta.content or delta.refusal:
            yield TextDelta(text, phase)
        for piece in delta.tool_calls or ():
            self._add(piece)
        self._reason = choice.finish_reason or self._reason

    def _add(self, piece: _Piece) -> None:
        call = self._call_of(piece)
        function = piece.function or _Function()
        call.id = call.id or piece.id or ""
        call.name = call.name or function.name or ""
        call.arguments.append(function.arguments or "")

    def _call_of(self, piece: _Piece) -> _Call:
        """By its index. Some endpoints leave that out, or give all the same: then another id begins another call."""
        known = [call for call in self._calls if piece.index is None or call.index == piece.index]
        if known and (not piece.id or piece.id == known[-1].id or not known[-1].id):
            return known[-1]
        if len(self._calls) == CALLS_LIMIT:
            raise EndpointFailed(self._endpoint, f"asks for more than {CALLS_LIMIT} tools at once", code="broken")
        self._calls.append(_Call(piece.index, piece.id or ""))
        return self._calls[-1]
