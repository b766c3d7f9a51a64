"""Where an agent's tool calls stay until their outcome is recorded, whatever becomes of the response that made them.

An intent is durable before its tool runs, and gets exactly one outcome; where none can be told it is `unknown`, and
what turns out later follows it. How one tool call is gone after is decided in `pursuit`.
"""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Protocol

import msgspec
from prometheus_client import Counter

from trunkline.agent.conversation import Conversation
from trunkline.agent.models.seam import ToolCall
from trunkline.agent.pursuit import OVERDUE_S, Pursuit, Step
from trunkline.agents import Agent
from trunkline.bus.port import Headers
from trunkline.proto import record
from trunkline.proto.envelope import Message
from trunkline.proto.errors import TrunklineError
from trunkline.proto.ids import is_id, new_tool_call_id
from trunkline.proto.record import Claim
from trunkline.proto.tool import RunTool, ToolDeclined, ToolResult, ToolStarted, ToolStatus
from trunkline.record import Attempt, ClaimStore, StoreUnavailable
from trunkline.telemetry import logs

ARGUMENTS_LIMIT_BYTES = 64 * 1024
NAME_CHARACTERS = 64  # of a name that a model made up
NOT_RECORDED = "This was not run: the call's record can't be written at present."
KEY_CHARACTERS = 64  # of an id that a model made up; the subjects of further attempts are a little longer

log = logs.get(__name__)
_outcomes = Counter("trunkline_agent_tool_outcomes_total", "Tool calls with their outcome", ["status"])
_late = Counter("trunkline_agent_late_results_total", "Results of tool calls that were recorded as unknown")

Keep = Callable[[Coroutine[None, None, None]], asyncio.Task[None]]


class Post(Protocol):
    """To the queue of all runners, or to the inbox of one; nobody there is told in return."""

    def __call__(self, order: RunTool, runner: str, headers: Headers | None) -> None: ...


class _Open:
    """A tool call without an outcome. done: it has one, or this desk is closed."""

    def __init__(self, pursuit: Pursuit, response: str, headers: Headers | None) -> None:
        self.pursuit = pursuit
        self.response = response
        self.headers = headers
        self.timer: asyncio.TimerHandle | None = None
        self.looking = False
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    @property
    def order(self) -> RunTool:
        return self.pursuit.order

    def close(self) -> None:
        if self.timer is not None:
            self.timer.cancel()
        if not self.done.done():
            self.done.set_result(None)


