"""One response: rounds of the model with tools between them, until a round asks for no tool.

What the model says before a tool leaves before the tool runs, and goes back to the model with its phase. Where a
response stands is read from the record alone, so another agent goes on with it from there.
"""

import asyncio
from collections.abc import Collection, Sequence

from prometheus_client import Histogram

from trunkline.agent.clearance import Clearance, Rewritten, clear, clear_given
from trunkline.agent.conversation import Conversation
from trunkline.agent.held_answer import HeldAnswer
from trunkline.agent.models.seam import Model, ModelRequest, ToolCall
from trunkline.agent.record_wait import WAITING, RecordWait
from trunkline.agent.repetition import Diverged
from trunkline.agent.round import FillerWords, ModelFailed, Round, chat_span
from trunkline.agent.rulings import Bench, Ruled, ruled_of_tools
from trunkline.agent.speech import AnswerTooLong, Speakable, Speech
from trunkline.agent.takeover import answer_approval, handoffs_made, of_this_round, rounds_made, without_outcome
from trunkline.agent.tool_desk import ToolDesk
from trunkline.agent.writer import ResponseWriter
from trunkline.proto import record
from trunkline.proto.response import ResponseStatus, Source
from trunkline.record import ItemView
from trunkline.telemetry import logs, tracing

MAX_ROUNDS = 8  # of tools; a model that asks for more is going round in circles
MAX_HANDOFFS = 4  # in one response; agents that hand off more often are going round in circles
INSTRUCTIONS_S = 5.0  # that a function of the agent file may take for them, while the caller waits
GIVING_UP = "I'm sorry, I could not finish that. Please ask me in another way."
WHAT_WAS_CUT = (
    "A technical fault cut you off: your last message is all that the caller was told. Go on right behind its last "
    "word, as if nothing had happened. Say nothing of it again, and don't mention the fault."
)
NEWS = "The caller has said nothing new. A tool that was still going on is done: tell the caller what came of it."

