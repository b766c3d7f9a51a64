"""The tool calls of one call that runners have, or are to have: each is gone after until it has its outcome.

How one is gone after is decided in `pursuit`; here are the timers, the asking and the looking at claims.
"""

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from typing import Protocol

import msgspec

from trunkline.agent.conversation import Conversation
from trunkline.agent.pursuit import OVERDUE_S, Pursuit, Step
from trunkline.bus.port import Headers
from trunkline.proto.envelope import Message
from trunkline.proto.errors import TrunklineError
from trunkline.proto.ids import is_id
from trunkline.proto.record import Claim
from trunkline.proto.tool import CancelTool, RunTool, ToolDeclined, ToolResult, ToolStarted
from trunkline.record import Attempt, ClaimStore, ToolView
from trunkline.telemetry import logs

log = logs.get(__name__)

Keep = Callable[[Coroutine[None, None, None]], asyncio.Task[None]]


class Post(Protocol):
    """To the queue of all runners, or to the inbox of one; nobody there is told in return."""

    def __call__(self, order: RunTool | CancelTool, runner: str, headers: Headers | None) -> None: ...


class Errand:
    """A tool call without an outcome. pursuit: None while it waits for a person, or for policy's word on its result.

    detached: it goes on whatever becomes of the response that it was for. stop: the runner is told to cancel it. ran:
    its result is there, and judged. done: it has its outcome, or this desk is closed.
    """

    def __init__(self, tool_call: str, name: str, response: str, headers: Headers | None, *, detached: bool) -> None:
        self.tool_call = tool_call
        self.name = name
        self.response = response
        self.headers = headers
        self.detached = detached
        self.stop = self.ran = False
        self.pursuit: Pursuit | None = None
        self.timer: asyncio.TimerHandle | None = None
        self.looking = False
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    @property
    def maybe_ran(self) -> bool:
        return self.ran or (self.pursuit is not None and self.pursuit.maybe_sent)

    def close(self) -> None:
        if self.timer is not None:
            self.timer.cancel()
        if not self.done.done():
            self.done.set_result(None)


