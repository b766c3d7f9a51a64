"""One socket with nothing above it: dials, upgrades to WebSocket, and hands what comes to the dialect.

An asyncio Protocol, so nothing is awaited per message. A call over it ends with its first failure.
"""

import asyncio
import base64
import hashlib
import secrets
from collections.abc import Mapping
from typing import Protocol, cast

from trunkline.cli.load.dialect import Dialect, Ear
from trunkline.cli.load.frames import BadFrame, Message, Opcode, Reader, masked

_ACCEPT = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455, section 1.3
_HEAD_LIMIT_BYTES = 65_536
_BODY_BYTES = 300  # of a refusal, in the reason
SUBPROTOCOL = "Sec-WebSocket-Protocol"  # a header that is asked for must be agreed to
HUNG_UP = (1000).to_bytes(2, "big")


class Counting(Protocol):
    messages: int


class Link(asyncio.Protocol):
    """on_open: sent once the socket is a WebSocket. over: done when the connection is."""

    def __init__(self, dialect: Dialect, host: str, headers: Mapping[str, str], mask: bytes, tally: Counting) -> None:
        self.over: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._dialect, self._mask, self._tally = dialect, mask, tally
        self._nonce = base64.b64encode(secrets.token_bytes(16))
        self._request = _request(dialect.path, host, self._nonce, headers)
        self._subprotocol = headers.get(SUBPROTOCOL, "").encode()
        self._opening: bytes = b""
        self._reader = Reader(self._on_message)
        self._read = dialect.read
        self._ear: Ear | None = None
        self._head: bytes | None = b""
        self._transport: asyncio.Transport | None = None

    def serve(self, ear: Ear, opening: bytes) -> None:
        """Before the connection is made. opening: masked frames."""
        self._ear, self._opening = ear, opening

    def write(self, data: bytes) -> None:
        assert self._transport is not None
        self._transport.write(data)

    def hang_up(self) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(masked(Message(Opcode.CLOSE, HUNG_UP), self._mask))

    def abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    # asyncio

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's own class is none of asyncio's
        self.write = self._transport.write  # type: ignore[method-assign]  # one call less per frame
        self._transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        if self._head is not None:
            self._head += data
            data = self._upgrade(self._head)
            if not data:
                return
        try:
            self._reader.feed(data)
        except BadFrame as error:
            self._fail(str(error))

    def connection_lost(self, error: Exception | None) -> None:
        if self._ear is not None:
            self._ear.failed(f"the connection broke{f': {error}' if error else ''}")
        if not self.over.done():
            self.over.set_result(None)

    # what comes

    def _upgrade(self, head: bytes) -> bytes:
        """What comes behind the server's answer; empty while that isn't there."""
        end = head.find(b"\r\n\r\n")
        if end < 0:
            if len(head) > _HEAD_LIMIT_BYTES:
                self._fail("no WebSocket answers")
            return b""
        status, *lines = head[:end].split(b"\r\n")
        fields = {name.strip().lower(): value.strip() for name, _, value in (line.partition(b":") for line in lines)}
        wanted = base64.b64encode(hashlib.sha1(self._nonce + _ACCEPT, usedforsecurity=False).digest())
        if b" 101 " not in status + b" " or fields.get(b"sec-websocket-accept") != wanted:
            body = head[end + 4 : end + 4 + _BODY_BYTES].decode(errors="replace")
            self._fail(f"refused with {status.decode(errors='replace')}: {' '.join(body.split())}")
            return b""
        if self._subprotocol and fields.get(SUBPROTOCOL.lower().encode()) != self._subprotocol:
            self._fail(f"the server doesn't speak {self._subprotocol.decode()}")
            return b""
        self._head = None
        if self._opening:
            self.write(self._opening)
        return head[end + 4 :]

    def _on_message(self, opcode: int, payload: bytes) -> None:
        ear = self._ear
        assert ear is not None
        self._tally.messages += 1
        if opcode == Opcode.TEXT or opcode == Opcode.BINARY:
            self._read(opcode, payload, ear)
        elif opcode == Opcode.PING:
            self.write(masked(Message(Opcode.PONG, payload), self._mask))
        elif opcode == Opcode.CLOSE:
            code, why = int.from_bytes(payload[:2], "big"), payload[2:].decode(errors="replace")
            ear.failed(f"closed by the server with code {code} {why}".rstrip())
            self._close()

    def _fail(self, reason: str) -> None:
        if self._ear is not None:
            self._ear.failed(reason)
        self._close()

    def _close(self) -> None:
        if self._transport is not None:
            self._transport.close()


def _request(path: str, host: str, nonce: bytes, headers: Mapping[str, str]) -> bytes:
    fields = {
        "Host": host,
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": nonce.decode(),
        **headers,
    }
    lines = [f"GET {path} HTTP/1.1", *(f"{name}: {value}" for name, value in fields.items())]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()
