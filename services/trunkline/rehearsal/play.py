"""The steps of a rehearsed call: each does one thing at the caller's side and waits until the agent is done with it.

Done is what the record says: no answer goes on but one that waits for a person, and nothing is about to begin one.
"""

import asyncio
from collections.abc import Callable

from trunkline.agents import AgentFile
from trunkline.agents.testing import RehearsalFailed, Reply, Transfer
from trunkline.agents.testing.seen import Sight
from trunkline.proto.approval import Choice
from trunkline.proto.record import Event, decode_entry
from trunkline.record import ApprovalView, CallView, MemoryRecordStore, ResponseView, ToolView
from trunkline.rehearsal.clock import LeapingLoop
from trunkline.rehearsal.line import Line
from trunkline.rehearsal.look import reply_of, transcript, waiting_of
from trunkline.rehearsal.model import Watched

GRACE_S = 0.01  # behind a deadline


class Record(MemoryRecordStore):
    """Of one call; it says when it has grown."""

    def __init__(self, call: str, grown: Callable[[], None]) -> None:
        super().__init__()
        self.view = CallView(call)
        self.events: list[Event] = []
        self._grown = grown

    def append(self, call: str, data: bytes, *, expected_seq: int, entry: str) -> "asyncio.Future[int]":
        done = super().append(call, data, expected_seq=expected_seq, entry=entry)
        stored = decode_entry(data)
        if done.exception() is None and stored.index == self.view.event_count:  # else it was told again
            self.view.apply_entry(stored)
            self.events.extend(stored.events)
            self._grown()
        return done


