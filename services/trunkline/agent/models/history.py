"""A call's record as the items of a model's request.

Pure. Every phase as it is recorded, unchanged; of an interrupted message only what was heard; a tool call always with
its output, even while there is none.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping

from trunkline.agent.models.seam import HistoryItem, MessageItem, ToolCallItem, ToolOutputItem
from trunkline.proto.record import AssistantItem, CallerSaid, Event, ToolIntended
from trunkline.record import CallView, ItemView, ToolView

STILL_RUNNING = "This tool is still running; its result is not known yet."


class ToolPlaces:
    """Behind which message each tool call stands: a fold of the same events as the call's view, in the same order."""

    def __init__(self) -> None:
        self.behind: dict[str, str] = {}
        self._last_item = ""

    def apply(self, event: Event) -> None:
        match event:
            case CallerSaid(item=item) | AssistantItem(item=item):
                self._last_item = item
            case ToolIntended(tool_call=tool_call):
                self.behind[tool_call] = self._last_item


def history_of(view: CallView, behind: Mapping[str, str]) -> tuple[HistoryItem, ...]:
    """behind: see ToolPlaces. The calls of a message that was deleted meanwhile come first: their effects remain."""
    tools: defaultdict[str, list[ToolView]] = defaultdict(list)
    for tool in view.tools.values():
        place = behind.get(tool.id, "")
        tools[place if place in view.items else ""].append(tool)
    items: list[HistoryItem] = [*_tool_items(tools[""])]
    for item in view.items.values():
        if message := _message(item):
            items.append(message)
        items.extend(_tool_items(tools[item.id]))
    return tuple(items)


def _message(item: ItemView) -> MessageItem | None:
    if item.role == "user":
        return MessageItem("user", None, item.text)
    text = item.truncated.heard_text if item.truncated is not None else item.text
    return MessageItem("assistant", item.phase, text) if text else None


def _tool_items(tools: list[ToolView]) -> Iterator[HistoryItem]:
    for tool in tools:
        yield ToolCallItem(tool.id, tool.name, tool.arguments)
        yield ToolOutputItem(tool.id, tool.output if tool.status else STILL_RUNNING, tool.status)
