"""Where a connection waits, at little cost, until the head of its first request is whole; then the HTTP server has it.

Rule: who sends nothing, or a head without end, costs neither a task nor a timer, and nobody waits for whom there is no
place: who asks nothing now gives way to who does. Where connections come from a proxy, all have its address.
"""

import asyncio
import contextlib
import ipaddress
import resource
import socket
from collections.abc import Callable
from http import HTTPStatus
from itertools import islice, takewhile
from typing import cast

import msgspec

from trunkline.gateway import metrics
from trunkline.gateway.rationed_log import RationedLog
from trunkline.telemetry import logs

HEAD_LIMIT_BYTES = 32 * 1024
HEAD_END = b"\r\n\r\n"
PREFACE = b"PRI "  # of HTTP/2: no request for the HTTP server's parser, which would wait behind it without a limit
LOOK_S = 1.0  # between two looks at who waits, and at who is gone
GIVEN_UP_AT_ONCE = 200  # of thousands that came together; then calls have their turn
GO_ON_S = 0.02
LOOK_AGAIN_S = 0.1  # ... at the earliest, if there is no place
MANNERS_S = 1.0  # that anybody has to say what he wants, at first or next, if somebody else needs the place
SPARE_PLACES = 64  # for those who are told that there is none
OTHER_DESCRIPTORS = 256  # than connections: NATS, files, engines' pipes
TAKEN_LIMIT_MS = (
    30_000  # for a client to take what is sent: its kernel acknowledges nothing for so long, and it is gone
)

log = logs.get(__name__)
rationed = RationedLog(log)

REFUSALS = {  # why -> status, code, message
    "connections": (503, "overloaded", "this gateway has all the connections that it takes; come again later"),
    "address": (429, "too_many_connections", "too many connections come from this address"),
    "head_large": (431, "head_too_large", f"the head of a request has at most {HEAD_LIMIT_BYTES} bytes"),
    "not_http": (400, "invalid_request", "this is HTTP/2's preface; allowed: HTTP/1.1"),
    "head_slow": (408, "request_timeout", "the head of the request did not come in time"),
}


class Limits(msgspec.Struct, frozen=True):
    """connections: at a time. per_address: of them, from one address (IPv6: one /64 network); 0 for any number.

    head_s: from the connection to the end of its first request's head.
    """

    connections: int
    per_address: int
    head_s: float


class Lobby:
    """Makes what a server's connections begin with. http: makes what they go on with. now_s: monotonic."""

    def __init__(self, http: Callable[[], asyncio.Protocol], limits: Limits, now_s: Callable[[], float]) -> None:
        self._http = http
        self._limits = limits
        self._now_s = now_s
        self._lines: dict[asyncio.Transport, str] = {}  # open connections -> their address, if that is of interest
        self._by_address: dict[str, int] = {}
        self._waiting: dict[Waiting, float] = {}  # -> when it must be gone, the earliest first
        self._idle: dict[asyncio.Transport, float] = {}  # between two requests -> since when, the longest first
        self._looked_s = now_s()
        self._next_look: asyncio.TimerHandle | None = None

    def __call__(self) -> "Waiting":
        return Waiting(self)

    # connections

    def enter(self, waiting: "Waiting", transport: asyncio.Transport) -> str | None:
        """Why it will be refused, empty if it won't; None: there isn't even the room to tell it.

        Who has long said nothing makes room for the next, first who has had an answer; so nobody who says what he
        wants is kept out by those.
        """
        address = _address(transport) if self._limits.per_address else ""
        why = self._why_not(address)
        if why and self._now_s() - self._looked_s >= LOOK_AGAIN_S:
            self._forget_closed()
            why = self._why_not(address)
        while why == "connections" and self._make_room():  # more than once, where some were to be refused
            why = self._why_not(address)
        if why and len(self._lines) >= self._limits.connections + SPARE_PLACES:
            return None
        self._lines[transport] = address
        self._by_address[address] = self._by_address.get(address, 0) + 1
        self._waiting[waiting] = self._now_s() + self._limits.head_s
        metrics.connections.set(len(self._lines))
        if self._next_look is None:
            self._next_look = asyncio.get_running_loop().call_later(LOOK_S, self._look)
        return why

    def _make_room(self) -> bool:
        return self._close_idle() or self._cut_oldest()

    def _close_idle(self) -> bool:
        """Whether there was one. It may say goodbye: its client finds it closed, and connects anew."""
        latest_s = self._now_s() - MANNERS_S
        ripe = takewhile(lambda one: one[1] <= latest_s, self._idle.items())
        line = next((line for line, _ in ripe if not line.get_write_buffer_size()), None)
        if line is None:
            return False
        _count("idle")
        line.close()
        self._forget(line)
        return True

    def _cut_oldest(self) -> bool:
        waiting, until_s = next(iter(self._waiting.items()), (None, 0.0))
        if waiting is None or self._limits.head_s - (until_s - self._now_s()) < MANNERS_S:
            return False
        _count("head_slow")
        self._forget(waiting.cut())
        return True

    def _why_not(self, address: str) -> str:
        if len(self._lines) >= self._limits.connections:
            return "connections"
        if address and self._by_address.get(address, 0) >= self._limits.per_address:
            return "address"
        return ""

    def leave(self, waiting: "Waiting") -> None:
        self._waiting.pop(waiting, None)

    def hand_on(self, waiting: "Waiting", transport: asyncio.Transport, head: bytes) -> None:
        """head: with what came behind it."""
        self.leave(waiting)
        handler = self._http()
        transport.set_protocol(handler)
        handler.connection_made(transport)
        handler.data_received(head)

    def asks(self, line: asyncio.Transport) -> None:
        """A request has begun."""
        self._idle.pop(line, None)

    def asked(self, line: asyncio.Transport) -> None:
        """Its answer is made; what of it is still to be sent waits at the transport."""
        if line in self._lines:
            self._idle[line] = self._now_s()

    def _look(self) -> None:
        self._forget_closed()
        now_s = self._now_s()
        overdue = list(islice(takewhile(lambda one: one[1] <= now_s, self._waiting.items()), GIVEN_UP_AT_ONCE))
        for waiting, _ in overdue:
            waiting.give_up()
        pause_s = LOOK_S if len(overdue) < GIVEN_UP_AT_ONCE else GO_ON_S
        self._next_look = asyncio.get_running_loop().call_later(pause_s, self._look) if self._lines else None

    def _forget_closed(self) -> None:
        self._looked_s = self._now_s()
        for transport in [one for one in self._lines if one.is_closing()]:
            self._forget(transport)
        metrics.connections.set(len(self._lines))

    def _forget(self, transport: asyncio.Transport) -> None:
        """Again, it changes nothing."""
        address = self._lines.pop(transport, None)
        self._idle.pop(transport, None)
        if address is None:
            return
        left = self._by_address[address] - 1
        if left:
            self._by_address[address] = left
        else:
            del self._by_address[address]

    def close(self) -> None:
        """Who still waits is cut off."""
        if self._next_look is not None:
            self._next_look.cancel()
            self._next_look = None
        for waiting in list(self._waiting):
            waiting.cut()


