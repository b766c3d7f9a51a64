"""One round of a model: asked once, its words to the caller as they come, its tool calls gathered.

Rule: until what looks at the caller's words at the same time has agreed, the round is speculative: nothing of it is
said or kept.
"""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Sequence
from typing import Any

from trunkline.agent.clearance import Clearance
from trunkline.agent.models.seam import MessageEnded, Model, ModelEvent, ModelRequest, RoundDone, TextDelta, ToolCall
from trunkline.agent.speech import Speech
from trunkline.agent.writer import ResponseWriter
from trunkline.agents import Fillers
from trunkline.proto.errors import TrunklineError
from trunkline.telemetry import tracing

MODEL_IDLE_S = 60.0  # between two events of a model, whose engine has limits of its own: this one only ends a hang
ROUND_CALLS = 16  # of tools; what a model asks for beyond is not even recorded


class ModelFailed(TrunklineError):
    def __init__(self, model: str, error: Exception) -> None:
        what = "gave no word in time" if isinstance(error, TimeoutError) else f"{type(error).__name__}: {error}"
        super().__init__(f"model {model} failed: {what}"[:500])


class Round:
    """fillers: words for the wait that are still unsaid, of the whole response. clearance: see the module."""

    def __init__(
        self,
        model: Model,
        writer: ResponseWriter,
        speech: Speech,
        span: tracing.Span,
        fillers: "FillerWords",
        clearance: Clearance | None,
    ) -> None:
        self._model = model
        self._writer = writer
        self._speech = speech
        self._span = span
        self._fillers = fillers
        self._clearance = clearance
        self.done = RoundDone()

    async def run(self, request: ModelRequest) -> list[ToolCall]:
        """Raises ModelFailed, Ruled, Rewritten, AnswerTooLong, Diverged."""
        calls: list[ToolCall] = []
        async with contextlib.aclosing(self._model.respond(request)) as stream:
            event = await self._first(stream)
            while event is not None:
                await self._take(event, calls)
                event = await self._next(stream)
        await self._speech.end_round("commentary" if calls else "final_answer")
        return calls

    async def _take(self, event: ModelEvent, calls: list[ToolCall]) -> None:
        match event:
            case TextDelta(text, phase):
                await self._speech.write(text, phase)
            case MessageEnded():
                await self._speech.end_message()
            case ToolCall():
                await self._speech.flush()
                if len(calls) < ROUND_CALLS:
                    calls.append(event)
            case RoundDone():
                self.done = event

    async def _first(self, stream: AsyncGenerator[ModelEvent, None]) -> ModelEvent | None:
        if self._clearance is None and self._filler_due_s is None:
            return await self._next(stream)
        return await self._first_of_many(stream)

    @property
    def _filler_due_s(self) -> float | None:
        """None for never: of a round that is repeated the caller has heard more than that."""
        return None if self._writer.ahead else self._fillers.due_s

    async def _first_of_many(self, stream: AsyncGenerator[ModelEvent, None]) -> ModelEvent | None:
        """The model's first word, once whoever looks at the caller's has agreed; fillers meanwhile."""
        first = asyncio.ensure_future(self._next(stream))
        try:
            while not first.done() or (self._clearance is not None and not self._clearance.given):
                waited: set[asyncio.Future[Any]] = {first} if not first.done() else set()
                if self._clearance is not None and not self._clearance.given:
                    waited.add(self._clearance.task)
                done, _ = await asyncio.wait(waited, timeout=self._filler_due_s, return_when=asyncio.FIRST_COMPLETED)
                if not done:
                    self._fillers.say(self._writer)
                elif self._clearance is not None and self._clearance.task in done:
                    self._clearance.require()
            return first.result()
        finally:
            if not first.done():
                first.cancel()
                await asyncio.wait({first})

    async def _next(self, stream: AsyncGenerator[ModelEvent, None]) -> ModelEvent | None:
        try:
            async with asyncio.timeout(MODEL_IDLE_S):
                return await anext(stream, None)
        except Exception as error:  # a rim: a model is a plugin, and what it raises ends one response
            raise ModelFailed(self._model.name, error) from error


class FillerWords:
    """Of one response. due_s: how long to wait for the next, None for ever."""

    def __init__(self, fillers: Fillers | None) -> None:
        self._fillers = fillers
        self.left: list[str] = list(fillers.words) if fillers is not None else []

    @property
    def due_s(self) -> float | None:
        return self._fillers.after_s if self._fillers is not None and self.left else None

    def next(self) -> str:
        """Empty once all were said."""
        return self.left.pop(0) if self.left else ""

    def say(self, writer: ResponseWriter) -> None:
        writer.write(self.next(), "commentary", "filler")
        writer.close_item("commentary")

    def spent(self, said: Sequence[str]) -> None:
        """An earlier owner of the call said these."""
        self.left = [words for words in self.left if words not in said]


def chat_span(request: ModelRequest, model: str, parent: tracing.Context) -> tracing.Span:
    """Names and attributes: OpenTelemetry semantic conventions for generative AI, `chat`."""
    attributes = {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": model,
        "gen_ai.request.model": request.model or model,
        "gen_ai.agent.name": request.agent,
    }
    kind = tracing.SpanKind.CLIENT
    return tracing.start_span(f"chat {model}", parent=parent, kind=kind, attributes=attributes)
