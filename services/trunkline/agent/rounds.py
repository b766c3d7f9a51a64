"""One response: rounds of the model with tools between them, until a round asks for no tool.

What the model says before a tool leaves before the tool runs, and goes back to the model with its phase. Where a
response stands is read from the record alone, so another agent goes on with it from there.
"""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Collection, Sequence

from prometheus_client import Histogram

from trunkline.agent.conversation import Conversation
from trunkline.agent.models.seam import Model, ModelEvent, RoundDone, TextDelta, ToolCall
from trunkline.agent.repetition import Diverged
from trunkline.agent.takeover import of_this_round, rounds_made, without_outcome
from trunkline.agent.tool_desk import ToolDesk
from trunkline.agent.writer import ResponseWriter
from trunkline.agents import Agent
from trunkline.proto.errors import TrunklineError
from trunkline.proto.response import ResponseStatus, Source
from trunkline.record import ItemView
from trunkline.telemetry import logs, tracing

MAX_ROUNDS = 8  # of tools; a model that asks for more is going round in circles
MODEL_IDLE_S = 20.0  # between two events of a model
APOLOGY = "I'm sorry, something went wrong on our side. Please say that again."
GIVING_UP = "I'm sorry, I could not finish that. Please ask me in another way."
WHAT_WAS_CUT = (
    "A technical fault cut you off: your last message is all that the caller was told. Go on right behind its last "
    "word, as if nothing had happened. Say nothing of it again, and don't mention the fault."
)

log = logs.get(__name__)
_rounds = Histogram("trunkline_agent_rounds", "Rounds of the model in a response", buckets=(1, 2, 3, 4, 6, 9))


class ModelFailed(TrunklineError):
    def __init__(self, model: str, error: Exception) -> None:
        what = "gave no word in time" if isinstance(error, TimeoutError) else f"{type(error).__name__}: {error}"
        super().__init__(f"model {model} failed: {what}"[:500])


def say_whole(
    writer: ResponseWriter, text: str, source: Source, status: ResponseStatus, begun: Sequence[ItemView] = ()
) -> None:
    """Words that no model makes, to the end of the response. begun: what of them was said already."""
    writer.repeat(begun)
    try:
        writer.write(text, "final_answer", source)
        writer.end_round("final_answer")
    except Diverged:  # another agent file
        writer.leave()
    writer.finish(status)


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
        """Goes on from where the record stands to the response's end, whatever the model does.

        Raises Fenced, StoreUnavailable.
        """
        try:
            await self._run()
        except ModelFailed as error:
            log.warning("response failed", response=self._writer.response, error=str(error))
            self._close_what_was_said()
            self._writer.write(APOLOGY, "final_answer", "filler")
            self._writer.finish("failed", str(error), self._tokens)

    async def _run(self) -> None:
        view, response = self._conversation.view, self._writer.response
        if response in without_outcome(view):
            await self._desk.finish(response, tracing.inject(self._span))
        if self._ends_in_set_words():
            return
        for made in range(min(rounds_made(view, response), MAX_ROUNDS), MAX_ROUNDS + 1):
            cut = of_this_round(view, response)
            calls = await (self._rest_of_round(cut) if cut else self._round())
            if not calls:
                _rounds.observe(made + 1)
                self._writer.finish("completed", tokens=self._tokens)
                return
            if made == MAX_ROUNDS:
                break
            await self._desk.run(response, calls, tracing.inject(self._span))
        _rounds.observe(MAX_ROUNDS + 1)
        self._writer.write(GIVING_UP, "final_answer", "filler")
        self._writer.finish("incomplete", f"no answer after {MAX_ROUNDS} rounds of tools", self._tokens)

    async def _rest_of_round(self, cut: Sequence[str]) -> list[ToolCall]:
        """The round in which an earlier owner was stopped, from there on. cut: the messages that it had begun."""
        view = self._conversation.view
        items = [view.items[key] for key in cut if key in view.items]
        said = any(item.segments for item in items)
        whole = len(items) == len(cut) and not any(item.truncated for item in items)
        if whole and (self._model.repeatable or not said):
            self._writer.repeat(items)
            try:
                return await self._repeat(cut)
            except Diverged as error:
                log.warning("a round did not repeat itself", response=self._writer.response, error=str(error))
        answered = bool(items) and items[-1].phase == "final_answer" and items[-1].status != "in_progress"
        self._writer.leave()
        if answered:
            return []  # only the response's end was missing
        return await self._round(note=WHAT_WAS_CUT if said else "")

    async def _repeat(self, cut: Sequence[str]) -> list[ToolCall]:
        """The round that was cut, to its end; before it, those whose tools the earlier owner could not record.

        Such a tool was not run, and what was said behind it was said knowing that: so it is when that is repeated.
        """
        calls = await self._round(without=cut)
        for _ in range(MAX_ROUNDS):
            ahead = self._writer.ahead
            if not ahead:
                return calls
            if not self._model.repeatable:
                break
            self._desk.leave_out(self._writer.response, calls, ahead[0])
            calls = await self._round(without=ahead)
        raise Diverged(self._writer.response, "a round that ends early")

    async def _round(self, *, without: Collection[str] = (), note: str = "") -> list[ToolCall]:
        """Streams one round to the caller; gives the tools that it asks for. without: messages it isn't told of."""
        calls: list[ToolCall] = []
        instructions = f"{self._instructions}\n\n{note}".strip() if note else self._instructions
        request = self._conversation.request(instructions, self._agent, without)
        span = self._chat_span()
        try:
            async with contextlib.aclosing(self._model.respond(request)) as stream:
                while event := await self._next(stream):
                    self._take(event, calls)
        finally:
            span.end()
        self._writer.end_round("commentary" if calls else "final_answer", last=not calls)
        return calls

    def _ends_in_set_words(self) -> bool:
        """Whether an earlier owner had begun the words that end a response without the model: they are said whole."""
        view, response = self._conversation.view, self._writer.response
        items = [view.items[key] for key in of_this_round(view, response) if key in view.items]
        if not items or items[-1].source != "filler":
            return False
        if APOLOGY.startswith(items[-1].text):
            say_whole(self._writer, APOLOGY, "filler", "failed", items[-1:])
        else:
            say_whole(self._writer, GIVING_UP, "filler", "incomplete", items[-1:])
        return True

    def _close_what_was_said(self) -> None:
        """Of a round that failed."""
        try:
            self._writer.end_round("final_answer")
        except Diverged:
            self._writer.leave()

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
