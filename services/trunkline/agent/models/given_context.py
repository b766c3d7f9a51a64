"""What a client puts before the model in place of the conversation, as the items of a model's request. Pure.

A reference means what the record has of that item now; a tool call and its output are told together or not at all.
"""

from collections.abc import Sequence

from trunkline.agent.image_places import moved
from trunkline.agent.models.history import WITHHELD, message_of
from trunkline.agent.models.seam import HistoryItem, MessageItem, ToolCallItem, ToolOutputItem
from trunkline.proto.response import Inserted
from trunkline.record import ENDS, CallView, given_subject


def context_of(
    view: CallView, given: Sequence[Inserted], response: str
) -> tuple[tuple[HistoryItem, ...], tuple[str, ...]]:
    """response: whose context it is. The items, as policy left them; and ids of those that can't be told: unknown,
    deleted, heard by nobody, or half of a pair."""
    made = [(one.item or one.call_id, _item(view, one, given_subject(response, at))) for at, one in enumerate(given)]
    calls = {item.id for _, item in made if isinstance(item, ToolCallItem)}
    pairs = calls & {item.id for _, item in made if isinstance(item, ToolOutputItem)}
    items: list[HistoryItem] = []
    left_out: list[str] = []
    for name, item in made:
        if item is None or not (isinstance(item, MessageItem) or item.id in pairs):
            left_out.append(name)
        else:
            items.append(item)
    return tuple(items), tuple(left_out)


def _item(view: CallView, given: Inserted, subject: str) -> HistoryItem | None:
    match given.kind:
        case "message" if given.role == "user":
            verdict = view.verdicts.get(("input", subject))
            if verdict is not None and verdict.action in ENDS:
                return MessageItem("user", None, WITHHELD)
            words = view.rewritten.get(subject, given.text)
            return MessageItem("user", None, words, moved(given.images, given.text, words))
        case "message" if given.role:
            return MessageItem(given.role, given.phase, given.text)
        case "function_call":
            return ToolCallItem(given.call_id, given.name, given.text)
        case "function_call_output":
            return ToolOutputItem(given.call_id, given.text, "ok")
        case "reference":
            return _referred(view, given.item)
    return None


def _referred(view: CallView, item: str) -> HistoryItem | None:
    if item in view.items:
        return message_of(view.items[item])
    tool = view.tool_of(item) if view.has(item) else None
    if tool is None:
        return None
    if item == tool.call_item:
        return ToolCallItem(tool.id, tool.name, tool.arguments)
    return ToolOutputItem(tool.id, tool.output, tool.status)
