"""Clients that keep to no rule, over real sockets: each is let go or held back, and a call beside it is answered.

How late that call's frames are meanwhile, and what memory it costs, is measured in real time by tests/hostile.
"""

import asyncio
import gzip
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp
import msgspec
import pytest

from gateway.client_frames import frame
from gateway.hostile_scene import Counted, Line
from gateway.socket_scene import KEY, Caller, Server
from support.virtual import run_over_sockets
from trunkline.gateway import socket as sockets
from trunkline.gateway.apis import bodies
from trunkline.gateway.frames import CONTINUATION, FIN, PING, PONG, TEXT
from trunkline.gateway.service import LINGER_S
from trunkline.proto import speech as s

Scenario = Callable[[Server, Line], Awaitable[None]]
AUTHORIZED = {"Authorization": f"Bearer {KEY}"}
BOMB = gzip.compress(bytes(50_000_000))


class Other:
    """A call beside it, whose client always listens."""

    def __init__(self, server: Server, caller: Caller) -> None:
        self._stt = server.scene.stt.sessions[0]
        self._socket = caller.socket
        self._responses: asyncio.Queue[Any] = asyncio.Queue()
        self._utterances = 0

    async def listen(self) -> None:
        while (message := await self._socket.receive()).type is aiohttp.WSMsgType.TEXT:
            event = msgspec.json.decode(message.data)
            if event["type"] == "response.done":
                self._responses.put_nowait(event["response"])

    async def has_a_turn(self) -> None:
        self._utterances += 1
        at = self._utterances * 16_000
        self._stt.say(s.SpeechStarted(self._utterances, at))
        self._stt.say(s.SpeechStopped(self._utterances, at + 8_000))
        self._stt.say(s.Final(self._utterances, "How are you?", at, at + 8_000))
        response = await asyncio.wait_for(self._responses.get(), 10.0)
        assert response["status"] == "completed"


def beside_a_call(scenario: Scenario, **settings: object) -> None:
    """The other call has a turn while the line does what it does, and one afterwards."""

    async def main() -> None:
        async with Server(**settings) as server, server.connect() as caller, Line(server) as line:
            await caller.until("session.created")
            other = Other(server, caller)
            listening = asyncio.create_task(other.listen())
            meanwhile = asyncio.create_task(other.has_a_turn())
            await scenario(server, line)
            await meanwhile
            await other.has_a_turn()
            listening.cancel()

    run_over_sockets(main())


def close_code(told: bytes) -> int:
    """Of the last frame."""
    at = told.rindex(b"\x88")
    return int.from_bytes(told[at + 2 : at + 4], "big")


@pytest.mark.parametrize(
    ("sent", "code", "why"),
    [
        (b"\x81\xff" + (1 << 63).to_bytes(8, "big"), 1009, "message_large"),
        (b"\x82\xff" + b"\xff" * 8, 1009, "message_large"),
        (frame(FIN | 0x40 | TEXT, b"\x0a\xcb\x48\xcd\xc9\x01\x00"), 1002, "protocol"),  # deflated
        (frame(TEXT, b"\xff"), 1007, "not_utf8"),  # the first part of a message
        (b"GET / HTTP/1.1\r\n\r\n" * 10, 1002, "protocol"),
    ],
    ids=["2^63", "2^64-1", "deflated", "no text", "HTTP again"],
)
def test_who_breaks_the_protocol_is_told_and_counted(sent: bytes, code: int, why: str) -> None:
    async def scenario(server: Server, line: Line) -> None:
        counted = Counted(why)
        await line.upgrade()
        line.send(sent)

        assert close_code(await line.rest()) == code
        assert counted.times == 1

    beside_a_call(scenario)


def test_compression_that_is_offered_is_not_taken() -> None:
    async def scenario(server: Server, line: Line) -> None:
        head = await line.upgrade(b"Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n")

        assert b"extensions" not in head.lower()

    beside_a_call(scenario)


