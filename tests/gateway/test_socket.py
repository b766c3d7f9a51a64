"""One client's socket: who listens is called in order, is told of the end once, and holds it back while it is busy."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from gateway.client_frames import frame
from support.virtual import run_virtual
from trunkline.gateway import socket as sockets
from trunkline.gateway.apis.bodies import Room
from trunkline.gateway.awaited import AwaitedMessages
from trunkline.gateway.frames import BINARY, CLOSE, CONTINUATION, FIN, PING, PONG, TEXT, close_frame
from trunkline.gateway.socket import (
    FINISH_LIMIT_S,
    FRAME_COST_BYTES,
    GONE_LOOKS,
    INFLOW_AT_ONCE_BYTES,
    MESSAGE_LOOKS,
    PING_LOOKS,
    STEPS_AT_ONCE,
    Socket,
)

LIMIT_BYTES = 1_000
BYE = frame(FIN | CLOSE, b"\x03\xe8")


class Wire(asyncio.Transport):
    """To a client that reads nothing: what is written stays here."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""
        self.writes = 0
        self.full_bytes = 0
        self.reads = True
        self.closing = self.half_closed = False
        self.socket: Socket

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written += bytes(data)
        self.writes += 1

    def get_write_buffer_size(self) -> int:
        return self.full_bytes

    def pause_reading(self) -> None:
        self.reads = False

    def resume_reading(self) -> None:
        self.reads = True

    def is_closing(self) -> bool:
        return self.closing

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        self.half_closed = True

    def close(self) -> None:
        if not self.closing:
            self.closing = True
            asyncio.get_running_loop().call_soon(self.socket.connection_lost, None)

    abort = close


class Line:
    """A socket, what its listener is told, and how often it is said to be no more."""

    def __init__(self) -> None:
        self.wire = Wire()
        self.closed: list[Socket] = []
        self.socket = self.wire.socket = Socket(self.wire, LIMIT_BYTES, self.closed.append)
        self.told: list[object] = []
        self.on_message: Callable[[], object] = lambda: None
        self.audio = "\0"  # what begins so is audio

    def says(self, *frames: bytes) -> None:
        for one in frames:
            self.socket.data_received(one)

    def on_text(self, data: bytes | bytearray) -> bool:
        self.told.append(data.decode())
        self.on_message()
        return data.decode().startswith(self.audio)

    def on_binary(self, data: bytes | bytearray) -> bool:
        self.told.append(bytes(data))
        self.on_message()
        return False

    def on_gone(self, code: int | None) -> None:
        self.told.append(("gone", code))


def text(words: str) -> bytes:
    return frame(FIN | TEXT, words.encode())


def on_a_line(scenario: Callable[[Line], Awaitable[None]], *, listening: bool = True) -> None:
    async def main() -> None:
        line = Line()
        if listening:
            line.socket.listen(line)
            await settled()
        await scenario(line)

    run_virtual(main())


async def settled() -> None:
    for _ in range(3):
        await asyncio.sleep(0)


def test_what_comes_before_anybody_listens_is_told_then() -> None:
    async def scenario(line: Line) -> None:
        line.says(text("early"), frame(FIN | BINARY, b"\0"))
        assert not line.wire.reads
        line.socket.listen(line)
        await settled()

        assert line.wire.reads
        assert line.told == ["early", b"\0"]

    on_a_line(scenario, listening=False)


def test_a_held_socket_tells_nothing_until_it_is_released_and_then_in_order() -> None:
    async def scenario(line: Line) -> None:
        line.on_message = line.socket.hold
        line.says(text("a") + text("b"), text("c"))
        assert (line.told, line.wire.reads) == (["a"], False)
        line.on_message = lambda: None
        line.socket.release()
        await settled()

        assert (line.told, line.wire.reads) == (["a", "b", "c"], True)

    on_a_line(scenario)


def test_a_goodbye_is_answered_and_told_once() -> None:
    async def scenario(line: Line) -> None:
        line.says(text("a") + frame(FIN | CLOSE, b"\x0f\xa0") + text("too late"))
        await settled()

        assert line.told == ["a", ("gone", 4000)]
        assert line.wire.written == close_frame(1000, "")
        assert line.wire.closing
        assert line.closed == [line.socket]

    on_a_line(scenario)


def test_a_line_that_breaks_is_told_behind_what_came_before() -> None:
    async def scenario(line: Line) -> None:
        line.socket.hold()
        line.says(text("a"))
        line.socket.connection_lost(None)
        assert line.told == []
        line.socket.release()
        await settled()

        assert line.told == ["a", ("gone", None)]

    on_a_line(scenario)


def test_a_ping_is_answered_between_the_parts_of_a_message() -> None:
    async def scenario(line: Line) -> None:
        line.says(frame(TEXT, b"a"), frame(FIN | PING, b"hi"), frame(FIN | CONTINUATION, b"b"))
        await settled()

        assert line.wire.written == bytes([FIN | PONG, 2]) + b"hi"
        assert line.told == ["ab"]

    on_a_line(scenario)


