"""One client's WebSocket, on a transport of its own: its messages are calls, not awaits, and so is what it is sent.

Rule: nothing per message: no task, no future, no timer, and one write for all that one turn of the loop has for the
client. Who listens is called in order, and at the end once. No client takes more of a turn, of the line or of memory
than a few calls would: who sends faster is read more slowly.
"""

import asyncio
from collections.abc import Callable
from typing import Protocol

from trunkline.gateway import frames, metrics
from trunkline.gateway.apis.bodies import Room
from trunkline.gateway.frames import (
    BINARY,
    CLOSE,
    LATER,
    NOT_UTF8,
    PING,
    PONG,
    PROTOCOL_ERROR,
    REFUSED,
    TEXT,
    TOO_LARGE,
    FrameReader,
    Violation,
)
from trunkline.gateway.rationed_log import RationedLog
from trunkline.proto.errors import StageUnavailable
from trunkline.telemetry import logs

LIMIT_BYTES = 1_000_000  # about ten seconds of audio in base64: a client this far behind won't catch up
FINISH_LIMIT_S = 3.0  # to send what waits and to be answered, once the socket is closing
HEARTBEAT_S = 15.0  # a client that answers no ping for half as long again is gone
LOOK_S = 2.5  # between two looks at who is silent
PING_LOOKS, GONE_LOOKS = round(HEARTBEAT_S / LOOK_S), round(1.5 * HEARTBEAT_S / LOOK_S)
NORMAL, FAILED = 1000, 1011
STEPS_AT_ONCE = 64  # frames that are read in one turn of the loop; then others have theirs
FRAME_COST_BYTES = 256  # of any frame, beside its own: one that is nearly empty takes time as well
INFLOW_BYTES_S = 500_000  # that a client may send on and on: eight times its audio in base64
INFLOW_AT_ONCE_BYTES = (
    4_000_000  # ... and beside that, when it has sent less for a while: a minute of audio, or a picture
)
INFLOW_LOOK_BYTES = round(INFLOW_BYTES_S * LOOK_S)
MESSAGE_LIMIT_S = 120.0  # for a message that has begun to come whole
MESSAGE_LOOKS = round(MESSAGE_LIMIT_S / LOOK_S)
LARGE_BYTES = 256_000  # of a message that isn't whole: what goes beyond it is taken from the room that all share
MESSAGES_BYTES = 256_000_000  # that room
WHY = {PROTOCOL_ERROR: "protocol", NOT_UTF8: "not_utf8", TOO_LARGE: "message_large"}

