"""The conversation as chat messages. Pure.

The calls of a round stand in one assistant message, with the words that announced them, and each call's one output
directly behind it: endpoints refuse anything else.
"""

from collections.abc import Sequence

from trunkline.agent.models.history import STILL_RUNNING
from trunkline.agent.models.seam import HistoryItem, MessageItem, ToolCallItem, ToolOutputItem

ChatMessage = dict[str, object]


def messages_of(instructions: str, items: Sequence[HistoryItem], *, sends_phase: bool) -> list[ChatMessage]:
    """Oldest first. sends_phase: as the key `phase` of an assistant's message, exactly as it is in the history."""
    outputs = {item.id: item.output for item in items if isinstance(item, ToolOutputItem)}
    messages: list[ChatMessage] = [{"role": "system", "content": instructions}] if instructions else []
    calls: list[ToolCallItem] = []  # of the round that is being written
    for item in items:
        match item:
            case ToolCallItem():
                calls.append(item)
            case MessageItem(role, phase, text):
                _add_calls(messages, calls, outputs)
                message: ChatMessage = {"role": role, "content": text}
                messages.append(message | {"phase": phase} if phase is not None and sends_phase else message)
    _add_calls(messages, calls, outputs)
    return messages


def _add_calls(messages: list[ChatMessage], calls: list[ToolCallItem], outputs: dict[str, str]) -> None:
    """Calls are of the message before them; where there is none of the assistant's, of one without words."""
    if not calls:
        return
    if not messages or messages[-1]["role"] != "assistant":
        messages.append({"role": "assistant", "content": None})
    messages[-1]["tool_calls"] = [
        {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
        for call in calls
    ]
    messages.extend(
        {"role": "tool", "tool_call_id": call.id, "content": outputs.get(call.id, STILL_RUNNING)} for call in calls
    )
    calls.clear()
