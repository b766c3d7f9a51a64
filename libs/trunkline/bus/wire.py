"""Bytes to and from a NATS server: messages of our own subscriptions go straight from the socket to their handler.

All else, in the order in which it came, is nats-py's to read, to which this is one of its transports: it connects,
reconnects and speaks JetStream. Handlers are called from the event loop alone, never from within a write.
"""

import asyncio
import contextlib
import ssl
from collections.abc import Callable
from typing import cast
from urllib.parse import ParseResult

from nats.aio.transport import Transport

from trunkline.bus.port import Handler, Headers, Received

WRITE_LIMIT_BYTES = 1024 * 1024  # that the socket hasn't taken yet; beyond, what is published waits in the outbox
CLOSE_LIMIT_S = 1.0  # for a server that takes nothing any more
_LINE_LIMIT_BYTES = 1024 * 1024  # the longest is INFO; who sends more without an end speaks no NATS
_MSG, _HMSG = ord("M"), ord("H")
_CRLF = b"\r\n"
_HEADER_LINE = b"NATS/1.0"
_NO_RESPONDERS = b"503"
_NO_LINE_ENDS = str.maketrans("\r\n", "  ")


class Wire(Transport):
    """handlers: of our own subscriptions, by the number that the client gave them. They contain their own errors.
    on_writable: the socket takes bytes again after `full`.
    """

    def __init__(self) -> None:
        self.handlers: dict[bytes, Handler] = {}
        self.on_writable: Callable[[], None] = _nothing
        self._connection: _Connection | None = None
        self._left: _Connection | None = None

    @property
    def full(self) -> bool:
        return self._connection is None or self._connection.full

    def heard(self) -> bool:
        """Whether anything came since this was last asked."""
        connection = self._connection
        heard = connection is not None and connection.heard
        if connection is not None:
            connection.heard = False
        return heard

    async def connect(self, uri: ParseResult, buffer_size: int, connect_timeout: int) -> None:
        if self._connection is not self._left:
            self.abort()  # one that came to nothing: nats-py closes only what it has used
        loop = asyncio.get_running_loop()
        making = loop.create_connection(lambda: _Connection(self), uri.hostname or "", uri.port or 0)
        _, self._connection = await asyncio.wait_for(making, connect_timeout)

    async def connect_tls(
        self, uri: str | ParseResult, ssl_context: ssl.SSLContext, buffer_size: int, connect_timeout: int
    ) -> None:
        plain, host = self._connected(), uri if isinstance(uri, str) else uri.hostname
        over_tls = _Connection(self)
        upgrade = asyncio.get_running_loop().start_tls(plain.transport, over_tls, ssl_context, server_hostname=host)
        transport = await asyncio.wait_for(upgrade, connect_timeout)
        assert transport is not None
        over_tls.connection_made(transport)
        self._connection = over_tls

    def write(self, payload: bytes) -> None:
        if self._connection is not None:
            self._connection.transport.write(payload)

    def writelines(self, payload: list[bytes]) -> None:
        self.write(b"".join(payload))

    async def read(self, buffer_size: int) -> bytes:
        """What came that is nats-py's, all of it; empty at the end. Raises OSError if the connection broke."""
        return await self._connected().read()

    async def readline(self) -> bytes:
        return await self._connected().readline()

    async def drain(self) -> None:
        """Until the socket takes more. Raises ConnectionError."""
        await self._connected().drain()

    async def wait_closed(self) -> None:
        if self._connection is not None and self._connection is not self._left:
            await self._connection.wait_closed()

    def close(self) -> None:
        if self._connection is not None and self._connection is not self._left:
            self._connection.transport.close()

    def abort(self) -> None:
        if self._connection is not None:
            self._connection.transport.abort()

    def hear_on(self) -> None:
        """The connection is left for another, and isn't closed before `hush`: its messages are handled as before.

        So what comes meanwhile may come on both, and twice; whatever comes, comes first in its order.
        """
        self.hush()
        self._left = self._connection

    def hush(self) -> None:
        """What was left has nothing more to say."""
        if self._left is not None:
            self._hush(self._left)

    def hush_later(self, after_s: float) -> None:
        if self._left is not None:
            asyncio.get_running_loop().call_later(after_s, self._hush, self._left)

    def _hush(self, left: "_Connection") -> None:
        left.transport.close()
        if self._left is left:
            self._left = None

    def is_left(self, connection: "_Connection") -> bool:
        return connection is self._left

    def at_eof(self) -> bool:
        return self._connection is None or self._connection.at_eof()

    def __bool__(self) -> bool:
        """nats-py makes a transport of its own unless it has one."""
        return True

    def _connected(self) -> "_Connection":
        if self._connection is None:
            raise ConnectionError("not connected")
        return self._connection