@pytest.mark.parametrize(
    ("sent", "code"), [(b"\x81\x01a", 1002), (frame(FIN | TEXT, b"\xff"), 1007), (text("x" * 2_000), 1009)]
)
def test_who_breaks_the_protocol_is_told_why_and_not_listened_to(sent: bytes, code: int) -> None:
    async def scenario(line: Line) -> None:
        line.says(sent, text("more"))

        assert line.told == [("gone", code)]
        assert line.wire.written[2:4] == code.to_bytes(2, "big")
        assert line.wire.half_closed
        await asyncio.sleep(FINISH_LIMIT_S + 0.1)
        assert line.closed == [line.socket]

    on_a_line(scenario)


def test_what_is_put_behind_the_end_is_not_sent_and_the_clients_answer_closes() -> None:
    async def scenario(line: Line) -> None:
        line.socket.put(b"{}")
        line.socket.finish(1011, "lost")
        assert line.socket.put(b"late")
        line.socket.finish(1000, "again")
        line.says(text("not heard"))
        assert not line.wire.closing
        line.says(BYE)
        await settled()

        assert line.wire.written == bytes([FIN | TEXT, 2]) + b"{}" + close_frame(1011, "lost")
        assert line.told == [("gone", None)]
        assert line.wire.closing

    on_a_line(scenario)


def test_a_client_that_does_not_answer_the_end_is_cut_off_even_if_it_was_held() -> None:
    async def scenario(line: Line) -> None:
        line.socket.hold()
        line.socket.finish(1000, "")
        assert line.wire.reads
        await asyncio.sleep(FINISH_LIMIT_S - 0.1)
        assert not line.wire.closing
        await asyncio.sleep(0.2)

        assert line.told == [("gone", None)]
        assert line.closed == [line.socket]

    on_a_line(scenario)


def test_binary_goes_out_in_one_message_of_its_parts() -> None:
    async def scenario(line: Line) -> None:
        line.socket.put_binary(b"head", memoryview(b"samples"))
        await settled()

        assert line.wire.written == bytes([FIN | BINARY, 11]) + b"headsamples"

    on_a_line(scenario)


def test_a_client_for_whom_too_much_waits_is_cut_off_without_a_word() -> None:
    async def scenario(line: Line) -> None:
        assert line.socket.put(b"{}")
        line.wire.full_bytes = sockets.LIMIT_BYTES + 1
        assert not line.socket.put(b"{}")
        await settled()

        assert line.told == [("gone", None)]

    on_a_line(scenario)


def test_all_that_one_turn_of_the_loop_has_for_the_client_is_one_write() -> None:
    async def scenario(line: Line) -> None:
        line.socket.put(b"{}")
        line.socket.put_binary(b"samples")
        assert line.wire.writes == 0
        await settled()
        assert line.wire.writes == 1
        line.socket.put(b"{}")
        await settled()

        assert line.wire.writes == 2
        assert line.wire.written == bytes([FIN | TEXT, 2]) + b"{}" + bytes([FIN | BINARY, 7]) + b"samples\x81\x02{}"

    on_a_line(scenario)


def test_what_is_as_long_as_the_last_audio_waits_for_company_and_anything_else_brings_it_along() -> None:
    async def scenario(line: Line) -> None:
        steps: list[Callable[[], None]] = []
        line.audio = "frame"
        line.socket.listen(line, steps.append)
        await settled()
        line.says(text("frame 1"))
        assert (line.told, steps) == (["frame 1"], [])
        line.says(text("frame 2"), text("frame 3"))
        assert (line.told, len(steps)) == (["frame 1"], 1)
        steps.pop()()
        assert line.told == ["frame 1", "frame 2", "frame 3"]
        line.says(text("frame 4"), text("commit"))
        assert line.told[3:] == ["frame 4", "commit"]
        steps.pop()()
        line.says(text("frame 5"))
        line.socket.connection_lost(None)
        steps.pop()()

        assert line.told[5:] == ["frame 5", ("gone", None)]

    on_a_line(scenario, listening=False)


def test_a_silent_client_is_asked_and_then_given_up_and_one_that_answers_is_kept() -> None:
    async def scenario(line: Line) -> None:
        for _ in range(PING_LOOKS - 1):
            line.socket.look()
        assert line.wire.written == b""
        line.socket.look()
        await settled()
        assert line.wire.written == bytes([FIN | PING, 0])
        line.says(frame(FIN | PONG, b""))
        for _ in range(GONE_LOOKS - 1):
            line.socket.look()
        assert not line.wire.closing
        line.socket.look()
        await settled()

        assert line.told == [("gone", None)]

    on_a_line(scenario)


def test_who_is_held_is_not_called_silent() -> None:
    async def scenario(line: Line) -> None:
        line.socket.hold()
        for _ in range(GONE_LOOKS):
            line.socket.look()

        assert (line.wire.written, line.wire.closing) == (b"", False)

    on_a_line(scenario)


