"""Whatever a tool server does over HTTP, each call has its outcome, honestly and in time."""

import asyncio
import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import pytest
from aiohttp import web

from tool_runner.desk import words
from tool_servers.shop import PATIENCE_S, Shop, run_real
from trunkline.agents import McpServer, ToolServer

pytestmark = pytest.mark.programs

OBJECT = {"type": "object", "properties": {}}
TEXT = {"content": [{"type": "text", "text": "found"}]}
SEARCH = "orders_search"


class Listener:
    """wrong: what it does to the calls of its tool; the first time only, if it ends in _once."""

    def __init__(self, wrong: str) -> None:
        self.wrong = wrong
        self.headers: list[str] = []
        self.calls = 0
        self.sessions = 0
        self._over = asyncio.Event()

    @asynccontextmanager
    async def listening(self, *, timeout_s: float = 20.0) -> AsyncGenerator[ToolServer, None]:
        app = web.Application()
        app.router.add_post("/mcp", self._post)
        runner = web.AppRunner(app)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        try:
            url = f"http://127.0.0.1:{runner.addresses[0][1]}/mcp"
            headers = {"Authorization": "Bearer $SHOP_TOKEN"}
            yield McpServer(
                "orders", allow=["search"], url=url, headers=headers, timeout_s=timeout_s, connect_s=PATIENCE_S
            )
        finally:
            self._over.set()
            await runner.cleanup()

    async def _post(self, request: web.Request) -> web.StreamResponse:
        self.headers.append(request.headers.get("Authorization", ""))
        message = await request.json()
        number = message.get("id")
        match message["method"]:
            case "initialize":
                self.sessions += 1
                result: object = {
                    "protocolVersion": message["params"]["protocolVersion"],
                    "serverInfo": {"name": "strange", "version": "1"},
                    "capabilities": {"tools": {}},
                }
                headers = {"Mcp-Session-Id": f"session-{self.sessions}"}
                return web.json_response({"jsonrpc": "2.0", "id": number, "result": result}, headers=headers)
            case "tools/list":
                tools = [{"name": "search", "description": "Search.", "inputSchema": OBJECT}]
                return web.json_response({"jsonrpc": "2.0", "id": number, "result": {"tools": tools}})
            case "tools/call":
                self.calls += 1
                return await self._call(request, number)
            case _:
                return web.Response(status=202)

    async def _call(self, request: web.Request, number: object) -> web.StreamResponse:
        wrong = self.wrong.removesuffix("_once") if self.calls == 1 or not self.wrong.endswith("_once") else "fine"
        answer = {"jsonrpc": "2.0", "id": number, "result": TEXT}
        huge = answer | {"result": {"content": [{"type": "text", "text": "x" * 50_000_000}]}}
        match wrong:
            case "hangs":
                await self._over.wait()
            case "fails":
                return web.Response(status=502, text="bad gateway")
            case "drops":
                assert request.transport is not None
                request.transport.close()
            case "forgets":
                return web.Response(status=404)
            case "refuses":
                error = {"code": -32602, "message": "order is missing"}
                return web.json_response({"jsonrpc": "2.0", "id": number, "error": error})
            case "page":
                return web.Response(text="<html>Welcome</html>", content_type="text/html")
            case "huge":
                return web.json_response(huge)
            case "huge_event":
                event = f"event: message\ndata: {json.dumps(huge)}\n\n"
                return web.Response(text=event, content_type="text/event-stream")
            case "broken":
                return web.Response(text='{"jsonrpc":', content_type="application/json")
            case "elsewhere":
                raise web.HTTPTemporaryRedirect("http://elsewhere.invalid/mcp")
        return web.json_response(answer)


CUT_OFF = "orders_search was cut off; whether it took effect is not known."


@pytest.mark.parametrize(
    ("wrong", "status", "said"),
    [
        ("hangs", "timeout", "orders_search did not finish within 0.5 seconds; whether it took effect is not known."),
        ("fails", "unknown", CUT_OFF),
        ("drops", "unknown", CUT_OFF),
        ("forgets", "error", "orders_search was not run: the tool server orders refused it (Session terminated)."),
        ("refuses", "error", "orders_search failed: order is missing"),
        ("huge", "error", "orders_search ran, but the answer is over the limit of 1048576 bytes."),
        ("huge_event", "unknown", CUT_OFF),
        ("broken", "error", "orders_search ran, but its answer can't be read."),
    ],
)
def test_each_call_has_an_outcome_that_can_be_vouched_for(wrong: str, status: str, said: str) -> None:
    async def scenario() -> None:
        listening = Listener(wrong).listening(timeout_s=0.5 if wrong == "hangs" else 20)
        async with listening as server, Shop(server, {"SHOP_TOKEN": "hush-hush"}) as shop:
            pins = await shop.pins()
            result = await shop.call(SEARCH, pins[SEARCH])

            assert (result.status, words(result)) == (status, said)

    run_real(scenario())


@pytest.mark.parametrize("wrong", ["page", "elsewhere"])
def test_what_is_no_answer_is_refused_and_nobody_is_sent_elsewhere(wrong: str) -> None:
    async def scenario() -> None:
        async with Listener(wrong).listening() as server, Shop(server, {"SHOP_TOKEN": "hush-hush"}) as shop:
            pins = await shop.pins()
            result = await shop.call(SEARCH, pins[SEARCH])

            assert result.status == "error"
            assert words(result).startswith("orders_search was not run: the tool server orders refused it (")

    run_real(scenario())


@pytest.mark.parametrize("wrong", ["hangs_once", "fails_once", "drops_once", "forgets_once", "huge_once"])
def test_the_call_after_it_runs(wrong: str) -> None:
    listener = Listener(wrong)

    async def scenario() -> None:
        async with listener.listening(timeout_s=1) as server, Shop(server, {"SHOP_TOKEN": "hush-hush"}) as shop:
            pins = await shop.pins()
            await shop.call(SEARCH, pins[SEARCH])
            result = await shop.call(SEARCH, pins[SEARCH])

            assert (result.status, words(result)) == ("ok", "found")

    run_real(scenario())
    assert listener.sessions == (2 if wrong == "forgets_once" else 1)


def test_headers_are_filled_from_the_runners_environment() -> None:
    listener = Listener("fine")

    async def scenario() -> None:
        async with listener.listening() as server, Shop(server, {"SHOP_TOKEN": "hush-hush"}) as shop:
            await shop.described()

    run_real(scenario())
    assert set(listener.headers) == {"Bearer hush-hush"}


def test_a_server_that_does_not_listen_is_away() -> None:
    server = McpServer("orders", allow=["search"], url="http://127.0.0.1:1/mcp", connect_s=2)

    async def scenario() -> None:
        async with Shop(server, {}) as shop:
            told = await shop.described()
            result = await shop.call(SEARCH, "pin", seconds=1)

            assert told.problem == "can't be reached (ConnectError)"
            assert words(result) == (
                "orders_search was not run: the tool server orders is away (can't be reached (ConnectError))."
            )

    run_real(scenario())
