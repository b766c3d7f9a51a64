"""The responses of one call: at most one runs, as one task; those of earlier owners are ended or gone on with.

While a takeover is under way nothing runs and nothing is said: what the gateway repeats is recorded only, and all
that it doesn't know is said, in the conversation's order, when the takeover is over.
"""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Collection, Coroutine, Iterable, Sequence
from typing import NamedTuple

from prometheus_client import Histogram

from trunkline.agent.conversation import Conversation
from trunkline.agent.heard import truncations_of
from trunkline.agent.models.seam import Model
from trunkline.agent.rounds import Rounds, say_whole
from trunkline.agent.rulings import Bench
from trunkline.agent.speech import Speakable
from trunkline.agent.takeover import SetWords, Takeover, adopted, said_again
from trunkline.agent.tool_desk import ToolDesk
from trunkline.agent.writer import ResponseWriter, Send, without_phase
from trunkline.bus.port import Headers
from trunkline.proto import record
from trunkline.proto.ids import new_response_id
from trunkline.proto.response import Asked, HangUp, Recall, SegmentHeard, Utterance
from trunkline.record import ToolView
from trunkline.telemetry import logs, tracing
from trunkline.telemetry.metrics import VOICE_BUCKETS_S

log = logs.get(__name__)
_first_segment = Histogram(
    "trunkline_agent_first_segment_seconds", "From the caller's turn to its first segment", buckets=VOICE_BUCKETS_S
)

Work = Callable[[], Coroutine[None, None, None]]


class _Running(NamedTuple):
    writer: ResponseWriter
    task: asyncio.Task[None]


