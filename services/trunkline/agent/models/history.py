"""A call's record as the items of a model's request.

Pure. Every phase as it is recorded, unchanged; of an interrupted message only what was heard; a tool call always with
its output, even while there is none; of what a guardrail kept from the model, not a word and no picture.
"""

from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence

import msgspec

from trunkline.agent.image_places import moved
from trunkline.agent.models.seam import HistoryItem, MessageItem, ToolCallItem, ToolOutputItem
from trunkline.agents.handoff import Filter, Said
from trunkline.proto.image import ShownImage
from trunkline.record import CallView, ItemView, ToolView

STILL_RUNNING = "This tool is still running; its result is not known yet."
STILL_WAITING = "This waits for a person's approval. It has not been done, and may never be: don't say that it is."
WITHHELD = "(The caller said something that was withheld by policy.)"


def history_of(
    view: CallView, without: Collection[str] = (), filters: Sequence[Filter | None] = (), response: str = ""
) -> tuple[HistoryItem, ...]:
    """Oldest first. without: ids of messages that are left out. filters: of the call's handoffs, in their order.
    response: that is asked for; what is news in it stands right before it, and of those out of band it alone is told.
    Where a client gave it a context, that stands in place of the conversation so far.

    The tool calls of a message that was deleted meanwhile stand where it stood: their effects remain.
    """
    asked = view.responses.get(response)
    alone = asked is not None and asked.asked is not None and asked.asked.context is not None
    if not (view.tools or view.handoffs):
        return _messages_told(view, without, response, alone=alone)
    order = {key: number for number, key in enumerate(view.tools)}
    tools = _tools_told(view, response)
    borders = [(view.places.standing(handoff.item), handoff.tools) for handoff in view.handoffs]
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
                if tool.stands and _is_told(view, tool.response, response, alone=alone):
                    told.extend(_tool_items(tool, view))
            hand_off(key, len(order))
        keys.clear()

    waiting = [""]  # messages whose tools aren't told yet
    for item in view.items.values():
        if not _is_aside(item):
            tell_tools(waiting)
        is_told = item.id not in without and _is_told(view, item.response, response, alone=alone)
        if is_told and (said := message_of(item)):
            told.append(said)
        waiting.append(item.id)
    tell_tools(waiting)
    return tuple(told)


def _messages_told(view: CallView, without: Collection[str], response: str, *, alone: bool) -> tuple[HistoryItem, ...]:
    """Of a conversation in which nothing stands between the messages: most are, and grow long."""
    asides = {one.id for one in view.responses.values() if one.aside}
    asides.discard(response)
    told = (
        message_of(item)
        for item in view.items.values()
        if (item.response == response if alone else item.response not in asides) and item.id not in without
    )
    return tuple(said for said in told if said)


def _is_told(view: CallView, of: str, asked: str, *, alone: bool) -> bool:
    """Whether what belongs to a response is part of what the model reads for the one that is asked for."""
    return of == asked if alone else of == asked or not view.is_aside(of)


def _tools_told(view: CallView, response: str) -> defaultdict[str, list[ToolView]]:
    """By the message that they are told behind."""
    tools = defaultdict(list, {key: view.tools_behind(key) for key in ("", *view.items)})
    asked = view.responses.get(response)
    if asked is None or not asked.news:
        return tools
    before = next((key for key in reversed(view.items) if key not in asked.items), "")
    for key in tools:
        tools[key] = [tool for tool in tools[key] if tool.id not in asked.news]
    tools[before] += [view.tools[key] for key in asked.news if key in view.tools]
    return tools


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
                result.append(MessageItem("user", None, one.text, _within(one.images, one.text)))
            case "system":
                result.append(MessageItem("system", None, one.text))
            case "assistant":
                result.append(MessageItem("assistant", one.phase, one.text))
            case "tool_call" if one.id in pairs:
                result.append(ToolCallItem(one.id, one.tool, one.text))
            case "tool_output" if one.id in pairs:
                status = outputs[one.id].status if one.id in outputs else "ok"
                result.append(ToolOutputItem(one.id, one.text, status, _within(one.images, one.text)))
    return result


def _within(images: Sequence[ShownImage], text: str) -> tuple[ShownImage, ...]:
    """A filter may have shortened the text."""
    return tuple(msgspec.structs.replace(image, at=min(image.at, len(text))) for image in images)


def said_of(items: Sequence[HistoryItem]) -> list[Said]:
    """As functions of an agent file see it."""
    names = {item.id: item.name for item in items if isinstance(item, ToolCallItem)}
    return [_said(item, names) for item in items]


def _said(item: HistoryItem, names: dict[str, str]) -> Said:
    match item:
        case MessageItem(role=role, phase=phase, text=text, images=images):
            return Said(role, text, phase, images=images)
        case ToolCallItem(id=key, name=name, arguments=arguments):
            return Said("tool_call", arguments, tool=name, id=key)
        case ToolOutputItem(id=key, output=output, images=images):
            return Said("tool_output", output, tool=names.get(key, ""), id=key, images=images)


def message_of(item: ItemView) -> MessageItem | None:
    """None for one of which nothing was heard."""
    if item.role == "user":
        if item.status == "blocked":
            return MessageItem("user", None, WITHHELD)
        words = item.text if item.rewritten is None else item.rewritten
        return MessageItem("user", None, words, moved(item.images, item.text, words))
    text = item.truncated.heard_text if item.truncated is not None else item.text
    return MessageItem(item.role, item.phase, text) if text else None


def _tool_items(tool: ToolView, view: CallView) -> Iterator[HistoryItem]:
    output = tool.output
    if tool.status is None:
        approval = view.approvals.get(tool.approval)
        output = STILL_WAITING if approval is not None and approval.decided is None else STILL_RUNNING
    yield ToolCallItem(tool.id, tool.name, tool.arguments)
    yield ToolOutputItem(tool.id, output, tool.status)