def test_one_turn_of_the_loop_takes_so_many_frames_and_the_next_the_rest_in_order() -> None:
    async def scenario(line: Line) -> None:
        said = [f"{n}" for n in range(2 * STEPS_AT_ONCE + 5)]
        line.says(b"".join(map(text, said)))
        assert line.told == said[:STEPS_AT_ONCE]
        assert not line.wire.reads
        await asyncio.sleep(0)
        assert line.told == said[: 2 * STEPS_AT_ONCE]
        await settled()

        assert line.told == said
        assert line.wire.reads

    on_a_line(scenario)


def test_a_line_that_breaks_while_much_is_to_be_told_is_told_behind_all_of_it() -> None:
    async def scenario(line: Line) -> None:
        said = [f"{n}" for n in range(2 * STEPS_AT_ONCE + 5)]
        line.says(b"".join(map(text, said)))
        line.socket.connection_lost(None)
        await settled()

        assert line.told == [*said, ("gone", None)]

    on_a_line(scenario)


def test_who_sends_too_much_is_read_no_further_until_the_next_look() -> None:
    async def scenario(line: Line) -> None:
        ping = frame(FIN | PING, b"")
        for _ in range(INFLOW_AT_ONCE_BYTES // ((len(ping) + FRAME_COST_BYTES) * STEPS_AT_ONCE)):
            line.says(ping * STEPS_AT_ONCE)
            await settled()
        assert line.wire.reads
        line.says(ping * STEPS_AT_ONCE * 2)
        await settled()
        assert not line.wire.reads
        line.socket.hold()
        line.socket.release()
        assert not line.wire.reads
        line.socket.look()

        assert line.wire.reads

    on_a_line(scenario)


def test_a_message_that_never_ends_ends_the_call_and_one_after_the_other_does_not() -> None:
    async def scenario(line: Line) -> None:
        part = text("a")
        for _ in range(MESSAGE_LOOKS * 2):
            line.says(part[-1:], part[:-1]) if line.told else line.says(part, part[:-1])
            line.socket.look()
        assert line.told == ["a"] * MESSAGE_LOOKS * 2
        for _ in range(MESSAGE_LOOKS + 1):
            line.says(b"")
            line.socket.look()

        assert line.told[-1] == ("gone", 1008)

    on_a_line(scenario)


def test_a_bug_in_who_listens_ends_its_socket_alone() -> None:
    async def scenario(line: Line) -> None:
        line.on_message = lambda: 1 // 0
        line.says(text("a"))

        assert line.told == ["a", ("gone", None)]
        assert line.wire.written == close_frame(1011, "server_error")

    on_a_line(scenario)


def test_awaited_messages_are_taken_as_they_are_asked_for() -> None:
    async def scenario(line: Line) -> None:
        messages = AwaitedMessages(line.socket)
        await settled()
        line.says(text("a") + frame(FIN | BINARY, b"b") + BYE)
        assert not line.wire.reads
        first, second, third = [await messages.next() for _ in range(3)]

        assert first is not None
        assert second is not None
        assert (bytes(first.data), first.text, bytes(second.data), second.text) == (b"a", True, b"b", False)
        assert third is None
        assert await messages.next() is None

    on_a_line(scenario, listening=False)


def test_a_client_of_large_messages_is_held_by_their_size() -> None:
    async def scenario(line: Line) -> None:
        large = frame(FIN | BINARY, b"x" * LIMIT_BYTES)
        messages = AwaitedMessages(line.socket, limit=10, limit_bytes=2 * LIMIT_BYTES)
        await settled()
        line.says(large)
        assert line.wire.reads
        line.says(large, text("a"))
        assert not line.wire.reads
        came = [await messages.next() for _ in range(3)]

        assert [len(one.data) for one in came if one is not None] == [LIMIT_BYTES, LIMIT_BYTES, 1]
        assert line.wire.reads

    on_a_line(scenario, listening=False)


def test_what_follows_an_awaited_message_goes_to_who_listens_next() -> None:
    async def scenario(line: Line) -> None:
        messages = AwaitedMessages(line.socket)
        line.says(text("a") + text("b"))
        await messages.next()
        line.socket.listen(line)
        await settled()

        assert line.told == ["b"]

    on_a_line(scenario, listening=False)


def test_who_listens_to_a_socket_that_was_given_up_meanwhile_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sockets, "LARGE_BYTES", 10)

    async def scenario(line: Line) -> None:
        socket = line.wire.socket = Socket(line.wire, LIMIT_BYTES, line.closed.append, Room(0))
        for part in (text("a"), frame(TEXT, b"x" * 100)[:50]):
            socket.data_received(part)
        messages = AwaitedMessages(socket)
        first = await messages.next()
        socket.listen(line)
        await settled()

        assert first is not None
        assert line.told == [("gone", None)]

    on_a_line(scenario, listening=False)
