"""An answer that is sent while it is made: as fast as its client reads it, and for as long as it does.

Rule: its status goes out with its first bytes, so until then what goes wrong can have a status of its own.
Format of events: WHATWG HTML, "server-sent events".
"""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import msgspec
from aiohttp import web

from trunkline.gateway import metrics
from trunkline.gateway.apis.presence import ClientGone

READ_LIMIT_S = 30.0  # a client that takes nothing for so long is gone
EVENTS = {"Content-Type": "text/event-stream; charset=utf-8", "Cache-Control": "no-cache", "X-Accel-Buffering": "no"}


class StreamedAnswer:
    """Whatever is sent raises ClientGone."""

    def __init__(self, request: web.Request, headers: Mapping[str, str] = EVENTS) -> None:
        self.response = web.StreamResponse(headers=headers)
        self._request = request

    @property
    def begun(self) -> bool:
        return self.response.prepared

    async def begin(self) -> None:
        async with self._taken():
            await self.response.prepare(self._request)

    async def write(self, data: bytes) -> None:
        """Returns once the client may have it: what waits to be sent is bounded by the connection's buffer."""
        if not self.begun:
            await self.begin()
        async with self._taken():
            await self.response.write(data)

    async def end(self) -> web.StreamResponse:
        if not self.begun:
            await self.begin()
        async with self._taken():
            await self.response.write_eof()
        return self.response

    def cut(self) -> web.StreamResponse:
        """Without the chunk that ends the answer, so that the client knows that there was more."""
        if self._request.transport is not None:
            self._request.transport.close()
        return self.response

    @asynccontextmanager
    async def _taken(self) -> AsyncIterator[None]:
        try:
            async with asyncio.timeout(READ_LIMIT_S):
                yield
        except TimeoutError as error:
            metrics.slow_clients.inc()
            if self._request.transport is not None:
                self._request.transport.abort()  # not even what waits is sent
            raise ClientGone("it takes nothing") from error
        except ConnectionError as error:
            raise ClientGone("its connection is closed") from error


def encoded(event: object, name: str = "") -> bytes:
    """name: beside the data, for clients that go by it; empty for none."""
    return (f"event: {name}\n".encode() if name else b"") + b"data: " + msgspec.json.encode(event) + b"\n\n"
