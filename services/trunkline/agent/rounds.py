"""One response: rounds of the model with tools between them, until a round asks for no tool.

What the model says before a tool leaves before the tool runs, and goes back to the model with its phase.
"""

import asyncio
import contextlib
from collections.abc import AsyncGenerator

from prometheus_client import Histogram

from trunkline.agent.conversation import Conversation
from trunkline.agent.models.seam import Model, ModelEvent, RoundDone, TextDelta, ToolCall
from trunkline.agent.tool_desk import ToolDesk
from trunkline.agent.writer import ResponseWriter
from trunkline.agents import Agent
from trunkline.proto.errors import TrunklineError
from trunkline.telemetry import logs, tracing

MAX_ROUNDS = 8  # of tools; a model that asks for more is going round in circles
MODEL_IDLE_S = 20.0  # between two events of a model
APOLOGY = "I'm sorry, something went wrong on our side. Please say that again."
GIVING_UP = "I'm sorry, I could not finish that. Please ask me in another way."

log = logs.get(__name__)
_rounds = Histogram("trunkline_agent_rounds", "Rounds of the model in a response", buckets=(1, 2, 3, 4, 6, 9))


class ModelFailed(TrunklineError):
    def __init__(self, model: str, error: Exception) -> None:
        what = "gave no word in time" if isinstance(error, TimeoutError) else f"{type(error).__name__}: {error}"
        super().__init__(f"model {model} failed: {what}"[:500])


class Rounds:
    """instructions: the session's or the agent's. span: of the response; tools and segments stand beneath it."""

    def __init__(
        self,
        model: Model,
        agent: Agent,
        instructions: str,
        conversation: Conversation,
        writer: ResponseWriter,
        desk: ToolDesk,
        span: tracing.Span,
    ) -> None:
        self._model = model
        self._agent = agent
        self._instructions = instructions
        self._conversation = conversation
        self._writer = writer
        self._desk = desk
        self._span = span
        self._tokens = (0, 0)

    async def run(self) -> None:
        """Ends the response (its writer has started), whatever the model does. Raises Fenced, StoreUnavailable."""
        try:
            await self._run()
        except ModelFailed as error:
            log.warning("response failed", response=self._writer.response, error=str(error))
            self._writer.close_item("final_answer")
            self._writer.write(APOLOGY, "final_answer", "filler")
            self._writer.finish("failed", str(error), self._tokens)

    async def _run(self) -> None:
        for made in range(MAX_ROUNDS + 1):
            calls = await self._round()
            if not calls:
                _rounds.observe(made + 1)
                self._writer.finish("completed", tokens=self._tokens)
                return
            if made == MAX_ROUNDS:
                break
            await self._desk.run(self._writer.response, calls, tracing.inject(self._span))
        _rounds.observe(MAX_ROUNDS + 1)
        self._writer.write(GIVING_UP, "final_answer", "filler")
        self._writer.finish("incomplete", f"no answer after {MAX_ROUNDS} rounds of tools", self._tokens)

    async def _round(self) -> list[ToolCall]:
        """Streams one round to the caller; gives the tools that it asks for."""
        calls: list[ToolCall] = []
        request = self._conversation.request(self._instructions, self._agent)
        span = self._chat_span()
        try:
            async with contextlib.aclosing(self._model.respond(request)) as stream:
                while event := await self._next(stream):
                    self._take(event, calls)
        finally:
            span.end()
        self._writer.close_item("commentary" if calls else "final_answer")
        return calls

    async def _next(self, stream: AsyncGenerator[ModelEvent, None]) -> ModelEvent | None:
        try:
            async with asyncio.timeout(MODEL_IDLE_S):
                return await anext(stream, None)
        except Exception as error:  # a rim: a model is a plugin, and what it raises ends one response
            raise ModelFailed(self._model.name, error) from error

    def _take(self, event: ModelEvent, calls: list[ToolCall]) -> None:
        match event:
            case TextDelta(text, phase):
                self._writer.write(text, phase)
            case ToolCall():
                self._writer.flush()  # the caller hears what is going to be done before it is done
                calls.append(event)
            case RoundDone(input_tokens, output_tokens):
                self._tokens = self._tokens[0] + input_tokens, self._tokens[1] + output_tokens

    def _chat_span(self) -> tracing.Span:
        """Names and attributes: OpenTelemetry semantic conventions for generative AI, `chat`."""
        attributes = {"gen_ai.operation.name": "chat", "gen_ai.provider.name": self._model.name}
        return tracing.start_span(
            f"chat {self._model.name}",
            parent=tracing.under(self._span),
            kind=tracing.SpanKind.CLIENT,
            attributes=attributes,
        )
