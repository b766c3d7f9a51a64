"""What becomes of a request whose handler meets what nobody foresaw."""

import asyncio
from collections.abc import Awaitable, Callable

import aiohttp
import msgspec
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from support.virtual import run_over_sockets
from trunkline.gateway.http import Handler, vendor_errors


def served(handler: Handler, script: Callable[[aiohttp.ClientSession], Awaitable[None]]) -> None:
    async def main() -> None:
        app = web.Application(middlewares=[vendor_errors])
        app.router.add_get("/v1/odd", handler)
        async with TestServer(app) as server, aiohttp.ClientSession(server.make_url("/")) as client:
            await script(client)

    run_over_sockets(main())


@pytest.mark.parametrize("error", [ZeroDivisionError("with a secret"), TimeoutError("with a secret")])
def test_a_bug_is_told_in_the_vendors_shape_and_says_nothing_of_the_inside(error: Exception) -> None:
    async def handler(request: web.Request) -> web.StreamResponse:
        raise error

    async def script(client: aiohttp.ClientSession) -> None:
        async with client.get("/v1/odd") as answer:
            status, body = answer.status, await answer.read()

        told = msgspec.json.decode(body)["error"]
        assert (status, told["type"], told["code"], told["param"]) == (500, "server_error", "server_error", None)
        assert b"secret" not in body

    served(handler, script)


def test_a_bug_in_the_middle_of_an_answer_breaks_it_off() -> None:
    async def handler(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b"half")
        await asyncio.sleep(0)
        raise ZeroDivisionError

    async def script(client: aiohttp.ClientSession) -> None:
        with pytest.raises(aiohttp.ClientPayloadError):
            async with client.get("/v1/odd") as answer:
                await answer.read()

    served(handler, script)


@pytest.mark.parametrize(
    ("method", "path", "status", "message"),
    [
        ("POST", "/odd", 404, "POST /odd: nothing is there; allowed: /v1/odd"),
        ("GET", "/v1/v1/odd", 404, "GET /v1/v1/odd: nothing is there; allowed: /v1/odd"),
        ("POST", "/v1/odd", 405, "POST /v1/odd: can't be asked so; allowed: GET, HEAD"),
    ],
)
def test_who_asks_at_a_wrong_address_is_told_the_right_one(method: str, path: str, status: int, message: str) -> None:
    async def handler(request: web.Request) -> web.StreamResponse:
        raise AssertionError

    async def script(client: aiohttp.ClientSession) -> None:
        async with client.request(method, path) as answer:
            told = await answer.json()

        assert (answer.status, told["error"]["message"]) == (status, message)

    served(handler, script)
