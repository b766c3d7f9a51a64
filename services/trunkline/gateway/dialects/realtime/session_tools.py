"""The tools of a client's session: function tools, which the client carries out itself, and how one is chosen. Pure.

What can't be honoured is refused by name; every error's param is spelt as the client spells it.
"""

from collections.abc import Collection, Sequence
from typing import Literal

import msgspec

from trunkline.agents.client_tool import NO_PARAMETERS, client_tool
from trunkline.agents.tool import NAME
from trunkline.gateway.validation import read_part
from trunkline.proto.errors import BadInput
from trunkline.proto.response import Equip
from trunkline.proto.tool import DescribedTool

TOOLS = "session.tools"
CHOICE = "session.tool_choice"
TOOLS_LIMIT = 128
TOOLS_LIMIT_BYTES = 128 * 1024  # of all of them, as JSON
NULL = b"null"
MODES = ("auto", "none", "required")


class FunctionTool(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """parameters: JSON Schema of an object; None for no arguments. type: "function", which a client may leave out."""

    name: str
    type: str = ""
    description: str | None = None
    parameters: dict[str, object] | None = None


class ChosenFunction(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    type: Literal["function"]
    name: str


ToolChoice = str | ChosenFunction


class _Kind(msgspec.Struct, frozen=True):
    type: str = "function"


def tools_of(raw: msgspec.Raw, reserved: Collection[str]) -> list[FunctionTool]:
    """reserved: names of the agents' own tools. Raises BadInput."""
    if len(raw) > TOOLS_LIMIT_BYTES:
        raise BadInput(TOOLS, f"has {len(raw)} bytes", f"{TOOLS_LIMIT_BYTES} bytes")
    given = read_part(raw, list[msgspec.Raw], TOOLS) if bytes(raw) != NULL else []
    if len(given) > TOOLS_LIMIT:
        raise BadInput(TOOLS, f"has {len(given)} tools", f"up to {TOOLS_LIMIT}")
    tools: list[FunctionTool] = []
    for number, one in enumerate(given):
        tool = _tool(one, f"{TOOLS}[{number}]", reserved)
        if tool.name in (other.name for other in tools):
            raise BadInput(f"{TOOLS}[{number}].name", f"{tool.name!r} is there twice", "one tool of each name")
        tools.append(tool)
    return tools


def choice_of(raw: msgspec.Raw) -> ToolChoice:
    """Raises BadInput."""
    if bytes(raw) == NULL:
        return "auto"
    if not bytes(raw).startswith(b"{"):
        mode = read_part(raw, str, CHOICE)
        if mode not in MODES:
            raise BadInput(CHOICE, f"is {mode[:80]!r}", ", ".join((*MODES, '{"type": "function", "name": …}')))
        return mode
    kind = read_part(raw, _Kind, CHOICE).type
    if kind != "function":
        raise BadInput(f"{CHOICE}.type", f"{kind[:80]!r} is not supported yet", "function", code="not_supported")
    return read_part(raw, ChosenFunction, CHOICE)


def require_choice(choice: ToolChoice, tools: Sequence[FunctionTool], reserved: Collection[str]) -> None:
    """The tool that must be used is there. Raises BadInput."""
    names = [*(tool.name for tool in tools), *reserved]
    if isinstance(choice, ChosenFunction) and choice.name not in names:
        raise BadInput(f"{CHOICE}.name", f"there is no tool {choice.name[:80]!r}", ", ".join(names) or "no tool")


def equip_of(tools: Sequence[FunctionTool], choice: ToolChoice) -> Equip:
    """As the agent is told of them."""
    chosen = choice.name if isinstance(choice, ChosenFunction) else choice
    return Equip(tuple(_described(tool) for tool in tools), "" if chosen == "auto" else chosen)


def _tool(raw: msgspec.Raw, param: str, reserved: Collection[str]) -> FunctionTool:
    kind = read_part(raw, _Kind, param).type
    if kind != "function":
        raise BadInput(f"{param}.type", f"{kind[:80]!r} is not supported yet", "function", code="not_supported")
    tool = read_part(raw, FunctionTool, param)
    if not NAME.fullmatch(tool.name):
        raise BadInput(f"{param}.name", f"is {tool.name[:80]!r}", "1 to 64 of A-Z a-z 0-9 _ -")
    if tool.name in reserved:
        raise BadInput(f"{param}.name", f"{tool.name!r} is a tool of the agent's own", "another name")
    try:
        client_tool(_described(tool))
    except BadInput as error:
        raise BadInput(f"{param}.parameters", error.problem, error.allowed) from error
    return msgspec.structs.replace(tool, type="function")


def _described(tool: FunctionTool) -> DescribedTool:
    parameters = msgspec.json.encode(NO_PARAMETERS if tool.parameters is None else tool.parameters).decode()
    return DescribedTool(tool.name, tool.description or "", parameters)
