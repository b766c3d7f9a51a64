"""Connections before their first request: who says nothing, too slowly or too much is let go at no one's cost."""

import asyncio
import logging
import resource
from contextlib import AsyncExitStack

import pytest

from gateway.hostile_scene import Counted, Line
from gateway.socket_scene import KEY, Server
from support.virtual import run_over_sockets, run_virtual
from trunkline.gateway import lobby
from trunkline.gateway.lobby import (
    HEAD_LIMIT_BYTES,
    MANNERS_S,
    OTHER_DESCRIPTORS,
    SPARE_PLACES,
    Limits,
    Lobby,
    places,
)

ASKS = f"GET /v1/calls HTTP/1.1\r\nHost: gateway\r\nAuthorization: Bearer {KEY}\r\nConnection: close\r\n\r\n".encode()
ASKS_AND_STAYS = ASKS.replace(b"Connection: close\r\n", b"")
LONG_BODY = b"\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{"  # of which a byte has yet to come
HEAD_S = 5.0


def now_s() -> float:
    return asyncio.get_running_loop().time()


@pytest.mark.parametrize(
    ("begun", "answer"),
    [
        (b"", b""),
        (b"\r\n\r\n", b""),
        (b"GET /v1/calls HTTP/1.1\r\nHost: gateway\r\n", b"HTTP/1.1 408 Request Timeout\r\n"),
        (b"\r\nGET /v1/calls HTTP/1.1\r\n", b"HTTP/1.1 408 Request Timeout\r\n"),
    ],
    ids=["nothing", "empty lines", "half a head", "half a head behind an empty line"],
)
def test_who_does_not_say_what_it_wants_is_let_go(begun: bytes, answer: bytes) -> None:
    async def main() -> None:
        counted = Counted("head_slow")
        async with Server(head_limit_s=HEAD_S) as server, Line(server) as line:
            began_s = now_s()
            line.send(begun)
            told = await line.rest()

            assert HEAD_S <= now_s() - began_s < HEAD_S + 3.0
            assert told.startswith(answer) if answer else told == b""
            assert counted.times == 1

    run_over_sockets(main())


def test_a_head_that_comes_byte_by_byte_has_no_longer_than_any_other() -> None:
    async def main() -> None:
        async with Server(head_limit_s=HEAD_S) as server, Line(server) as line:

            async def drip() -> None:
                for at in range(len(ASKS)):
                    line.send(ASKS[at : at + 1])
                    await asyncio.sleep(0.2)

            dripping = asyncio.create_task(drip())
            told = await line.refusal()
            dripping.cancel()

            assert told == (408, "request_timeout")

    run_over_sockets(main())


def test_who_waits_has_nothing_of_the_http_servers() -> None:
    async def main() -> None:
        async with Server() as server, Line(server) as one, Line(server) as other:
            other.send(ASKS[:-1])
            await asyncio.sleep(1.0)
            http = server.service._runner.server
            assert http is not None
            waiting = len(http.connections)
            other.send(ASKS[-1:])
            answered = await other.rest()
            one.send(b"nonsense")

            assert waiting == 0
            assert answered.startswith(b"HTTP/1.1 200 OK\r\n")

    run_over_sockets(main())


@pytest.mark.parametrize("size", [1, 7, 40])
def test_a_head_in_pieces_is_read_whole(size: int) -> None:
    asks = b"\r\n" + ASKS  # RFC 9112, 2.2: an empty line before it is to be ignored

    async def main() -> None:
        async with Server() as server, Line(server) as line:
            for at in range(0, len(asks), size):
                line.send(asks[at : at + size])
                await asyncio.sleep(0.001)

            assert (await line.rest()).startswith(b"HTTP/1.1 200 OK\r\n")

    run_over_sockets(main())


def test_a_head_without_end_is_refused_as_soon_as_it_is_too_large() -> None:
    async def main() -> None:
        async with Server() as server, Line(server) as line:
            line.send(b"GET / HTTP/1.1\r\nX: " + b"x" * HEAD_LIMIT_BYTES)

            assert await line.refusal() == (431, "head_too_large")

    run_over_sockets(main())


