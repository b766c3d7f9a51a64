"""A tool server that nobody here wrote (`mcp-server-time`), over both transports."""

import asyncio
import json
import socket
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import pytest

from tool_runner.desk import an_order, words
from tool_servers.shop import SERVERS, Shop, run_real
from trunkline.agents import McpServer, ToolServer
from trunkline.proto.tool import ToolDeclined

pytestmark = pytest.mark.programs

ALLOW = ["get_current_time"]


@asynccontextmanager
async def clock(transport: str) -> AsyncGenerator[ToolServer, None]:
    if transport == "stdio":
        yield McpServer("clock", allow=ALLOW, command=[sys.executable, "-m", "mcp_server_time"], connect_s=30)
        return
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(SERVERS / "clock.py"), str(port), stderr=asyncio.subprocess.DEVNULL
    )
    try:
        yield McpServer("clock", allow=ALLOW, url=f"http://127.0.0.1:{port}/mcp", connect_s=30)
    finally:
        process.kill()
        await process.wait()


@pytest.mark.parametrize("transport", ["stdio", "http"])
def test_a_real_server_is_described_and_its_allowed_tool_runs_over(transport: str) -> None:
    async def scenario() -> None:
        async with clock(transport) as server, Shop(server) as shop:
            told = await shop.described_as(lambda told: told.tools)
            pins = await shop.pins()
            result = await shop.call(
                "clock_get_current_time", pins["clock_get_current_time"], '{"timezone":"Asia/Tokyo"}'
            )
            wrong = await shop.call("clock_get_current_time", pins["clock_get_current_time"], '{"timezone":"Atlantis"}')
            shop.desk.send(an_order("clock_convert_time", n=9, deadline_us=shop.desk.now_us + 1_000_000))

            assert [one.name for one in told.tools] == ["clock_get_current_time"]
            assert "timezone" in json.loads(told.tools[0].parameters)["properties"]
            assert result.status == "ok"
            assert json.loads(result.output)["timezone"] == "Asia/Tokyo"
            assert wrong.status == "error"
            assert "Atlantis" in words(wrong)
            assert shop.desk.answers[-1] == ToolDeclined("call_9", "unknown_tool", "runner-1")

    run_real(scenario())


def test_a_server_that_is_restarted_is_found_again_and_has_forgotten_nothing_that_matters() -> None:
    async def scenario() -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        command = (sys.executable, str(SERVERS / "clock.py"), str(port))
        server = McpServer("clock", allow=ALLOW, url=f"http://127.0.0.1:{port}/mcp", connect_s=30)
        first = await asyncio.create_subprocess_exec(*command, stderr=asyncio.subprocess.DEVNULL)
        async with Shop(server) as shop:
            await shop.described_as(lambda told: told.tools)
            pin = (await shop.pins())["clock_get_current_time"]
            first.kill()
            await first.wait()
            while_away = await shop.call("clock_get_current_time", pin, '{"timezone":"UTC"}', seconds=1)
            second = await asyncio.create_subprocess_exec(*command, stderr=asyncio.subprocess.DEVNULL)
            try:
                again = await shop.call("clock_get_current_time", pin, '{"timezone":"UTC"}')
            finally:
                second.kill()
                await second.wait()

            assert while_away.status == "error"
            assert words(while_away).startswith("clock_get_current_time was not run: the tool server clock ")
            assert again.status == "ok"

    run_real(scenario())
