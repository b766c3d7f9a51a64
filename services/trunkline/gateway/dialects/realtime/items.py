"""The protocol's items, made of what they mean. Pure."""

from collections.abc import Sequence
from typing import Literal

from trunkline.gateway.dialects.realtime import events_out as out
from trunkline.proto.ids import item_of_tool_call
from trunkline.proto.response import Phase

REALTIME_ITEM = "realtime.item"
Role = Literal["user", "assistant", "system"]


def message(
    item: str,
    role: Role,
    content: Sequence[out.Part],
    *,
    status: out.ItemStatus = "completed",
    phase: Phase | None = None,
) -> out.Item:
    return out.Item(
        id=item, object=REALTIME_ITEM, type="message", status=status, role=role, content=list(content), phase=phase
    )


def function_call(tool_call: str, name: str, arguments: str, item: str = "") -> out.FunctionCall:
    """item: its id, empty for one by which the client is asked."""
    return out.FunctionCall(
        id=item or item_of_tool_call(tool_call),
        object=REALTIME_ITEM,
        type="function_call",
        status="completed",
        call_id=tool_call,
        name=name,
        arguments=arguments,
    )


def function_output(item: str, call_id: str, output: str) -> out.FunctionOutput:
    return out.FunctionOutput(
        id=item, object=REALTIME_ITEM, type="function_call_output", status="completed", call_id=call_id, output=output
    )


def text_of(item: out.Item) -> str:
    """Its words."""
    return "".join(part.transcript or part.text or "" for part in item.content)


def has_audio(item: out.Item) -> bool:
    """It is spoken, or about to be."""
    return item.role == "assistant" and all(part.type == "output_audio" for part in item.content)
