"""The function tools that a request brings, and how the model is to choose among them. Pure.

What can't be honoured is refused by name; every error's param is spelt as the client spells it.
"""

from collections.abc import Sequence
from typing import Literal

import msgspec

from trunkline.agents.client_tool import NO_PARAMETERS, client_tool
from trunkline.agents.tool import NAME
from trunkline.gateway.validation import read_part
from trunkline.proto.errors import BadInput
from trunkline.proto.tool import DescribedTool

TOOLS_LIMIT = 128
TOOLS_LIMIT_BYTES = 256 * 1024  # of all of them, as JSON
MODES = ("auto", "none", "required")
CHOICE_ALLOWED = ", ".join((*MODES, '{"type": "function", "name": …}'))


class FunctionTool(msgspec.Struct, frozen=True, tag="function", tag_field="type"):
    """As the response tells it. strict: as it was asked; the model is shown the schema, and held to it by nobody."""

    name: str
    description: str | None
    parameters: dict[str, object]
    strict: bool


class ChosenFunction(msgspec.Struct, frozen=True, tag="function", tag_field="type"):
    name: str


ToolChoice = str | ChosenFunction


class _Kind(msgspec.Struct, frozen=True):
    type: str


class _NewTool(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename={"asynchronous": "async"}):
    """allowed_callers, defer_loading, asynchronous: at the values that a tool has anyway."""

    type: str
    name: str
    description: str | None = None
    parameters: dict[str, object] | None = None
    strict: bool | None = None
    allowed_callers: tuple[Literal["direct"]] | None = None
    defer_loading: Literal[False] | None = None
    asynchronous: Literal[False] | None = None
    output_schema: None = None


class _NewChoice(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    type: str
    name: str


def tools_of(given: Sequence[msgspec.Raw]) -> tuple[FunctionTool, ...]:
    """Raises BadInput."""
    if len(given) > TOOLS_LIMIT:
        raise BadInput("tools", f"has {len(given)} tools", f"up to {TOOLS_LIMIT}")
    if (size := sum(len(raw) for raw in given)) > TOOLS_LIMIT_BYTES:
        raise BadInput("tools", f"has {size} bytes", f"{TOOLS_LIMIT_BYTES} bytes")
    tools: list[FunctionTool] = []
    for number, raw in enumerate(given):
        tool = _tool(raw, f"tools[{number}]")
        if tool.name in (other.name for other in tools):
            raise BadInput(f"tools[{number}].name", f"{tool.name!r} is there twice", "one tool of each name")
        tools.append(tool)
    return tuple(tools)


def choice_of(raw: msgspec.Raw, tools: Sequence[FunctionTool]) -> ToolChoice:
    """Raises BadInput."""
    if bytes(raw) == b"null":
        return "auto"
    if not bytes(raw).startswith(b"{"):
        mode = read_part(raw, str, "tool_choice")
        if mode not in MODES:
            raise BadInput("tool_choice", f"is {mode[:80]!r}", CHOICE_ALLOWED)
        if mode == "required" and not tools:
            raise BadInput("tool_choice", "is 'required', and there are no tools", "auto, none, or give tools")
        return mode
    kind = read_part(raw, _Kind, "tool_choice").type
    if kind != "function":
        raise BadInput("tool_choice.type", f"{kind[:80]!r} is not supported", CHOICE_ALLOWED, code="not_supported")
    name = read_part(raw, _NewChoice, "tool_choice").name
    names = [tool.name for tool in tools]
    if name not in names:
        raise BadInput("tool_choice.name", f"there is no tool {name[:80]!r}", ", ".join(names) or "no tool")
    if name in MODES:
        raise BadInput("tool_choice.name", f"{name!r} can't be told from the mode", "a tool of another name")
    return ChosenFunction(name)


def described(tools: Sequence[FunctionTool]) -> tuple[DescribedTool, ...]:
    """As the model is told of them."""
    return tuple(_described(tool) for tool in tools)


def _tool(raw: msgspec.Raw, param: str) -> FunctionTool:
    kind = read_part(raw, _Kind, param).type
    if kind != "function":
        raise BadInput(f"{param}.type", f"{kind[:80]!r} is not supported", "function", code="not_supported")
    given = read_part(raw, _NewTool, param)
    if not NAME.fullmatch(given.name):
        raise BadInput(f"{param}.name", f"is {given.name[:80]!r}", "1 to 64 of A-Z a-z 0-9 _ -")
    parameters = given.parameters if given.parameters is not None else NO_PARAMETERS
    tool = FunctionTool(given.name, given.description, parameters, given.strict is not False)
    try:
        client_tool(_described(tool))
    except BadInput as error:
        raise BadInput(
            f"{param}.parameters", error.problem, error.allowed, code="invalid_function_parameters"
        ) from error
    return tool


def _described(tool: FunctionTool) -> DescribedTool:
    return DescribedTool(tool.name, tool.description or "", msgspec.json.encode(tool.parameters).decode())