log = logs.get(__name__)
_rounds = Histogram("trunkline_agent_rounds", "Rounds of the model in a response", buckets=(1, 2, 3, 4, 6, 9))


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
    """span: of the response; tools and segments stand beneath it. speakable: see Redaction.

    news: tool calls of earlier responses whose outcome is told here; the caller has said nothing new.
    """

    def __init__(
        self,
        model: Model,
        conversation: Conversation,
        writer: ResponseWriter,
        desk: ToolDesk,
        bench: Bench,
        span: tracing.Span,
        *,
        speakable: Speakable = str,
        news: Collection[str] = (),
    ) -> None:
        self._model = model
        self._conversation = conversation
        self._writer = writer
        self._desk = desk
        self._bench = bench
        self._span = span
        self._speakable = speakable
        self._news = news
        self._tokens = (0, 0)
        self._incomplete = ""  # why the model stopped before its end
        self._first = self._taken_over = True  # no round has been asked for here
        self._clearance: Clearance | None = None
        self._aside = conversation.view.is_aside(writer.response)
        self._fillers = FillerWords(None if self._aside else conversation.agent.fillers)
        self._said_here = False  # by the model, in the last round
        self._held = HeldAnswer(conversation, desk.approvals, writer)

    async def run(self) -> None:
        """Goes on from where the record stands to the response's end, whatever the model does.

        Raises Fenced, StoreUnavailable.
        """
        try:
            await self._run()
        except (ModelFailed, AnswerTooLong) as error:
            log.warning("response failed", response=self._writer.response, error=str(error))
            self._close_what_was_said()
            if not self._aside:  # of which perhaps nobody hears
                self._writer.write(self._conversation.agent.apology, "final_answer", "filler")
            self._writer.finish("failed", str(error), self._tokens)
        finally:
            await self._stop_clearance()

    # the whole of it

    async def _run(self) -> None:
        view, response = self._conversation.view, self._writer.response
        said = [view.items[key] for key in view.responses[response].items if key in view.items]
        self._fillers.spent([item.text for item in said if item.source == "filler"])
        self._first = not view.responses[response].tools
        self._desk.asides()  # of an answer that was left
        left = self._desk.finish(response, tracing.inject(self._span)) if response in without_outcome(view) else []
        if self._ends_in_set_words():
            return
        made = min(rounds_made(view, response), MAX_ROUNDS)
        record_wait = RecordWait(self._conversation.log, self._excuse)  # as an attribute, a cycle of each answer
        while made <= MAX_ROUNDS and handoffs_made(view, response) <= MAX_HANDOFFS:
            try:
                await self._listen([*left, *self._desk.client.judging])
                if await self._ends_the_call() or self._asks_the_client():
                    return
                calls = await self._answer()
                if not calls and not self._desk.news_of(response):
                    _rounds.observe(made + 1)
                    self._writer.finish(self._status, self._incomplete, self._tokens)
                    return
                if made < MAX_ROUNDS:
                    known = len(view.responses[response].tools)
                    with record_wait:
                        waited = await self._desk.run(response, calls, tracing.inject(self._span))
                    await self._tell_of(view.responses[response].tools[known:])
                    await self._listen(waited)
            except Ruled as ruled:
                if not self._obey(ruled):
                    return
                continue
            except Rewritten:
                continue
            made += bool(calls)
        _rounds.observe(made)
        self._desk.client.withdraw(response)
        limit = f"{MAX_ROUNDS} rounds of tools" if made > MAX_ROUNDS else f"{MAX_HANDOFFS} handoffs"
        if not self._aside:
            self._writer.write(GIVING_UP, "final_answer", "filler")
        self._writer.finish("incomplete", f"no answer after {limit}", self._tokens)

    async def _answer(self) -> list[ToolCall]:
        """What is asked of the model next, or of a person; the tools that it wants. Raises what a Round does."""
        view, response = self._conversation.view, self._writer.response
        if self._taken_over and (held := answer_approval(view, response)) is not None:
            self._taken_over = False
            await self._held.deliver(held)
            return []
        await self._stop_clearance()
        given = self._conversation.asked.context is not None  # in place of what the caller said
        answers = not (self._news or self._aside or given)
        self._clearance = await clear(self._conversation, self._bench, response, answers=answers)
        if given:
            await clear_given(self._conversation, self._bench, response)
        cut = self._cut() if self._taken_over else []
        calls = await (self._rest_of_round(cut) if cut else self._round())
        self._taken_over = False  # not before: a round whose question was rewritten meanwhile is cut still
        return calls

    def _cut(self) -> list[str]:
        """What an earlier owner's model had begun to say of the round in which it was stopped."""
        view = self._conversation.view
        begun = of_this_round(view, self._writer.response)
        return [key for key in begun if key not in view.items or view.items[key].source == "model"]

    async def _listen(self, waited: Sequence["asyncio.Future[None]"]) -> None:
        """Until these tools have their outcome; meanwhile says what they, and who waits with them, tell the caller.

        Raises Ruled for a verdict on one of them that ends the answer.
        """
        response = self._writer.response
        while pending := [one for one in waited if not one.done()]:
            asked = self._desk.waits_for_person(response)
            done, _ = await asyncio.wait(
                [*pending, self._desk.aside()],
                timeout=(asked.again_s or None) if asked is not None else None,
                return_when=asyncio.FIRST_COMPLETED,
            )
            if not done and asked is not None and asked.reminder:
                await self._say_aside(asked.reminder, "filler")
            for text, source in self._desk.asides():
                await self._say_aside(text, source)
        if ruled := ruled_of_tools(self._conversation.view, response):
            raise ruled

    async def _tell_of(self, tools: Sequence[str]) -> None:
        """What begins to run, by its definition's words, where the model said none."""
        view = self._conversation.view
        running = [view.tools[key] for key in tools if view.tools[key].status is None and not view.tools[key].approval]
        defined = [(self._conversation.tool(tool.name), tool.arguments) for tool in running]
        words = [tool.commentary_for(arguments) for tool, arguments in defined if tool is not None]
        said = next((one for one in words if one), "")
        if said and not (self._said_here or self._aside):
            try:
                await self._speech().aside(said, "filler")
            except Ruled as ruled:
                self._writer.block(*ruled.events, phase="commentary", source="filler")

    async def _say_aside(self, text: str, source: Source) -> None:
        if source != "tool":  # set words of the definition
            self._writer.write(text, "commentary", source)
            self._writer.close_item("commentary")
            return
        try:
            await self._speech().aside(text, source)
        except Ruled as ruled:
            self._writer.block(*ruled.events, phase="commentary", source=source)

    def _excuse(self) -> None:
        """The record keeps a tool waiting."""
        if not self._aside:
            self._writer.write(self._fillers.next() or WAITING, "commentary", "filler")
            self._writer.close_item("commentary")

    @property
    def _status(self) -> ResponseStatus:
        return "incomplete" if self._incomplete else "completed"

    # what policy says

    def _obey(self, ruled: Ruled) -> bool:
        """Whether the response goes on, with another agent."""
        ruling, writer, response = ruled.ruling, self._writer, self._writer.response
        log.info("policy ruled", response=response, action=ruling.action, guardrail=ruling.guardrail)
        self._desk.client.withdraw(response, "This was not done: policy ended the answer.")
        spoken = ruling.point in ("segment", "answer")
        if spoken:
            writer.block(*ruled.events)
        else:
            self._conversation.append(*ruled.events)
        if ruling.action == "hand_off":
            writer.leave()
            now_us = self._conversation.wall_us()
            self._conversation.append(record.HandedOff(now_us, response, ruling.to, reason=ruling.detail))
            return True
        writer.leave()
        writer.write(ruling.reply, "final_answer", "policy")
        if ruling.action == "end":
            self._desk.own.intend_end(response)
            writer.finish("completed", ruling.detail, self._tokens)
            writer.hang_up(ruling.detail)
        else:
            writer.finish("incomplete", ruling.detail, self._tokens)
        return False

    async def _ends_the_call(self) -> bool:
        """The model has ended it, by a tool that has passed its commit point: nothing more is asked of the model."""
        farewell = self._desk.own.farewell_of(self._writer.response)
        if farewell is None:
            return False
        self._desk.client.withdraw(self._writer.response)
        if farewell and not self._said_here and not (self._taken_over and self._desk.own.ends_with_words):
            try:
                await self._bid(farewell)
            except Ruled as ruled:
                if ruled.events:
                    self._writer.block(*ruled.events)
                self._writer.write(ruled.ruling.reply, "final_answer", "policy")
            except Diverged:  # what was said of it stays
                self._writer.leave()
        self._writer.finish("completed", tokens=self._tokens)
        self._writer.hang_up("agent_hung_up")
        return True

    async def _bid(self, farewell: str) -> None:
        """Or what is left of it. Raises Ruled, Diverged."""
        view, response = self._conversation.view, self._writer.response
        if self._taken_over and (held := answer_approval(view, response)) is not None:
            await self._held.deliver(held)
            return
        begun = [view.items[key] for key in of_this_round(view, response) if key in view.items]
        self._writer.repeat([item for item in begun if item.source == "model"])
        speech = self._speech()
        await speech.write(farewell, "final_answer")
        await speech.end_round("final_answer")

    def _asks_the_client(self) -> bool:
        """What the client carries out goes out last, and ends the response: the client's next one goes on."""
        tools = self._desk.client.due(self._writer.response)
        for tool in tools:
            self._writer.ask(tool)
        if tools:
            self._writer.finish("completed", tokens=self._tokens)
        return bool(tools)

    # a round

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
        request = await self._request(without, note)
        span = chat_span(request, self._model.name, tracing.under(self._span))
        speech = self._speech()
        one = Round(self._model, self._writer, speech, span, self._fillers, self._clearance)
        try:
            calls = await one.run(request)
        finally:
            self._said_here = speech.said
            done = one.done
            self._incomplete = done.incomplete
            span.set_attribute("gen_ai.response.model", done.model or self._model.name)
            self._tokens = self._tokens[0] + done.input_tokens, self._tokens[1] + done.output_tokens
            span.set_attribute("gen_ai.usage.input_tokens", done.input_tokens)
            span.set_attribute("gen_ai.usage.output_tokens", done.output_tokens)
            span.end()
        self._writer.end_round("commentary" if calls else "final_answer", last=not calls)
        return calls

    async def _request(self, without: Collection[str], note: str) -> ModelRequest:
        conversation, response = self._conversation, self._writer.response
        first, self._first = self._first, False
        try:
            async with asyncio.timeout(INSTRUCTIONS_S):
                own = await conversation.instructions(conversation.view.responses[response].instructions)
            instructions = "\n\n".join(part for part in (own, note, NEWS if self._news else "") if part)
            request = conversation.request(instructions, response, without, first=first)
        except Exception as error:  # a rim: instructions, and filters of handoffs, are functions of the agent file
            name = conversation.agent.name
            log.warning("instructions or a filter failed", agent=name, error=repr(error), exc_info=error)
            raise ModelFailed(f"of {name}: instructions or a handoff's filter", error) from error
        self._desk.tell_all()
        return request

    def _speech(self) -> Speech:
        hold = self._conversation.agent.holds_answers
        return Speech(self._writer, self._bench, hold=hold, approve=self._held.approve, speakable=self._speakable)

    async def _stop_clearance(self) -> None:
        clearance, self._clearance = self._clearance, None
        if clearance is not None and not clearance.given:
            await clearance.stop()

    def _ends_in_set_words(self) -> bool:
        """Whether an earlier owner had begun the words that end a response without the model: they are said whole."""
        view, response = self._conversation.view, self._writer.response
        items = [view.items[key] for key in of_this_round(view, response) if key in view.items]
        if not items or items[-1].source not in ("filler", "policy") or items[-1].phase == "commentary":
            return False
        if items[-1].source == "policy":
            self._writer.leave()
            self._writer.finish("incomplete", "blocked")
        elif (apology := self._conversation.agent.apology).startswith(items[-1].text):
            say_whole(self._writer, apology, "filler", "failed", items[-1:])
        else:
            say_whole(self._writer, GIVING_UP, "filler", "incomplete", items[-1:])
        return True

    def _close_what_was_said(self) -> None:
        """Of a round that failed."""
        try:
            self._writer.end_round("final_answer")
        except Diverged:
            self._writer.leave()
