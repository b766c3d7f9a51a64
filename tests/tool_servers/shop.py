"""A tool runner with one tool server, in real time: other processes keep no other."""

import asyncio
import os
import sys
import time
from collections.abc import Coroutine, Mapping
from pathlib import Path
from typing import Any

import uvloop

from tool_runner.desk import DIGEST, Desk, an_order
from trunkline.agents import McpServer, ToolServer
from trunkline.proto.tool import ToolResult, ToolsDescribed
from trunkline.tool_runner.servers.toolset import Toolset

SERVERS = Path(__file__).parents[1] / "data" / "tool_servers"
PATIENCE_S = 20.0  # of a machine that is busy with other things
CONNECTING = "it isn't connected yet"


def strange(wrong: str, place: Path, **settings: Any) -> ToolServer:
    """The server of one misbehaviour that leaves its marks at place."""
    command = [sys.executable, str(SERVERS / "strange.py"), wrong, str(place)]
    defaults: dict[str, Any] = {"allow": ["search", "refund"], "command": command, "connect_s": PATIENCE_S}
    return McpServer("orders", **(defaults | settings))


def run_real(main: Coroutine[Any, Any, None]) -> None:
    """On the event loop that services have."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(asyncio.wait_for(main, 60))


class Shop:
    def __init__(self, server: ToolServer, environ: Mapping[str, str] | None = None) -> None:
        self.server = server
        self.toolset = Toolset({server.name: server}, DIGEST, environ if environ is not None else os.environ)
        self.desk = Desk(
            list(self.toolset.tools.values()), result_limit_bytes=256 * 1024, now_us=time.time_ns() // 1000
        )
        self._orders = 0

    async def __aenter__(self) -> "Shop":
        self.toolset.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.desk.runner.stop()
        await self.toolset.stop()

    async def described(self) -> ToolsDescribed:
        """What the runner says of the server as soon as it knows anything."""
        return await self.described_as(lambda told: told.problem != CONNECTING)

    async def described_as(self, wanted: Any) -> ToolsDescribed:
        until_s = time.monotonic() + PATIENCE_S
        while True:
            told = self.toolset.describe(self.server.name)
            assert told is not None
            if wanted(told):
                return told
            assert time.monotonic() < until_s, told
            await asyncio.sleep(0.01)

    async def pins(self) -> dict[str, str]:
        """As a model is told: by name."""
        told = await self.described()
        return {one.name: self.server.tool(one, print).pin for one in told.tools}

    async def call(self, name: str, pin: str, arguments: str = "{}", *, seconds: float = 30.0) -> ToolResult:
        self._orders += 1
        self.desk.now_us = now_us = time.time_ns() // 1000
        self.desk.send(an_order(name, arguments, n=self._orders, deadline_us=now_us + round(seconds * 1e6), pin=pin))
        return await self.desk.result(self._orders)
