"""The client against gateways that die, hang, move and refuse: one stream of events, or one clear error."""

import asyncio
import base64
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from typing import Any

import aiohttp
import pytest
from aiohttp import WSMessage, WSMsgType, web
from aiohttp.test_utils import TestServer

from support.virtual import run_over_sockets
from trunkline.client import Call, CallLost, NotAnEvent, Refused, ServerEvent, Unreachable, connect
from trunkline.client import call as call_module
from trunkline.client.dialing import Dialer
from trunkline.client.events import RESUME
from trunkline.client.socket import HUNG_UP, LONGEST_SILENT_S, MOVED, SILENT_S, Socket, next_silent_s
from trunkline.client.tape import Tape
from trunkline.proto.binary_dialect import SUBPROTOCOL

TOKEN = "rtk_rtc_00_test.abc"
CHUNK = bytes(range(96)) * 10  # 20 ms
Behaviour = Callable[["Taken"], Awaitable[None]]


class Taken:
    """One socket of the fake gateway. asked: what a returning client said first. got: its events, audio as bytes."""

    def __init__(self, socket: web.WebSocketResponse, request: web.Request, asked: dict[str, Any]) -> None:
        self.socket = socket
        self.request = request
        self.asked = asked
        self.token = request.query.get("resume_token", "")
        self.got: list[Any] = []
        self.binary = socket.ws_protocol == SUBPROTOCOL

    async def tell(self, kind: str, **fields: Any) -> None:
        await self.socket.send_json({"type": kind, **fields})

    async def opens(self) -> None:
        await self.tell("session.created", session={"id": "rtc_00_test"}, trunkline={"resume_token": TOKEN})

    async def takes_up(self, audio_from_ms: int) -> dict[str, Any]:
        assert self.asked["type"] == "trunkline.resume"
        await self.opens()
        await self.tell("trunkline.resumed", audio_from_ms=audio_from_ms)
        return self.asked

    async def hears(self, samples: int) -> bytes:
        """Until so much audio came."""
        sound = b""
        while len(sound) < 2 * samples:
            message = await self.socket.receive()
            if message.type is WSMsgType.BINARY and self.binary:
                sound += message.data
                continue
            assert message.type is WSMsgType.TEXT, message
            event = json.loads(message.data)
            if event["type"] == "input_audio_buffer.append":
                sound += base64.b64decode(event["audio"])
            else:
                self.got.append(event)
        return sound

    def breaks(self) -> None:
        assert self.request.transport is not None
        self.request.transport.abort()

    async def until_left(self) -> int:
        async for _ in self.socket:
            pass
        return self.socket.close_code or 0


class Gateway:
    """behaviours: of the sockets that are used, one after the other; an int refuses with that status."""

    def __init__(self, *behaviours: Behaviour | int, protocols: tuple[str, ...] = (SUBPROTOCOL, RESUME)) -> None:
        self.behaviours = list(behaviours)
        self.protocols = protocols
        self.left: list[int] = []
        self.asked = 0  # upgrades
        self.refused = asyncio.Event()

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.asked += 1
        status = self.behaviours[0] if self.behaviours else 410
        if isinstance(status, int):
            self.refused.set()
            return web.json_response({"error": {"message": f"no: {status}"}}, status=status)
        socket = web.WebSocketResponse(protocols=self.protocols)
        await socket.prepare(request)
        asked: dict[str, Any] = {}
        if "resume_token" in request.query:
            message = await socket.receive()
            if message.type is not WSMsgType.TEXT:
                return socket  # one of several tries; another was first
            asked = json.loads(message.data)
        behaviour = self.behaviours.pop(0)
        assert not isinstance(behaviour, int)
        with contextlib.suppress(ConnectionError):
            await behaviour(Taken(socket, request, asked))
        return socket

    @contextlib.asynccontextmanager
    async def runner(self) -> AsyncIterator[web.AppRunner]:
        """Without a port yet."""
        app = web.Application()
        app.router.add_get("/v1/realtime", self.handle)
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        await runner.setup()
        try:
            yield runner
        finally:
            await runner.cleanup()

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[str]:
        app = web.Application()
        app.router.add_get("/v1/realtime", self.handle)
        async with TestServer(app) as server:
            yield str(server.make_url("/v1/realtime")).replace("http", "ws", 1)


