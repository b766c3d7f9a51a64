"""Server-sent events to one client: written as fast as it reads them, and for as long as it does.

Format: WHATWG HTML, "server-sent events"; each event has its type as its name, as the vendor's have.
"""

import asyncio
from collections.abc import Iterable

import msgspec
from aiohttp import web

from trunkline.gateway import metrics
from trunkline.gateway.apis.presence import is_gone
from trunkline.gateway.apis.responses.events import Event, type_of
from trunkline.proto.errors import TrunklineError

READ_LIMIT_S = 20.0  # a client that takes nothing for so long is gone
HEADERS = {"Content-Type": "text/event-stream; charset=utf-8", "Cache-Control": "no-cache", "X-Accel-Buffering": "no"}


class ClientGone(TrunklineError):
    def __init__(self) -> None:
        super().__init__("the client has closed its connection, or reads nothing")


class EventStream:
    """`await open()` first. Both methods raise ClientGone."""

    def __init__(self, request: web.Request) -> None:
        self.response = web.StreamResponse(headers=HEADERS)
        self._request = request

    async def open(self) -> None:
        try:
            await self.response.prepare(self._request)
        except ConnectionResetError as error:
            raise ClientGone from error

    async def send(self, events: Iterable[Event]) -> None:
        """Returns once the client may have them: what waits to be written is bounded by the connection's buffer."""
        data = b"".join(
            b"event: %s\ndata: %s\n\n" % (type_of(event).encode(), msgspec.json.encode(event)) for event in events
        )
        if not data:
            return
        if is_gone(self._request):
            raise ClientGone
        try:
            async with asyncio.timeout(READ_LIMIT_S):
                await self.response.write(data)
        except TimeoutError as error:
            metrics.slow_clients.inc()
            if self._request.transport is not None:
                self._request.transport.abort()
            raise ClientGone from error
        except ConnectionResetError as error:
            raise ClientGone from error
