"""Tool servers: tools that another program offers over the Model Context Protocol (MCP).

A tool runner talks to the server; the agent is told what tools there are. Both make their `Tool` of it here, so that
what may be used, and how, is the agent file's word alone.
"""

import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import msgspec

from trunkline.agents.approval import Approval
from trunkline.agents.schema import GivenSchema
from trunkline.agents.settings import require_seconds
from trunkline.agents.tool import NAME as TOOL_NAME
from trunkline.agents.tool import Tool
from trunkline.proto.errors import BadInput
from trunkline.proto.tool import DescribedTool

SERVER_NAME = re.compile(r"[A-Za-z0-9-]{1,32}")
SEPARATOR = "_"  # between the server's name and the tool's, as the model sees it
CONTEXT = "\0context"  # by which the function of such a tool gets its ToolContext: no argument is ever named so
PIN_CHARACTERS = 16


@dataclass(frozen=True, slots=True)
class ToolServer:
    """name: begins the names of its tools: `orders_search` is the tool `search` of the server `orders`.

    command: starts it, to be spoken to over its standard input and output; or url: where it listens (streamable HTTP).
    env: environment variables of the command, headers: of requests; a value "$NAME" is taken from the runner's own
    environment, as is the last word of "Bearer $NAME". allow: the tools that may be used, by their names at the server;
    others are never offered nor run. read_only, approval: of these tools, as in `Tool`; names in read_only are of
    tools that change nothing. timeout_s: of a tool call. connect_s: until the server has said what tools it has.
    """

    name: str
    allow: tuple[str, ...]
    command: tuple[str, ...] = ()
    url: str = ""
    env: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    read_only: tuple[str, ...] = ()
    approval: Approval | None = None
    timeout_s: float = 10.0
    connect_s: float = 10.0

    def __post_init__(self) -> None:
        if not SERVER_NAME.fullmatch(self.name):
            raise BadInput("McpServer.name", f"is {self.name[:80]!r}", "1 to 32 of A-Z a-z 0-9 -")
        if not self.allow or isinstance(self.allow, str):
            raise BadInput(f"McpServer {self.name}: allow", "names no tool", "the names of the tools that may be used")
        for name in self.allow:
            if not TOOL_NAME.fullmatch(self.tool_name(name)):
                problem = f"{self.tool_name(name)[:100]!r} can't be a tool's name"
                raise BadInput(f"McpServer {self.name}: allow", problem, "together 1 to 64 of A-Z a-z 0-9 _ -")
        if bool(self.command) == bool(self.url):
            raise BadInput(f"McpServer {self.name}", "has both or neither of command and url", "one of them")
        if self.url and not self.url.startswith(("http://", "https://")):
            raise BadInput(f"McpServer {self.name}: url", f"is {self.url[:80]!r}", "http://… or https://…")
        if stray := set(self.read_only) - set(self.allow):
            raise BadInput(f"McpServer {self.name}: read_only", f"{min(stray)} isn't allowed", ", ".join(self.allow))
        require_seconds(f"McpServer {self.name}: timeout_s", self.timeout_s)
        require_seconds(f"McpServer {self.name}: connect_s", self.connect_s)

    @property
    def transport(self) -> Literal["stdio", "http"]:
        return "stdio" if self.command else "http"

    def tool_name(self, at_server: str) -> str:
        """As the model sees it."""
        return f"{self.name}{SEPARATOR}{at_server}"

    @property
    def tool_names(self) -> dict[str, str]:
        """Of what may be used: as the model sees it, then at the server."""
        return {self.tool_name(name): name for name in self.allow}

    def tool(self, described: DescribedTool, function: Callable[..., object]) -> Tool:
        """described: of one of `tool_names`. function: an `async def` that carries it out, see CONTEXT.

        Raises BadInput for parameters that are no JSON Schema of an object.
        """
        try:
            parameters = msgspec.json.decode(described.parameters, type=dict[str, object])
        except (msgspec.MsgspecError, UnicodeEncodeError, RecursionError) as error:
            problem = f"can't be read ({error})"
            raise BadInput(f"{described.name}: parameters", problem, "a JSON Schema of an object") from error
        read_only = self.tool_names.get(described.name) in self.read_only
        return Tool(
            name=described.name,
            description=described.description,
            function=function,
            signature=GivenSchema(described.name, parameters, CONTEXT),
            timeout_s=self.timeout_s,
            read_only=read_only,
            retry=read_only,
            asynchronous=True,
            approval=self.approval,
            pin=pin_of(described),
        )


def pin_of(described: DescribedTool) -> str:
    """Tells whether a tool is still what the model was told. Parameters that are the same JSON are the same."""
    parameters = msgspec.json.decode(described.parameters)
    told = msgspec.json.encode((described.name, described.description, parameters), order="sorted")
    return hashlib.sha256(told).hexdigest()[:PIN_CHARACTERS]


def McpServer(  # reads as the thing it makes
    name: str,
    *,
    allow: Sequence[str],
    command: Sequence[str] = (),
    url: str = "",
    env: Mapping[str, str] | None = None,
    headers: Mapping[str, str] | None = None,
    read_only: Sequence[str] = (),
    approval: Approval | bool = False,
    timeout_s: float = 10.0,
    connect_s: float = 10.0,
) -> ToolServer:
    """See ToolServer. approval: True for an `Approval` as it is by default. Raises BadInput."""
    asks = Approval() if approval is True else (approval or None)
    return ToolServer(
        name,
        tuple(allow),
        (command,) if isinstance(command, str) else tuple(command),
        url,
        dict(env or {}),
        dict(headers or {}),
        tuple(read_only),
        asks,
        timeout_s,
        connect_s,
    )
