"""A client that speaks and reads nothing: what it is sent fills its line until the gateway cuts it off.

Rule: its receive buffer is small, so that what the gateway holds for it is what counts, not this machine's settings.
"""

import asyncio
import base64
import json
import socket

from gateway.client_frames import frame
from trunkline.gateway.frames import CLOSE, FIN, TEXT

ITEM = "item_long"
ITEM_CHARACTERS = 50_000  # of the one item that it asks for again and again
RECEIVE_BYTES = 8192


class DeafClient:
    """One line of a call. token: with which the call is taken up again, once it is there."""

    def __init__(self, host: str, port: int, key: str) -> None:
        self._host, self._port, self._key = host, port, key
        self._socket = socket.socket()
        self.token = ""

    async def call(self, token: str = "") -> None:
        """Reads up to the first event, and no further. token: of a call that waits. Raises ConnectionError, also when
        it isn't let in: with the answer's first line."""
        loop = asyncio.get_running_loop()
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BYTES)
        self._socket.setblocking(False)
        await loop.sock_connect(self._socket, (self._host, self._port))
        await loop.sock_sendall(self._socket, self._request(token))
        heard = b""
        while b"session.created" not in heard:
            if not (more := await loop.sock_recv(self._socket, RECEIVE_BYTES)):
                raise ConnectionRefusedError(heard.partition(b"\r\n")[0].decode() or "no answer")
            heard += more
        self.token = heard.partition(b"Trunkline-Resume-Token: ")[2].partition(b"\r\n")[0].decode()

    async def send(self, **event: object) -> None:
        """Raises ConnectionError once it is cut off."""
        await self._send(frame(FIN | TEXT, json.dumps(event).encode()))

    async def create_item(self) -> None:
        content = [{"type": "input_text", "text": "word " * (ITEM_CHARACTERS // 5)}]
        item = {"id": ITEM, "type": "message", "role": "user", "content": content}
        await self.send(type="conversation.item.create", item=item)

    async def ask(self) -> None:
        """For the whole item once more."""
        await self.send(type="conversation.item.retrieve", item_id=ITEM)

    async def hang_up(self) -> None:
        """Reads what has come after all, up to the line's end. Raises ConnectionError where it was cut off."""
        await self._send(frame(FIN | CLOSE, (1000).to_bytes(2, "big")))
        while await asyncio.get_running_loop().sock_recv(self._socket, 65_536):
            pass

    def close(self) -> None:
        self._socket.close()

    async def _send(self, data: bytes) -> None:
        await asyncio.get_running_loop().sock_sendall(self._socket, data)

    def _request(self, token: str) -> bytes:
        query = f"&resume_token={token}" if token else ""
        return (
            f"GET /v1/realtime?model=gpt-realtime{query} HTTP/1.1\r\nHost: gateway\r\n"
            f"Authorization: Bearer {self._key}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            "Sec-WebSocket-Version: 13\r\n"
            f"Sec-WebSocket-Key: {base64.b64encode(bytes(16)).decode()}\r\n\r\n"
        ).encode()