class Errands:
    """digest: of the agent file. keep: holds a task until it is done. on_failure: a look failed for good.

    on_result: what a runner, or a claim, says; the errand is still here then.
    """

    def __init__(
        self,
        conversation: Conversation,
        digest: str,
        claims: ClaimStore,
        post: Post,
        keep: Keep,
        on_result: Callable[[Errand, ToolResult], None],
        on_failure: Callable[[Exception], None],
    ) -> None:
        self._conversation = conversation
        self._digest = digest
        self._claims = claims
        self._post = post
        self._keep = keep
        self._on_result = on_result
        self._on_failure = on_failure
        self._loop = asyncio.get_running_loop()
        self._open: dict[str, Errand] = {}

    def __iter__(self) -> Iterator[Errand]:
        return iter(list(self._open.values()))

    def get(self, tool_call: str) -> Errand | None:
        return self._open.get(tool_call)

    def add(self, errand: Errand) -> Errand:
        self._open[errand.tool_call] = errand
        return errand

    def forget(self, errand: Errand) -> None:
        self._open.pop(errand.tool_call, None)
        errand.close()

    def is_open(self, errand: Errand) -> bool:
        return self._open.get(errand.tool_call) is errand

    def begin(self, errand: Errand, tool: ToolView, *, adopted: bool = False, fresh: bool = False) -> None:
        """Sends the order; its intent, and a person's word, are durable. adopted: an earlier owner may have sent it.

        fresh: its intent has just become so, and its time begins now: it isn't the tool's that the record took.
        """
        if not self.is_open(errand):
            return
        state = msgspec.json.encode(self._conversation.view.state).decode()
        definition = self._conversation.tool(tool.name)
        pin = definition.pin if definition is not None else ""
        deadline_us = tool.deadline_us
        if fresh and definition is not None:
            deadline_us = max(deadline_us, self._conversation.wall_us() + round(definition.timeout_s * 1e6))
        order = RunTool(tool.id, tool.name, tool.arguments, tool.key, deadline_us, self._digest, state, pin=pin)
        retry, overdue_s = definition is not None and definition.retry, self._overdue_s(deadline_us)
        errand.pursuit = Pursuit(order, retry=retry, now_s=self._loop.time(), overdue_s=overdue_s, adopted=adopted)
        self._step(errand)

    def _overdue_s(self, deadline_us: int) -> float:
        return self._loop.time() + max(0.0, (deadline_us - self._conversation.wall_us()) / 1e6) + OVERDUE_S

    def stop(self, errand: Errand) -> None:
        """Its runner is told to cancel it, now and whenever it is asked after."""
        errand.stop = True
        pursuit = errand.pursuit
        if pursuit is not None and pursuit.runner:
            self._post(CancelTool(errand.tool_call), pursuit.runner, errand.headers)

    def close(self) -> None:
        """The next owner of the call will ask."""
        for errand in self:
            self.forget(errand)

    # what is heard

    def on_message(self, message: Message) -> None:
        """What runners say of a tool call that is here."""
        now_s = self._loop.time()
        match message:
            case ToolStarted(tool_call=tool_call, runner=runner) if (pursuit := self._pursuit(tool_call)) and is_id(
                runner
            ):
                pursuit.started(runner)
                if (errand := self._open[tool_call]).stop:
                    self.stop(errand)
            case ToolDeclined(tool_call=tool_call, reason=reason, runner=runner) if pursuit := self._pursuit(tool_call):
                pursuit.declined(reason, runner, now_s)
                self._arm(self._open[tool_call])
            case ToolResult(tool_call=tool_call) if pursuit := self._pursuit(tool_call):
                self._conclude(self._open[tool_call], pursuit.concluded(message, now_s))

    def on_no_responders(self) -> None:
        """An order of this call to the queue reached nobody; which one isn't told."""
        for errand in self:
            if errand.pursuit is not None:
                errand.pursuit.nobody(self._loop.time())
                self._arm(errand)

    def on_unheard(self, runner: str) -> None:
        """Nobody listens at that runner's inbox."""
        for errand in self:
            if errand.pursuit is not None:
                errand.pursuit.unheard(runner, self._loop.time())
                self._arm(errand)

    def _pursuit(self, tool_call: str) -> Pursuit | None:
        errand = self._open.get(tool_call)
        return errand.pursuit if errand is not None else None

    # going after one

    def _arm(self, errand: Errand) -> None:
        if errand.timer is not None:
            errand.timer.cancel()
        pursuit = errand.pursuit
        if self.is_open(errand) and pursuit is not None and pursuit.maybe_sent:
            errand.timer = self._loop.call_at(pursuit.due_s(), self._step, errand)

    def _step(self, errand: Errand) -> None:
        pursuit = errand.pursuit
        if errand.looking or pursuit is None or not self.is_open(errand):
            return
        if pursuit.step(self._loop.time(), wanted=self._wanted(errand)) is Step.LOOK:
            errand.looking = True
            self._keep(self._look(errand, pursuit))
            return
        self._post(pursuit.order, pursuit.runner, errand.headers)
        if errand.stop:
            self.stop(errand)
        pursuit.asked(self._loop.time())
        self._arm(errand)

    async def _look(self, errand: Errand, pursuit: Pursuit) -> None:
        """The task of one look at a claim."""
        try:
            answer = await self._claimed(errand, pursuit, void=False)
            if answer is Step.VOID and self.is_open(errand):
                answer = await self._claimed(errand, pursuit, void=True)
            errand.looking = False
            self._conclude(errand, answer)
        except TrunklineError as error:
            self._on_failure(error)

    async def _claimed(self, errand: Errand, pursuit: Pursuit, *, void: bool) -> ToolResult | Step:
        order, call_log = pursuit.order, self._conversation.log
        attempt = Attempt(call_log.call, order.key, order.attempt)
        nobodys = Claim(self._conversation.wall_us(), "", call_log.epoch, void=True)
        try:
            stored = await (self._claims.claim(attempt, nobodys) if void else self._claims.read(attempt))
        except TrunklineError as error:
            log.warning("claim can't be read", call_id=call_log.call, tool=order.name, error=str(error))
            return pursuit.not_looked(self._loop.time())
        claim = stored.claim if stored is not None else None
        if claim is not None:
            self._allow_for(claim, pursuit)
        return pursuit.looked(claim, self._loop.time(), wanted=self._wanted(errand))

    def _allow_for(self, claim: Claim, pursuit: Pursuit) -> None:
        """Where its intent had waited for the record its time began with its run (see `begin`): its claim tells it."""
        definition = self._conversation.tool(pursuit.order.name)
        if definition is not None:
            began_us = min(claim.at_us, self._conversation.wall_us())  # clocks differ
            deadline_us = began_us + round(definition.timeout_s * 1e6)
            pursuit.was_given(deadline_us, self._overdue_s(deadline_us))

    def _conclude(self, errand: Errand, answer: ToolResult | Step) -> None:
        if not self.is_open(errand):
            return
        if isinstance(answer, ToolResult):
            self._on_result(errand, answer)
        else:
            self._arm(errand)

    def _wanted(self, errand: Errand) -> bool:
        response = self._conversation.view.responses.get(errand.response)
        return errand.detached or response is None or response.status is None
