"""A line to the gateway with nothing above TCP, for clients that keep to no protocol; and what was counted of them."""

import asyncio
import base64
from types import TracebackType

import msgspec
from prometheus_client import REGISTRY

from gateway.socket_scene import KEY, Server

PATIENCE_S = 200.0
UPGRADE = (
    f"GET /v1/realtime?model=gpt-realtime HTTP/1.1\r\nHost: gateway\r\nAuthorization: Bearer {KEY}\r\n"
    "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    f"Sec-WebSocket-Key: {base64.b64encode(bytes(16)).decode()}\r\n"
).encode()


class Line:
    """`async with Line(server) as line`."""

    def __init__(self, server: Server) -> None:
        self._port = server.service.port

    async def __aenter__(self) -> "Line":
        self._reader, self._writer = await asyncio.open_connection("127.0.0.1", self._port, limit=1 << 20)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.breaks()

    def breaks(self) -> None:
        self._writer.transport.abort()

    def send(self, data: bytes) -> None:
        self._writer.write(data)

    async def until(self, words: bytes) -> bytes:
        """What comes, up to these words."""
        return await asyncio.wait_for(self._reader.readuntil(words), PATIENCE_S)

    async def rest(self) -> bytes:
        """All that comes until the gateway closes the connection."""
        came = b""
        try:
            while more := await asyncio.wait_for(self._reader.read(65_536), PATIENCE_S):
                came += more
        except ConnectionError:
            pass
        return came

    async def refusal(self) -> tuple[int, str]:
        """(status, code of the error) of the answer with which the connection ends."""
        head, _, body = (await self.rest()).partition(b"\r\n\r\n")
        return int(head.split()[1]), msgspec.json.decode(body)["error"]["code"]

    async def upgrade(self, headers: bytes = b"") -> bytes:
        """Until the session's first event. headers: more; the answer's head comes back."""
        self.send(UPGRADE + headers + b"\r\n")
        head = await self.until(b"\r\n\r\n")
        await self.until(b"session.created")
        return head


def turned_away(why: str) -> float:
    return REGISTRY.get_sample_value("trunkline_gateway_turned_away_total", {"why": why}) or 0.0


class Counted:
    """How often clients were turned away for this, from here on."""

    def __init__(self, why: str) -> None:
        self._why, self._before = why, turned_away(why)

    @property
    def times(self) -> int:
        return round(turned_away(self._why) - self._before)
