"""What goes out to one client: a bounded queue and its writer, so that a slow client stalls nobody else."""

import asyncio
from collections import deque

from aiohttp import WSMsgType, web

from trunkline.gateway import metrics
from trunkline.telemetry import logs

LIMIT_BYTES = 1_000_000  # about ten seconds of audio in base64: a client this far behind won't catch up
FINISH_LIMIT_S = 3.0  # to send what waits, once the call is over

log = logs.get(__name__)


class Outbox:
    def __init__(self, websocket: web.WebSocketResponse, transport: asyncio.Transport | None) -> None:
        self._websocket = websocket
        self._transport = transport
        self._waiting: deque[bytes] = deque()
        self._size_bytes = 0
        self._wake = asyncio.Event()
        self._code: int | None = None  # of the closing handshake, once nothing follows
        self._reason = b""

    @property
    def finished(self) -> bool:
        return self._code is not None

    def put(self, data: bytes) -> bool:
        """data: one event as JSON. False: the client is too slow, and is cut off."""
        if self.finished:
            return True
        self._waiting.append(data)
        self._size_bytes += len(data)
        self._wake.set()
        if self._size_bytes <= LIMIT_BYTES:
            return True
        metrics.slow_clients.inc()
        self._waiting.clear()
        self.finish(1013, "too slow")
        if self._transport is not None:
            self._transport.abort()  # its socket is full: not even a close frame would get through
        return False

    def finish(self, code: int, reason: str) -> None:
        """What waits is sent, then the closing handshake; nothing put later is. code: RFC 6455, 7.4."""
        if self._code is None:
            self._code, self._reason = code, reason.encode()[:120]
            self._wake.set()

    async def write(self) -> None:
        """Until finish, or the client is gone."""
        try:
            while True:
                while self._waiting:
                    data = self._waiting.popleft()
                    self._size_bytes -= len(data)
                    await self._websocket.send_frame(data, WSMsgType.TEXT)
                if self._code is not None:
                    await self._websocket.close(code=self._code, message=self._reason)
                    return
                self._wake.clear()
                await self._wake.wait()
        except ConnectionError:
            log.debug("client is gone", waiting_bytes=self._size_bytes)