def test_pings_without_end_are_answered_no_faster_than_others_are_served() -> None:
    async def scenario(server: Server, line: Line) -> None:
        await line.upgrade()
        line.send(frame(FIN | PING, b"") * 40_000 + frame(FIN | PING, b"last"))
        await line.until(bytes([FIN | PONG, 4]) + b"last")

    beside_a_call(scenario)


@pytest.mark.parametrize("parts_a_second", [100, 5_000], ids=["few", "more than are worked off"])
def test_parts_without_end_are_no_message_and_end_the_call(parts_a_second: int) -> None:
    async def scenario(server: Server, line: Line) -> None:
        counted = Counted("message_slow")
        await line.upgrade()
        line.send(frame(TEXT, b"{"))
        over = asyncio.create_task(line.rest())
        while not over.done():
            line.send(frame(CONTINUATION, b"") * parts_a_second)
            await asyncio.sleep(1.0)

        assert close_code(over.result()) == 1008
        assert counted.times == 1

    beside_a_call(scenario)


def test_who_never_says_anything_has_no_call_after_a_while() -> None:
    async def main() -> None:
        counted = Counted("first_event")
        async with Server(first_event_limit_s=30.0) as server, server.connect() as quiet:
            began_s = asyncio.get_running_loop().time()
            while (message := await quiet.socket.receive()).type is aiohttp.WSMsgType.TEXT:
                pass

            assert message.data == 1008
            assert 30.0 <= asyncio.get_running_loop().time() - began_s < 36.0
            assert counted.times == 1
            assert server.service.load()[0] == 0

    run_over_sockets(main())


def test_who_has_said_something_may_be_silent_for_long() -> None:
    async def main() -> None:
        async with Server(first_event_limit_s=30.0) as server, server.connect() as caller:
            await caller.send(type="input_audio_buffer.clear")
            listening = asyncio.create_task(Other(server, caller).listen())
            await asyncio.sleep(100.0)
            listens = not listening.done()
            listening.cancel()

            assert listens

    run_over_sockets(main())


def test_parts_of_large_messages_are_held_in_room_that_all_share(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sockets, "LARGE_BYTES", 10_000)

    async def scenario(server: Server, line: Line) -> None:
        counted = Counted("memory")
        room = server.service.sockets._room
        room.take(room._free_bytes - 50_000)
        async with Line(server) as second:
            for one in (line, second):
                await one.upgrade()
            line.send(frame(TEXT, b"x" * 40_000))
            await asyncio.sleep(0.1)
            second.send(frame(TEXT, b"x" * 20_000))
            await asyncio.sleep(0.1)
            second.send(frame(CONTINUATION, b"x" * 20_000))
            told = await second.rest()
        line.send(frame(FIN | CONTINUATION, b""))
        await line.until(b"invalid_json")
        await asyncio.sleep(0.1)

        assert close_code(told) == 1013
        assert counted.times == 1
        assert room._free_bytes == 50_000

    beside_a_call(scenario)


def test_who_leaves_within_a_large_message_leaves_its_room_to_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sockets, "LARGE_BYTES", 10_000)

    async def scenario(server: Server, line: Line) -> None:
        room = server.service.sockets._room
        free_bytes = room._free_bytes
        await line.upgrade()
        line.send(frame(TEXT, b"x" * 40_000))
        await asyncio.sleep(0.1)
        held_bytes = free_bytes - room._free_bytes
        line.breaks()
        await asyncio.sleep(0.1)

        assert held_bytes == 30_000
        assert room._free_bytes == free_bytes

    beside_a_call(scenario)