class _Connection(asyncio.Protocol):
    """One connection of the wire's; what an earlier one still says concerns nobody, but for one that is left."""

    transport: asyncio.WriteTransport

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self.full = False
        self.heard = False
        self._part = bytearray()  # of a message that isn't whole yet
        self._whole_bytes = 0  # that it has to become, if that is known
        self._theirs: list[bytes] = []
        self._error: Exception | None = None
        self._ended = False
        self._changed = asyncio.Event()  # there is more to read, or the end
        self._writable = asyncio.Event()
        self._lost = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.WriteTransport, transport)  # uvloop's is no subclass
        self.transport.set_write_buffer_limits(high=WRITE_LIMIT_BYTES)
        self._writable.set()

    def connection_lost(self, exc: Exception | None) -> None:
        self._error = exc
        self._ended = True
        self.full = True
        for event in (self._changed, self._writable, self._lost):
            event.set()

    def eof_received(self) -> None:
        self._ended = True
        self._changed.set()

    def pause_writing(self) -> None:
        self.full = True
        self._writable.clear()

    def resume_writing(self) -> None:
        self.full = False
        self._writable.set()
        self._wire.on_writable()

    def data_received(self, data: bytes) -> None:
        self.heard = True
        if self._part:
            self._part += data
            if len(self._part) < self._whole_bytes:
                return
            data = bytes(self._part)
            self._part.clear()
        read = self._split(data)
        if read < len(data):
            self._part += data[read:] if read else data
        if self._wire.is_left(self):
            self._theirs.clear()  # nats-py reads here no longer
        elif self._theirs:
            self._changed.set()

    def _split(self, data: bytes) -> int:
        """Gives each whole message to whom it belongs; how many bytes that were."""
        handlers, at, end, theirs_from = self._wire.handlers, 0, len(data), 0
        self._whole_bytes = 0
        while at < end:
            line_end = data.find(_CRLF, at)
            if line_end < 0:
                if end - at > _LINE_LIMIT_BYTES:
                    at = end  # nats-py says what is wrong with it
                break
            after = line_end + 2
            if data[at] == _MSG or data[at] == _HMSG:
                words = data[at:line_end].split()
                try:
                    after += int(words[-1]) + 2
                    if after > end:
                        self._whole_bytes = after - at
                        break
                    handler = handlers.get(words[2])
                    received = _received(words, data[line_end + 2 : after - 2]) if handler is not None else None
                except (IndexError, ValueError):  # not the protocol: nats-py says so, and connects anew
                    at = end
                    break
                if handler is not None and received is not None:
                    if theirs_from < at:
                        self._theirs.append(data[theirs_from:at])
                    theirs_from = after
                    handler(received)
            at = after
        if theirs_from < at:
            self._theirs.append(data[theirs_from:at])
        return at

    async def read(self) -> bytes:
        await self._wait_for_bytes()
        if not self._theirs and self._error is not None:
            raise ConnectionResetError(f"connection lost: {self._error}")  # of any other kind nats-py would give up
        data = b"".join(self._theirs)
        self._theirs.clear()
        return data

    async def readline(self) -> bytes:
        """Before any message comes, the server speaks in lines."""
        data = await self.read()
        line, end, rest = data.partition(_CRLF)
        if rest:
            self._theirs.append(rest)
            self._changed.set()
        return line + end

    async def drain(self) -> None:
        await self._writable.wait()
        if self._lost.is_set():
            raise ConnectionResetError(f"connection lost: {self._error}")

    async def wait_closed(self) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._lost.wait(), CLOSE_LIMIT_S)
        self.transport.abort()

    def at_eof(self) -> bool:
        return self._ended and not self._theirs and self._error is None

    async def _wait_for_bytes(self) -> None:
        while not self._theirs and not self._ended:
            self._changed.clear()
            await self._changed.wait()


def _received(words: list[bytes], body: bytes) -> Received:
    """words: `MSG subject sid [reply] bytes` or `HMSG subject sid [reply] header-bytes bytes`.

    Format: NATS client protocol.
    """
    subject = words[1].decode()
    if words[0] == b"MSG":
        return Received(subject, body, words[3].decode() if len(words) == 5 else "")
    header_bytes = int(words[-2])
    reply = words[3].decode() if len(words) == 6 else ""
    status, _, lines = body[len(_HEADER_LINE) : header_bytes].partition(_CRLF)
    unheard = status.strip().startswith(_NO_RESPONDERS)
    return Received(subject, body[header_bytes:], reply, _headers(lines), no_responders=unheard)


def _headers(lines: bytes) -> dict[str, str] | None:
    """What can't be read as UTF-8 is replaced: a header never costs the message."""
    found = {}
    for line in lines.split(_CRLF):
        name, colon, value = line.partition(b":")
        if colon:
            found[name.strip().decode("utf-8", "replace")] = value.strip().decode("utf-8", "replace")
    return found or None


def _nothing() -> None: ...


def publication(subject: str, data: bytes, reply: str, headers: Headers | None) -> bytes:
    """PUB or HPUB with its data. Raises ValueError for what would not be one line. Format: NATS client protocol."""
    if not (_one_word(subject) and (not reply or _one_word(reply))):
        raise ValueError(f"not a subject: {subject!r}, {reply!r}")
    to = f"{subject} {reply}" if reply else subject
    if not headers:
        return b"%b%b\r\n" % (f"PUB {to} {len(data)}\r\n".encode(), data)
    lines = "".join(f"{_header_name(name)}: {_one_line(value)}\r\n" for name, value in headers.items())
    head = f"NATS/1.0\r\n{lines}\r\n".encode()
    return b"%b%b%b\r\n" % (f"HPUB {to} {len(head)} {len(head) + len(data)}\r\n".encode(), head, data)


def payload_bytes(published: bytes) -> int:
    """Of a publication, as the server counts them: headers and data."""
    return len(published) - published.index(_CRLF) - 2 * len(_CRLF)


def _one_word(text: str) -> bool:
    return text != "" and text.isprintable() and " " not in text


def _header_name(name: str) -> str:
    if not (_one_word(name) and name.isascii() and ":" not in name):
        raise ValueError(f"not the name of a header: {name!r}")
    return name


def _one_line(value: str) -> str:
    return value.strip().translate(_NO_LINE_ENDS)
