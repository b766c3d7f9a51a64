"""From a prompt of the request APIs to a model's request. Pure.

What is said and shown goes to the model as it came, each phase unchanged. What a model can't be asked is refused here,
in the words of whoever asked.
"""

from collections.abc import Sequence

import msgspec

from trunkline.agent.models.seam import HistoryItem, MessageItem, ModelRequest, ToolCallItem, ToolOffer, ToolOutputItem
from trunkline.agents import ModelSettings
from trunkline.agents.settings import EFFORTS, VERBOSITIES
from trunkline.proto.errors import BadInput
from trunkline.proto.generation import Prompt
from trunkline.proto.response import Inserted
from trunkline.proto.tool import DescribedTool

_objects = msgspec.json.Decoder(dict[str, object])


def request_of(prompt: Prompt, request_id: str) -> ModelRequest:
    """Raises BadInput; its param is spelt as in `POST /v1/responses`."""
    return ModelRequest(
        prompt.instructions,
        _items(prompt.items),
        tuple(_offer(at, tool) for at, tool in enumerate(prompt.tools)),
        request_id,
        prompt.model,
        _settings(prompt),
    )


def _items(given: Sequence[Inserted]) -> tuple[HistoryItem, ...]:
    items = tuple(_item(one) for one in given)
    open_calls: dict[str, bool] = {}  # by id: whether its output is still to come
    for item in items:
        match item:
            case ToolCallItem(id=key):
                if key in open_calls:
                    raise BadInput("input", f"has two function calls {key}", "")
                open_calls[key] = True
            case ToolOutputItem(id=key):
                if not open_calls.get(key, False):
                    raise BadInput("input", f"has no function call before the output of {key}, or has two outputs", "")
                open_calls[key] = False
    if missing := [key for key, is_open in open_calls.items() if is_open]:
        raise BadInput("input", f"has no tool output for the function call {missing[0]}", "")
    return items


def _item(given: Inserted) -> HistoryItem:
    match given.kind:
        case "message" if given.role == "user":
            return MessageItem("user", None, given.text, given.images)
        case "message" if given.role and not given.images:
            return MessageItem(given.role, given.phase if given.role == "assistant" else None, given.text)
        case "message" if given.role:
            raise BadInput("input", f"a message of the {given.role} shows a picture", "pictures in a user's messages")
        case "function_call" if given.call_id:
            return ToolCallItem(given.call_id, given.name, given.text)
        case "function_call_output" if given.call_id:
            return ToolOutputItem(given.call_id, given.text, "ok", given.images)
    raise BadInput("input", f"has an item of kind {given.kind!r} that is not complete", "messages, calls, outputs")


def _offer(at: int, tool: DescribedTool) -> ToolOffer:
    try:
        return ToolOffer(tool.name, tool.description, _objects.decode(tool.parameters))
    except msgspec.MsgspecError as error:
        raise BadInput(f"tools[{at}].parameters", f"can't be read: {error}", "a JSON Schema of an object") from None


def _settings(prompt: Prompt) -> ModelSettings:
    choice = prompt.tool_choice or "auto"
    if choice not in ("auto", "required", "none", *(tool.name for tool in prompt.tools)):
        raise BadInput("tool_choice", f"names {choice!r}", "auto, required, none or one of the tools")
    if prompt.temperature is not None and not 0 <= prompt.temperature <= 2:
        raise BadInput("temperature", f"is {prompt.temperature}", "0 to 2")
    if prompt.max_output_tokens < 0:
        raise BadInput("max_output_tokens", f"is {prompt.max_output_tokens}", "1 or more")
    effort = next((one for one in EFFORTS if one == prompt.effort), None)
    if effort is None:
        raise BadInput("reasoning.effort", f"is {prompt.effort!r}", ", ".join(EFFORTS[1:]))
    verbosity = next((one for one in VERBOSITIES if one == prompt.verbosity), None)
    if verbosity is None:
        raise BadInput("text.verbosity", f"is {prompt.verbosity!r}", ", ".join(VERBOSITIES[1:]))
    return ModelSettings(
        temperature=prompt.temperature,
        max_output_tokens=prompt.max_output_tokens or None,
        reasoning_effort=effort,
        tool_choice=choice,
        parallel_tool_calls=prompt.parallel,
        verbosity=verbosity,
    )
