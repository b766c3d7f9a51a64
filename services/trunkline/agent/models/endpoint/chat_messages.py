"""The conversation as chat messages. Pure.

The calls of a round stand in one assistant message, with the words that announced them, and each call's one output
directly behind it: endpoints refuse anything else. What a tool shows stands in a message behind all of them, as the
user's: this API has no other place for pictures.
"""

from collections.abc import Sequence

from trunkline.agent.models.endpoint.parts import parts_of
from trunkline.agent.models.history import STILL_RUNNING
from trunkline.agent.models.pictures import Picture, Shown
from trunkline.agent.models.seam import HistoryItem, MessageItem, ToolCallItem, ToolOutputItem

ChatMessage = dict[str, object]
GIVEN_BY = "(What the tool {} gave beside its words:)"


def messages_of(
    instructions: str, items: Sequence[HistoryItem], shown: Shown, *, sends_phase: bool
) -> list[ChatMessage]:
    """Oldest first. shown: what becomes of each picture in them. sends_phase: as the key `phase` of an assistant's
    message, exactly as it is in the history."""
    outputs = {item.id: item for item in items if isinstance(item, ToolOutputItem)}
    messages: list[ChatMessage] = [{"role": "system", "content": instructions}] if instructions else []
    calls: list[ToolCallItem] = []  # of the round that is being written
    for item in items:
        match item:
            case ToolCallItem():
                calls.append(item)
            case MessageItem(role, phase, text, images):
                _add_calls(messages, calls, outputs, shown)
                content = _parts(parts_of(text, images, shown)) if images else text
                message: ChatMessage = {"role": role, "content": content}
                messages.append(message | {"phase": phase} if phase is not None and sends_phase else message)
    _add_calls(messages, calls, outputs, shown)
    return messages


def _parts(parts: Sequence[str | Picture]) -> list[dict[str, object]]:
    return [
        {"type": "text", "text": part}
        if isinstance(part, str)
        else {"type": "image_url", "image_url": {"url": part.url, "detail": part.detail}}
        for part in parts
    ]


def _add_calls(
    messages: list[ChatMessage], calls: list[ToolCallItem], outputs: dict[str, ToolOutputItem], shown: Shown
) -> None:
    """Calls are of the message before them; where there is none of the assistant's, of one without words."""
    if not calls:
        return
    if not messages or messages[-1]["role"] != "assistant":
        messages.append({"role": "assistant", "content": None})
    messages[-1]["tool_calls"] = [
        {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
        for call in calls
    ]
    given = [(call, outputs.get(call.id) or ToolOutputItem(call.id, STILL_RUNNING, None)) for call in calls]
    messages.extend({"role": "tool", "tool_call_id": call.id, "content": output.output} for call, output in given)
    for call, output in given:
        if output.images:
            pictures = [shown[image] for image in output.images]
            messages.append({"role": "user", "content": _parts([GIVEN_BY.format(call.name), *pictures])})
    calls.clear()
