"""Where an agent's tool calls stay until their outcome is recorded, whatever becomes of the response that made them.

An intent is durable before its tool runs, and gets exactly one outcome; where none can be told it is `unknown`.
"""

import asyncio
from collections.abc import Callable, Sequence

import msgspec
from prometheus_client import Counter

from trunkline.agent.conversation import Conversation
from trunkline.agent.models.seam import ToolCall
from trunkline.agents import Agent
from trunkline.bus.port import Headers
from trunkline.proto import record, subjects
from trunkline.proto.envelope import Message
from trunkline.proto.errors import TrunklineError
from trunkline.proto.ids import is_id, new_tool_call_id
from trunkline.proto.tool import RunTool, ToolDeclined, ToolResult, ToolStarted, ToolStatus
from trunkline.record import StoreUnavailable
from trunkline.telemetry import logs

ARGUMENTS_LIMIT_BYTES = 64 * 1024
NAME_CHARACTERS = 64  # of a name that a model made up
RETRY_S = 0.05  # after the first refusal of a runner; doubled each time
RETRY_LIMIT_S = 0.5
NO_RUNNER_S = 1.0  # a runner that is being restarted comes back within
OVERDUE_S = 0.5  # a result may come this much after its deadline

log = logs.get(__name__)
_outcomes = Counter("trunkline_agent_tool_outcomes_total", "Tool calls with their outcome", ["status"])

Post = Callable[[str, RunTool, Headers | None], None]  # subject, order, trace headers


class _Open:
    """A tool call without an outcome. refused: why it waits to be sent again. Times on the loop's clock."""

    def __init__(self, order: RunTool, headers: Headers | None) -> None:
        self.order = order
        self.headers = headers
        self.posted_s: float | None = None
        self.started = False
        self.refused = ""
        self.retries = 0
        self.overdue: asyncio.TimerHandle | None = None
        self.retry: asyncio.TimerHandle | None = None  # while it waits to be sent again
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def close(self) -> None:
        for timer in (self.overdue, self.retry):
            if timer is not None:
                timer.cancel()
        if not self.done.done():
            self.done.set_result(None)


class ToolDesk:
    """on_failure: an outcome could not be recorded."""

    def __init__(
        self, conversation: Conversation, agent: Agent, digest: str, post: Post, on_failure: Callable[[Exception], None]
    ) -> None:
        self._conversation = conversation
        self._agent = agent
        self._digest = digest
        self._post = post
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
            self._settle_all(opened, "error", "This was not run: the call's record can't be written at present.")
        for one in opened:
            if one.order.tool_call in self._open:
                self._send(one)
        if opened:
            await asyncio.wait([one.done for one in opened])

    def on_message(self, message: Message) -> None:
        """What runners say; outcomes of calls that have one already are dropped."""
        match message:
            case ToolStarted(tool_call=tool_call) if one := self._open.get(tool_call):
                one.started = True
            case ToolDeclined(tool_call=tool_call, reason=reason) if one := self._open.get(tool_call):
                self._try_again(one, reason)
            case ToolResult(tool_call=tool_call) if one := self._open.get(tool_call):
                self._record(one, message)

    def on_no_responders(self) -> None:
        """Some order of this call reached nobody; which one isn't told, so each that hasn't started is sent again."""
        for one in list(self._open.values()):
            if one.posted_s is None or one.started or one.retry is not None:
                continue
            if self._loop.time() - one.posted_s >= NO_RUNNER_S:
                self._settle(one, "error", f"{one.order.name} was not run: no tool runner is available.")
            else:
                self._try_again(one, "no tool runner is available")

    def close(self, *, ended: bool) -> None:
        """ended: the call is over, so what has no outcome yet never gets one; else the next owner will ask."""
        for one in list(self._open.values()):
            if not ended:
                self._forget(one)
            elif one.posted_s is None:
                self._settle(one, "cancelled", "This was not run: the call ended.")
            else:
                self._settle(one, "unknown", "The call ended before a result came.")

    def _intend(self, response: str, call: ToolCall, headers: Headers | None) -> _Open | None:
        """Records the intent; None where the call is refused, which is recorded as its outcome."""
        view = self._conversation.view
        key = call.id if is_id(call.id) and call.id not in view.tools else new_tool_call_id()
        refusal = self._refusal(call)
        arguments = call.arguments if not refusal else "{}"
        tool = self._agent.tool(call.name)
        now_us = self._conversation.wall_us()
        deadline_us = now_us + round(tool.timeout_s * 1e6) if tool is not None else now_us
        self._conversation.append(
            record.ToolIntended(now_us, key, response, call.name[:NAME_CHARACTERS], arguments, key, deadline_us)
        )
        if refusal:
            self._conversation.append(record.ToolFinished(now_us, key, "error", refusal, ""))
            _outcomes.labels("error").inc()
            return None
        state = msgspec.json.encode(view.state).decode()
        one = _Open(RunTool(key, call.name, arguments, key, deadline_us, self._digest, state), headers)
        self._open[key] = one
        return one

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

    def _send(self, one: _Open) -> None:
        if one.posted_s is None:
            one.posted_s = self._loop.time()
            wait_s = max(0.0, (one.order.deadline_us - self._conversation.wall_us()) / 1e6) + OVERDUE_S
            one.overdue = self._loop.call_later(wait_s, self._overdue, one)
        one.retry, one.refused = None, ""  # whoever takes it now may say nothing more
        self._post(subjects.tool(one.order.name, self._conversation.log.call), one.order, one.headers)

    def _try_again(self, one: _Open, reason: str) -> None:
        if one.retry is not None:
            return
        one.refused = reason
        wait_s = min(RETRY_LIMIT_S, RETRY_S * 2**one.retries)
        one.retries += 1
        one.retry = self._loop.call_later(wait_s, self._send, one)

    def _overdue(self, one: _Open) -> None:
        name = one.order.name
        try:
            if one.refused and not one.started:
                self._settle(one, "error", f"{name} was not run: no tool runner takes it ({one.refused}).")
            else:
                self._settle(one, "unknown", f"It is not known whether {name} was done: no result came in time.")
        except TrunklineError as error:
            self._on_failure(error)

    def _settle_all(self, opened: Sequence[_Open], status: ToolStatus, output: str) -> None:
        for one in opened:
            if one.order.tool_call in self._open:
                self._settle(one, status, output)

    def _settle(self, one: _Open, status: ToolStatus, output: str) -> None:
        self._record(one, ToolResult(one.order.tool_call, status, output, ""))

    def _record(self, one: _Open, result: ToolResult) -> None:
        self._forget(one)
        _outcomes.labels(result.status).inc()
        log.info("tool finished", tool=one.order.name, status=result.status, elapsed_ms=round(result.elapsed_ms, 1))
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
