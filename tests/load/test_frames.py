"""WebSocket frames: aiohttp's server is the referee of what is sent, and sends what is read."""

import asyncio
import secrets

import pytest
from aiohttp import WSMsgType, web
from aiohttp.test_utils import TestServer

from trunkline.cli.load.caller import Tally
from trunkline.cli.load.dialect import Ear
from trunkline.cli.load.frames import BadFrame, Message, Opcode, Reader, masked
from trunkline.cli.load.link import SUBPROTOCOL, Link
from trunkline.cli.load.realtime import Realtime

SIZES = (0, 1, 125, 126, 127, 65_535, 65_536, 200_000)


class Keeping(Realtime):
    path = "/socket"

    def __init__(self, count: int) -> None:
        self.messages: list[Message] = []
        self.failures: list[str] = []
        self.enough = asyncio.Event()
        self._count = count

    def read(self, opcode: int, payload: bytes, ear: Ear) -> None:
        self.messages.append(Message(opcode, payload))
        if len(self.messages) >= self._count:
            self.enough.set()

    # as an Ear

    def set_up(self) -> None: ...
    def may_speak(self) -> None: ...
    def reply_began(self) -> None: ...
    def audio(self, seconds: float) -> None: ...
    def reply_over(self) -> None: ...
    def noticed(self) -> None: ...

    def failed(self, reason: str) -> None:
        self.failures.append(reason)
        self.enough.set()


async def exchange(
    messages: list[Message], *, key: str = "", asks: str = "", speaks: str = ""
) -> tuple[Keeping, list[object], int | None]:
    """What aiohttp's server read, what came back of it, and the code that it was closed with."""
    read: list[object] = []
    closed: asyncio.Future[int | None] = asyncio.get_running_loop().create_future()

    async def serve(request: web.Request) -> web.StreamResponse:
        if key:
            return web.json_response({"error": {"message": "no such key"}}, status=401)
        socket = web.WebSocketResponse(protocols=(speaks,) if speaks else (), compress=False, max_msg_size=0)
        await socket.prepare(request)
        await socket.ping(b"there?")
        async for message in socket:
            read.append(message.data)
            if message.type == WSMsgType.TEXT:
                await socket.send_str(message.data)
            else:
                await socket.send_bytes(message.data)
        closed.set_result(socket.close_code)
        return socket

    app = web.Application()
    app.router.add_get("/socket", serve)
    mask, keeping, tally = secrets.token_bytes(4), Keeping(len(messages)), Tally()
    async with TestServer(app, host="127.0.0.1") as server:
        link = Link(keeping, f"127.0.0.1:{server.port}", {SUBPROTOCOL: asks} if asks else {}, mask, tally)
        link.serve(keeping, b"".join(masked(message, mask) for message in messages))
        await asyncio.get_running_loop().create_connection(lambda: link, "127.0.0.1", server.port or 0)
        await asyncio.wait_for(keeping.enough.wait(), 10)
        if keeping.failures:
            return keeping, read, None
        link.hang_up()
        await asyncio.wait_for(link.over, 10)
        return keeping, read, await asyncio.wait_for(closed, 10)


def test_another_server_reads_and_sends_back_every_size_of_message() -> None:
    sent = [Message(Opcode.BINARY, secrets.token_bytes(size)) for size in SIZES]
    sent += [Message(Opcode.TEXT, b"x" * size) for size in SIZES]

    keeping, read, code = asyncio.run(exchange(sent))

    assert [each if isinstance(each, bytes) else str(each).encode() for each in read] == [m.payload for m in sent]
    assert keeping.messages == sent
    assert code == 1000


def test_a_refusal_is_told_with_its_status_and_what_the_server_said() -> None:
    keeping, *_ = asyncio.run(exchange([Message(Opcode.TEXT, b"x")], key="wrong"))

    failure = keeping.failures[0]
    assert "401" in failure
    assert "no such key" in failure


@pytest.mark.parametrize(("speaks", "failures"), [("ours.v1", []), ("", ["the server doesn't speak ours.v1"])])
def test_a_subprotocol_that_was_asked_for_must_be_agreed_to(speaks: str, failures: list[str]) -> None:
    keeping, *_ = asyncio.run(exchange([Message(Opcode.TEXT, b"x")], asks="ours.v1", speaks=speaks))

    assert [failure for failure in keeping.failures if "speak" in failure] == failures


def frames(data: bytes, size: int) -> list[tuple[int, bytes]]:
    """data: in pieces of this size."""
    read: list[tuple[int, bytes]] = []
    reader = Reader(lambda opcode, payload: read.append((opcode, payload)))
    for at in range(0, len(data), size):
        reader.feed(data[at : at + size])
    return read


def unmasked(opcode: int, payload: bytes, *, fin: bool = True) -> bytes:
    assert len(payload) < 126
    return bytes(((0x80 if fin else 0) | opcode, len(payload))) + payload


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
def test_messages_are_the_same_however_the_bytes_are_cut(size: int) -> None:
    data = unmasked(1, b"one") + unmasked(2, b"") + unmasked(9, b"ping") + unmasked(2, b"x" * 125)

    assert frames(data, size) == [(1, b"one"), (2, b""), (9, b"ping"), (2, b"x" * 125)]


def test_a_fragmented_message_is_one_and_a_ping_may_come_in_between() -> None:
    data = unmasked(1, b"in ", fin=False) + unmasked(9, b"") + unmasked(0, b"three ", fin=False) + unmasked(0, b"parts")

    assert frames(data + unmasked(2, b"next"), 1000) == [(9, b""), (1, b"in three parts"), (2, b"next")]


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (bytes((0x81, 0x80)) + b"mask", "masks"),
        (bytes((0xC1, 0x01)) + b"x", "extension"),
        (bytes((0x80, 0x01)) + b"x", "out of order"),
        (bytes((0x82, 127)) + (1 << 40).to_bytes(8, "big"), "at most"),
    ],
)
def test_what_is_no_frame_of_a_servers_is_refused(data: bytes, problem: str) -> None:
    with pytest.raises(BadFrame, match=problem):
        frames(data, 1000)
