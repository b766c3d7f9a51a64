"""What is believed of a tool server's list: the tools that may be used and are described within bounds. Pure.

A server may say anything: what can't be told to a model is left out, with the reason, and the rest stands.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol

import msgspec

from trunkline.agents import ToolServer
from trunkline.agents.schema import JsonSchema
from trunkline.agents.toolserver import pin_of
from trunkline.proto.tool import DescribedTool

DESCRIPTION_CHARACTERS = 4096
SCHEMA_BYTES = 32 * 1024
SCHEMA_DEPTH = 24
DESCRIBED_BYTES = 256 * 1024  # of all tools of a server: they go in one message


class OfferedTool(Protocol):
    """As the server lists it."""

    @property
    def name(self) -> str: ...

    @property
    def description(self) -> str | None: ...

    @property
    def input_schema(self) -> JsonSchema: ...

    @property
    def output_schema(self) -> JsonSchema | None: ...


@dataclass(frozen=True, slots=True)
class Listed:
    """output: JSON Schema of what the tool returns as structured content, empty for none."""

    described: DescribedTool
    pin: str
    output: JsonSchema


@dataclass(frozen=True, slots=True)
class Listing:
    """tools: by name as the model sees it. left_out: allowed, but missing or of no use: why, by the same name."""

    tools: Mapping[str, Listed]
    left_out: Mapping[str, str]


def listing_of(server: ToolServer, offered: Iterable[OfferedTool]) -> Listing:
    """What isn't allowed is passed over, however much there is of it."""
    tools: dict[str, Listed] = {}
    left_out: dict[str, str] = {}
    room_bytes = DESCRIBED_BYTES
    at_server: dict[str, list[OfferedTool]] = {}
    for tool in offered:
        if tool.name in server.allow and tool not in (known := at_server.setdefault(tool.name, [])):
            known.append(tool)
    for name, own_name in server.tool_names.items():
        match at_server.get(own_name, []):
            case []:
                left_out[name] = "the server doesn't offer it"
            case [tool]:
                told = _listed(name, tool)
                size_bytes = 0 if isinstance(told, str) else len(msgspec.msgpack.encode(told.described))
                if isinstance(told, str):
                    left_out[name] = told
                elif size_bytes > room_bytes:
                    left_out[name] = f"the descriptions together are over {DESCRIBED_BYTES} bytes"
                else:
                    room_bytes -= size_bytes
                    tools[name] = told
            case _:
                left_out[name] = "the server offers more than one of that name"
    return Listing(tools, left_out)


def _listed(name: str, tool: OfferedTool) -> Listed | str:
    """Or why not."""
    schema = tool.input_schema
    if schema.get("type") != "object" or not isinstance(schema.get("properties", {}), dict):
        return "its schema is none of an object"
    if _too_deep(schema):
        return f"its schema is nested deeper than {SCHEMA_DEPTH} levels"
    try:
        parameters = msgspec.json.encode(schema)
    except (msgspec.MsgspecError, UnicodeEncodeError, TypeError, ValueError, RecursionError) as error:
        return f"its schema is no JSON ({error})"
    if len(parameters) > SCHEMA_BYTES:
        return f"its schema of {len(parameters)} bytes is over the limit of {SCHEMA_BYTES} bytes"
    described = DescribedTool(name, _visible(tool.description or ""), parameters.decode())
    output = tool.output_schema or {}
    return Listed(described, pin_of(described), {} if _too_deep(output) else output)


def _visible(text: str) -> str:
    """A person who reviews a description sees all that the model reads: no invisible characters, and an end."""
    seen = "".join(c for c in text[: 2 * DESCRIPTION_CHARACTERS] if c.isprintable() or c in "\n\t")
    return seen if len(seen) <= DESCRIPTION_CHARACTERS else seen[:DESCRIPTION_CHARACTERS] + "…"


def _too_deep(schema: object) -> bool:
    level = [schema]
    for _ in range(SCHEMA_DEPTH):
        level = [part for one in level for part in _parts(one)]
        if not level:
            return False
    return True


def _parts(value: object) -> Iterable[object]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()