log = logs.get(__name__)
rationed = RationedLog(log)


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
    """limit_bytes: of one message. Held until somebody listens. on_closed: told when the connection is no more.

    room: for what has come of large messages, shared by all sockets. first_looks: that may find no message at all, 0
    for any number.
    """

    __slots__ = (
        "_behind",
        "_deadline",
        "_finished",
        "_first_looks",
        "_frames",
        "_gather",
        "_gone",
        "_held",
        "_inflow_bytes",
        "_listener",
        "_lost",
        "_on_closed",
        "_out",
        "_out_bytes",
        "_part_looks",
        "_room",
        "_room_bytes",
        "_silent_looks",
        "_told",
        "_transport",
        "_usual_bytes",
        "_waits",
    )

    def __init__(
        self,
        transport: asyncio.Transport,
        limit_bytes: int,
        on_closed: Callable[["Socket"], None],
        room: Room | None = None,
        first_looks: int = 0,
    ) -> None:
        self._transport = transport
        self._room = room or Room(MESSAGES_BYTES)
        self._room_bytes = 0  # taken of it
        self._first_looks = first_looks
        self._frames = FrameReader(limit_bytes)
        self._on_closed = on_closed
        self._listener: Listener | None = None
        self._gather: Callable[[Tell], None] | None = None
        self._usual_bytes = 0  # of a frame of audio, to go by the last
        self._waits = False  # to be told
        self._held = True
        self._behind = False  # more has come than one turn of the loop takes
        self._told = False  # a message came since the last look
        self._silent_looks = self._part_looks = 0
        self._inflow_bytes = INFLOW_AT_ONCE_BYTES  # that it may still send before it is read no further for a while
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
        if self._gone:  # since who listened before was told its last
            asyncio.get_running_loop().call_soon(self._end, None)
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
            self._read_on()
            asyncio.get_running_loop().call_soon(self._tell)

    def _read_on(self) -> None:
        """Unless it is held, or has sent more than is worked off."""
        if not (self._held or self._behind or self._inflow_bytes <= 0 or self._transport.is_closing()):
            self._transport.resume_reading()

    def data_received(self, data: bytes) -> None:
        if self._gone:
            return
        self._silent_looks = 0
        self._frames.feed(data)
        self._inflow_bytes -= len(data)
        if self._inflow_bytes <= 0:
            self._transport.pause_reading()  # until the next look
        if self._held or self._behind:
            return
        if len(data) != self._usual_bytes or self._gather is None:
            self._tell()
        elif not self._waits:
            self._waits = True
            self._gather(self._tell)

    def _take_room(self) -> None:
        """As much as is held of a large message, no more and no less."""
        more_bytes = max(0, self._frames.held_bytes - LARGE_BYTES) - self._room_bytes
        try:
            self._room.take(more_bytes)
            self._room_bytes += more_bytes
        except StageUnavailable:
            self._turn_away("memory", LATER, "no room for a message of this size; come again later")
            self._end(None)

    def _tell(self) -> None:
        """All that is whole, or as much as one turn of the loop takes."""
        reader = self._frames
        reader.steps = STEPS_AT_ONCE
        self._waits = False
        try:
            while not self._held:
                data = reader.next()
                if data is None:
                    break
                if reader.kind == TEXT:
                    self._told = True
                    if not self._finished and self._listener is not None and self._listener.on_text(data):
                        self._usual_bytes = frames.client_frame_bytes(len(data))
                else:
                    self._heed(reader.kind, data)
        except Violation as bad:
            self._turn_away(WHY[bad.code], bad.code, bad.reason)
            self._end(bad.code)
        except Exception as error:  # the rim of a connection: others don't notice
            log.error("message failed", error=repr(error), exc_info=error)
            self._fail(FAILED, "server_error")
            self._end(None)
        self._inflow_bytes -= (STEPS_AT_ONCE - reader.steps) * FRAME_COST_BYTES
        if not self._gone and not self._lost and (reader.held_bytes > LARGE_BYTES or self._room_bytes):
            self._take_room()
        if not reader.steps and not self._gone:
            self._fall_behind()
        elif self._lost and not self._held:
            self._end(None)

    def _fall_behind(self) -> None:
        if not self._behind:
            self._behind = True
            self._transport.pause_reading()
            asyncio.get_running_loop().call_soon(self._catch_up)

    def _catch_up(self) -> None:
        self._behind = False
        if not self._held:
            self._tell()
        self._read_on()

    def _heed(self, kind: int, data: bytearray) -> None:
        if kind == PING:
            self._send(frames.head(PONG, len(data)), data)
        elif kind == CLOSE:
            self._take_leave(frames.closing(data))
        elif kind == BINARY:
            self._told = True
            if not self._finished and self._listener is not None and self._listener.on_binary(data):
                self._usual_bytes = frames.client_frame_bytes(len(data))

    def _take_leave(self, code: int) -> None:
        """The client's goodbye, or its answer to one."""
        answers = self._finished
        self.finish(NORMAL, "")
        self._transport.close()
        self._end(None if answers else code)

    def _turn_away(self, why: str, code: int, reason: str) -> None:
        metrics.turned_away.labels(why).inc()
        rationed.info("client turned away", why=why, reason=reason)
        self._fail(code, reason)

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
        self._room.give_back(self._room_bytes)
        self._room_bytes = 0
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
        """Every LOOK_S: whether the client is still there, and what it may send next.

        Nobody is called silent while it is held: who holds it lets go within seconds, and then what its line has come
        to is read.
        """
        had_bytes = self._inflow_bytes
        self._inflow_bytes = min(INFLOW_AT_ONCE_BYTES, had_bytes + INFLOW_LOOK_BYTES)
        if had_bytes <= 0:
            self._read_on()
        if self._held or self._behind or self._finished:
            return
        if had_bytes <= 0:
            self._look_for_messages()  # it sends, were it nothing but parts
            return
        self._silent_looks += 1
        if self._silent_looks == PING_LOOKS:
            self._send(frames.head(PING, 0))
        elif self._silent_looks >= GONE_LOOKS:
            metrics.turned_away.labels("silent").inc()
            rationed.info("client is silent", silent_s=self._silent_looks * LOOK_S)
            self.abort()
        else:
            self._look_for_messages()

    def _look_for_messages(self) -> None:
        """Who never says anything, or never ends what it says, has no call."""
        told, self._told = self._told, False
        if told:
            self._first_looks = 0
        self._part_looks = self._part_looks + 1 if self._frames.within and not told else 0
        if self._first_looks == 1:
            self._turn_away("first_event", REFUSED, "no event came in time")
            self._end(REFUSED)
        elif self._part_looks >= MESSAGE_LOOKS:
            self._turn_away("message_slow", REFUSED, f"a message did not come within {MESSAGE_LIMIT_S:g} s")
            self._end(REFUSED)
        self._first_looks = max(0, self._first_looks - 1)
