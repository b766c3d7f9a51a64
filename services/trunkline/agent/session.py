"""One call at the agent: takes the record, answers turns, stops when interrupted.

Its only state is the record's; at most one response runs, as one task, which ends with the session.
"""

import asyncio
from collections.abc import Callable, Coroutine, Iterable
from typing import NamedTuple

import msgspec
from prometheus_client import Histogram

from trunkline.agent.conversation import Conversation
from trunkline.agent.heard import truncations_of
from trunkline.agent.models.seam import Model
from trunkline.agent.receipts import Receipts
from trunkline.agent.rounds import Rounds
from trunkline.agent.tool_desk import ToolDesk
from trunkline.agent.writer import ResponseWriter
from trunkline.agents import Agent
from trunkline.bus.exchange import Exchange, Link
from trunkline.bus.port import Headers
from trunkline.proto import record, subjects
from trunkline.proto.envelope import Message
from trunkline.proto.errors import Fenced, TrunklineError
from trunkline.proto.ids import new_response_id
from trunkline.proto.placement import Superseded
from trunkline.proto.response import (
    Attached,
    Converse,
    Interrupt,
    Played,
    Respond,
    Retract,
    SegmentHeard,
    Turn,
)
from trunkline.proto.tool import RunTool
from trunkline.record import CallLog, ClaimStore, Outranked, Recorder
from trunkline.telemetry import logs, tracing
from trunkline.telemetry.metrics import VOICE_BUCKETS_S

WAITING_MESSAGES = 64  # that may come before the record is taken
STORED_S = 0.2  # between two words to the gateway on what is stored
# Reasons that end this session but not the call: another agent goes on with it.
GOES_ON = frozenset({"moved", "superseded", "stopped", f"failed: {Fenced.__name__}"})

log = logs.get(__name__)
_first_segment = Histogram(
    "trunkline_agent_first_segment_seconds", "From the caller's turn to its first segment", buckets=VOICE_BUCKETS_S
)


class Staff(NamedTuple):
    """What all calls of the process share. fail, drop: end one placement, with and without a word of the failure.
    keep: holds a task until it is done.
    """

    worker: str
    digest: str
    model: Model
    recorder: Recorder
    claims: ClaimStore
    exchange: Exchange
    wall_us: Callable[[], int]
    fail: Callable[[Link, BaseException], None]
    drop: Callable[[Link, str], None]
    keep: Callable[[Coroutine[None, None, None]], asyncio.Task[None]]


class _Running(NamedTuple):
    writer: ResponseWriter
    task: asyncio.Task[None]


class _Owned(NamedTuple):
    """What a session has once the record is its own."""

    log: CallLog
    conversation: Conversation
    desk: ToolDesk


