"""A call whose agent uses a real tool server, through all five services."""

import asyncio
import json
import sys
import time
from collections.abc import AsyncGenerator
from pathlib import Path

import msgspec
import pytest
from prometheus_client import REGISTRY

from system.whole import Whole
from tool_servers.shop import PATIENCE_S, run_real
from trunkline.agent.models.scripted import Call, Script, ScriptedModel, Words
from trunkline.agent.models.seam import ModelEvent, ModelRequest

pytestmark = pytest.mark.programs

DESK = f"""
from trunkline.agents import Agent, McpServer

clock = McpServer(
    "clock",
    command=[{sys.executable!r}, "-m", "mcp_server_time"],
    allow=["get_current_time"],
    connect_s={PATIENCE_S},
)
desk = Agent("desk", greeting="Hello.", tool_servers=[clock])
"""
SCRIPT: Script = [
    [[Call("clock_get_current_time", {"timezone": msgspec.Raw(b'"Asia/Tokyo"')})], [Words("It is late.")]]
]


class Watched(ScriptedModel):
    """Keeps what it was told of tools."""

    def __init__(self) -> None:
        super().__init__(SCRIPT)
        self.tools: list[str] = []

    async def respond(self, request: ModelRequest) -> AsyncGenerator[ModelEvent, None]:
        self.tools = [tool.name for tool in request.tools]
        async for event in super().respond(request):
            yield event


async def described() -> None:
    late_s = time.monotonic() + PATIENCE_S
    while REGISTRY.get_sample_value("trunkline_agent_undescribed_tool_servers") != 0:
        assert time.monotonic() < late_s
        await asyncio.sleep(0.01)


def test_a_tool_of_a_real_server_answers_a_caller_and_its_result_is_recorded(tmp_path: Path) -> None:
    path = tmp_path / "desk.py"
    path.write_text(DESK)
    model = Watched()

    async def main() -> None:
        async with Whole("What time is it in Tokyo?", model=model, agent_file=path) as whole:
            await described()
            _, view, _ = await whole.conversation(1)

        (tool,) = view.tools.values()
        assert model.tools == ["clock_get_current_time"]
        assert (tool.name, tool.status) == ("clock_get_current_time", "ok")
        assert json.loads(tool.output)["timezone"] == "Asia/Tokyo"

    run_real(main())
