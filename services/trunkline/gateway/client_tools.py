"""The tools that a call's client carries out itself: told to the agent, asked of the client, answered by it.

Rule: a tool call that the client was asked is answered once, whatever a client, an agent or a gateway says again. Pure.
"""

from collections import OrderedDict
from collections.abc import Callable

from trunkline.gateway.call_events import CallEvent, ToolCalled
from trunkline.proto.errors import BadInput
from trunkline.proto.response import Equip, ToolOutput
from trunkline.record import CallView

REMEMBERED = 1_000  # tool calls of one call, the newest


class ClientTools:
    """tell: the agent. afresh: the call began at another gateway, so what it has told the agent isn't known here."""

    def __init__(self, tell: Callable[[Equip | ToolOutput], None], *, afresh: bool) -> None:
        self._tell = tell
        self._equipped = None if afresh else Equip()
        self._answered: OrderedDict[str, bool] = OrderedDict()  # by tool call that the client was asked or added
        self._added: set[str] = set()  # of those, by the client itself

    def equip(self, equip: Equip) -> None:
        """The tools of the client's session as it stands."""
        if equip != self._equipped:
            self._equipped = equip
            self._tell(equip)

    def go_on(self, view: CallView) -> None:
        """What another gateway has asked this client."""
        open_ones = {tool.id for response in view.responses.values() for tool in view.open_at_client(response)}
        for tool in view.tools.values():
            if tool.call_deleted:
                continue
            if tool.id in open_ones or (tool.runs == "client" and tool.runner):
                self._remember(tool.id, answered=tool.id not in open_ones)
            elif not tool.response:
                self.add(tool.id)
            if tool.output_deleted:
                self.output_deleted(tool.id)

    def on_event(self, event: CallEvent) -> None:
        """What the client is told; one that is asked again is not open again."""
        if isinstance(event, ToolCalled) and event.tool_call not in self._answered:
            self._remember(event.tool_call, answered=False)

    def add(self, tool_call: str) -> None:
        """The client added this call to the conversation itself. Raises BadInput for one that is there."""
        if tool_call in self._answered:
            raise BadInput("item.call_id", f"{tool_call[:80]!r} is taken", "the id of a new call")
        self._remember(tool_call, answered=False)
        self._added.add(tool_call)

    def answer(self, tool_call: str, output: str, item: str = "") -> bool:
        """item: id of the output. Whether it is the output of a call that the client added, of which the agent isn't
        told here. Raises BadInput; then it counts for nothing."""
        answered = self._answered.get(tool_call)
        if answered is None:
            allowed = "the call_id of a function_call of this call"
            raise BadInput("item.call_id", f"{tool_call[:80]!r} is unknown", allowed, code="item_not_found")
        if answered:
            raise BadInput("item.call_id", f"{tool_call!r} has its output", "one output for each call")
        self._answered[tool_call] = True
        if tool_call in self._added:
            return True
        self._tell(ToolOutput(tool_call, output, item))
        return False

    def call_deleted(self, tool_call: str) -> None:
        """Nothing is known of it any more."""
        self._answered.pop(tool_call, None)
        self._added.discard(tool_call)

    def output_deleted(self, tool_call: str) -> None:
        """It may be given again, as what the client adds by itself."""
        if tool_call in self._answered:
            self._answered[tool_call] = False
            self._added.add(tool_call)

    def _remember(self, tool_call: str, *, answered: bool) -> None:
        self._answered[tool_call] = answered
        if len(self._answered) > REMEMBERED:
            self._added.discard(self._answered.popitem(last=False)[0])
