"""Input filters of the SDK's handoffs: the conversation as the SDK's items, and what a filter leaves of it back again.

The SDK divides it in three: until the caller's last words, the agent's rounds in answer to them, and its last round.
"""

import functools
import inspect
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal, cast

from agents import HandoffInputData, RunItem
from agents.agent import AgentBase
from agents.handoffs import HandoffInputFilter
from agents.items import MessageOutputItem, ToolCallItem, ToolCallOutputItem, TResponseInputItem
from openai.types.responses import ResponseFunctionToolCall, ResponseOutputMessage, ResponseOutputText

from trunkline.agents.handoff import Filter, Said
from trunkline.proto.image import ShownImage
from trunkline.proto.response import Phase

Item = dict[str, Any]


def filter_of(given: HandoffInputFilter, agent: AgentBase[Any], tool_name: str) -> Filter:
    """given: a plain function; it is asked again with each round. tool_name: of the handoff."""
    return functools.partial(_filtered, given, agent, tool_name)


def _filtered(given: HandoffInputFilter, agent: AgentBase[Any], tool: str, said: Sequence[Said]) -> list[Said]:
    turn = _behind([at for at, one in enumerate(said) if one.kind == "user"])
    done = [at for at, one in enumerate(said) if one.kind == "tool_output" and one.tool != tool]
    round_ = max(turn, _behind(done))
    data = HandoffInputData(
        input_history=tuple(cast(TResponseInputItem, _input_item(one)) for one in said[:turn]),
        pre_handoff_items=tuple(_run_item(one, agent) for one in said[turn:round_]),
        new_items=tuple(_run_item(one, agent) for one in said[round_:]),
    )
    kept = given(data)
    if inspect.isawaitable(kept):
        raise TypeError("an input_filter gave something to wait for; a plain function is allowed")
    before = kept.input_history
    first: Iterable[Any] = [{"role": "user", "content": before}] if isinstance(before, str) else before
    after = kept.new_items if kept.input_items is None else kept.input_items
    behind = [item.to_input_item() for item in (*kept.pre_handoff_items, *after)]
    names = {one.id: one.tool for one in said if one.kind == "tool_call"}
    images = {image.file: image for one in said for image in one.images}
    back = (_said(cast(Item, item), names, images) for item in (*first, *behind))
    return [one for one in back if one is not None]


def _behind(places: Sequence[int]) -> int:
    return places[-1] + 1 if places else 0


def _input_item(one: Said) -> Item:
    match one.kind:
        case "tool_call":
            return {"type": "function_call", "call_id": one.id, "name": one.tool, "arguments": one.text}
        case "tool_output":
            return {"type": "function_call_output", "call_id": one.id, "output": one.text}
        case "assistant" if one.phase is not None:
            return {"type": "message", "role": "assistant", "content": one.text, "phase": one.phase}
        case role if one.images:
            shown = [{"type": "input_image", "file_id": image.file, "detail": image.detail} for image in one.images]
            return {"type": "message", "role": role, "content": [{"type": "input_text", "text": one.text}, *shown]}
        case role:
            return {"type": "message", "role": role, "content": one.text}


def _run_item(one: Said, agent: AgentBase[Any]) -> RunItem:
    """agent: any of the file; the SDK's items only name it."""
    whose = cast(Any, agent)
    match one.kind:
        case "tool_call":
            call = ResponseFunctionToolCall(type="function_call", call_id=one.id, name=one.tool, arguments=one.text)
            return ToolCallItem(agent=whose, raw_item=call)
        case "tool_output":
            return ToolCallOutputItem(agent=whose, raw_item=cast(Any, _input_item(one)), output=one.text)
        case "system":  # the SDK has no item of a run for it, and hands this one back as it is
            return MessageOutputItem(agent=whose, raw_item=cast(Any, _input_item(one)))
        case _:
            text = ResponseOutputText(type="output_text", text=one.text, annotations=[])
            message = ResponseOutputMessage(
                id="msg", type="message", role="assistant", status="completed", content=[text], phase=one.phase
            )
            return MessageOutputItem(agent=whose, raw_item=message)


def _said(item: Item, names: Mapping[str, str], images: Mapping[str, ShownImage]) -> Said | None:
    """images: that the conversation shows, by file. None for what a call has no words for."""
    match item:
        case {"type": "function_call", "call_id": str(key), "name": str(name), "arguments": str(arguments)}:
            return Said("tool_call", arguments, tool=name, id=key)
        case {"type": "function_call_output", "call_id": str(key), "output": output}:
            return Said("tool_output", _text(output), tool=names.get(key, ""), id=key)
        case {"role": role, "content": content}:
            kind: Literal["user", "assistant", "system"] = role if role in ("assistant", "system") else "user"
            phase = cast(Phase | None, item.get("phase")) if kind == "assistant" else None
            return Said(kind, _text(content), phase, images=_images(content, images))
    return None


def _text(content: Any) -> str:
    if isinstance(content, str):
        return content
    return "\n".join(part["text"] for part in content if isinstance(part.get("text"), str))


def _images(content: Any, known: Mapping[str, ShownImage]) -> tuple[ShownImage, ...]:
    if isinstance(content, str):
        return ()
    return tuple(known[part["file_id"]] for part in content if part.get("file_id") in known)
