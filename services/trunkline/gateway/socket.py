"""One client's WebSocket, on a transport of its own: its messages are calls, not awaits, and so is what it is sent.

Rule: nothing per message: no task, no future, no timer, and one write for all that one turn of the loop has for the
client. Who listens is called in order, and at the end once.
"""

import asyncio
from collections.abc import Callable
from typing import Protocol

from trunkline.gateway import frames, metrics
from trunkline.gateway.frames import BINARY, CLOSE, PING, PONG, TEXT, FrameReader, Violation
from trunkline.telemetry import logs

LIMIT_BYTES = 1_000_000  # about ten seconds of audio in base64: a client this far behind won't catch up
FINISH_LIMIT_S = 3.0  # to send what waits and to be answered, once the socket is closing
HEARTBEAT_S = 15.0  # a client that answers no ping for half as long again is gone
LOOK_S = 2.5  # between two looks at who is silent
PING_LOOKS, GONE_LOOKS = round(HEARTBEAT_S / LOOK_S), round(1.5 * HEARTBEAT_S / LOOK_S)
NORMAL, FAILED = 1000, 1011

log = logs.get(__name__)


Tell = Callable[[], None]


class Listener(Protocol):
    """What a client says; each is answered before the next is told, unless the socket is held.

    Both say whether it was audio: what comes alone and is as long may wait to be told together with that of others.
    """

    def on_text(self, data: bytes | bytearray) -> bool:
        """data: valid UTF-8."""

    def on_binary(self, data: bytes | bytearray) -> bool: ...

    def on_gone(self, code: int | None) -> None:
        """Nothing follows. code: with which the client said goodbye, or must be sent away; None: its line broke."""


