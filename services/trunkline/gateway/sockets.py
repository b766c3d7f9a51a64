"""All WebSockets of a gateway: aiohttp upgrades them, then each is on its own; they are watched, and closed, together.

Rule: behind the upgrade nothing of aiohttp's holds a connection. A handler may go on, and is told by the socket alone.
"""

import asyncio
import base64
import contextlib
import hashlib
import math
from collections.abc import AsyncIterator, Mapping
from types import MappingProxyType

from aiohttp import hdrs, web
from aiohttp.http import WS_KEY

from trunkline.gateway.apis.bodies import Room
from trunkline.gateway.socket import LOOK_S, MESSAGES_BYTES, Socket

CLOSE_LIMIT_S = 1.0  # for clients to answer, once the gateway goes down
GOING_AWAY = 1001
NONE: Mapping[str, str] = MappingProxyType({})


class Sockets:
    """first_event_s: from the opening of a socket to its client's first message; 0 for any time."""

    def __init__(self, first_event_s: float = 0.0) -> None:
        self._first_looks = math.ceil(first_event_s / LOOK_S)
        self._room = Room(MESSAGES_BYTES)
        self._open: set[Socket] = set()
        self._none = asyncio.Event()
        self._none.set()
        self._next_look: asyncio.TimerHandle | None = None

    @contextlib.asynccontextmanager
    async def upgrade(
        self, request: web.Request, limit_bytes: int, protocol: str | None, headers: Mapping[str, str] = NONE
    ) -> AsyncIterator[tuple[Socket, web.StreamResponse]]:
        """The socket, and the answer that the handler returns.

        limit_bytes: of one message. protocol: that was agreed on. headers: of the answer.

        The socket stays when the handler is done; it breaks if the handler fails. Raises ConnectionError.
        """
        transport = request.transport
        if transport is None or transport.is_closing():
            raise ConnectionResetError("the client is gone")
        response = web.StreamResponse(status=101, headers=_handshake(request, protocol, headers))
        response.force_close()
        await response.prepare(request)
        if transport.is_closing():
            raise ConnectionResetError("the client is gone")
        early = _Early()
        request.protocol.set_parser(early)  # type: ignore[arg-type]  # it is fed, and no more
        socket = self._adopt(transport, limit_bytes, bytes(early.data))
        try:
            yield socket, response
        except BaseException:
            socket.abort()
            raise
        finally:
            _let_go(request)

    def _adopt(self, transport: asyncio.Transport, limit_bytes: int, early: bytes) -> Socket:
        socket = Socket(transport, limit_bytes, self._forget, self._room, self._first_looks)
        transport.set_protocol(socket)
        socket.data_received(early)
        self._open.add(socket)
        self._none.clear()
        if self._next_look is None:
            self._next_look = asyncio.get_running_loop().call_later(LOOK_S, self._look)
        return socket

    def _forget(self, socket: Socket) -> None:
        self._open.discard(socket)
        if self._open:
            return
        self._none.set()
        if self._next_look is not None:
            self._next_look.cancel()
            self._next_look = None

    def _look(self) -> None:
        self._next_look = asyncio.get_running_loop().call_later(LOOK_S, self._look)
        for socket in list(self._open):
            socket.look()

    async def close(self) -> None:
        """Those that are left say goodbye; who doesn't answer is cut off."""
        for socket in list(self._open):
            socket.finish(GOING_AWAY, "")
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._none.wait(), CLOSE_LIMIT_S)
        self.abort()

    def abort(self) -> None:
        """All are cut off, without a word."""
        for socket in list(self._open):
            socket.abort()


class _Early:
    """In place of a parser: keeps what came together with the upgrade."""

    def __init__(self) -> None:
        self.data = bytearray()

    def feed_data(self, data: bytes) -> tuple[bool, bytes]:
        self.data += data
        return False, b""

    def feed_eof(self) -> None:
        """The handler's connection is over."""


def _handshake(request: web.Request, protocol: str | None, headers: Mapping[str, str]) -> dict[str, str]:
    key = request.headers[hdrs.SEC_WEBSOCKET_KEY]
    accept = base64.b64encode(hashlib.sha1(key.encode() + WS_KEY, usedforsecurity=False).digest()).decode()
    agreed: dict[str, str] = {hdrs.SEC_WEBSOCKET_PROTOCOL: protocol} if protocol else {}
    upgrade: dict[str, str] = {hdrs.UPGRADE: "websocket", hdrs.CONNECTION: "upgrade", hdrs.SEC_WEBSOCKET_ACCEPT: accept}
    return {**headers, **upgrade, **agreed}


def _let_go(request: web.Request) -> None:
    """aiohttp's handler takes the connection for lost: it ends with its request, and leaves the transport alone."""
    handler = request.protocol
    handler.transport = None
    handler.connection_lost(None)
