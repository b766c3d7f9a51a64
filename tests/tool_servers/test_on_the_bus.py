"""From what a server says to a call of its tool: agent and tool runner on one bus, and a real server."""

import asyncio
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tool_runner.desk import an_order
from tool_runner.test_service import CALL, Runners
from tool_servers.shop import PATIENCE_S, run_real
from trunkline.agent.catalog import Catalog
from trunkline.agents import Tool, load_agent_file
from trunkline.bus.port import Headers
from trunkline.proto import subjects
from trunkline.proto.envelope import Envelope, Message
from trunkline.proto.tool import DescribeTools, ToolResult, ToolsDescribed

pytestmark = pytest.mark.programs

DESK = f"""
from trunkline.agents import Agent, McpServer

clock = McpServer(
    "clock",
    command=[{sys.executable!r}, "-m", "mcp_server_time"],
    allow=["get_current_time"],
    connect_s={PATIENCE_S},
)
desk = Agent("desk", tool_servers=[clock])
"""


class Agent:
    """What an agent service does for tool servers, without calls."""

    def __init__(self, runners: Runners, path: Path) -> None:
        self.file = load_agent_file(str(path))
        self.heard: list[Message] = []
        self._exchange = runners.agent.exchange
        self._exchange.on_loose = self._hear
        self.catalog = Catalog(self.file, self._ask)

    def _ask(self, server: str) -> None:
        question = DescribeTools(server, self.file.digest)
        self._exchange.post(subjects.describe(server), subjects.NO_CALL, question)

    def _hear(self, envelope: Envelope, headers: Headers | None) -> None:
        self.heard.append(envelope.message)
        if isinstance(envelope.message, ToolsDescribed):
            self.catalog.on_described(envelope.message)

    def order(self, tool: Tool, arguments: str, n: int) -> None:
        deadline_us = time.time_ns() // 1000 + 20_000_000
        order = an_order(tool.name, arguments, n=n, digest=self.file.digest, deadline_us=deadline_us, pin=tool.pin)
        self._exchange.post(subjects.tool(tool.name, CALL), CALL, order)

    @property
    def results(self) -> list[ToolResult]:
        return [one for one in self.heard if isinstance(one, ToolResult)]


async def until(true: Callable[[], object]) -> None:
    late_s = time.monotonic() + PATIENCE_S
    while not true():
        assert time.monotonic() < late_s
        await asyncio.sleep(0.01)


def test_an_agent_is_told_of_a_servers_tools_and_any_runner_carries_them_out(tmp_path: Path) -> None:
    path = tmp_path / "desk.py"
    path.write_text(DESK)

    async def scenario() -> None:
        async with Runners(str(path), ("runner-1", "runner-2")) as runners:
            agent = Agent(runners, path)
            agent.catalog.start()
            await until(lambda: agent.catalog.tools_of(agent.file.default))
            (tool,) = agent.catalog.tools_of(agent.file.default)
            for n in range(4):
                agent.order(tool, '{"timezone":"UTC"}', n)
            await until(lambda: len(agent.results) == 4)
            agent.catalog.stop()

            assert {one.status for one in agent.results} == {"ok"}
            assert {one.runner for one in agent.results} == {"runner-1", "runner-2"}
            assert json.loads(agent.results[0].output)["timezone"] == "UTC"

    run_real(scenario())
