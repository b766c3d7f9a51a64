"""A call's record as the items of a model's request.

Pure. Every phase as it is recorded, unchanged; of an interrupted message only what was heard; a tool call always with
its output, even while there is none; of what a guardrail kept from the model, not a word.
"""

from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence

from trunkline.agent.models.seam import HistoryItem, MessageItem, ToolCallItem, ToolOutputItem
from trunkline.agents.handoff import Filter, Said
from trunkline.record import CallView, ItemView, ToolView

STILL_RUNNING = "This tool is still running; its result is not known yet."
STILL_WAITING = "This waits for a person's approval. It has not been done, and may never be: don't say that it is."
WITHHELD = "(The caller said something that was withheld by policy.)"


def history_of(
    view: CallView, without: Collection[str] = (), filters: Sequence[Filter | None] = (), response: str = ""
) -> tuple[HistoryItem, ...]:
    """Oldest first. without: ids of messages that are left out. filters: of the call's handoffs, in their order.
    response: that is asked for; what is news in it stands right before it.

    The tool calls of a message that was deleted meanwhile lead: their effects remain.
    """
    order = {key: number for number, key in enumerate(view.tools)}
    tools: defaultdict[str, list[ToolView]] = defaultdict(list)
    asked = view.responses.get(response)
    own, news = (asked.items, asked.news) if asked is not None else ([], ())
    before = next((key for key in reversed(view.items) if key not in own), "")
    for tool in view.tools.values():
        after = before if tool.id in news else tool.after
        tools[after if after in view.items else ""].append(tool)
    borders = [(handoff.item if handoff.item in view.items else "", handoff.tools) for handoff in view.handoffs]
    told: list[HistoryItem] = []
    passed = 0

    def hand_off(key: str, known_tools: int) -> None:
        nonlocal passed, told
        while passed < len(borders) and borders[passed][0] == key and borders[passed][1] <= known_tools:
            made = filters[passed] if passed < len(filters) else None
            told = filtered(told, made) if made is not None else told
            passed += 1

    def tell_tools(keys: list[str]) -> None:
        for key in keys:
            for tool in tools[key]:
                hand_off(key, order[tool.id])
                told.extend(_tool_items(tool, view))
            hand_off(key, len(order))
        keys.clear()

    waiting = [""]  # messages whose tools aren't told yet
    for item in view.items.values():
        if not _is_aside(item):
            tell_tools(waiting)
        if item.id not in without and (said := _message(item)):
            told.append(said)
        waiting.append(item.id)
    tell_tools(waiting)
    return tuple(told)


def _is_aside(item: ItemView) -> bool:
    """Said while a tool ran: it stands before the tool's call, so that the result is what the model answers to."""
    return item.role == "assistant" and item.source in ("filler", "tool") and item.phase == "commentary"


def filtered(items: Sequence[HistoryItem], filter_: Filter) -> list[HistoryItem]:
    """What the filter keeps; a tool call without its output, or the other way round, goes too."""
    outputs = {item.id: item for item in items if isinstance(item, ToolOutputItem)}
    kept = list(filter_(said_of(items)))
    pairs = {one.id for one in kept if one.kind == "tool_call"} & {one.id for one in kept if one.kind == "tool_output"}
    result: list[HistoryItem] = []
    for one in kept:
        match one.kind:
            case "user":
                result.append(MessageItem("user", None, one.text))
            case "assistant":
                result.append(MessageItem("assistant", one.phase, one.text))
            case "tool_call" if one.id in pairs:
                result.append(ToolCallItem(one.id, one.tool, one.text))
            case "tool_output" if one.id in pairs:
                result.append(ToolOutputItem(one.id, one.text, outputs[one.id].status if one.id in outputs else "ok"))
    return result


def said_of(items: Sequence[HistoryItem]) -> list[Said]:
    """As functions of an agent file see it."""
    names = {item.id: item.name for item in items if isinstance(item, ToolCallItem)}
    return [_said(item, names) for item in items]


def _said(item: HistoryItem, names: dict[str, str]) -> Said:
    match item:
        case MessageItem(role=role, phase=phase, text=text):
            return Said(role, text, phase)
        case ToolCallItem(id=key, name=name, arguments=arguments):
            return Said("tool_call", arguments, tool=name, id=key)
        case ToolOutputItem(id=key, output=output):
            return Said("tool_output", output, tool=names.get(key, ""), id=key)


def _message(item: ItemView) -> MessageItem | None:
    if item.role == "user":
        words = item.text if item.rewritten is None else item.rewritten
        return MessageItem("user", None, WITHHELD if item.status == "blocked" else words)
    text = item.truncated.heard_text if item.truncated is not None else item.text
    return MessageItem("assistant", item.phase, text) if text else None


def _tool_items(tool: ToolView, view: CallView) -> Iterator[HistoryItem]:
    output = tool.output
    if tool.status is None:
        approval = view.approvals.get(tool.approval)
        output = STILL_WAITING if approval is not None and approval.decided is None else STILL_RUNNING
    yield ToolCallItem(tool.id, tool.name, tool.arguments)
    yield ToolOutputItem(tool.id, output, tool.status)