@pytest.mark.parametrize(
    "head",
    [
        b"GET /?" + b"x" * 20_000 + b" HTTP/1.1\r\nHost: gateway\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: gateway\r\nX: " + b"x" * 20_000 + b"\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: gateway\r\n" + b"X: x\r\n" * 1_000 + b"\r\n",
        b"GET / HTTP/9.7\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",  # TLS, to a port that speaks none
    ],
    ids=["URL", "header", "many headers", "version", "half of HTTP/2's", "HTTP/2", "no HTTP"],
)
def test_a_head_that_is_no_good_is_refused_and_logged_in_one_line(
    head: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        counted = Counted("not_http")
        async with Server() as server, Line(server) as line:
            line.send(head)
            told = await line.rest()

            assert told[8:13] == b" 400 "
            assert counted.times == 1

    with caplog.at_level(logging.INFO):
        run_over_sockets(main())
    assert [record for record in caplog.records if record.exc_info] == []


def test_more_connections_than_are_taken_are_told_to_come_later_and_places_become_free() -> None:
    async def main() -> None:
        counted = Counted("connections")
        async with Server(connection_limit=2) as server, server.connect() as caller, Line(server) as idle:
            await caller.until("session.created")
            idle.send(b"G")
            async with Line(server) as late:
                late.send(ASKS)
                told = await late.rest()
            assert told.startswith(b"HTTP/1.1 503 ")
            assert b"Retry-After: 1\r\n" in told
            assert counted.times == 1
            await caller.socket.close()
            await asyncio.sleep(0.5)
            async with Line(server) as later:
                later.send(ASKS)
                assert (await later.rest()).startswith(b"HTTP/1.1 200 ")

    run_over_sockets(main())


def test_who_has_long_said_nothing_makes_room_for_who_asks() -> None:
    async def main() -> None:
        async with Server(connection_limit=2, head_limit_s=60.0) as server, Line(server) as first, Line(server) as last:
            first.send(b"G")
            last.send(b"G")
            await asyncio.sleep(MANNERS_S + 0.1)
            async with Line(server) as asking:
                asking.send(ASKS)
                answered = await asking.rest()
            cut = await first.rest()
            last.send(ASKS[1:])

            assert answered.startswith(b"HTTP/1.1 200 ")
            assert cut == b""
            assert (await last.rest()).startswith(b"HTTP/1.1 200 ")

    run_over_sockets(main())


def test_who_was_to_be_refused_and_says_nothing_keeps_nobody_out() -> None:
    async def main() -> None:
        async with Server(connection_limit=2, head_limit_s=60.0) as server, AsyncExitStack() as lines:
            for _ in range(4):
                await lines.enter_async_context(Line(server))
            await asyncio.sleep(MANNERS_S + 0.1)
            async with Line(server) as asking:
                asking.send(ASKS)

                assert (await asking.rest()).startswith(b"HTTP/1.1 200 ")

    run_over_sockets(main())


async def answered(line: Line) -> bytes:
    """To a request after which the connection stays."""
    line.send(ASKS_AND_STAYS)
    return await line.until(b"\r\n\r\n[]")


def test_the_longest_idle_connection_makes_room_for_who_asks_and_a_socket_does_not() -> None:
    async def main() -> None:
        counted = Counted("idle")
        async with Server(connection_limit=3) as server, server.connect() as caller, AsyncExitStack() as lines:
            await caller.until("session.created")
            first, last = [await lines.enter_async_context(Line(server)) for _ in range(2)]
            for line in (first, last, first):  # who asks again isn't the longest idle any more
                await answered(line)
            await asyncio.sleep(MANNERS_S + 0.1)
            async with Line(server) as asking:
                asking.send(ASKS)

                assert (await asking.rest()).startswith(b"HTTP/1.1 200 ")
            assert await last.rest() == b""
            assert counted.times == 1
            assert (await answered(first)).startswith(b"HTTP/1.1 200 ")
            assert not caller.socket.closed

    run_over_sockets(main())


def test_idle_connections_make_room_before_those_that_have_yet_to_ask() -> None:
    async def main() -> None:
        async with (
            Server(connection_limit=2, head_limit_s=60.0) as server,
            Line(server) as begins,
            Line(server) as idle,
        ):
            begins.send(b"G")
            await answered(idle)
            await asyncio.sleep(MANNERS_S + 0.1)
            async with Line(server) as asking:
                asking.send(ASKS)
                await asking.rest()
            begins.send(ASKS[1:])

            assert await idle.rest() == b""
            assert (await begins.rest()).startswith(b"HTTP/1.1 200 ")

    run_over_sockets(main())


def test_who_is_being_served_or_was_just_now_keeps_its_place() -> None:
    async def main() -> None:
        async with Server(connection_limit=2) as server, Line(server) as asks, Line(server) as lately:
            await answered(asks)
            asks.send(ASKS_AND_STAYS.replace(b"GET /v1/calls", b"POST /v1/responses").replace(b"\r\n\r\n", LONG_BODY))
            await asyncio.sleep(MANNERS_S + 0.1)
            await answered(lately)
            async with Line(server) as late:
                late.send(ASKS)
                refused = await late.refusal()

            assert refused == (503, "overloaded")
            assert (await answered(lately)).startswith(b"HTTP/1.1 200 ")
            asks.send(b"}")
            assert (await asks.until(b"\r\n\r\n")).startswith(b"HTTP/1.1 ")

    run_over_sockets(main())


class Wire(asyncio.Transport):
    """Of a connection; closing: nobody has been told so far that it is no more."""

    closing = False

    def is_closing(self) -> bool:
        return self.closing

    def abort(self) -> None:
        self.closing = True


def test_room_is_made_also_where_the_oldest_has_just_closed() -> None:
    async def main() -> None:
        door = Lobby(asyncio.Protocol, Limits(connections=1, per_address=0, head_s=60.0), now_s)
        first, second, third = [(door(), Wire()) for _ in range(3)]
        for waiting, wire in (first, second):
            waiting.connection_made(wire)
        first[1].closing = True
        await asyncio.sleep(MANNERS_S + 0.1)
        third[0].connection_made(third[1])
        kept = [not wire.closing for _, wire in (second, third)]
        door.close()

        assert kept == [False, True]
        assert third[0]._why_not == ""

    run_virtual(main())


def test_who_there_is_not_even_room_to_refuse_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lobby, "SPARE_PLACES", 0)

    async def main() -> None:
        async with Server(connection_limit=1) as server, server.connect() as caller, Line(server) as late:
            await caller.until("session.created")

            assert await late.rest() == b""

    assert SPARE_PLACES > 0
    run_over_sockets(main())


def test_one_address_has_no_more_connections_than_it_may() -> None:
    async def main() -> None:
        counted = Counted("address")
        async with Server(address_connection_limit=2) as server, server.connect() as caller, Line(server) as idle:
            await caller.until("session.created")
            idle.send(b"G")
            async with Line(server) as late:
                late.send(ASKS)
                refused = await late.refusal()

            assert refused == (429, "too_many_connections")
            assert counted.times == 1

    run_over_sockets(main())


def test_who_waits_is_let_go_when_the_gateway_goes_down() -> None:
    async def main() -> None:
        async with AsyncExitStack() as lines:
            async with Server() as server:
                line = await lines.enter_async_context(Line(server))
                line.send(b"GET")
                await asyncio.sleep(0.1)

            assert await line.rest() == b""

    run_over_sockets(main())


def test_places_are_no_more_than_descriptors_let_there_be() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(soft, OTHER_DESCRIPTORS + 10), hard))
        found = places(min(hard, 100_000) * 2), places(20)
        raised = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))

    assert found == (hard - OTHER_DESCRIPTORS, 20)
    assert raised == hard