class Socket(asyncio.Protocol):
    """limit_bytes: of one message. Held until somebody listens. on_closed: told when the connection is no more."""

    __slots__ = (
        "_deadline",
        "_finished",
        "_frames",
        "_gather",
        "_gone",
        "_held",
        "_listener",
        "_lost",
        "_on_closed",
        "_out",
        "_out_bytes",
        "_silent_looks",
        "_transport",
        "_usual_bytes",
        "_waits",
    )

    def __init__(self, transport: asyncio.Transport, limit_bytes: int, on_closed: Callable[["Socket"], None]) -> None:
        self._transport = transport
        self._frames = FrameReader(limit_bytes)
        self._on_closed = on_closed
        self._listener: Listener | None = None
        self._gather: Callable[[Tell], None] | None = None
        self._usual_bytes = 0  # of a frame of audio, to go by the last
        self._waits = False  # to be told
        self._held = True
        self._silent_looks = 0
        self._out: list[bytes | bytearray | memoryview] = []  # to be written in this turn of the loop
        self._out_bytes = 0
        self._deadline: asyncio.TimerHandle | None = None
        self._finished = False  # nothing more is sent
        self._gone = False  # nothing more is read
        self._lost = False  # the connection is no more
        transport.pause_reading()

    # in

    def listen(self, listener: Listener, gather: Callable[[Tell], None] | None = None) -> None:
        """From now on, to what wasn't told to another. gather: calls what it is given soon, with that of others."""
        self._listener, self._gather = listener, gather
        self.release()

    def hold(self) -> None:
        """Nothing is told until it is released; what the client sends meanwhile waits, mostly with the client."""
        if not self._held and not self._finished:
            self._held = True
            self._transport.pause_reading()

    def release(self) -> None:
        """Not in this turn of the loop: who releases may be at work on what was told before."""
        if self._held and not self._gone:
            self._held = False
            self._silent_looks = 0
            if not self._transport.is_closing():
                self._transport.resume_reading()
            asyncio.get_running_loop().call_soon(self._tell)

    def data_received(self, data: bytes) -> None:
        if self._gone:
            return
        self._silent_looks = 0
        self._frames.feed(data)
        if self._held:
            return
        if len(data) != self._usual_bytes or self._gather is None:
            self._tell()
        elif not self._waits:
            self._waits = True
            self._gather(self._tell)

    def _tell(self) -> None:
        """All that is whole."""
        reader = self._frames
        self._waits = False
        try:
            while not self._held:
                data = reader.next()
                if data is None:
                    break
                if reader.kind == TEXT:
                    if not self._finished and self._listener is not None and self._listener.on_text(data):
                        self._usual_bytes = frames.client_frame_bytes(len(data))
                else:
                    self._heed(reader.kind, data)
        except Violation as bad:
            log.info("client breaks the protocol", reason=bad.reason)
            self._fail(bad.code, bad.reason)
            self._end(bad.code)
        except Exception as error:  # the rim of a connection: others don't notice
            log.error("message failed", error=repr(error), exc_info=error)
            self._fail(FAILED, "server_error")
            self._end(None)
        if self._lost and not self._held:
            self._end(None)

    def _heed(self, kind: int, data: bytearray) -> None:
        if kind == PING:
            self._send(frames.head(PONG, len(data)), data)
        elif kind == CLOSE:
            self._take_leave(frames.closing(data))
        elif self._finished or self._listener is None:
            return
        elif kind == BINARY and self._listener.on_binary(data):
            self._usual_bytes = frames.client_frame_bytes(len(data))

    def _take_leave(self, code: int) -> None:
        """The client's goodbye, or its answer to one."""
        answers = self._finished
        self.finish(NORMAL, "")
        self._transport.close()
        self._end(None if answers else code)

    def _fail(self, code: int, reason: str) -> None:
        """Nothing is read behind it; the client is told why, and has time to read that."""
        self.finish(code, reason)
        if self._transport.can_write_eof() and not self._transport.is_closing():
            self._transport.write_eof()

    def _end(self, code: int | None) -> None:
        self._gone = self._held = True
        listener, self._listener = self._listener, None
        if listener is not None:
            listener.on_gone(code)

    def connection_lost(self, error: Exception | None) -> None:
        self._lost = True
        self._forget_out()
        if self._deadline is not None:
            self._deadline.cancel()
        self._on_closed(self)
        if not self._held:
            self._tell()

    # out

    def put(self, data: bytes) -> bool:
        """data: one event as JSON. False: the client is too slow, and is cut off."""
        return self._send(frames.head(TEXT, len(data)), data)

    def put_binary(self, *parts: bytes | bytearray | memoryview) -> bool:
        """One message of these bytes. As `put`."""
        return self._send(frames.head(BINARY, sum(map(len, parts))), *parts)

    def _send(self, *parts: bytes | bytearray | memoryview) -> bool:
        if self._finished or self._lost:
            return True
        if not self._out:
            asyncio.get_running_loop().call_soon(self._flush)
        self._out += parts
        self._out_bytes += sum(map(len, parts))
        if self._transport.get_write_buffer_size() + self._out_bytes <= LIMIT_BYTES:
            return True
        self._flush()
        if self._transport.get_write_buffer_size() <= LIMIT_BYTES:
            return True
        metrics.slow_clients.inc()
        self.abort()  # its socket is full: not even a close frame would get through
        return False

    def _flush(self) -> None:
        if self._out:
            self._transport.write(b"".join(self._out))
            self._forget_out()

    def _forget_out(self) -> None:
        self._out, self._out_bytes = [], 0

    def finish(self, code: int, reason: str) -> None:
        """What waits is sent, then the closing handshake; nothing put later is. code: RFC 6455, 7.4."""
        if self._finished or self._lost:
            return
        self._flush()
        self._transport.write(frames.close_frame(code, reason))
        self._finished = True
        self._deadline = asyncio.get_running_loop().call_later(FINISH_LIMIT_S, self._transport.abort)
        self.release()  # to read the answer

    def abort(self) -> None:
        """At once, without a word."""
        self._finished = True
        self._forget_out()
        self._transport.abort()

    def look(self) -> None:
        """Every LOOK_S: whether the client is still there.

        Not while it is held: who holds it lets go within seconds, and then what its line has come to is read.
        """
        if self._held or self._finished:
            return
        self._silent_looks += 1
        if self._silent_looks == PING_LOOKS:
            self._send(frames.head(PING, 0))
        elif self._silent_looks >= GONE_LOOKS:
            log.info("client is silent", silent_s=self._silent_looks * LOOK_S)
            self.abort()
