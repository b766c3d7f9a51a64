"""The caller against a gateway that misbehaves: each time a clear error, never a hang."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import numpy as np
import pytest
from aiohttp import WSMsgType, web
from aiohttp.test_utils import TestServer

from support.virtual import run_over_sockets
from trunkline.cli import caller as caller_module
from trunkline.cli.caller import Caller
from trunkline.cli.errors import CallLost, GatewaySilent, NoReply, Refused
from trunkline.cli.line import Line
from trunkline.cli.stack import Address

Behaviour = Callable[[web.WebSocketResponse], Awaitable[None]]


@asynccontextmanager
async def serving(behaviour: Behaviour, refusal: str = "") -> AsyncIterator[Address]:
    """A gateway that behaves so."""

    async def realtime(request: web.Request) -> web.StreamResponse:
        if refusal:
            return web.json_response({"error": {"message": refusal}}, status=503)
        assert request.headers["Authorization"] == "Bearer sk-test"
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        await behaviour(socket)
        await socket.close()
        return socket

    app = web.Application()
    app.router.add_get("/v1/realtime", realtime)
    async with TestServer(app) as server:
        yield Address(str(server.make_url("")).rstrip("/"), "sk-test")


async def call(behaviour: Behaviour, refusal: str = "") -> Caller:
    """Dials a gateway that behaves so and waits for its greeting to end."""
    async with serving(behaviour, refusal) as address, Caller(address) as dialled:
        await dialled.greeting()
    return dialled


async def answers(socket: web.WebSocketResponse) -> None:
    """Creates a session, and updates it when asked."""
    await socket.send_json({"type": "session.created", "session": {"id": "sess_rtc_00_test"}})
    assert (await socket.receive_json())["type"] == "session.update"
    await socket.send_json({"type": "session.updated", "session": {"id": "sess_rtc_00_test"}})


async def until_hung_up(socket: web.WebSocketResponse) -> list[dict[str, object]]:
    return [json.loads(message.data) async for message in socket if message.type is WSMsgType.TEXT]


def test_a_call_is_named_after_its_session_and_is_silence_between_lines() -> None:
    heard: list[dict[str, object]] = []

    async def gateway(socket: web.WebSocketResponse) -> None:
        await socket.send_json({"type": "response.created", "response": {"id": "resp_1"}})
        await answers(socket)
        heard.extend([await socket.receive_json(), await socket.receive_json()])
        await socket.send_json({"type": "response.done", "response": {"id": "resp_1"}})
        await until_hung_up(socket)

    dialled = run_over_sockets(call(gateway))

    assert dialled.call_id == "rtc_00_test"
    assert [event["type"] for event in heard] == ["input_audio_buffer.append"] * 2
    assert {str(event["audio"]).strip("A=") for event in heard} == {""}  # base64 of zeros


def test_a_gateway_that_closes_the_socket_loses_the_call() -> None:
    async def gateway(socket: web.WebSocketResponse) -> None:
        await answers(socket)
        await socket.send_json({"type": "response.created", "response": {"id": "resp_1"}})

    with pytest.raises(CallLost, match="the gateway closed the socket"):
        run_over_sockets(call(gateway))


def test_the_error_before_the_close_is_why_the_call_was_lost() -> None:
    async def gateway(socket: web.WebSocketResponse) -> None:
        await answers(socket)
        await socket.send_json({"type": "response.created", "response": {"id": "resp_1"}})
        await socket.send_json({"type": "error", "error": {"message": "stt was lost", "code": "stage_lost"}})

    with pytest.raises(CallLost, match="the call was lost: stt was lost"):
        run_over_sockets(call(gateway))


def test_what_is_no_event_loses_the_call() -> None:
    async def gateway(socket: web.WebSocketResponse) -> None:
        await socket.send_str("hello?")
        await until_hung_up(socket)

    with pytest.raises(CallLost, match="no Realtime event"):
        run_over_sockets(call(gateway))


def test_a_gateway_that_says_nothing_is_not_waited_for_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(caller_module, "CONNECT_LIMIT_S", 0.2)

    async def gateway(socket: web.WebSocketResponse) -> None:
        await until_hung_up(socket)

    with pytest.raises(NoReply, match=r"no session was created within 0\.2 s; the last that came was nothing"):
        run_over_sockets(call(gateway))


async def line_and_reply(behaviour: Behaviour) -> Caller:
    """Says a tenth of a second to a gateway that then behaves so; waits for the reply."""

    async def gateway(socket: web.WebSocketResponse) -> None:
        await answers(socket)
        line_was_said = asyncio.Event()

        async def listen() -> None:
            for _ in range(20):
                await socket.receive()
            line_was_said.set()
            await until_hung_up(socket)

        listening = asyncio.create_task(listen())
        await line_was_said.wait()
        await behaviour(socket)
        listening.cancel()

    said = Line(np.full(2400, 9000, dtype=np.int16), 2400)
    async with serving(gateway) as address, Caller(address) as dialled:
        await dialled.greeting()
        await dialled.reply(await dialled.say(said), 2.0)
    return dialled


def test_an_agent_that_hangs_up_after_its_last_words_has_ended_the_call() -> None:
    async def says_goodbye(socket: web.WebSocketResponse) -> None:
        second = base64.b64encode(bytes(48_000)).decode()  # that isn't over when the socket is
        sound = {"item_id": "item_1", "response_id": "resp_1", "delta": second}
        await socket.send_json({"type": "response.created", "response": {"id": "resp_1"}})
        await socket.send_json({"type": "response.output_audio.delta", **sound})
        await socket.send_json({"type": "response.done", "response": {"id": "resp_1"}})

    dialled = run_over_sockets(line_and_reply(says_goodbye))

    assert dialled.hung_up_on


def test_a_reply_may_take_long_as_long_as_something_is_said() -> None:
    async def takes_its_time(socket: web.WebSocketResponse) -> None:
        await socket.send_json({"type": "response.created", "response": {"id": "resp_1"}})
        for number in range(3):
            await asyncio.sleep(1.5)
            item = {"id": f"item_{number}", "role": "assistant", "phase": "commentary"}
            await socket.send_json({"type": "response.output_item.added", "response_id": "resp_1", "item": item})
        await socket.send_json({"type": "response.done", "response": {"id": "resp_1"}})

    dialled = run_over_sockets(line_and_reply(takes_its_time))

    assert len(dialled.listener.turns[-1].items) == 3


def test_a_reply_that_does_not_go_on_is_given_up() -> None:
    async def says_nothing(socket: web.WebSocketResponse) -> None:
        await socket.send_json({"type": "response.created", "response": {"id": "resp_1"}})
        await asyncio.sleep(5)

    with pytest.raises(NoReply, match="no whole reply came within 2 s"):
        run_over_sockets(line_and_reply(says_nothing))


def test_a_refusal_is_told_in_the_gateways_words() -> None:
    with pytest.raises(Refused, match="refused with status 503: no stt worker takes the call"):
        run_over_sockets(call(answers, refusal="no stt worker takes the call"))


def test_an_address_where_nobody_listens_is_silent() -> None:
    async def dial() -> None:
        async with Caller(Address("http://127.0.0.1:9", "")):
            pass

    with pytest.raises(GatewaySilent, match="Connection refused"):
        run_over_sockets(dial())