async def read(call: Call) -> list[str]:
    return [event.type async for event in call]


def run(main: Coroutine[None, None, None]) -> None:
    run_over_sockets(main)


@pytest.mark.parametrize("binary", [False, True])
def test_a_lost_gateway_is_replaced_and_the_reader_notices_nothing(binary: bool) -> None:
    async def first(taken: Taken) -> None:
        await taken.opens()
        await taken.hears(5 * 480)
        await taken.tell("trunkline.settled", audio_end_ms=30)
        await taken.tell("response.created", response={"id": "resp_1"})
        taken.breaks()

    heard: list[bytes] = []
    asked: list[dict[str, Any]] = []

    async def second(taken: Taken) -> None:
        assert taken.token == TOKEN
        asked.append(await taken.takes_up(audio_from_ms=50))
        await taken.tell("response.created", response={"id": "resp_1"})
        await taken.tell("response.done", response={"id": "resp_1", "status": "completed"})
        heard.append(await taken.hears(480 * 5 // 2 + 480))
        await taken.socket.close()

    async def main() -> None:
        async with Gateway(first, second).running() as url, connect(url, "sk-test", binary=binary) as call:
            for _ in range(5):
                call.append_audio(CHUNK)
            kinds: list[str] = []
            async for event in call:
                kinds.append(event.type)
                if event.type == "response.done":
                    call.append_audio(CHUNK)

            assert kinds == ["session.created", "response.created", "response.done"]
            assert call.id == "rtc_00_test"
            assert call.resumed == 1
            assert 0 <= call.gaps_s[0] < 1
        assert heard == [CHUNK[480:] + 3 * CHUNK]
        assert {name: asked[0][name] for name in ("settled_ms", "kept_from_ms", "end_ms")} == {
            "settled_ms": 30,
            "kept_from_ms": 20,
            "end_ms": 100,
        }
        assert asked[0]["responses"] == ["resp_1"]

    run(main())


PCMU_SESSION = {"type": "realtime", "audio": {"input": {"format": {"type": "audio/pcmu"}}}}


def test_audio_is_in_the_old_format_again_when_a_new_one_was_refused() -> None:
    async def first(taken: Taken) -> None:
        await taken.opens()
        update = json.loads((await taken.socket.receive()).data)
        await taken.tell("error", error={"message": "no", "event_id": update["event_id"]})
        await taken.until_left()

    async def main() -> None:
        async with Gateway(first).running() as url, connect(url) as call:
            call.send({"type": "session.update", "session": PCMU_SESSION})
            call.append_audio(bytes(3))
            async for event in call:
                if event.type == "error":
                    break
            with pytest.raises(ValueError, match="odd number of bytes"):
                call.append_audio(bytes(3))

    run(main())


def test_audio_of_before_a_change_of_format_is_not_said_again_to_a_gateway_that_would_take_it_for_the_new_one() -> None:
    asked: list[dict[str, Any]] = []

    async def first(taken: Taken) -> None:
        await taken.opens()
        await taken.hears(480)
        assert json.loads((await taken.socket.receive()).data)["session"] == PCMU_SESSION
        await taken.tell("session.updated")
        taken.breaks()

    async def second(taken: Taken) -> None:
        asked.append(await taken.takes_up(audio_from_ms=20))
        await taken.socket.close()

    async def main() -> None:
        async with Gateway(first, second).running() as url, connect(url) as call:
            call.append_audio(CHUNK)
            call.send({"type": "session.update", "session": PCMU_SESSION})
            await read(call)

        assert asked[0]["session"] == PCMU_SESSION
        assert (asked[0]["kept_from_ms"], asked[0]["end_ms"]) == (20, 20)

    run(main())


def test_a_gateway_that_hangs_is_left() -> None:
    async def first(taken: Taken) -> None:
        await taken.opens()
        await asyncio.sleep(60)  # reads nothing, so answers no ping

    async def second(taken: Taken) -> None:
        await taken.takes_up(audio_from_ms=0)
        await taken.socket.close()

    async def main() -> None:
        async with Gateway(first, second).running() as url, connect(url) as call:
            assert await read(call) == ["session.created"]
            assert call.resumed == 1
            assert 0.3 < call.gaps_s[0] < 0.9

    run(main())


def test_what_was_offered_to_the_next_gateway_is_kept_until_it_has_answered() -> None:
    async def first(taken: Taken) -> None:
        await taken.opens()
        await taken.hears(5 * 480)
        await taken.tell("trunkline.move", reason="draining")
        await asked.wait()
        await taken.tell("trunkline.settled", audio_end_ms=100)
        await taken.tell("conversation.item.truncated", item_id="item_1")
        await taken.until_left()

    asked = asyncio.Event()
    settled = asyncio.Event()
    heard: list[bytes] = []

    async def second(taken: Taken) -> None:
        assert taken.asked["kept_from_ms"] == 0
        asked.set()
        await settled.wait()
        await taken.opens()
        await taken.tell("trunkline.resumed", audio_from_ms=0)
        heard.append(await taken.hears(5 * 480))
        await taken.socket.close()

    async def main() -> None:
        async with Gateway(first, second).running() as url, connect(url) as call:
            for _ in range(5):
                call.append_audio(CHUNK)
            async for event in call:
                if event.type == "conversation.item.truncated":
                    settled.set()
        assert heard == [5 * CHUNK]

    run(main())


def test_news_that_the_next_gateway_was_not_told_of_are_told_by_it_alone() -> None:
    async def first(taken: Taken) -> None:
        await taken.opens()
        await taken.tell("response.created", response={"id": "resp_1"})
        await taken.tell("trunkline.move", reason="draining")
        await asked.wait()
        await taken.tell("input_audio_buffer.speech_started", item_id="item_old", audio_start_ms=100)
        await taken.tell("response.created", response={"id": "resp_old"})
        await taken.tell("response.done", response={"id": "resp_1"})  # with an item that the next one says
        await taken.tell("conversation.item.truncated", item_id="item_0")
        await taken.until_left()

    asked, seen = asyncio.Event(), asyncio.Event()
    kinds: list[tuple[str, str]] = []

    async def second(taken: Taken) -> None:
        resume = taken.asked
        assert (resume["responses"], resume.get("begun", [])) == (["resp_1"], [])
        asked.set()
        await seen.wait()
        await taken.opens()
        await taken.tell("trunkline.resumed", audio_from_ms=0)
        await taken.tell("input_audio_buffer.speech_started", item_id="item_new", audio_start_ms=100)
        await taken.tell("response.done", response={"id": "resp_1"})
        await taken.socket.close()

    async def main() -> None:
        async with Gateway(first, second).running() as url, connect(url) as call:
            async for event in call:
                kinds.append((event.type, event.item_id or event.response.id))
                if event.type == "conversation.item.truncated":
                    seen.set()
        assert kinds == [
            ("session.created", ""),
            ("response.created", "resp_1"),
            ("conversation.item.truncated", "item_0"),
            ("input_audio_buffer.speech_started", "item_new"),
            ("response.done", "resp_1"),
        ]

    run(main())


def test_news_of_a_gateway_that_keeps_the_call_come_a_little_later() -> None:
    async def first(taken: Taken) -> None:
        await taken.opens()
        await taken.tell("trunkline.move", reason="draining")
        await asked.wait()
        await taken.tell("input_audio_buffer.speech_started", item_id="item_1", audio_start_ms=100)
        await asyncio.sleep(0.1)
        refused.set()
        await told.wait()
        await taken.socket.close()

    asked, refused, told = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def second(taken: Taken) -> None:
        asked.set()
        await refused.wait()
        await taken.tell("error", error={"message": "not now"})
        await taken.socket.close()

    async def main() -> None:
        async with Gateway(first, second).running() as url, connect(url) as call:
            async for event in call:
                if event.type == "input_audio_buffer.speech_started":
                    told.set()
            assert told.is_set()

    run(main())


@pytest.mark.parametrize("taken_up", [True, False])
def test_orders_given_while_another_gateway_is_asked_go_to_the_one_that_has_the_call(taken_up: bool) -> None:
    text = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Hi"}]}
    asked, ordered, over = asyncio.Event(), asyncio.Event(), asyncio.Event()
    got: dict[str, list[str]] = {"first": [], "second": []}
    resumed: list[dict[str, Any]] = []

    async def listen(taken: Taken, name: str) -> None:
        async for message in taken.socket:
            got[name].append(json.loads(message.data)["type"])
            if len(got[name]) == 2:
                over.set()

    async def first(taken: Taken) -> None:
        await taken.opens()
        await taken.tell("trunkline.move", reason="draining")
        await listen(taken, "first")

    async def second(taken: Taken) -> None:
        resumed.append(taken.asked)
        asked.set()
        await ordered.wait()
        await asyncio.sleep(0.1)
        assert got == {"first": [], "second": []}
        if taken_up:
            await taken.takes_up(audio_from_ms=0)
        else:
            await taken.tell("error", error={"message": "not now"})
        await listen(taken, "second")

    async def main() -> None:
        async with Gateway(first, second, 503).running() as url, connect(url) as call:
            await asked.wait()
            call.send({"type": "conversation.item.create", "item": text})
            call.send({"type": "response.create"})
            ordered.set()
            await over.wait()

        assert "typed" not in resumed[0]
        orders = ["conversation.item.create", "response.create"]
        assert got == ({"first": [], "second": orders} if taken_up else {"first": orders, "second": []})

    run(main())


def test_an_order_given_while_no_gateway_is_there_is_told_once() -> None:
    async def first(taken: Taken) -> None:
        await taken.opens()
        taken.breaks()

    asked: list[dict[str, Any]] = []
    got: list[str] = []

    async def second(taken: Taken) -> None:
        asked.append(await taken.takes_up(audio_from_ms=0))
        async for message in taken.socket:
            got.append(json.loads(message.data)["type"])
            await taken.socket.close()

    async def main() -> None:
        gateway = Gateway(first, 503)
        async with gateway.running() as url, connect(url) as call:
            await gateway.refused.wait()
            call.send({"type": "response.create"})
            gateway.behaviours = [second]
            await read(call)

        assert "respond" not in asked[0]
        assert got == ["response.create"]

    run(main())


def test_a_gateway_that_is_busy_taking_up_the_call_is_waited_for() -> None:
    async def first(taken: Taken) -> None:
        await taken.opens()
        taken.breaks()

    async def second(taken: Taken) -> None:
        await asyncio.sleep(2 * SILENT_S)  # reads nothing, so answers no ping
        await taken.takes_up(audio_from_ms=0)
        await taken.socket.close()

    async def main() -> None:
        async with Gateway(first, second).running() as url, connect(url) as call:
            assert await read(call) == ["session.created"]
            assert call.resumed == 1

    run(main())


@pytest.mark.parametrize(("served_s", "allowed_s"), [(11.0, 0.4), (1.0, 1.6)])
def test_a_gateway_that_falls_silent_soon_again_is_given_more_time(served_s: float, allowed_s: float) -> None:
    assert next_silent_s(0.8, served_s) == pytest.approx(allowed_s)
    assert next_silent_s(3.0, 0.0) == LONGEST_SILENT_S


def test_tries_grow_rarer_while_nobody_answers() -> None:
    asked: list[str] = []

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append("asked")
        await reader.read()  # until the client is gone
        writer.close()

    async def main() -> None:
        server = await asyncio.start_server(silent, "127.0.0.1", 0)
        url = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1/realtime"
        async with aiohttp.ClientSession() as session:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(Dialer(session, [url], "", "").dial_again(TOKEN), 1.0)
        server.close()

        assert len(asked) == 4  # at 0, 0.1, 0.3 and 0.7 s

    run(main())


def test_a_gateway_that_asks_to_be_left_serves_until_another_has_the_call() -> None:
    codes: list[int] = []

    async def first(taken: Taken) -> None:
        await taken.opens()
        await taken.tell("trunkline.move", reason="draining")
        leaving = asyncio.create_task(taken.until_left())
        leaving.add_done_callback(lambda done: codes.append(done.result()))
        while not leaving.done():
            await taken.tell("response.created", response={"id": "resp_1"})
            await taken.tell("conversation.item.truncated", item_id="item_1")
            await asyncio.sleep(0.02)

    async def second(taken: Taken) -> None:
        await asyncio.sleep(0.2)
        await taken.takes_up(audio_from_ms=0)
        await asyncio.sleep(0.1)
        await taken.tell("response.done", response={"id": "resp_1"})
        await taken.socket.close()

    async def main() -> None:
        async with Gateway(first, second).running() as url, connect(url) as call:
            kinds = await read(call)

            assert kinds.count("response.created") == kinds.count("response.done") == 1
            assert kinds.count("conversation.item.truncated") >= 5
            assert call.resumed == 1
            assert call.gaps_s[0] < 0.2
        assert codes == [4000]

    run(main())


def test_a_gateway_that_lets_go_of_the_call_while_another_is_searched_leaves_the_whole_window() -> None:
    async def first(taken: Taken) -> None:
        await taken.opens()
        await taken.tell("trunkline.move", reason="draining")
        await asyncio.sleep(0.4)
        await taken.socket.close(code=1001)

    async def second(taken: Taken) -> None:
        await taken.takes_up(audio_from_ms=0)
        await taken.socket.close()

    async def main() -> None:
        gateway = Gateway(first, 503)
        async with gateway.running() as url, connect(url, window_s=0.6) as call:
            reading = asyncio.create_task(read(call))
            await asyncio.sleep(0.8)
            gateway.behaviours = [second]

            assert await reading == ["session.created"]
            assert call.resumed == 1

    run(main())


def test_a_gateway_that_cannot_take_it_up_is_asked_again() -> None:
    async def first(taken: Taken) -> None:
        await taken.opens()
        taken.breaks()

    async def unable(taken: Taken) -> None:
        await taken.tell("error", error={"message": "no agent worker takes the call", "code": "overloaded"})
        await taken.until_left()

    async def able(taken: Taken) -> None:
        await taken.takes_up(audio_from_ms=0)
        await taken.socket.close()

    async def main() -> None:
        async with Gateway(first, unable, able).running() as url, connect(url) as call:
            assert await read(call) == ["session.created"]
            assert call.resumed == 1

    run(main())


def test_who_still_serves_a_call_is_soon_heard_again_where_the_next_gateway_takes_its_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(call_module, "MOVE_LIMIT_S", 0.2)
    monkeypatch.setattr(call_module, "RESUME_LIMIT_S", 60.0)
    asked = asyncio.Event()

    async def first(taken: Taken) -> None:
        await taken.opens()
        await taken.tell("trunkline.move", reason="draining")
        await asked.wait()
        await taken.tell("response.created", response={"id": "resp_1"})
        await taken.until_left()

    async def late(taken: Taken) -> None:
        asked.set()
        await taken.until_left()

    async def main() -> None:
        async with Gateway(first, late, 503).running() as url, connect(url) as call:
            async with asyncio.timeout(10.0):  # shorter than a lost gateway's successor has, or the whole search
                heard = [(await anext(aiter(call))).type for _ in range(2)]
            assert heard == ["session.created", "response.created"]

    run(main())


def test_a_call_that_a_gateway_took_up_too_late_is_looked_for_again(monkeypatch: pytest.MonkeyPatch) -> None:
    window_s = 1.0
    monkeypatch.setattr(call_module, "MOVE_LIMIT_S", 0.2)

    async def first(taken: Taken) -> None:
        await taken.opens()
        await taken.tell("trunkline.move", reason="draining")
        await gateway.refused.wait()
        await taken.socket.close(code=MOVED)

    async def late(taken: Taken) -> None:
        await taken.until_left()

    async def able(taken: Taken) -> None:
        await taken.takes_up(audio_from_ms=0)
        await taken.socket.close()

    gateway = Gateway(first, late, 503)

    async def main() -> None:
        async with gateway.running() as url, connect(url, window_s=window_s) as call:
            asyncio.get_running_loop().call_later(1.5 * window_s, setattr, gateway, "behaviours", [able])
            assert await read(call) == ["session.created"]
            assert call.resumed == 1

    run(main())


@pytest.mark.parametrize("others", ["refuse", "come too late"])
def test_a_gateway_that_was_only_silent_keeps_the_call_if_nobody_else_was_asked(others: str) -> None:
    window_s = 2.0

    async def first(taken: Taken) -> None:
        await taken.opens()
        await asyncio.sleep(1.0)  # answers no ping
        await taken.tell("response.created", response={"id": "resp_1"})
        await taken.hears(150 * 480)
        await taken.socket.close()

    async def able(taken: Taken) -> None:
        await taken.takes_up(audio_from_ms=0)

    gateway = Gateway(first, 503)

    async def main() -> None:
        async with gateway.running() as url, connect(url, window_s=window_s) as call:
            loop = asyncio.get_running_loop()
            if others == "come too late":
                loop.call_later(1.5, setattr, gateway, "behaviours", [able])
            for number in range(200):
                loop.call_later(number * 0.02, call.append_audio, CHUNK)
            assert await read(call) == ["session.created", "response.created"]
            assert call.resumed == 0

    run(main())


def test_a_gateway_that_was_only_silent_may_end_the_call_while_another_is_searched() -> None:
    async def first(taken: Taken) -> None:
        await taken.opens()
        await asyncio.sleep(1.0)  # answers no ping
        await taken.socket.close()

    async def main() -> None:
        async with Gateway(first, 503).running() as url, connect(url, window_s=2.0) as call:
            assert await read(call) == ["session.created"]

    run(main())


def test_news_of_a_gateway_that_lost_the_call_meanwhile_are_the_next_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(call_module, "MOVE_LIMIT_S", 0.2)
    asked = asyncio.Event()

    async def first(taken: Taken) -> None:
        await taken.opens()
        await taken.tell("trunkline.move", reason="draining")
        await asked.wait()
        await taken.tell("response.created", response={"id": "resp_of_a_fenced_agent"})
        await taken.socket.close(code=MOVED)

    async def late(taken: Taken) -> None:
        asked.set()
        await taken.until_left()

    async def able(taken: Taken) -> None:
        await taken.takes_up(audio_from_ms=0)
        await taken.tell("response.created", response={"id": "resp_1"})
        await taken.socket.close()

    responses: list[str] = []

    async def main() -> None:
        async with Gateway(first, late, able).running() as url, connect(url) as call:
            async for event in call:
                responses.append(event.response.id)
        assert responses == ["", "resp_1"]

    run(main())


def test_a_gateway_that_was_given_up_may_take_the_call_even_after_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(call_module, "RESUME_LIMIT_S", 0.2)

    async def first(taken: Taken) -> None:
        await taken.opens()
        taken.breaks()

    async def late(taken: Taken) -> None:
        await taken.until_left()

    async def able(taken: Taken) -> None:
        await taken.takes_up(audio_from_ms=0)
        await taken.socket.close(code=MOVED)

    async def able_again(taken: Taken) -> None:
        await taken.takes_up(audio_from_ms=0)
        await taken.socket.close()

    async def main() -> None:
        async with Gateway(first, late, able, able_again).running() as url, connect(url) as call:
            assert await read(call) == ["session.created"]
            assert call.resumed == 2

    run(main())


def test_a_call_that_somebody_else_took_up_is_over_here() -> None:
    async def first(taken: Taken) -> None:
        await taken.opens()
        await taken.socket.close(code=MOVED)

    async def main() -> None:
        async with Gateway(first).running() as url, connect(url) as call:
            with pytest.raises(CallLost, match="4000"):
                await read(call)

    run(main())


def test_a_gateway_that_no_longer_listens_is_not_asked_again_over_the_connection_on_which_it_refused() -> None:
    """As a shared port's gateway does that drains: who connects anew comes to another."""
    sites: list[web.TCPSite] = []

    async def first(taken: Taken) -> None:
        await taken.opens()
        taken.breaks()

    async def second(taken: Taken) -> None:
        await taken.takes_up(0)
        await taken.socket.close(code=1000)

    async def main() -> None:
        draining, other = Gateway(first, 503), Gateway(second)
        async with draining.runner() as old, other.runner() as new:
            sites.append(web.TCPSite(old, "127.0.0.1", 0))
            await sites[0].start()
            port = old.addresses[0][1]

            async def leave_the_port() -> None:
                await draining.refused.wait()
                await sites[0].stop()
                await web.TCPSite(new, "127.0.0.1", port).start()

            leaving = asyncio.create_task(leave_the_port())
            async with connect(f"ws://127.0.0.1:{port}/v1/realtime", window_s=3.0) as call:
                kinds = await read(call)
            await leaving

        assert kinds == ["session.created"]
        assert call.resumed == 1

    run(main())


def test_sockets_that_answered_too_late_do_not_keep_the_first_waiting() -> None:
    async def main() -> None:
        both, over = asyncio.Event(), asyncio.Event()
        asked: list[web.Request] = []

        async def handle(request: web.Request) -> web.WebSocketResponse:
            asked.append(request)
            if len(asked) == 2:
                both.set()
            await both.wait()  # they are answered at once, and neither is read: its closing isn't acknowledged
            socket = web.WebSocketResponse(protocols=("trunkline.resume.v1",))
            await socket.prepare(request)
            await over.wait()
            return socket

        app = web.Application()
        app.router.add_get("/v1/realtime", handle)
        async with TestServer(app) as server, aiohttp.ClientSession() as session:
            url = str(server.make_url("/v1/realtime")).replace("http", "ws", 1)
            began_s = asyncio.get_running_loop().time()
            socket, _ = await Dialer(session, [url], "", "").dial_again(TOKEN)
            elapsed_s = asyncio.get_running_loop().time() - began_s
            over.set()
            await socket.close()

        assert len(asked) == 2
        assert elapsed_s < 1.0

    run(main())


def test_a_call_that_is_over_everywhere_just_ends() -> None:
    async def first(taken: Taken) -> None:
        await taken.opens()
        taken.breaks()

    async def main() -> None:
        async with Gateway(first, 410).running() as url, connect(url) as call:
            assert await read(call) == ["session.created"]
            assert call.resumed == 0

    run(main())


def test_a_call_that_is_over_when_its_turn_comes_just_ends() -> None:
    async def first(taken: Taken) -> None:
        await taken.opens()
        taken.breaks()

    async def second(taken: Taken) -> None:
        await taken.tell("error", error={"code": "call_over", "message": "the call is over: agent_hung_up"})
        await taken.until_left()

    async def main() -> None:
        async with Gateway(first, second).running() as url, connect(url) as call:
            assert await read(call) == ["session.created"]
            assert call.resumed == 0

    run(main())


def test_a_token_that_is_refused_loses_the_call() -> None:
    async def first(taken: Taken) -> None:
        await taken.opens()
        taken.breaks()

    async def main() -> None:
        async with Gateway(first, 401).running() as url, connect(url) as call:
            with pytest.raises(CallLost, match="no: 401"):
                await read(call)

    run(main())


def test_a_call_that_nobody_takes_up_within_the_window_is_lost() -> None:
    async def first(taken: Taken) -> None:
        await taken.opens()
        taken.breaks()

    async def main() -> None:
        async with Gateway(first, 503).running() as url, connect(url, window_s=0.5) as call:
            with pytest.raises(CallLost, match="the gateway's socket broke, and no gateway took it up"):
                await read(call)

    run(main())


def test_another_address_is_tried_when_the_first_is_dead() -> None:
    async def first(taken: Taken) -> None:
        await taken.opens()
        taken.breaks()

    async def second(taken: Taken) -> None:
        await taken.takes_up(audio_from_ms=0)
        await taken.socket.close()

    async def main() -> None:
        async with Gateway(first).running() as one, Gateway(second).running() as other:
            dead = "ws://127.0.0.1:9/v1/realtime"
            async with connect([dead, one, dead, other]) as call:
                one_gateway_is_over = await read(call)

            assert one_gateway_is_over == ["session.created"]

    run(main())


def test_an_error_before_the_close_is_why_a_call_is_lost() -> None:
    async def first(taken: Taken) -> None:
        await taken.opens()
        await taken.tell("error", error={"message": "the stt worker of this call was lost", "code": "stage_lost"})
        await taken.socket.close(code=1011)

    async def main() -> None:
        async with Gateway(first).running() as url, connect(url) as call:
            with pytest.raises(CallLost, match="the stt worker of this call was lost"):
                await read(call)

    run(main())


def test_a_server_that_gives_no_token_is_not_searched_again() -> None:
    async def first(taken: Taken) -> None:
        await taken.tell("session.created", session={"id": "sess_1"})
        taken.breaks()

    async def main() -> None:
        async with Gateway(first).running() as url, connect(url) as call:
            with pytest.raises(CallLost, match="the gateway's socket broke"):
                await read(call)

    run(main())


def test_what_is_no_event_is_said_to_be_none() -> None:
    async def first(taken: Taken) -> None:
        await taken.socket.send_str("hello?")
        await taken.until_left()

    async def main() -> None:
        async with Gateway(first).running() as url, connect(url) as call:
            with pytest.raises(NotAnEvent):
                await read(call)

    run(main())


def test_a_refused_call_says_why_and_nobody_there_says_so() -> None:
    async def main() -> None:
        async with Gateway(503).running() as url:
            with pytest.raises(Refused, match="status 503: no: 503"):
                async with connect(url):
                    pass
        with pytest.raises(Unreachable, match="Connection refused"):
            async with connect("ws://127.0.0.1:9/v1/realtime"):
                pass

    run(main())


@pytest.mark.parametrize("asked", [True, False])
def test_who_hangs_up_without_a_gateway_tells_another_one(asked: bool) -> None:
    """asked: it is asked to take the call up at that moment."""
    codes: list[int] = []

    async def first(taken: Taken) -> None:
        await taken.opens()
        taken.breaks()

    async def second(taken: Taken) -> None:
        assert taken.asked["type"] == "trunkline.resume"
        reached.set()
        codes.append(await taken.until_left())

    reached = asyncio.Event()

    async def main() -> None:
        gateway = Gateway(first, *([second, second] if asked else [503]))
        async with gateway.running() as url:
            async with connect(url):
                await (reached if asked else gateway.refused).wait()
                if not asked:
                    gateway.behaviours = [second]
            assert codes == ([4000, 1000] if asked else [1000])

    run(main())


def test_who_hangs_up_at_a_gateway_that_has_the_call_tells_nobody_else() -> None:
    codes: list[int] = []

    async def first(taken: Taken) -> None:
        await taken.opens()
        codes.append(await taken.until_left())

    async def second(taken: Taken) -> None:
        raise AssertionError("dialled again")

    async def main() -> None:
        gateway = Gateway(first, second)
        async with gateway.running() as url, connect(url) as call:
            await anext(aiter(call))

        assert (codes, gateway.behaviours) == ([1000], [second])

    run(main())


@pytest.mark.parametrize("code", [MOVED, HUNG_UP])
def test_a_close_has_its_code_though_events_come_at_that_moment(code: int) -> None:
    codes: list[int] = []

    async def handle(request: web.Request) -> web.StreamResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        for _ in range(3):
            await socket.send_json({"type": "conversation.item.done"})
        codes.append((await socket.receive()).data)
        return socket

    async def main() -> None:
        app = web.Application()
        app.router.add_get("/", handle)
        async with TestServer(app) as server, aiohttp.ClientSession() as session:
            websocket = await session.ws_connect(server.make_url("/"), autoping=False)
            seen = asyncio.Event()
            socket = Socket(websocket, Tape(), "", lambda socket, event: seen.set())
            socket.start()
            fed = websocket._reader.feed_data  # type: ignore[union-attr]  # an event that has come and isn't read
            await seen.wait()
            await asyncio.sleep(0)
            fed(WSMessage(WSMsgType.TEXT, '{"type": "conversation.item.done"}', None), 0)
            known = await socket.close(code)

            assert (codes, known) == ([code], True)

    run(main())


def test_who_hangs_up_at_a_gateway_that_is_gone_by_then_tells_another_one() -> None:
    codes: list[int] = []

    async def first(taken: Taken) -> None:
        await taken.opens()
        await over.wait()
        taken.breaks()

    async def second(taken: Taken) -> None:
        codes.append(await taken.until_left())

    over = asyncio.Event()

    async def main() -> None:
        async with Gateway(first, second).running() as url:
            async with connect(url) as call:
                await anext(aiter(call))
                over.set()
            assert codes == [1000]

    run(main())


def test_a_client_that_hangs_up_while_it_searches_leaves_nothing_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(call_module, "AGAIN_S", 0.01)

    async def first(taken: Taken) -> None:
        await taken.opens()
        taken.breaks()

    async def main() -> None:
        async with Gateway(first, 503).running() as url:
            async with connect(url) as call:
                events: list[ServerEvent] = []
                async for event in call:
                    events.append(event)
                    break
                await asyncio.sleep(0.3)
            await asyncio.sleep(0.05)
        names = [task.get_name() for task in asyncio.all_tasks()]
        assert not [name for name in names if name.startswith("client-")]

    run(main())
