"""The sockets of one call: opened on the addresses and ports that the settings allow, told as callers reach them.

aioice would take every address of the host but loopback, any port, and tell them as they are. It would also hand on
whatever anybody sends to such a port: rule: nothing but STUN comes in from where the caller hasn't shown its password.
"""

import asyncio
import contextlib
import random
import struct
from collections.abc import Iterable
from typing import Any

from aioice.candidate import Candidate, candidate_foundation, candidate_priority
from aioice.ice import Connection, StunProtocol
from aioice.stun import Message
from aiortc import RTCIceTransport

from trunkline.gateway.dialects.webrtc.addresses import Reach
from trunkline.proto.errors import StageUnavailable
from trunkline.telemetry import logs

COMPONENT = 1  # RTP and RTCP share one (RFC 5761)
STUN_BEFORE = 4  # the first byte of all STUN is below (RFC 7983)
UNKNOWN = (400, 401)  # a check that isn't authenticated (RFC 8489, 9.1.3)
SOURCES = 100  # that a caller's checks may come from: each is checked in turn (RFC 8445, 19.5.1)
WAITING = 1_024  # datagrams that wait to be read: more than a receiver's window of events

log = logs.get(__name__)


def redirect(transport: RTCIceTransport, reach: Reach) -> None:
    """What aioice would gather by itself is gathered here instead."""
    connection = transport._connection

    async def gather() -> None:
        await _gather(connection, reach)

    connection.gather_candidates = gather  # type: ignore[method-assign]  # of this one connection


def is_lost(transport: RTCIceTransport) -> bool:
    """Whether the caller's side answers no more; while aiortc hasn't been told to close it."""
    return transport._connection._closing


class Door(StunProtocol):
    """One socket. Who knows the caller's password is known by its address from then on."""

    receiver: Connection

    def datagram_received(self, data: bytes | str, addr: tuple[Any, ...]) -> None:
        if not data or isinstance(data, str):
            return
        known = any(one._network_host == addr[0] and one.port == addr[1] for one in self.receiver._remote_candidates)
        is_stun = data[0] < STUN_BEFORE
        if is_stun and (known or len(self.receiver._remote_candidates) < SOURCES):
            with contextlib.suppress(struct.error):  # aioice's, of an attribute that is cut short
                super().datagram_received(data, addr)
        elif known and not is_stun and self.receiver._queue.qsize() < WAITING:
            self.receiver.data_received(data, COMPONENT)

    def send_stun(self, message: Message, addr: tuple[str, int]) -> None:
        """Who doesn't know the password isn't told so: its address may be somebody else's."""
        if message.error_code not in UNKNOWN:
            super().send_stun(message, addr)


async def _gather(connection: Connection, reach: Reach) -> None:
    """Raises StageUnavailable."""
    if connection._local_candidates_start:
        return
    connection._local_candidates_start = True
    for host in reach.hosts:
        protocol = await _open(connection, host, reach)
        if protocol is None:
            continue
        port = protocol.transport.get_extra_info("sockname")[1]
        told = [_candidate(address, port) for address in reach.told_for(host)]
        protocol.local_candidate = told[0]
        connection._protocols.append(protocol)
        connection._local_candidates += told
    if not connection._protocols:
        raise StageUnavailable("gateway", "no UDP port is free")
    connection._local_candidates_end = True


async def _open(connection: Connection, host: str, reach: Reach) -> StunProtocol | None:
    """None where none of the ports can be bound."""
    loop = asyncio.get_running_loop()
    error: OSError | None = None
    for port in _ports(reach):
        try:
            _, protocol = await loop.create_datagram_endpoint(lambda: Door(connection), local_addr=(host, port))
            return protocol
        except OSError as problem:
            error = problem
    log.warning("no UDP port", host=host, reason=str(error))
    return None


def _ports(reach: Reach) -> Iterable[int]:
    """From anywhere in the range on, around it."""
    if reach.ports is None:
        return (0,)
    first, last = reach.ports
    begin = random.randint(first, last)
    return (*range(begin, last + 1), *range(first, begin))


def _candidate(address: str, port: int) -> Candidate:
    return Candidate(
        foundation=candidate_foundation("host", "udp", address),
        component=COMPONENT,
        transport="udp",
        priority=candidate_priority(COMPONENT, "host"),
        host=address,
        port=port,
        type="host",
    )