class ToolDesk:
    """keep: holds a task until it is done. on_failure: an outcome could not be recorded."""

    def __init__(
        self,
        conversation: Conversation,
        agent: Agent,
        digest: str,
        claims: ClaimStore,
        post: Post,
        keep: Keep,
        on_failure: Callable[[Exception], None],
    ) -> None:
        self._conversation = conversation
        self._agent = agent
        self._digest = digest
        self._claims = claims
        self._post = post
        self._keep = keep
        self._on_failure = on_failure
        self._loop = asyncio.get_running_loop()
        self._open: dict[str, _Open] = {}

    async def run(self, response: str, calls: Sequence[ToolCall], headers: Headers | None) -> None:
        """Returns when each call has its outcome. Cancelled, it leaves behind what already runs, to end by itself.

        Raises Fenced.
        """
        opened = [one for call in calls if (one := self._intend(response, call, headers))]
        try:
            await self._conversation.log.durable()
        except asyncio.CancelledError:
            self._settle_all(opened, "cancelled", "This was not run: the caller interrupted.")
            raise
        except StoreUnavailable:
            self._settle_all(opened, "error", NOT_RECORDED)
        for one in opened:
            self._step(one)
        if opened:
            await asyncio.wait([one.done for one in opened])

    def leave_out(self, response: str, calls: Sequence[ToolCall], before: str) -> None:
        """What an earlier owner made of these, by what it said behind them: it could not record them, so none was run.

        before: the first item that it said behind them. Raises Fenced.
        """
        view = self._conversation.view
        of_response = view.responses[response].items
        items = of_response if before in of_response[1:] else list(view.items)  # the first stands behind a caller's
        after = items[items.index(before) - 1] if before in items[1:] else ""
        opened = [one for call in calls if (one := self._intend(response, call, None, after))]
        self._settle_all(opened, "error", NOT_RECORDED)

    def adopt(self, headers: Headers | None) -> None:
        """Goes after every tool call that an earlier owner of the call left without outcome."""
        view = self._conversation.view
        state = msgspec.json.encode(view.state).decode()
        for tool in list(view.tools.values()):
            if tool.status is None and tool.id not in self._open:
                order = RunTool(tool.id, tool.name, tool.arguments, tool.key, tool.deadline_us, self._digest, state)
                self._step(self._begin(order, tool.response, headers, adopted=True))

    async def finish(self, response: str, headers: Headers | None) -> None:
        """Returns when every tool call of a response that an earlier owner began has its outcome."""
        self.adopt(headers)
        if waited := [one.done for one in self._open.values() if one.response == response]:
            await asyncio.wait(waited)

    # what is heard

    def on_message(self, message: Message) -> None:
        """What runners say; of calls that have their outcome, only what was not known of them is still of interest."""
        match message:
            case ToolStarted(tool_call=tool_call, runner=runner) if (one := self._open.get(tool_call)) and is_id(
                runner
            ):
                one.pursuit.started(runner)
            case ToolDeclined(tool_call=tool_call, reason=reason, runner=runner) if one := self._open.get(tool_call):
                one.pursuit.declined(reason, runner, self._loop.time())
                self._arm(one)
            case ToolResult(tool_call=tool_call) if one := self._open.get(tool_call):
                self._conclude(one, one.pursuit.concluded(message, self._loop.time()))
            case ToolResult():
                self._find_out_late(message)

    def on_no_responders(self) -> None:
        """An order of this call to the queue reached nobody; which one isn't told."""
        for one in list(self._open.values()):
            one.pursuit.nobody(self._loop.time())
            self._arm(one)

    def on_unheard(self, runner: str) -> None:
        """Nobody listens at that runner's inbox."""
        for one in list(self._open.values()):
            one.pursuit.unheard(runner, self._loop.time())
            self._arm(one)

    def close(self, *, ended: bool) -> None:
        """ended: the call is over, so what has no outcome yet never gets one; else the next owner will ask."""
        for one in list(self._open.values()):
            if not ended:
                self._forget(one)
            elif one.pursuit.maybe_sent:
                self._settle(one, "unknown", "The call ended before a result came.")
            else:
                self._settle(one, "cancelled", "This was not run: the call ended.")

    # intents

    def _intend(self, response: str, call: ToolCall, headers: Headers | None, after: str = "") -> _Open | None:
        """Records the intent; None where the call is refused, which is recorded as its outcome. after: see there."""
        view = self._conversation.view
        usable = is_id(call.id) and len(call.id) <= KEY_CHARACTERS and call.id not in view.tools
        key = call.id if usable else new_tool_call_id()
        refusal = self._refusal(call)
        arguments = call.arguments if not refusal else "{}"
        tool = self._agent.tool(call.name)
        now_us = self._conversation.wall_us()
        deadline_us = now_us + round(tool.timeout_s * 1e6) if tool is not None else now_us
        self._conversation.append(
            record.ToolIntended(now_us, key, response, call.name[:NAME_CHARACTERS], arguments, key, deadline_us, after)
        )
        if refusal:
            self._conversation.append(record.ToolFinished(now_us, key, "error", refusal, ""))
            _outcomes.labels("error").inc()
            return None
        state = msgspec.json.encode(view.state).decode()
        order = RunTool(key, call.name, arguments, key, deadline_us, self._digest, state)
        return self._begin(order, response, headers)

    def _refusal(self, call: ToolCall) -> str:
        """Why a call can't run anywhere, in words that the model reads; "" if it can."""
        if self._agent.tool(call.name) is None:
            allowed = ", ".join(tool.name for tool in self._agent.tools) or "none"
            return f"There is no tool {call.name[:NAME_CHARACTERS]!r}; allowed: {allowed}."
        try:
            arguments = call.arguments.encode()
            if len(arguments) > ARGUMENTS_LIMIT_BYTES:
                return f"The arguments are too long; allowed: {ARGUMENTS_LIMIT_BYTES} bytes of JSON."
            msgspec.json.decode(arguments, type=dict[str, msgspec.Raw])
        except (msgspec.MsgspecError, UnicodeEncodeError, RecursionError) as error:
            return f"The arguments can't be read ({error}); allowed: a JSON object."
        return ""

    # going after one

    def _begin(self, order: RunTool, response: str, headers: Headers | None, *, adopted: bool = False) -> _Open:
        now_s = self._loop.time()
        overdue_s = now_s + max(0.0, (order.deadline_us - self._conversation.wall_us()) / 1e6) + OVERDUE_S
        tool = self._agent.tool(order.name)
        retry = tool is not None and tool.retry
        one = _Open(Pursuit(order, retry=retry, now_s=now_s, overdue_s=overdue_s, adopted=adopted), response, headers)
        self._open[order.tool_call] = one
        return one

    def _arm(self, one: _Open) -> None:
        if one.timer is not None:
            one.timer.cancel()
        if self._is_open(one) and one.pursuit.maybe_sent:  # its intent is durable
            one.timer = self._loop.call_at(one.pursuit.due_s(), self._step, one)

    def _step(self, one: _Open) -> None:
        if one.looking or not self._is_open(one):
            return
        if one.pursuit.step(self._loop.time(), wanted=self._wanted(one)) is Step.LOOK:
            one.looking = True
            self._keep(self._look(one))
            return
        self._post(one.order, one.pursuit.runner, one.headers)
        one.pursuit.asked(self._loop.time())
        self._arm(one)

    async def _look(self, one: _Open) -> None:
        """The task of one look at a claim."""
        try:
            answer = await self._claimed(one, void=False)
            if answer is Step.VOID and self._is_open(one):
                answer = await self._claimed(one, void=True)
            one.looking = False
            self._conclude(one, answer)
        except TrunklineError as error:
            self._on_failure(error)

    async def _claimed(self, one: _Open, *, void: bool) -> ToolResult | Step:
        order, call_log = one.order, self._conversation.log
        attempt = Attempt(call_log.call, order.key, order.attempt)
        nobodys = Claim(self._conversation.wall_us(), "", call_log.epoch, void=True)
        try:
            stored = await (self._claims.claim(attempt, nobodys) if void else self._claims.read(attempt))
        except TrunklineError as error:
            log.warning("claim can't be read", call_id=call_log.call, tool=order.name, error=str(error))
            return one.pursuit.not_looked(self._loop.time())
        claim = stored.claim if stored is not None else None
        return one.pursuit.looked(claim, self._loop.time(), wanted=self._wanted(one))

    def _conclude(self, one: _Open, answer: ToolResult | Step) -> None:
        if not self._is_open(one):
            return
        if isinstance(answer, ToolResult):
            self._record(one, answer)
        else:
            self._arm(one)

    def _wanted(self, one: _Open) -> bool:
        response = self._conversation.view.responses.get(one.response)
        return response is None or response.status is None

    def _is_open(self, one: _Open) -> bool:
        return self._open.get(one.order.tool_call) is one

    # outcomes

    def _settle_all(self, opened: Sequence[_Open], status: ToolStatus, output: str) -> None:
        for one in opened:
            if self._is_open(one):
                self._settle(one, status, output)

    def _settle(self, one: _Open, status: ToolStatus, output: str) -> None:
        self._record(one, ToolResult(one.order.tool_call, status, output, ""))

    def _record(self, one: _Open, result: ToolResult) -> None:
        self._forget(one)
        _outcomes.labels(result.status).inc()
        log.info("tool finished", tool=one.order.name, status=result.status, elapsed_ms=round(result.elapsed_ms, 1))
        self._append(result)

    def _find_out_late(self, result: ToolResult) -> None:
        view = self._conversation.view
        tool = view.tools.get(result.tool_call)
        if tool is None or tool.status != "unknown" or result.status not in ("ok", "error") or view.ended is not None:
            return
        _late.inc()
        log.info("tool finished late", tool=tool.name, status=result.status, elapsed_ms=round(result.elapsed_ms, 1))
        self._append(result)

    def _append(self, result: ToolResult) -> None:
        self._conversation.append(
            record.ToolFinished(
                self._conversation.wall_us(),
                result.tool_call,
                result.status,
                result.output,
                result.runner,
                result.elapsed_ms,
                result.state_patch,
            )
        )

    def _forget(self, one: _Open) -> None:
        del self._open[one.order.tool_call]
        one.close()
