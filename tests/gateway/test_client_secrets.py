"""Ephemeral keys over HTTP: made with an API key, they open the calls they are bound to, and nothing else."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp
import openai
import pytest
from openai.types.realtime.client_secret_create_response import ClientSecretCreateResponse

from gateway.scene import settle
from gateway.socket_scene import KEY, WALL_S, Event, Server
from support.virtual import run_over_sockets
from trunkline.gateway.ephemeral_keys import EphemeralKeys
from trunkline.gateway.service import GatewayService
from trunkline.proto import response as r
from trunkline.record import MemoryBucket, StoreUnavailable
from trunkline.runtime.process import Context

BOUND = {
    "type": "realtime",
    "model": "nightdesk",
    "instructions": "Speak of ships only.",
    "audio": {
        "input": {"turn_detection": None, "format": {"type": "audio/pcmu"}},
        "output": {"voice": "deep", "speed": 1.25, "format": {"type": "audio/pcma"}},
    },
    "tools": [{"type": "function", "name": "sail", "parameters": {"type": "object", "properties": {}}}],
    "tool_choice": "required",
}


def over_http(scenario: Callable[[Server], Awaitable[None]], **settings: object) -> None:
    async def main() -> None:
        async with Server(**settings) as server:
            server.scene.agent.agents = ("frontdesk", "nightdesk")
            await settle(0.5)  # so that its beat has told
            await scenario(server)

    run_over_sockets(main())


async def minted(server: Server, session: object = None, **body: object) -> str:
    status, secret = await server.mint({"session": session or {"type": "realtime"}, **body})
    assert status == 200, secret
    value = secret["value"]
    assert isinstance(value, str)
    return value


async def refusal(server: Server, key: str) -> tuple[int, str]:
    status, body, _ = await server.refused(key)
    assert set(body["error"]) == {"message", "type", "param", "code"}
    return status, body["error"]["code"]


# made


def test_a_key_comes_with_its_end_and_the_whole_session() -> None:
    async def scenario(server: Server) -> None:
        status, secret = await server.mint({"session": BOUND, "expires_after": {"anchor": "created_at", "seconds": 60}})
        typed = ClientSecretCreateResponse.model_validate(secret)

        assert status == 200
        assert typed.value.startswith("ek_")
        assert typed.expires_at == WALL_S + 60
        assert typed.session.type == "realtime"
        assert typed.session.id.startswith("sess_")
        assert (typed.session.model, typed.session.instructions) == ("nightdesk", "Speak of ships only.")
        assert typed.session.output_modalities == ["audio"]
        assert typed.session.audio is not None
        assert typed.session.audio.output is not None
        assert typed.session.audio.output.speed == 1.25
        assert typed.session.tools is not None
        assert [tool.type for tool in typed.session.tools] == ["function"]

    over_http(scenario)


def test_a_key_lives_ten_minutes_where_nothing_is_said() -> None:
    async def scenario(server: Server) -> None:
        for body in ({}, {"session": None, "expires_after": None}, {"expires_after": {"anchor": "created_at"}}):
            status, secret = await server.mint(body)

            assert (status, secret["expires_at"]) == (200, WALL_S + 600)

    over_http(scenario)


def test_the_vendors_client_makes_a_key_and_reads_its_errors() -> None:
    async def scenario(server: Server) -> None:
        base_url = f"http://127.0.0.1:{server.service.port}/v1"
        async with openai.AsyncOpenAI(api_key=KEY, base_url=base_url, max_retries=0) as client:
            secret = await client.realtime.client_secrets.create(
                expires_after={"anchor": "created_at", "seconds": 60},
                session={"type": "realtime", "model": "nightdesk", "instructions": "Speak of ships only."},
            )
            plain = await client.realtime.client_secrets.create()
            with pytest.raises(openai.BadRequestError) as refused:
                await client.realtime.client_secrets.create(expires_after={"anchor": "created_at", "seconds": 9})

            assert secret.value.startswith("ek_")
            assert secret.expires_at == WALL_S + 60
            assert secret.session.model == "nightdesk"  # type: ignore[union-attr]
            assert plain.session.type == "realtime"
            assert refused.value.param == "expires_after.seconds"

    over_http(scenario)


SPEED = {"type": "realtime", "audio": {"output": {"speed": 9}}}
VAD = {"type": "realtime", "audio": {"input": {"turn_detection": {"type": "server_vad", "threshold": 2.0}}}}
BAD: dict[str, tuple[object, int, str | None, str]] = {  # what -> (body, status, param, code)
    "too short a life": ({"expires_after": {"seconds": 9}}, 400, "expires_after.seconds", "invalid_value"),
    "too long a life": ({"expires_after": {"seconds": 7201}}, 400, "expires_after.seconds", "invalid_value"),
    "a life of no number": ({"expires_after": {"seconds": "60"}}, 400, "expires_after.seconds", "invalid_value"),
    "another anchor": ({"expires_after": {"anchor": "last_used"}}, 400, "expires_after.anchor", "invalid_value"),
    "an unknown field": ({"colour": 1}, 400, "colour", "unknown_parameter"),
    "an unknown setting": ({"session": {"colour": 1}}, 400, "session.colour", "unknown_parameter"),
    "a session of the wrong shape": ({"session": []}, 400, "session", "invalid_value"),
    "a speed out of range": ({"session": SPEED}, 400, "session.audio.output.speed", "invalid_value"),
    "a threshold out of range": (
        {"session": VAD},
        400,
        "session.audio.input.turn_detection.threshold",
        "invalid_value",
    ),
    "a tool without a name": (
        {"session": {"type": "realtime", "tools": [{}]}},
        400,
        "session.tools[0].name",
        "missing_required_parameter",
    ),
    "an unknown model": ({"session": {"type": "realtime", "model": "nobody"}}, 404, "session.model", "model_not_found"),
}


@pytest.mark.parametrize("what", BAD)
def test_what_cannot_be_bound_is_refused_by_name_and_makes_no_key(what: str) -> None:
    body, status, param, code = BAD[what]

    async def scenario(server: Server) -> None:
        got, answer = await server.mint(body)

        assert (got, answer["error"]["param"], answer["error"]["code"]) == (status, param, code)
        assert answer["error"]["message"]
        assert answer["error"]["type"] == "invalid_request_error"
        assert isinstance(server.sessions, MemoryBucket)
        assert server.sessions.values == {}

    over_http(scenario)


@pytest.mark.parametrize(
    ("body", "kind", "status", "code"),
    [
        (b"{}", "text/plain", 415, "unsupported_content_type"),
        (b"v=0", "application/sdp", 415, "unsupported_content_type"),
        (b"{", "application/json", 400, "invalid_json"),
        (b"\xff", "application/json", 400, "invalid_json"),
        (b'{"session":' + b"[" * 20_000, "application/json", 400, "invalid_json"),
        (b"[]", "application/json", 400, "invalid_value"),
        (b'{"session":"' + b"x" * 200_000 + b'"}', "application/json", 413, "too_large"),
        (b"", "", 200, ""),
    ],
)
def test_a_body_that_is_none_gets_the_vendors_error(body: bytes, kind: str, status: int, code: str) -> None:
    async def scenario(server: Server) -> None:
        headers = {"Authorization": f"Bearer {KEY}", "Origin": "https://shop.example"}
        headers |= {"Content-Type": kind} if kind else {}
        async with server.client.post("/v1/realtime/client_secrets", data=body, headers=headers) as answered:
            told = await answered.json()

            assert (answered.status, told.get("error", {}).get("code", "")) == (status, code)
            assert answered.headers["Access-Control-Allow-Origin"] == "*"

    over_http(scenario)


def test_a_body_that_is_encoded_gets_the_vendors_error() -> None:
    async def scenario(server: Server) -> None:
        headers = {"Authorization": f"Bearer {KEY}", "Content-Type": "application/json", "Content-Encoding": "gzip"}
        async with server.client.post("/v1/realtime/client_secrets", data=b"no gzip", headers=headers) as answered:
            told = await answered.json()

            assert (answered.status, told["error"]["code"]) == (415, "unsupported_content_encoding")

    over_http(scenario)


@pytest.mark.parametrize("key", ["", "sk-wrong", "ek_wrong", "ek_a.1.b"])
def test_nobody_makes_a_key_without_an_api_key(key: str) -> None:
    async def scenario(server: Server) -> None:
        status, answer = await server.mint(key=key)

        assert (status, answer["error"]["code"]) == (401, "invalid_api_key")

    over_http(scenario)


def test_while_no_agent_says_what_it_serves_any_model_may_be_bound_and_the_call_tells() -> None:
    async def scenario(server: Server) -> None:
        server.scene.agent.agents = ()
        await settle(0.5)

        assert (await server.mint({"session": {"type": "realtime", "model": "nobody"}}))[0] == 200

    over_http(scenario)


def test_a_key_whose_session_cannot_be_kept_is_not_told() -> None:
    class Away(MemoryBucket):
        async def put(self, key: str, value: bytes) -> None:
            raise StoreUnavailable(key, 1.0)

    async def main() -> None:
        server = Server()
        server.sessions = Away()
        async with server:
            status, answer = await server.mint()

            assert (status, answer["error"]["code"]) == (503, "store_unavailable")

    run_over_sockets(main())


# opened


def test_a_call_begins_with_the_session_that_is_bound_to_its_key() -> None:
    async def scenario(server: Server) -> None:
        async with server.connect(await minted(server, BOUND), model="") as caller:
            session = (await caller.until("session.created"))["session"]
            await caller.send(
                type="conversation.item.create",
                item={"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Hi"}]},
            )
            await caller.send(type="response.create")
            await settle(0.1)

            assert session["model"] == "nightdesk"
            assert session["id"].startswith("rtc_")
            assert session["instructions"] == "Speak of ships only."
            assert session["audio"]["output"]["voice"] == "deep"
            assert session["audio"]["input"]["format"]["type"] == "audio/pcmu"
            assert session["audio"]["input"]["turn_detection"] is None
            assert [tool["name"] for tool in session["tools"]] == ["sail"]
            agent = server.scene.agent.sessions[0]
            assert isinstance(agent.order, r.Converse)
            assert agent.order.agent == "nightdesk"
            [equip] = agent.all(r.Equip)
            assert isinstance(equip, r.Equip)
            assert [tool.name for tool in equip.tools] == ["sail"]
            [respond] = agent.all(r.Respond)
            assert isinstance(respond, r.Respond)
            assert respond.instructions == "Speak of ships only."

    over_http(scenario)


@pytest.mark.parametrize(
    ("bound", "query", "agent"),
    [
        ("nightdesk", "gpt-realtime", "nightdesk"),
        ("", "nightdesk", "nightdesk"),
        ("", "", ""),
        ("gpt-realtime-2", "nightdesk", ""),
    ],
)
def test_the_model_that_is_bound_comes_before_the_one_in_the_address(bound: str, query: str, agent: str) -> None:
    async def scenario(server: Server) -> None:
        key = await minted(server, {"type": "realtime"} | ({"model": bound} if bound else {}))
        async with server.connect(key, model=query) as caller:
            session = (await caller.until("session.created"))["session"]

            order = server.scene.agent.sessions[0].order
            assert isinstance(order, r.Converse)
            assert (order.agent, session["model"]) == (agent, bound or query)

    over_http(scenario)


@pytest.mark.parametrize("body", [{}, {"session": None}, {"session": {"type": "realtime"}}])
def test_a_key_that_nothing_is_bound_to_opens_a_call_like_any_other(body: object) -> None:
    async def scenario(server: Server) -> None:
        server.scene.agent.attached = r.Attached("frontdesk", "d1", instructions="Be brief.")
        async with server.connect((await server.mint(body))[1]["value"]) as caller:
            session = (await caller.until("session.created"))["session"]

            assert (session["model"], session["instructions"]) == ("gpt-realtime", "Be brief.")

    over_http(scenario)


def test_what_is_bound_is_where_a_clients_update_begins() -> None:
    async def scenario(server: Server) -> None:
        async with server.connect(await minted(server, BOUND)) as caller:
            await caller.until("session.created")
            await caller.send(type="session.update", session={"type": "realtime", "audio": {"output": {"speed": 0.5}}})
            session = (await caller.until("session.updated"))["session"]

            assert session["audio"]["output"]["speed"] == 0.5
            assert session["instructions"] == "Speak of ships only."

    over_http(scenario)


@pytest.mark.parametrize("other", ["backoffice", "sesame"])
def test_a_bound_model_stands_for_the_whole_call(other: str) -> None:
    async def scenario(server: Server) -> None:
        server.scene.agent.attached = r.Attached("nightdesk", "d1", agents=("nightdesk", "backoffice"))
        async with server.connect(await minted(server, BOUND)) as caller:
            await caller.until("session.created")
            await caller.send(type="session.update", session={"type": "realtime", "model": other})
            error = await caller.error()
            await caller.send(type="session.update", session={"type": "realtime", "model": "gpt-realtime"})
            await caller.until("session.updated")

            assert (error["code"], error["param"]) == ("model_not_found", "session.model")
            assert server.scene.agent.sessions[0].all(r.Summon) == []

    over_http(scenario, model_aliases="sesame=backoffice")


def test_one_key_opens_calls_until_it_expires_and_an_open_call_goes_on() -> None:
    async def scenario(server: Server) -> None:
        key = await minted(server, expires_after={"seconds": 10})
        async with server.connect(key) as first, server.connect(key) as second:
            await first.until("session.created")
            await second.until("session.created")
            server.wall_s += 10.0

            assert await refusal(server, key) == (401, "ephemeral_key_expired")
            await first.send(type="input_audio_buffer.clear")
            await first.until("input_audio_buffer.cleared")

    over_http(scenario)


def test_who_comes_back_to_a_call_is_let_in_with_a_key_that_has_expired_meanwhile() -> None:
    async def scenario(server: Server) -> None:
        key = await minted(server, BOUND, expires_after={"seconds": 10})
        async with server.connect(key) as caller:
            created = await caller.until("session.created")
            server.wall_s += 10.0
            caller.breaks()
            status, body, _ = await server.refused(key, token=created["trunkline"]["resume_token"])
            assert (status, body["error"]["code"]) == (404, "call_not_found")  # this agent keeps no record

            status, body, _ = await server.refused(key, token="rtk_rtc_00_x.y")
            assert (status, body["error"]["code"]) == (401, "ephemeral_key_expired")

    over_http(scenario)


def test_a_tool_with_the_name_of_the_agents_own_is_refused_when_the_call_is_placed() -> None:
    async def scenario(server: Server) -> None:
        key = await minted(server, BOUND)
        server.scene.agent.attached = r.Attached("nightdesk", "d1", tools=("sail",))
        status, body, _ = await server.refused(key)
        await settle(0.1)

        assert (status, body["error"]["param"]) == (400, "session.tools[0].name")
        assert server.service.load()[0] == 0
        assert server.scene.agent.sessions[0].closed

    over_http(scenario)


def test_a_tampered_key_a_strangers_key_and_one_whose_session_is_gone_open_nothing() -> None:
    async def scenario(server: Server) -> None:
        key = await minted(server)
        name, expires_at, signature = key.split(".")
        stranger = await EphemeralKeys("", ["sk-stranger"], server.sessions, lambda: WALL_S).mint(b"{}", 600)
        for wrong in (f"{name}.{int(expires_at) + 9}.{signature}", key[:-1] + "z", name, "ek_", stranger.value):
            assert await refusal(server, wrong) == (401, "invalid_api_key")
        assert isinstance(server.sessions, MemoryBucket)
        server.sessions.values.clear()

        assert await refusal(server, key) == (401, "invalid_api_key")
        assert server.scene.agent.sessions == []

    over_http(scenario)


def test_while_bound_sessions_cannot_be_read_a_call_may_be_tried_again() -> None:
    class Away(MemoryBucket):
        async def get(self, key: str) -> bytes | None:
            raise StoreUnavailable(key, 1.0)

    async def main() -> None:
        server = Server()
        server.sessions = Away()
        async with server:
            status, body, retry_after = await server.refused(await minted(server))

            assert (status, body["error"]["code"], retry_after) == (503, "store_unavailable", "1")

    run_over_sockets(main())


def test_an_ephemeral_key_opens_nothing_but_calls() -> None:
    async def scenario(server: Server) -> None:
        key = await minted(server)
        for path in ("/v1/calls", "/v1/calls/rtc_00_x", "/v1/workers", "/v1/approvals"):
            status, body = await server.get(path, key)
            assert (status, body["error"]["code"]) == (403, "insufficient_permissions")
        status, body = await server.mint(key=key)
        assert (status, body["error"]["code"]) == (403, "insufficient_permissions")

    over_http(scenario)


def test_a_gateway_without_api_keys_lets_nobody_in() -> None:
    async def main() -> None:
        async with Server(api_keys="") as server:
            key = await EphemeralKeys("", [], server.sessions, lambda: WALL_S).mint(b"{}", 600)

            assert await refusal(server, key.value) == (401, "invalid_api_key")

    run_over_sockets(main())


# from a browser


@pytest.mark.parametrize("ephemeral", [True, False])
def test_a_browsers_websocket_brings_its_key_in_a_subprotocol(ephemeral: bool) -> None:
    async def scenario(server: Server) -> None:
        key = await minted(server, BOUND) if ephemeral else KEY
        protocols = ("realtime", f"openai-insecure-api-key.{key}", "openai-agents-sdk.0.20.0")
        origin = {"Origin": "https://shop.example"}
        async with server.client.ws_connect("/v1/realtime", protocols=protocols, headers=origin) as socket:
            created = await asyncio.wait_for(socket.receive_json(), 5.0)

            assert socket.protocol == "realtime"
            assert created["session"]["instructions"] == ("Speak of ships only." if ephemeral else "")

    over_http(scenario)


def test_a_key_in_a_subprotocol_is_not_logged_where_no_other_is_offered(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        async with Server() as server:
            async with server.client.ws_connect("/v1/realtime", protocols=[f"openai-insecure-api-key.{KEY}"]) as socket:
                created = await socket.receive_json()

            assert created["type"] == "session.created"

    asyncio.run(main())

    assert not [record for record in caplog.records if KEY in record.getMessage()]


def test_a_wrong_key_in_a_subprotocol_is_refused() -> None:
    async def scenario(server: Server) -> None:
        protocols = ("realtime", "openai-insecure-api-key.ek_wrong")
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await server.client.ws_connect("/v1/realtime", protocols=protocols)

        assert refused.value.status == 401

    over_http(scenario)


async def preflight(server: Server, path: str, origin: str) -> tuple[int, Any]:
    asks = {
        "Origin": origin,
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization,content-type,x-openai-agents-sdk",
    }
    async with server.client.options(path, headers=asks) as answer:
        return answer.status, answer.headers


@pytest.mark.parametrize(
    "path",
    [
        *("/v1/realtime/client_secrets", "/v1/realtime/calls", "/v1/realtime/calls/x/hangup"),
        *("/v1/audio/speech", "/v1/audio/transcriptions", "/v1/responses", "/v1/models", "/v1/files"),
    ],
)
def test_a_page_of_any_origin_may_call(path: str) -> None:
    async def scenario(server: Server) -> None:
        status, headers = await preflight(server, path, "https://shop.example")

        assert status == 204
        assert headers["Access-Control-Allow-Origin"] == "*"
        assert "POST" in headers["Access-Control-Allow-Methods"]
        assert headers["Access-Control-Allow-Headers"] == "authorization,content-type,x-openai-agents-sdk"
        assert "Location" in headers["Access-Control-Expose-Headers"]

    over_http(scenario)


def test_a_page_is_told_why_it_was_refused() -> None:
    async def scenario(server: Server) -> None:
        headers = {"Origin": "https://shop.example", "Authorization": "Bearer sk-wrong"}
        async with server.client.post("/v1/realtime/client_secrets", headers=headers, json={}) as answer:
            assert (answer.status, answer.headers["Access-Control-Allow-Origin"]) == (401, "*")
        async with server.client.get("/v1/realtime/nowhere", headers=headers) as answer:
            assert (answer.status, answer.headers["Access-Control-Allow-Origin"]) == (404, "*")

    over_http(scenario)


def test_a_streamed_answer_is_for_pages_too() -> None:
    async def scenario(server: Server) -> None:
        headers = {"Origin": "https://shop.example", "Authorization": f"Bearer {KEY}"}
        asked = {"model": "tts-1", "input": "Hello.", "voice": "ash", "response_format": "pcm"}
        async with server.client.post("/v1/audio/speech", headers=headers, json=asked) as answer:
            assert (answer.status, answer.headers["Access-Control-Allow-Origin"]) == (200, "*")
            assert await answer.read()

    over_http(scenario)


def test_an_operator_names_the_origins_that_may_call() -> None:
    async def scenario(server: Server) -> None:
        path = "/v1/realtime/client_secrets"
        status, headers = await preflight(server, path, "https://shop.example")
        assert (status, headers["Access-Control-Allow-Origin"]) == (204, "https://shop.example")
        assert headers["Vary"] == "Origin"
        status, headers = await preflight(server, path, "https://elsewhere.example")

        assert status == 403
        assert "Access-Control-Allow-Origin" not in headers

    over_http(scenario, cors_origins="https://shop.example, https://desk.example:8443/")


def test_what_operators_read_is_not_for_pages_of_other_origins() -> None:
    async def scenario(server: Server) -> None:
        headers = {"Origin": "https://shop.example", "Authorization": f"Bearer {KEY}"}
        async with server.client.get("/v1/calls", headers=headers) as answer:
            assert answer.status == 200
            assert "Access-Control-Allow-Origin" not in answer.headers

    over_http(scenario)


# several gateways


def test_a_key_of_one_gateway_opens_a_call_at_another() -> None:
    async def scenario(server: Server) -> None:
        context = Context(server.scene.bus, server.scene.exchange, "gateway-2", server.settings)
        other = GatewayService(context, server.settings, server.stores, lambda: server.wall_s)
        await other.start()
        await settle(0.5)
        key = await minted(server, BOUND)
        url = f"http://127.0.0.1:{other.port}/v1/realtime"
        async with server.client.ws_connect(url, headers={"Authorization": f"Bearer {key}"}) as socket:
            created: Event = await asyncio.wait_for(socket.receive_json(), 5.0)

            assert created["session"]["instructions"] == "Speak of ships only."
        await settle(0.1)
        await other.drain(0.0)
        await other.stop()

    over_http(scenario)