class AgentSession:
    def __init__(self, link: Link, order: Converse, agent: Agent, staff: Staff) -> None:
        self.link = link
        self._order = order
        self._agent = agent
        self._staff = staff
        self._owned: _Owned | None = None
        self._waiting: list[tuple[Message, Headers | None]] = []
        self._running: _Running | None = None
        self._closed: str | None = None  # the reason
        self._receipts = Receipts()
        self._obeyed = 0  # seq of the gateway's last message that has been dealt with
        self._telling: asyncio.TimerHandle | None = None
        staff.keep(self._open())

    def on_message(self, message: Message, headers: Headers | None) -> None:
        if self._closed is not None:
            return
        if self._owned is None:
            if len(self._waiting) == WAITING_MESSAGES:
                raise TrunklineError(f"more than {WAITING_MESSAGES} messages before the record was taken")
            self._waiting.append((message, headers))
            return
        self._obey(self._owned, message, headers)
        self._obeyed = self.link.state.received
        self._mark(self._owned)

    def on_tool_message(self, message: Message) -> None:
        if self._owned is not None and self._closed is None:
            self._owned.desk.on_message(message)

    def on_no_responders(self) -> None:
        if self._owned is not None and self._closed is None:
            self._owned.desk.on_no_responders()

    def on_runner_unheard(self, runner: str) -> None:
        if self._owned is not None and self._closed is None:
            self._owned.desk.on_unheard(runner)

    def close(self, reason: str) -> None:
        """Writes the call's end, unless another agent goes on with it (GOES_ON)."""
        self._closed = reason
        if self._telling is not None:
            self._telling.cancel()
        running, self._running = self._running, None
        if self._owned is not None:  # otherwise _open ends what it opens
            try:
                self._end(self._owned, running, reason)
            except TrunklineError as error:  # the record is lost: there is nothing left to write
                log.info("call closed without its end", call_id=self.link.call, reason=reason, error=str(error))
        if running is not None:
            running.task.cancel()
        if self._owned is not None:
            self._staff.keep(_finish(self._owned.log, running.task if running else None))

    # taking the call

    async def _open(self) -> None:
        try:
            owned = await self._take()
            if self._closed is not None:
                self._end(owned, None, self._closed)
                await owned.log.close()
                return
            self._attach(owned)
        except Outranked as error:  # nothing was written: the call goes on where it is
            log.info("a later placement has the call", call_id=self.link.call, attach=error.attach)
            self.link.send_loose(Superseded(error.attach))
            self._staff.drop(self.link, "superseded")
        except Exception as error:  # the rim of the session's first task: this call can't be served here
            self._staff.fail(self.link, error)

    async def _take(self) -> _Owned:
        order, staff, call = self._order, self._staff, self.link.call
        now_us = staff.wall_us()
        settings = msgspec.json.encode({"instructions": order.instructions, "modality": order.modality}).decode()
        call_log = await staff.recorder.take(
            call,
            staff.worker,
            self._agent.name,
            staff.digest,
            record.Configured(now_us, self._agent.name, settings),
            record.HubAttached(now_us, order.hub, order.gateway),
            attach=self.link.attach,
            reason=order.reason,
        )
        conversation = Conversation(call_log, staff.wall_us)
        desk = ToolDesk(
            conversation,
            self._agent,
            staff.digest,
            staff.claims,
            self._post,
            staff.keep,
            lambda error: staff.fail(self.link, error),
        )
        return _Owned(call_log, conversation, desk)

    def _attach(self, owned: _Owned) -> None:
        self.link.epoch = owned.log.epoch
        owned.log.on_fenced = lambda: self._staff.fail(self.link, Fenced(self.link.call, owned.log.epoch))
        owned.log.on_durable = lambda: self._tell_stored_soon(owned)
        agent = self._agent
        greeting = new_response_id() if agent.greeting and owned.log.epoch == 1 else ""
        self.link.send(
            Attached(agent.name, self._staff.digest, greeting, agent.voice, self._instructions, agent.dictations)
        )
        log.info("call attached", call_id=self.link.call, epoch=owned.log.epoch, agent=agent.name)
        self._owned = owned
        owned.desk.adopt(None)
        if greeting:
            self._greet(owned, greeting)
        waiting, self._waiting = self._waiting, []
        for message, headers in waiting:
            self._obey(owned, message, headers)
        self._obeyed = self.link.state.received
        self._mark(owned)

    def _greet(self, owned: _Owned, response: str) -> None:
        writer = ResponseWriter(owned.conversation, self._send, response, 0)
        writer.start()
        writer.write(self._agent.greeting, "final_answer", "greeting")
        writer.finish("completed")

    # what the gateway says

    def _obey(self, owned: _Owned, message: Message, headers: Headers | None) -> None:
        match message:
            case Turn():
                self._hear(owned, message, headers)
            case Respond(instructions=instructions, response=response):
                self._respond(owned, 0, headers, response, instructions)
            case Interrupt(response=response, reason=reason, heard=heard):
                self._interrupt(owned, response, reason, heard)
            case Played(heard=heard):
                now_us = self._staff.wall_us()
                owned.conversation.append(record.PlayedOut(now_us, heard.item, heard.index, heard.heard_samples))
            case Retract():
                self._retract(owned, message)
            case other:
                log.warning("message is not for an agent", call_id=self.link.call, type=type(other).__name__)

    def _hear(self, owned: _Owned, turn: Turn, headers: Headers | None) -> None:
        view = owned.conversation.view
        told_again = turn.item in view.items
        if not told_again:
            at_us = self._staff.wall_us()
            owned.conversation.append(
                record.CallerSaid(
                    at_us, turn.turn, turn.item, turn.text, turn.source, turn.from_sample, turn.to_sample, turn.previous
                )
            )
        answered = told_again and any(response.turn == turn.turn for response in view.responses.values())
        if turn.respond and not answered:
            self._respond(owned, turn.turn, headers, turn.response)

    def _respond(
        self, owned: _Owned, turn: int, headers: Headers | None, response: str, instructions: str = ""
    ) -> None:
        """response: the id that the gateway gave it, empty to choose one."""
        if self._running is not None:
            self._interrupt(owned, self._running.writer.response, "superseded", ())
        loop = asyncio.get_running_loop()
        begun_s = loop.time()
        response = response or new_response_id()
        parent = tracing.extract(headers) or tracing.call_context(self.link.call)
        span = tracing.start_span("agent.response", parent=parent, attributes={"trunkline.response": response})
        writer = ResponseWriter(
            owned.conversation,
            self._send,
            response,
            turn,
            headers=tracing.inject(span),
            on_first=lambda: _first_segment.observe(loop.time() - begun_s),
        )
        rounds = Rounds(
            self._staff.model,
            self._agent,
            instructions or self._instructions,
            owned.conversation,
            writer,
            owned.desk,
            span,
        )
        writer.start()
        task = self._staff.keep(self._run(owned, rounds, writer))
        task.add_done_callback(lambda _: span.end())
        self._running = _Running(writer, task)

    async def _run(self, owned: _Owned, rounds: Rounds, writer: ResponseWriter) -> None:
        """The task of one response."""
        with logs.bound(call_id=self.link.call, epoch=owned.log.epoch):
            try:
                await rounds.run()
            except Exception as error:  # the rim of a response's task
                self._staff.fail(self.link, error)
            finally:
                if self._running is not None and self._running.writer is writer:
                    self._running = None

    def _interrupt(self, owned: _Owned, response: str, reason: str, heard: Iterable[SegmentHeard]) -> None:
        """Leaves of the response what was heard, whether it still runs or is only being played."""
        conversation = owned.conversation
        if response not in conversation.view.responses:
            return
        running = self._running if self._running and self._running.writer.response == response else None
        conversation.append(*truncations_of(conversation.view, response, heard, self._staff.wall_us()))
        if running is not None:
            self._running = None
            running.writer.cancel(reason)
            running.task.cancel()

    def _retract(self, owned: _Owned, retract: Retract) -> None:
        view = owned.conversation.view
        for response in [one.id for one in view.responses.values() if retract.turn and one.turn == retract.turn]:
            self._interrupt(owned, response, "retracted", ())
        if retract.item in view.items:
            owned.conversation.append(record.ItemDeleted(self._staff.wall_us(), retract.item))

    # the end

    def _end(self, owned: _Owned, running: _Running | None, reason: str) -> None:
        ended = reason not in GOES_ON
        if running is not None:
            running.writer.stop()
        if ended and running is not None:
            response, now_us = running.writer.response, self._staff.wall_us()
            if response in owned.conversation.view.responses:
                owned.conversation.append(*truncations_of(owned.conversation.view, response, (), now_us))
                owned.conversation.append(record.ResponseClosed(now_us, response, "cancelled", reason))
        owned.desk.close(ended=ended)
        if ended:
            owned.conversation.append(record.Ended(self._staff.wall_us(), reason))

    # what goes out

    @property
    def _instructions(self) -> str:
        return self._order.instructions or self._agent.instructions

    def _send(self, message: Message, headers: Headers | None) -> None:
        """Of a response's words, once they are appended."""
        self.link.send(message, headers=headers)
        if self._owned is not None:
            self._mark(self._owned)

    def _mark(self, owned: _Owned) -> None:
        self._receipts.mark(owned.conversation.view.event_count, self._obeyed, self.link.state.sent)
        self._tell_stored_soon(owned)

    def _tell_stored_soon(self, owned: _Owned) -> None:
        if self._closed is None and self._receipts.cover(owned.log.stored) and self._telling is None:
            self._telling = asyncio.get_running_loop().call_later(STORED_S, self._tell_stored)

    def _tell_stored(self) -> None:
        self._telling = None
        self.link.send(self._receipts.tell())

    def _post(self, order: RunTool, runner: str, headers: Headers | None) -> None:
        call, peer = self.link.call, f"tool_runner.{runner}" if runner else ""
        subject = subjects.inbox_of(peer, call) if peer else subjects.tool(order.name, call)
        self._staff.exchange.post(subject, call, order, epoch=self.link.epoch, headers=headers, peer=peer)


async def _finish(call_log: CallLog, response: asyncio.Task[None] | None) -> None:
    """Waits for a cancelled response, then for the record."""
    if response is not None:
        await asyncio.wait([response])
    await call_log.close()