class Answering:
    """send: to the gateway, once what is sent is appended. start: a task of the call, which contains what it raises.

    greeting: due when a call begins, "" for none. speakable: see Speech. follows: a Recall is to come.
    """

    def __init__(
        self,
        conversation: Conversation,
        desk: ToolDesk,
        bench: Bench,
        model: Model,
        greeting: str,
        send: Send,
        start: Callable[[Work], asyncio.Task[None]],
        *,
        speakable: Speakable = str,
        follows: bool = False,
    ) -> None:
        self._conversation = conversation
        self._desk = desk
        self._bench = bench
        self._model = model
        self._greeting = greeting
        self._send = send
        self._start = start
        self._speakable = speakable
        self._closed = False
        self._follows = follows
        self._last_words: str | None = None  # said before the call is ended, as soon as no response goes on
        desk.on_outcome = self._on_outcome
        self._running: _Running | None = None
        self._takeover: Takeover | None = None

    # what is asked for

    def greet(self, response: str) -> None:
        writer = self._writer(response, 0)
        writer.start()
        say_whole(writer, self._greeting, "greeting", "completed")

    def say(self, response: str, words: str, *, then_hang_up: bool = False) -> None:
        """Set words of the definition, as a response of their own; one that is known was said already. What is due is
        said instead, if anything is."""
        if response in self._conversation.view.responses or (not then_hang_up and self._what_is_due(response)):
            return
        self._catch_up(response)
        news = [key for other in self._open() for key in self._conversation.view.responses[other].news]
        for other in self._open():
            self.interrupt(other, "superseded", ())
        self._desk.own.settle_end(ended=False)
        if news and self._takeover is None and not then_hang_up:  # nobody had heard of them when this was asked for
            self._tell_news(response, news)
            return
        if self._takeover is not None:
            self._takeover.changed.add(response)
            self._takeover.set_words[response] = SetWords(words, then_hang_up)
            self._conversation.append(record.ResponseOpened(self._now_us(), response, 0))
            self._adopt(self._takeover.held.pop(response, ()))
            return
        writer = self._writer(response, 0)
        writer.start()
        self._say_to_the_end(writer, words, then_hang_up=then_hang_up)

    def _say_to_the_end(self, writer: ResponseWriter, words: str, *, then_hang_up: bool) -> None:
        """All at once, so that it stands in the record as a whole or not at all; the caller may have heard it."""
        response, view = writer.response, self._conversation.view
        writer.repeat([view.items[key] for key in view.responses[response].items if key in view.items])
        writer.write(words, "final_answer", "filler")
        writer.close_item("final_answer")
        if then_hang_up:
            self._desk.own.intend_end(response)
        writer.finish("completed")
        if then_hang_up:
            writer.hang_up("agent_hung_up")

    def end_with(self, words: str) -> None:
        """The call is to end: once what is being answered is."""
        self._last_words = words
        self._what_is_due()

    def respond(
        self, response: str, turn: int, headers: Headers | None, instructions: str = "", asked: Asked | None = None
    ) -> None:
        """response: the id that the gateway gave it, empty to choose one; one that is known is answered already.
        instructions, asked: see Respond."""
        view = self._conversation.view
        if response in view.responses:
            return
        response = response or new_response_id()
        self._catch_up(response)
        for other in self._open():
            self.interrupt(other, "superseded", ())
        if asked is None or not asked.aside:
            self._desk.own.settle_end(ended=False)
        opened = record.ResponseOpened(self._now_us(), response, turn, instructions, asked=asked)
        if self._takeover is not None:
            self._takeover.changed.add(response)
            self._takeover.headers[response] = headers
            self._conversation.append(opened)
            self._adopt(self._takeover.held.pop(response, ()))
            return
        self._begin(opened, headers)

    def _begin(self, opened: record.ResponseOpened, headers: Headers | None) -> None:
        loop = asyncio.get_running_loop()
        begun_s = loop.time()
        span = self._span(opened.response, headers)
        on_first = lambda: _first_segment.observe(loop.time() - begun_s)  # noqa: E731  # shorter than a function
        writer = self._writer(opened.response, opened.turn, span, on_first=on_first)
        writer.open(opened)
        self._run(writer, span)  # its first step comes before the bus is written to: quick words go out with this
        writer.announce()

    def _tell_news(self, response: str, news: Sequence[str]) -> None:
        self._begin(record.ResponseOpened(self._now_us(), response, 0, news=tuple(news)), None)

    def interrupt(
        self, response: str, reason: str, heard: Iterable[SegmentHeard], asked: Collection[str] | None = None
    ) -> None:
        """Leaves of the response what was heard, whether it still runs or is only being played. asked: see Interrupt,
        None where the gateway doesn't tell."""
        view = self._conversation.view
        if self._takeover is not None and response in self._takeover.held:
            self._catch_up(response, with_it=True)
        if response not in view.responses:
            return
        self._conversation.append(*truncations_of(view, response, heard, self._now_us()))
        if self._running is not None and self._running.writer.response == response:
            running, self._running = self._running, None
            running.writer.cancel(reason)
            running.task.cancel()
        elif view.responses[response].status is None:  # an earlier owner's
            self._close(response, reason)
        self._desk.interrupted(response, asked)

    def played(self, heard: SegmentHeard) -> None:
        """A segment was heard to its end; told again, or of a message that was deleted, it changes nothing."""
        held = self._takeover.held if self._takeover is not None else {}
        of_item = (key for key, said in held.items() if any(getattr(one, "item", "") == heard.item for one in said))
        if (response := next(of_item, None)) is not None:
            self._catch_up(response, with_it=True)
        view = self._conversation.view
        item = view.items.get(heard.item)
        known = heard.item in view.deleted if item is None else heard.index in item.played
        if not known:
            event = record.PlayedOut(self._now_us(), heard.item, heard.index, heard.heard_samples)
            self._conversation.append(event)

    def retract(self, turn: int) -> None:
        for response in [one.id for one in self._conversation.view.responses.values() if one.turn == turn]:
            self.interrupt(response, "retracted", ())
            self._desk.retract(response)

    # what an earlier owner began

    @property
    def taking_over(self) -> bool:
        return self._takeover is not None

    def take_over(self, recall: Recall) -> None:
        """What the caller may have heard is adopted as it stands, at its place; go_on ends the takeover."""
        held: defaultdict[str, list[Utterance]] = defaultdict(list)
        for said in recall.said:
            if said.response in self._conversation.view.responses:
                self._adopt([said])
            else:
                held[said.response].append(said)
        self._follows = False
        self._takeover = Takeover(recall, held, set(), set(), {}, {})

    def go_on(self) -> None:
        """The gateway has repeated all that it had to: of what is open the last response goes on."""
        takeover, view = self._takeover, self._conversation.view
        if takeover is None:
            return
        self._catch_up("")
        *given_up, last = self._open() or [""]
        if last in takeover.by_itself and not self._is_greeting(last):
            given_up, last = [*given_up, last], ""  # what is due is found out anew
        for response in given_up:
            self.interrupt(response, "superseded", ())
        self._takeover = None
        for message in said_again(view, takeover.recall, takeover.changed):
            self._send(message, None)
        if last in takeover.set_words:
            words = takeover.set_words[last]
            self._say_to_the_end(self._writer(last, 0), words.text, then_hang_up=words.then_hang_up)
        elif last:
            log.info("response goes on", response=last, items=len(view.responses[last].items))
            self._resume(last, takeover.headers.get(last))
        for response in takeover.recall.unfinished:
            if response not in view.responses:
                self._make_up_for(response)
        if self._nothing_said():
            self.greet(new_response_id())
        if not last:
            self._what_is_due()
            self._hang_up_again()

    def _hang_up_again(self) -> None:
        """The end of the call stands, and an earlier owner may not have told the gateway."""
        end = self._desk.own.ending
        response = self._conversation.view.responses.get(end.response) if end is not None else None
        if response is not None and response.status is not None:
            self._send(HangUp("agent_hung_up"), None)

    # what nobody asked for

    def _on_outcome(self, tool: ToolView) -> None:
        self._what_is_due()

    def _what_is_due(self, response: str = "") -> bool:
        """Nobody waits for an answer: what came of tools meanwhile is told; a call whose time is up is ended.

        response: as which. Whether there was anything.
        """
        if self._closed or self._follows or self._takeover is not None or self._open():
            return False
        if self._desk.own.ending is not None:
            return False
        if self._last_words is not None:
            self.say(response or new_response_id(), self._last_words, then_hang_up=True)
            return True
        if news := self._desk.news():
            self._tell_news(response or new_response_id(), news)
        return bool(news)

    def _catch_up(self, response: str, *, with_it: bool = False) -> None:
        """During a takeover: what was said before this response, of which nobody will be told any more, is adopted."""
        held = self._takeover.held if self._takeover is not None else {}
        for key in list(held):
            if key == response and not with_it:
                return
            if self._takeover is not None:
                self._takeover.by_itself.add(key)
            self._adopt(held.pop(key))
            if key == response:
                return

    def _adopt(self, said: Iterable[Utterance]) -> None:
        for one in said:
            self._conversation.append(*adopted(self._conversation.view, one, self._now_us()))

    def _make_up_for(self, response: str) -> None:
        """A response that the gateway waits for and nobody knows of: the greeting, where none was recorded."""
        if self._nothing_said():
            self.greet(response)
            return
        writer = self._writer(response, 0)
        writer.start()
        writer.finish("failed", "it was lost with an earlier agent")

    def _resume(self, response: str, headers: Headers | None) -> None:
        view = self._conversation.view
        one = view.responses[response]
        items = [view.items[key] for key in one.items if key in view.items]
        if self._is_greeting(response):
            say_whole(self._writer(response, one.turn), self._greeting, "greeting", "completed", items)
            return
        span = self._span(response, headers)
        self._run(self._writer(response, one.turn, span), span)

    def _is_greeting(self, response: str) -> bool:
        view = self._conversation.view
        items = [view.items[key] for key in view.responses[response].items if key in view.items]
        return items[0].source == "greeting" if items else self._nothing_said(except_for=response)

    def _nothing_said(self, except_for: str = "") -> bool:
        """The agent's greeting is due: nobody has said anything yet, nor was asked to."""
        view = self._conversation.view
        said = any(item.source != "client" for item in view.items.values())
        return bool(self._greeting) and not said and not view.responses.keys() - {except_for}

    # the end

    def close(self, reason: str, *, ended: bool) -> asyncio.Task[None] | None:
        """ended: the call is over. Gives the task of the response that ran, cancelled. Raises Fenced."""
        self._closed = True  # an outcome that comes with the end is nobody's news
        running, self._running = self._running, None
        if running is not None:
            running.writer.stop()
            running.task.cancel()
        if ended:
            for response in self._conversation.view.responses:  # what was on its way nobody hears any more
                self._conversation.append(*truncations_of(self._conversation.view, response, (), self._now_us()))
            for response in self._open():
                self._conversation.append(record.ResponseClosed(self._now_us(), response, "cancelled", reason))
        return running.task if running is not None else None

    def _close(self, response: str, reason: str) -> None:
        if self._takeover is None:
            self._writer(response, 0).cancel(reason)
            return
        now_us = self._now_us()
        for item in without_phase(self._conversation.view, response):
            self._conversation.append(record.ItemPhaseSettled(now_us, item, "final_answer"))
        self._conversation.append(record.ResponseClosed(now_us, response, "cancelled", reason))
        self._takeover.changed.add(response)

    # what runs

    def _open(self) -> list[str]:
        return [one.id for one in self._conversation.view.responses.values() if one.status is None]

    def _span(self, response: str, headers: Headers | None) -> tracing.Span:
        parent = tracing.extract(headers) or tracing.call_context(self._conversation.log.call)
        return tracing.start_span("agent.response", parent=parent, attributes={"trunkline.response": response})

    def _writer(
        self,
        response: str,
        turn: int,
        span: tracing.Span | None = None,
        on_first: Callable[[], None] = lambda: None,
    ) -> ResponseWriter:
        headers = tracing.inject(span) if span is not None else None
        return ResponseWriter(self._conversation, self._send, response, turn, headers=headers, on_first=on_first)

    def _run(self, writer: ResponseWriter, span: tracing.Span) -> None:
        rounds = Rounds(
            self._model,
            self._conversation,
            writer,
            self._desk,
            self._bench,
            span,
            speakable=self._speakable,
            news=self._conversation.view.responses[writer.response].news,
        )
        task = self._start(lambda: self._drive(rounds, writer))
        task.add_done_callback(lambda _: span.end())
        self._running = _Running(writer, task)

    async def _drive(self, rounds: Rounds, writer: ResponseWriter) -> None:
        """The task of one response."""
        try:
            await rounds.run()
        finally:
            if self._running is not None and self._running.writer is writer:
                self._running = None
        self._what_is_due()

    def _now_us(self) -> int:
        return self._conversation.wall_us()
