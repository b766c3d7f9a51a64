"""What the tool runner needs of tool servers; the package that speaks to them is loaded only where there are some."""

from collections.abc import Mapping
from typing import Protocol

from trunkline.agents import Tool
from trunkline.proto.tool import ToolsDescribed


class ServedTools(Protocol):
    @property
    def tools(self) -> Mapping[str, Tool]:
        """By name as the model sees it, whether their servers are there or not."""
        ...

    def start(self) -> None: ...

    async def stop(self) -> None:
        """Returns when no server is connected, nor any child process left."""
        ...

    def describe(self, server: str) -> ToolsDescribed | None:
        """None for a server that is none of the agent file's."""
        ...