def test_audio_that_comes_too_fast_is_taken_more_slowly_and_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sockets, "INFLOW_AT_ONCE_BYTES", 100_000)
    monkeypatch.setattr(sockets, "INFLOW_LOOK_BYTES", 100_000)
    seconds = 20

    async def main() -> None:
        async with Server() as server, server.connect() as caller:
            await caller.until("session.created")
            began_s = asyncio.get_running_loop().time()
            for _ in range(seconds * 10):
                await caller.append(bytes(4_800))
            await caller.send(type="input_audio_buffer.commit")
            while b"input_audio_buffer.committed" not in (await caller.socket.receive()).data.encode():
                pass
            took_s = asyncio.get_running_loop().time() - began_s

            assert took_s > 10 * sockets.LOOK_S  # 1.3 MB of it
            stt = server.scene.stt.sessions[0]
            assert sum(len(chunk.pcm) // 2 for chunk in stt.audio) == seconds * 16_000

    run_over_sockets(main())


@pytest.mark.parametrize("path", ["/v1/responses", "/v1/realtime/client_secrets", "/v1/files", "/v1/nowhere"])
@pytest.mark.parametrize("key", [KEY, "sk-wrong"])
def test_a_body_that_would_grow_is_refused_unread(path: str, key: str) -> None:
    async def scenario(server: Server, line: Line) -> None:
        headers = {"Authorization": f"Bearer {key}", "Content-Encoding": "gzip", "Content-Type": "application/json"}
        async with server.client.post(path, data=BOMB, headers=headers) as answer:
            told = await answer.json()

        assert (answer.status, told["error"]["code"]) == (415, "unsupported_content_encoding")

    beside_a_call(scenario)


def test_a_body_that_comes_byte_by_byte_has_a_time_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bodies, "SMALL_LIMIT_S", 5.0)

    async def scenario(server: Server, line: Line) -> None:
        counted = Counted("body_slow")
        line.send(
            b"POST /v1/realtime/client_secrets HTTP/1.1\r\nHost: gateway\r\nContent-Type: application/json\r\n"
            + f"Authorization: Bearer {KEY}\r\nContent-Length: 1000\r\n\r\n".encode()
        )
        over = asyncio.create_task(line.until(b"request_timeout"))
        while not over.done():
            line.send(b" ")
            await asyncio.sleep(0.5)

        assert over.result().startswith(b"HTTP/1.1 408 ")
        assert counted.times == 1
        await asyncio.sleep(LINGER_S + 1.0)

    beside_a_call(scenario)


def test_who_leaves_within_its_body_leaves_no_traceback_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    async def scenario(server: Server, line: Line) -> None:
        async with Line(server) as one:
            one.send(
                b"POST /v1/realtime/client_secrets HTTP/1.1\r\nHost: gateway\r\nContent-Type: application/json\r\n"
                + f"Authorization: Bearer {KEY}\r\nContent-Length: 9\r\n\r\n{{".encode()
            )
            await asyncio.sleep(0.1)
        await asyncio.sleep(0.1)

    beside_a_call(scenario)
    assert [record for record in caplog.records if record.exc_info] == []


def test_a_part_of_a_form_without_end_is_read_no_further_than_it_may_be() -> None:
    async def scenario(server: Server, line: Line) -> None:
        async def without_end() -> object:
            yield b'--b\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n'
            while True:
                yield bytes(65_536)

        headers = {**AUTHORIZED, "Content-Type": "multipart/form-data; boundary=b"}
        try:
            async with server.client.post("/v1/files", data=without_end(), headers=headers) as answer:
                assert answer.status == 413
        except aiohttp.ClientConnectionError:
            pass  # it was still sending
        await asyncio.sleep(LINGER_S + 1.0)

    beside_a_call(scenario, file_limit_bytes=1_000_000)


def test_strangers_are_refused_and_counted_and_log_nothing(caplog: pytest.LogCaptureFixture) -> None:
    async def scenario(server: Server, line: Line) -> None:
        counted = Counted("key")
        refused = [(await server.get("/v1/calls", key=f"sk-{n}"))[0] for n in range(200)]

        assert refused == [401] * 200
        assert counted.times == 200

    beside_a_call(scenario)
    assert [record for record in caplog.records if "sk-" in record.getMessage() or record.levelname == "ERROR"] == []


def test_what_strangers_do_is_logged_in_few_lines(caplog: pytest.LogCaptureFixture) -> None:
    async def scenario(server: Server, line: Line) -> None:
        for _ in range(50):
            async with Line(server) as one:
                one.send(b"nonsense\r\n\r\n")
                await one.rest()

    with caplog.at_level("INFO"):
        beside_a_call(scenario)
    lines = [record for record in caplog.records if "can't be read" in record.getMessage()]
    assert len(lines) <= 10
