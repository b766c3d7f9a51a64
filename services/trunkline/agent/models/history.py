"""A call's record as the items of a model's request.

Pure. Every phase as it is recorded, unchanged; of an interrupted message only what was heard; a tool call always with
its output, even while there is none.
"""

from collections import defaultdict
from collections.abc import Collection, Iterator

from trunkline.agent.models.seam import HistoryItem, MessageItem, ToolCallItem, ToolOutputItem
from trunkline.record import CallView, ItemView, ToolView

STILL_RUNNING = "This tool is still running; its result is not known yet."


def history_of(view: CallView, without: Collection[str] = ()) -> tuple[HistoryItem, ...]:
    """Oldest first. without: ids of messages that are left out.

    The tool calls of a message that was deleted meanwhile lead: their effects remain.
    """
    tools: defaultdict[str, list[ToolView]] = defaultdict(list)
    for tool in view.tools.values():
        tools[tool.after if tool.after in view.items else ""].append(tool)
    items: list[HistoryItem] = [*_tool_items(tools[""])]
    for item in view.items.values():
        if item.id not in without and (message := _message(item)):
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
