"""The protocol's items, made of what they mean. Pure."""

from collections.abc import Sequence
from typing import Literal

from trunkline.gateway.dialects.realtime import events_out as out
from trunkline.proto.ids import item_of_tool_call
from trunkline.proto.image import ShownImage
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


def user_parts(text: str, images: Sequence[ShownImage]) -> list[out.Part]:
    """Of a message that was typed, as a client can have given them."""
    parts: list[out.Part] = []
    told = 0
    for image in images:
        if text[told : image.at]:
            parts.append(out.Part("input_text", text=text[told : image.at]))
        told = max(told, image.at)
        parts.append(image_part(image))
    if text[told:] or not images:
        parts.append(out.Part("input_text", text=text[told:]))
    return parts


def image_part(image: ShownImage) -> out.Part:
    return out.Part("input_image", file_id=image.file, detail=image.detail)


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
