"""Tool servers: tools that another program offers over the Model Context Protocol (MCP).

A tool runner talks to the server; the agent is told what tools there are.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from trunkline.agents.approval import Approval
from trunkline.agents.settings import require_seconds
from trunkline.proto.errors import BadInput

SERVER_NAME = re.compile(r"[A-Za-z0-9-]{1,32}")
SEPARATOR = "_"  # between the server's name and the tool's, as the model sees it


@dataclass(frozen=True, slots=True)
class ToolServer:
    """name: begins the names of its tools: `orders_search` is the tool `search` of the server `orders`.

    command: starts it, to be spoken to over its standard input and output; or url: where it listens (streamable HTTP).
    env: environment variables of the command, headers: of requests; a value "$NAME" is taken from the runner's own
    environment. allow: the tools that may be used, by their names at the server; others are never offered nor run.
    read_only, approval: of these tools, as in `Tool`; names in read_only are of tools that change nothing.
    timeout_s: of a tool call. connect_s: until the server has said what tools it has.
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
