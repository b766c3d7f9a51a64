"""Tool calls that the client carries out: asked at their commit point, as the last of a response; answered by its word.

Rule: a response asks the client as it completes. A tool call of one that ends in any other way is never asked.
"""

import asyncio
from collections.abc import Callable, Collection, Sequence

import msgspec

from trunkline.agent.conversation import Conversation
from trunkline.agent.errands import Keep
from trunkline.agent.results import Redact, admitted
from trunkline.agent.rulings import Bench
from trunkline.proto.errors import TrunklineError
from trunkline.proto.record import ItemDeleted
from trunkline.proto.tool import ToolResult, ToolStatus
from trunkline.record import ToolView
from trunkline.telemetry import logs

CLIENT = "client"  # as the runner of what it carried out
NOT_ASKED = "This was not done: the caller went on."
NO_RESULT = "The call ended before a result came."
ENDED = "This was not done: the call ended."

log = logs.get(__name__)


class ClientTools:
    """Of one call. keep: holds a task until it is done. on_failure: an outcome could not be recorded. conclude: records
    one, with the id of the client's item. on_judged: policy has had its look at an output."""

    def __init__(
        self,
        conversation: Conversation,
        bench: Bench,
        keep: Keep,
        on_failure: Callable[[Exception], None],
        redact: Redact,
        conclude: Callable[[ToolResult, str], None],
    ) -> None:
        self.on_judged: Callable[[], None] = lambda: None
        self._conversation = conversation
        self._bench = bench
        self._keep = keep
        self._on_failure = on_failure
        self._redact = redact
        self._conclude = conclude
        self._judging: dict[str, asyncio.Task[None]] = {}
        self._items: dict[str, str] = {}  # by tool call, of the outputs that policy looks at
        self._dropped: set[str] = set()  # of those, deleted meanwhile

    def due(self, response: str) -> list[ToolView]:
        """Of a response that goes on, what the client is to be asked as soon as nothing else is waited for."""
        view = self._conversation.view
        return [tool for tool in self._open() if tool.response == response and view.responses[response].status is None]

    def withdraw(self, response: str, why: str = NOT_ASKED, status: ToolStatus = "cancelled") -> None:
        """What of it the client was not asked, it never is."""
        for tool in self.due(response):
            self._settle(tool, status, why)

    def interrupted(self, response: str, asked: Collection[str] | None) -> None:
        """asked: those tool calls of it that the client knows of; None: if it was completed, all of them."""
        view = self._conversation.view
        if asked is None:
            asked = view.responses[response].tools if view.responses[response].status == "completed" else ()
        for tool in self._open():
            if tool.response == response and tool.id not in asked:
                self._settle(tool, "cancelled", NOT_ASKED)

    def close(self, *, ended: bool) -> None:
        """ended: the call is over; else the next owner is told again what the client said."""
        for judging in self._judging.values():
            judging.cancel()
        if not ended:
            return
        view = self._conversation.view
        for tool in self._open():
            response = view.responses.get(tool.response)  # of a call that the client added itself there is none
            if response is None or response.status == "completed":
                self._settle(tool, "unknown", NO_RESULT)
            else:
                self._settle(tool, "cancelled", ENDED)

    # what comes back

    @property
    def judging(self) -> Sequence["asyncio.Future[None]"]:
        """Outputs that policy looks at: the model waits for them, and they aren't recorded yet."""
        return list(self._judging.values())

    def take(self, tool_call: str, output: str, item: str = "") -> None:
        """What the client says came of it; said again it changes nothing. item: see ToolOutput."""
        tool = self._conversation.view.tools.get(tool_call)
        if tool is not None and tool.runs == "client" and tool.status is None:
            self.pass_on(tool_call, output, item, lambda passed: self._conclude(passed, item))

    def pass_on(self, tool_call: str, output: str, item: str, record: Callable[[ToolResult], None]) -> None:
        """Of a tool call that is known and has no output: it is recorded, now or when policy has had its look."""
        if tool_call in self._judging:
            return
        result = ToolResult(tool_call, "ok", as_json(output), CLIENT)
        if self._bench.looks("tool_result", self._conversation.view.tools[tool_call].name):
            self._items[tool_call] = item
            self._judging[tool_call] = self._keep(self._judge(result, item, record))
        else:
            record(result)

    def drop(self, item: str) -> None:
        """An output that policy still looks at is deleted as soon as it is recorded."""
        if item in self._items.values():
            self._dropped.add(item)

    async def _judge(self, result: ToolResult, item: str, record: Callable[[ToolResult], None]) -> None:
        """The task of policy's look at an output."""
        view = self._conversation.view
        try:
            passed = await admitted(result, self._conversation, self._bench, self._redact)
            if not view.tools[result.tool_call].has_output:
                record(passed)
            if item in self._dropped and view.has(item):
                self._conversation.append(ItemDeleted(self._conversation.wall_us(), item))
        except TrunklineError as error:
            self._on_failure(error)
        finally:
            self._dropped.discard(item)
            del self._judging[result.tool_call], self._items[result.tool_call]
            self.on_judged()

    # pieces

    def _open(self) -> list[ToolView]:
        tools = self._conversation.view.tools.values()
        return [tool for tool in tools if tool.runs == "client" and tool.status is None]

    def _settle(self, tool: ToolView, status: ToolStatus, why: str) -> None:
        self._conclude(ToolResult(tool.id, status, why, ""), "")


def as_json(output: str) -> str:
    """What is no JSON is taken as text."""
    try:
        msgspec.json.decode(output)
    except (msgspec.MsgspecError, UnicodeEncodeError, RecursionError):
        return msgspec.json.encode(output).decode()
    return output
