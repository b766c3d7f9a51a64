"""The caller against a gateway that misbehaves: each time a clear error, never a hang."""

import json
from collections.abc import Awaitable, Callable

import pytest
from aiohttp import WSMsgType, web
from aiohttp.test_utils import TestServer

from support.virtual import run_over_sockets
from trunkline.cli import caller as caller_module
from trunkline.cli.caller import Caller
from trunkline.cli.errors import CallLost, GatewaySilent, NoReply, Refused
from trunkline.cli.stack import Address

Behaviour = Callable[[web.WebSocketResponse], Awaitable[None]]


async def call(behaviour: Behaviour, refusal: str = "") -> Caller:
    """Dials a gateway that behaves so and waits for its greeting to end."""

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
        async with Caller(Address(str(server.make_url("")).rstrip("/"), "sk-test")) as dialled:
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


def test_a_refusal_is_told_in_the_gateways_words() -> None:
    with pytest.raises(Refused, match="refused with status 503: no stt worker takes the call"):
        run_over_sockets(call(answers, refusal="no stt worker takes the call"))


def test_an_address_where_nobody_listens_is_silent() -> None:
    async def dial() -> None:
        async with Caller(Address("http://127.0.0.1:9", "")):
            pass

    with pytest.raises(GatewaySilent, match="Connection refused"):
        run_over_sockets(dial())