class Waiting(asyncio.Protocol):
    """One connection that hasn't said yet what it wants."""

    __slots__ = ("_head", "_lobby", "_transport", "_why_not")

    def __init__(self, lobby: Lobby) -> None:
        self._lobby = lobby
        self._head = bytearray()
        self._why_not = ""
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is none by name
        why_not = self._lobby.enter(self, self._transport)
        if why_not is None:
            _count("connections")
            self._transport.abort()
            return
        self._why_not = why_not
        _limit_taking(self._transport)

    def data_received(self, data: bytes) -> None:
        if not self._head:
            data = data.lstrip(b"\r\n")  # the HTTP server would pass over empty lines, too, and wait for ever
            if not data:
                return
        searched = max(0, len(self._head) - len(HEAD_END) + 1)
        self._head += data
        whole = self._head.find(HEAD_END, searched) >= 0
        if not whole and self._head[:1].isalpha():
            if len(self._head) > HEAD_LIMIT_BYTES:
                self._refuse("head_large")
        elif self._head.startswith(PREFACE):
            self._refuse("not_http")
        elif self._why_not:
            self._refuse(self._why_not)
        else:
            self._lobby.hand_on(self, self._transport, bytes(self._head))  # what is no HTTP is refused there

    def give_up(self) -> None:
        """Its time is over; who has begun to ask is told so."""
        if self._head:
            self._refuse("head_slow")
        else:
            _count("head_slow")
            self.cut()

    def _refuse(self, why: str) -> None:
        _count(why)
        self._lobby.leave(self)
        self._transport.write(refusal(why))
        self._transport.close()

    def cut(self) -> asyncio.Transport:
        self._lobby.leave(self)
        self._transport.abort()
        return self._transport

    def connection_lost(self, error: Exception | None) -> None:
        self._lobby.leave(self)


def _count(why: str) -> None:
    metrics.turned_away.labels(why).inc()
    rationed.info("connection turned away", why=why)


def refusal(why: str) -> bytes:
    """An HTTP answer that ends its connection, in the vendor's error shape. why: of REFUSALS."""
    status, code, message = REFUSALS[why]
    kind = "invalid_request_error" if status < 500 else "server_error"
    body = msgspec.json.encode({"error": {"message": message, "type": kind, "param": None, "code": code}})
    again = "Retry-After: 1\r\n" if status in (429, 503) else ""
    head = (
        f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\nContent-Type: application/json; charset=utf-8\r\n"
        f"Content-Length: {len(body)}\r\n{again}Connection: close\r\n\r\n"
    )
    return head.encode() + body


def places(wanted: int) -> int:
    """Of connections, as far as the process may have descriptors; it takes as many of those as it is let."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = wanted + OTHER_DESCRIPTORS
    if soft < needed:
        raised = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
        with contextlib.suppress(ValueError, OSError):  # a system may know better
            resource.setrlimit(resource.RLIMIT_NOFILE, (raised, hard))
            soft = raised
    found = max(1, min(wanted, soft - OTHER_DESCRIPTORS))
    if found < wanted:
        log.warning("descriptors are few", connections=found, wanted=wanted, descriptors=soft)
    return found


def _address(transport: asyncio.Transport) -> str:
    """Empty where it has none."""
    peer = transport.get_extra_info("peername")
    if not peer:
        return ""
    address = ipaddress.ip_address(peer[0].partition("%")[0])
    if isinstance(address, ipaddress.IPv4Address):
        return str(address)
    return str(address.ipv4_mapped or ipaddress.ip_network((address, 64), strict=False))


def _limit_taking(transport: asyncio.Transport) -> None:
    """Source: tcp(7), TCP_USER_TIMEOUT. It ends whoever reads nothing of an answer, whatever answers."""
    line = transport.get_extra_info("socket")
    if line is not None and hasattr(socket, "TCP_USER_TIMEOUT"):
        with contextlib.suppress(OSError):  # it may be gone already
            line.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, TAKEN_LIMIT_MS)
