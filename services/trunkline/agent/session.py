"""One call at the agent: takes the record, answers turns, stops when interrupted.

Its only state is the record's, which another agent can take at any moment and go on from.
"""

import asyncio
from collections.abc import Callable
from typing import NamedTuple, ParamSpec

from trunkline.agent.answering import Answering, Work
from trunkline.agent.call_hooks import CallHooks
from trunkline.agent.conversation import Conversation
from trunkline.agent.decisions_in import Answer
from trunkline.agent.edits import Edits
from trunkline.agent.receipts import Receipts
from trunkline.agent.rulings import Bench
from trunkline.agent.taking import Staff, take
from trunkline.agent.tool_desk import ToolDesk
from trunkline.agents import Agent
from trunkline.bus.exchange import Link
from trunkline.bus.port import Headers
from trunkline.proto import record, subjects
from trunkline.proto.approval import DecideApproval
from trunkline.proto.envelope import Message
from trunkline.proto.errors import Fenced, TrunklineError
from trunkline.proto.ids import new_response_id
from trunkline.proto.placement import Superseded
from trunkline.proto.response import (
    Attached,
    CallerAway,
    CallerLost,
    Converse,
    Equip,
    Insert,
    Interrupt,
    Placed,
    Played,
    Recall,
    Respond,
    Retract,
    Stored,
    Summon,
    ToolOutput,
    Turn,
)
from trunkline.proto.tool import CancelTool, RunTool
from trunkline.record import CallLog, Outranked
from trunkline.runtime.pool import BROKE
from trunkline.telemetry import logs

WAITING_MESSAGES = 64  # that may come before the record is taken
TIME_UP_AGAIN_S = 10.0  # between two tries to end a call whose time is up
STORED_S = 0.2  # between two words to the gateway on what is stored

log = logs.get(__name__)
P = ParamSpec("P")


class _Owned(NamedTuple):
    """What a session has once the record is its own."""

    log: CallLog
    conversation: Conversation
    desk: ToolDesk
    answering: Answering
    hooks: CallHooks
    edits: Edits


def goes_on(reason: str) -> bool:
    """Whether another agent goes on with a call that ends here for this reason."""
    return reason in ("moved", "superseded", "stopped") or reason.startswith(BROKE)