class Play:
    """changed: is set whenever something was said or recorded."""

    def __init__(
        self, loop: LeapingLoop, file: AgentFile, record: Record, line: Line, model: Watched, changed: asyncio.Event
    ) -> None:
        self._loop = loop
        self._file = file
        self._record = record
        self._line = line
        self._model = model
        self._changed = changed
        self._greeting = ""
        self._asked: set[str] = set()  # responses that are due
        self._seen: set[str] = set()  # ... and that the test was given

    async def begin(self) -> None:
        self._line.place()
        await self._until(lambda: self._line.attached is not None)
        self._greeting = self._line.attached.greeting if self._line.attached is not None else ""
        self._asked |= {self._greeting} - {""}
        self._seen.add(self._greeting)
        await self._settled()

    async def sight(self) -> Sight:
        view, now_us = self._record.view, self._loop.wall_us()
        return Sight(
            self._reply(self._greeting) if self._greeting in view.responses else None,
            tuple(self._reply(key) for key in view.responses),
            tuple(waiting_of(one, now_us) for one in view.waiting_approvals()),
            tuple(Transfer(one.target, one.summary) for one in view.transfers),
            dict(view.state),
            view.speaker,
            view.ended.reason if view.ended is not None else "",
            tuple(self._model.asked),
            self.transcript(),
        )

    def transcript(self) -> str:
        return transcript(self._line.call, list(self._record.events))

    def what_goes_on(self) -> str:
        """Read from any thread: the record only grows."""
        view = self._record.view
        answers = sum(one.status is None for one in list(view.responses.values()))
        running = ", ".join(tool.name for tool in list(view.tools.values()) if tool.status is None)
        asked = len(self._model.asked)
        state = f"answers that go on: {answers}; tools without an outcome: {running or 'none'}; model asked: {asked}"
        return f"{state}.\n{self.transcript()}"

    # steps

    async def asks(self, text: str) -> str:
        """The response that is due."""
        self._require_a_call("says something")
        response = self._line.asks(text)
        self._asked.add(response)
        return response

    async def says(self, text: str) -> Reply:
        response = await self.asks(text)
        await self._settled()
        return self._reply(response)

    async def reply(self) -> Reply:
        await self._until(lambda: bool(self._unseen()) or self._is_over())
        await self._settled()
        if not self._unseen():
            raise self._failed("the call is over, and there is no reply that the test hasn't seen")
        return self._reply(self._unseen()[0])

    async def passes(self, seconds: float) -> tuple[Reply, ...]:
        """What was asked and not given to the test yet still is to be, by reply."""
        view, due = self._record.view, self._asked - self._seen
        before = {key: len(one.items) for key, one in view.responses.items()}
        await self._loop.leap(seconds)
        self._check()
        replies = tuple(self._reply(key) for key, one in view.responses.items() if before.get(key) != len(one.items))
        self._seen -= due
        return replies

    async def interrupts(self, heard: str | None) -> Reply:
        self._require_a_call("interrupts")
        response = next(reversed(self._record.view.responses), "")
        if not response:
            raise self._failed("nothing was said that could be interrupted")
        self._line.interrupts(response, heard)
        await self._settled()
        return self._reply(response)

    async def decides(self, choice: Choice | None, text: str | None, by: str, note: str) -> Reply:
        """choice: None: nobody decides."""
        waiting = self._record.view.waiting_approvals()
        if not waiting:
            raise self._failed("nothing waits for a person")
        first, before = waiting[0], set(self._record.view.responses)
        if choice is None:
            left_s = waiting_of(first, self._loop.wall_us()).seconds
            await self._loop.leap(left_s + GRACE_S)
        else:
            answered = await self._line.decides(first.asked.approval, choice, text, by, note)
            if answered.outcome != "decided":
                raise self._failed(f"the decision is {answered.outcome}: {answered.detail or answered.by}")
        await self._until(lambda: self._is_done(first) or self._is_over())
        await self._settled()
        new = [key for key in self._record.view.responses if key not in before]
        return self._reply(new[-1] if new else first.asked.response)

    async def end(self) -> None:
        """Whatever has become of the call."""
        if not self._is_over():
            await self.hangs_up()

    async def hangs_up(self) -> None:
        self._line.hangs_up()
        await self._until(self._is_over)
        await self._loop.quiet()

    # until when

    async def _settled(self) -> None:
        while True:
            await self._until(lambda: self._is_settled() or self._is_over())
            count = self._record.view.event_count
            await self._loop.quiet()
            if count == self._record.view.event_count and (self._is_settled() or self._is_over()):
                break
        self._check()

    def _check(self) -> None:
        """Raises RehearsalFailed for what is wrong with the test's own model, and a call that can't go on."""
        if self._model.failure is not None:
            raise self._failed(str(self._model.failure)) from self._model.failure
        if self._line.failed:
            raise self._failed(f"the agent gave the call up: {self._line.failed}")

    async def _until(self, condition: Callable[[], bool]) -> None:
        while not condition():
            self._changed.clear()
            await self._changed.wait()

    def _is_over(self) -> bool:
        return self._record.view.ended is not None or bool(self._line.failed)

    def _is_settled(self) -> bool:
        view = self._record.view
        if self._line.hanging_up:
            return view.ended is not None
        open_ones = [one for one in view.responses.values() if one.status is None]
        return self._asked <= view.responses.keys() and all(self._waits_for_a_person(one) for one in open_ones)

    def _waits_for_a_person(self, response: ResponseView) -> bool:
        view = self._record.view
        asked = any(one.asked.response == response.id for one in view.waiting_approvals())
        return asked and not any(self._runs(view.tools[key]) for key in response.tools)

    def _runs(self, tool: ToolView) -> bool:
        """An answer waits for its outcome, and that for nobody."""
        approval = self._record.view.approvals.get(tool.approval)
        definition = self._file.tools.get(tool.name)
        background = definition is not None and definition.background
        return tool.status is None and not background and (approval is None or approval.decided is not None)

    def _is_done(self, approval: ApprovalView) -> bool:
        """Decided, and where a tool was to run it has."""
        tool = self._record.view.tools.get(approval.asked.subject)
        return approval.decided is not None and (tool is None or tool.status is not None or tool.runs == "agent")

    # what is told

    def _unseen(self) -> list[str]:
        return [key for key in self._record.view.responses if key not in self._seen]

    def _reply(self, response: str) -> Reply:
        if response not in self._record.view.responses:
            raise self._failed("the call ended before an answer began")
        self._seen.add(response)
        return reply_of(self._record.view, self._record.events, response, self._loop.wall_us())

    def _require_a_call(self, what: str) -> None:
        ended = self._record.view.ended
        if ended is not None or self._line.failed:
            reason = self._line.failed or (ended.reason if ended is not None else "")
            raise self._failed(f"the caller {what}, but the call is over: {reason}")

    def _failed(self, what: str) -> RehearsalFailed:
        return RehearsalFailed(f"{what}.\n{self.what_goes_on()}")
