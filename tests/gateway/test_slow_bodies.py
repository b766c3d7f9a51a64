"""A client that stops in the middle of its body gives back the room that it holds."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import aiohttp
import msgspec
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from support.virtual import run_over_sockets
from trunkline.gateway.apis import bodies
from trunkline.gateway.apis.bodies import Bodies
from trunkline.gateway.apis.form import Forms
from trunkline.gateway.http import vendor_errors

LIMIT_BYTES = 4_096
HEAD = b'--b\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n'
Read = Callable[[web.Request], AbstractAsyncContextManager[Any]]
FORM = {"Content-Type": "multipart/form-data; boundary=b"}


@pytest.mark.parametrize(
    ("reader", "begun", "rest"),
    [
        (Bodies(LIMIT_BYTES, LIMIT_BYTES), b"x" * 3_000, b"x" * 1_000),
        (Forms(LIMIT_BYTES, LIMIT_BYTES), HEAD + b"x" * 3_000, b"x" * 1_000 + b"\r\n--b--\r\n"),
        (Forms(LIMIT_BYTES, LIMIT_BYTES), HEAD + b"x" * 3_000 + b"\r\n--b\r\n", b"\r\n\r\n--b--\r\n"),
    ],
    ids=["body", "file", "between two fields"],
)
def test_who_stops_sending_is_told_and_others_get_the_room(
    reader: Bodies | Forms, begun: bytes, rest: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bodies, "PIECE_LIMIT_S", 0.3)
    enough = asyncio.Event()

    async def handler(request: web.Request) -> web.StreamResponse:
        async with reader.read(request):
            return web.Response()

    async def stuck() -> AsyncIterator[bytes]:
        yield begun
        await enough.wait()

    async def whole() -> AsyncIterator[bytes]:
        yield begun
        yield rest

    async def main() -> None:
        app = web.Application(middlewares=[vendor_errors])
        app.router.add_post("/", handler)
        async with TestServer(app) as server, aiohttp.ClientSession(server.make_url("/"), headers=FORM) as client:
            async with client.post("/", data=stuck()) as answer:
                status, told = answer.status, msgspec.json.decode(await answer.read())
            async with client.post("/", data=whole()) as answer:
                later = answer.status
            enough.set()

        assert (status, told["error"]["code"], later) == (408, "request_timeout", 200)

    run_over_sockets(main())