class AgentSession:
    def __init__(self, link: Link, order: Converse, agent: Agent, staff: Staff) -> None:
        self.link = link
        self._order = order
        self._agent = agent
        self._staff = staff
        self._owned: _Owned | None = None
        self._waiting: list[tuple[Message, Headers | None]] = []
        self._repeats = 0  # messages of the gateway's still to come that it told an earlier agent
        self._closed: str | None = None  # the reason
        self._receipts = Receipts()
        self._obeyed = 0  # seq of the gateway's last message that has been dealt with
        self._telling: asyncio.TimerHandle | None = None
        self._time_up: asyncio.TimerHandle | None = None
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
        self._receipt(self._owned)

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
        """Writes the call's end, unless another agent goes on with it (goes_on)."""
        self._closed = reason
        for timer in (self._telling, self._time_up):
            if timer is not None:
                timer.cancel()
        if self._owned is None:
            return  # _open ends what it opens
        task: asyncio.Task[None] | None = None
        try:
            task = self._end(self._owned, reason)
        except TrunklineError as error:  # the record is lost: there is nothing left to write
            log.info("call closed without its end", call_id=self.link.call, reason=reason, error=str(error))
        self._staff.keep(self._finish(self._owned.log, task))

    # taking the call

    async def _open(self) -> None:
        try:
            log_ = await take(self.link, self._order, self._agent, self._staff)
            owned = self._own(log_)
            if self._closed is not None:
                await self._finish(owned.log, self._end(owned, self._closed))
                return
            self._attach(owned)
        except Outranked as error:  # nothing was written: the call goes on where it is
            log.info("a later placement has the call", call_id=self.link.call, attach=error.attach)
            self.link.send_loose(Superseded(error.attach))
            self._staff.drop(self.link, "superseded")
        except Exception as error:  # the rim of the session's first task: this call can't be served here
            self._staff.fail(self.link, error)

    def _own(self, call_log: CallLog) -> _Owned:
        staff = self._staff
        conversation = Conversation(
            call_log,
            staff.wall_us,
            staff.file,
            self._agent,
            instructions=self._order.instructions,
            tools_of=staff.tools_of,
        )
        hooks = CallHooks(conversation, staff.keep)
        conversation.observe = hooks.observe
        bench = Bench(conversation, staff.policies)
        call = self.link.call
        desk = ToolDesk(
            conversation,
            bench,
            staff.digest,
            staff.claims,
            self._post,
            staff.keep,
            lambda error: staff.fail(self.link, error),
            redact=lambda output: staff.redaction.redact_result(call, output),
            kept=lambda: staff.redaction.kept(call),
        )
        answering = Answering(
            conversation,
            desk,
            bench,
            staff.model,
            self._agent.greeting,
            self._send,
            self._start_task,
            speakable=staff.redaction.spoken,
            follows=bool(self._order.reason),
        )
        return _Owned(call_log, conversation, desk, answering, hooks, Edits(conversation, staff.redaction, desk.client))

    def _attach(self, owned: _Owned) -> None:
        self.link.epoch = owned.log.epoch
        owned.log.on_fenced = lambda: self._staff.fail(self.link, Fenced(self.link.call, owned.log.epoch))
        owned.log.on_durable = lambda: self._tell_stored_soon(owned)
        agent, followed = self._agent, bool(self._order.reason)
        greeting = (
            new_response_id() if agent.greeting and not followed and not owned.conversation.view.responses else ""
        )
        self.link.send(
            Attached(
                agent.name,
                self._staff.digest,
                greeting,
                agent.voice,
                self._instructions,
                self._staff.file.dictations,
                agent.silence.after_s if agent.silence is not None else 0.0,
                owned.conversation.own_names,
                tuple(self._staff.file.agents),
            )
        )
        log.info("call attached", call_id=self.link.call, epoch=owned.log.epoch, agent=agent.name)
        self._owned = owned
        owned.desk.client.on_judged = lambda: self._receipt(owned)
        owned.desk.adopt(None)
        self._limit_duration(owned)
        if not followed:
            owned.hooks.on_start()
        if greeting:
            owned.answering.greet(greeting)
        waiting, self._waiting = self._waiting, []
        for message, headers in waiting:
            self._obey(owned, message, headers)
        self._receipt(owned)

    def _limit_duration(self, owned: _Owned) -> None:
        """Counted from the call's beginning, whoever owns it."""
        duration = self._agent.duration
        if duration is not None:
            passed_s = (self._staff.wall_us() - owned.conversation.view.started_us) / 1e6
            left_s = max(0.0, duration.limit_s - passed_s)
            self._time_up = asyncio.get_running_loop().call_later(left_s, self._end_in_time, owned, duration.goodbye)

    def _end_in_time(self, owned: _Owned, goodbye: str) -> None:
        """And again: the answer that was waited for may have been interrupted, and so may the goodbye."""
        self._time_up = asyncio.get_running_loop().call_later(TIME_UP_AGAIN_S, self._end_in_time, owned, goodbye)
        self._contained(owned.answering.end_with, goodbye)

    def on_decision(self, order: DecideApproval, answer: Answer) -> None:
        """A person's word; answer: is given what came of it, if this agent owns the call."""
        if self._owned is not None and self._closed is None:
            self._contained(self._owned.desk.approvals.decide, order, answer)

    def _contained(self, work: Callable[P, None], *given: P.args, **named: P.kwargs) -> None:
        """Outside the link's own messages: what fails ends this placement alone."""
        try:
            work(*given, **named)
        except TrunklineError as error:
            self._staff.fail(self.link, error)

    # what the gateway says

    def _obey(self, owned: _Owned, message: Message, headers: Headers | None) -> None:
        """Whatever is told again changes nothing."""
        answering = owned.answering
        if isinstance(message, Recall):
            answering.take_over(message)
            self._repeats = message.inputs
        else:
            self._repeats -= 1
            self._heed(owned, message, headers)
        if answering.taking_over and self._repeats <= 0:
            answering.go_on()

    def _heed(self, owned: _Owned, message: Message, headers: Headers | None) -> None:
        conversation, answering = owned.conversation, owned.answering
        view, now_us = conversation.view, self._staff.wall_us()
        match message:
            case Turn():
                self._hear(owned, message, headers)
            case Respond(instructions=instructions, response=response, asked=asked_of_it):
                asked_of_it = self._staff.redaction.redact_asked(self.link.call, asked_of_it)
                answering.respond(response, 0, headers, instructions, asked_of_it)
            case Interrupt(response=response, reason=reason, heard=heard, asked=asked):
                answering.interrupt(response, reason, heard, asked)
            case Equip():
                conversation.equip(message)
            case ToolOutput(tool_call=tool_call, output=output, item=item_id):
                owned.desk.client.take(tool_call, output, item_id)
            case Insert():
                owned.edits.insert(message)
            case Summon(agent=name):
                owned.edits.summon(name, repeated=answering.taking_over)
            case Retract(turn=0, item=item_id):
                owned.edits.delete(item_id)
            case Played(heard=heard):
                answering.played(heard)
            case Retract(turn=turn, item=item_id):
                answering.retract(turn)
                if item_id in view.items:
                    conversation.append(record.ItemDeleted(now_us, item_id))
            case Placed(stage=stage, worker=worker, reason=reason):
                if view.stages.get(stage) != worker:
                    conversation.append(record.StageMoved(now_us, stage, worker, reason))
            case CallerAway(count=count, response=response):
                self._nobody_speaks(owned, count, response)
            case CallerLost(from_sample=from_sample):
                if from_sample not in view.audio_lost:
                    conversation.append(record.AudioLost(now_us, from_sample))
            case other:
                log.warning("message is not for an agent", call_id=self.link.call, type=type(other).__name__)

    def _hear(self, owned: _Owned, turn: Turn, headers: Headers | None) -> None:
        view = owned.conversation.view
        if turn.item in view.deleted and turn.source == "speech":  # no client adds that once more
            return
        told_again = turn.item in view.items
        if not told_again:
            owned.edits.hear(turn)
        answered = told_again and not turn.response and any(one.turn == turn.turn for one in view.responses.values())
        if turn.respond and not answered:
            owned.answering.respond(turn.response, turn.turn, headers)

    def _nobody_speaks(self, owned: _Owned, count: int, response: str) -> None:
        """count: how many times in a row; after the last prompt the call is ended."""
        silence, asked = self._agent.silence, owned.desk.waits_for_person("")
        if asked is not None:  # a caller who waits for a person's word has nothing to say
            owned.answering.say(response, asked.reminder)
            return
        prompts = silence.prompts if silence is not None else ()
        if silence is not None and count > len(prompts):
            owned.answering.say(response, silence.goodbye, then_hang_up=True)
        else:
            owned.answering.say(response, prompts[count - 1] if prompts else "")

    # the end

    def _end(self, owned: _Owned, reason: str) -> asyncio.Task[None] | None:
        """The task of the response that ran, cancelled."""
        ended = not goes_on(reason)
        task = owned.answering.close(reason, ended=ended)
        owned.desk.close(ended=ended, hung_up=reason == "agent_hung_up")
        if ended:
            owned.conversation.append(record.Ended(self._staff.wall_us(), reason))
        return task

    async def _finish(self, call_log: CallLog, response: asyncio.Task[None] | None) -> None:
        """Waits for a cancelled response, then for the record; and says that the end stands there."""
        if response is not None:
            await asyncio.wait([response])
        await call_log.close()
        if call_log.view.ended is not None and call_log.stored == call_log.view.event_count:
            self.link.send_loose(Stored(self.link.state.received, self.link.state.sent))

    # what goes out

    @property
    def _instructions(self) -> str:
        own = self._agent.instructions
        return self._order.instructions or (own if isinstance(own, str) else "")

    def _send(self, message: Message, headers: Headers | None) -> None:
        """Of a response's words, once they are appended."""
        self.link.send(message, headers=headers)
        if self._owned is not None:
            self._mark(self._owned)

    def _receipt(self, owned: _Owned) -> None:
        """Of all that the gateway said so far; not yet during a takeover, since words wait for what they answer, nor
        while policy looks at what a client said came of a tool."""
        if self._closed is None and not owned.answering.taking_over and not owned.desk.client.judging:
            self._obeyed = self.link.state.received
            self._mark(owned)

    def _mark(self, owned: _Owned) -> None:
        self._receipts.mark(owned.conversation.view.event_count, self._obeyed, self.link.state.sent)
        self._tell_stored_soon(owned)

    def _tell_stored_soon(self, owned: _Owned) -> None:
        if self._closed is None and self._receipts.cover(owned.log.stored) and self._telling is None:
            self._telling = asyncio.get_running_loop().call_later(STORED_S, self._tell_stored)

    def _tell_stored(self) -> None:
        self._telling = None
        self.link.send(self._receipts.tell())

    def _start_task(self, work: Work) -> asyncio.Task[None]:
        return self._staff.keep(self._contain(work))

    async def _contain(self, work: Work) -> None:
        with logs.bound(call_id=self.link.call, epoch=self.link.epoch):
            try:
                await work()
            except Exception as error:  # the rim of a task of the call
                self._staff.fail(self.link, error)

    def _post(self, order: RunTool | CancelTool, runner: str, headers: Headers | None) -> None:
        call, peer = self.link.call, f"tool_runner.{runner}" if runner else ""
        queue = subjects.tool(order.name, call) if isinstance(order, RunTool) else ""
        subject = subjects.inbox_of(peer, call) if peer else queue
        self._staff.exchange.post(subject, call, order, epoch=self.link.epoch, headers=headers, peer=peer)
