"""POST /v1/realtime/calls: who may call, with what offer, and where the answer leads."""

import asyncio
import re
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp
import pytest
from aiortc import RTCConfiguration, RTCPeerConnection

from gateway.socket_scene import KEY, Server
from gateway.webrtc_scene import Browser, Microphone, RtcServer, without_candidates
from trunkline.proto.placement import Declined

pytestmark = pytest.mark.programs  # real sockets, in real time

Told = tuple[int, Any, Any]  # status, body, headers
CANDIDATE = re.compile(r"a=candidate:\S+ 1 udp \d+ (\S+) (\d+) typ host")


async def offer() -> str:
    pc = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    pc.addTrack(Microphone())
    pc.createDataChannel("oai-events")
    await pc.setLocalDescription(await pc.createOffer())
    sdp = without_candidates(pc.localDescription.sdp)
    await pc.close()
    return sdp


async def post(
    server: Server, body: object, *, key: str = KEY, kind: str = "application/sdp", model: str = "gpt-realtime"
) -> Told:
    headers = {"Authorization": f"Bearer {key}"} | ({"Content-Type": kind} if kind else {})
    async with server.client.post("/v1/realtime/calls", params={"model": model}, data=body, headers=headers) as answer:
        body = await answer.json() if "json" in answer.headers["Content-Type"] else await answer.text()
        return answer.status, body, answer.headers


def run(scenario: Callable[[RtcServer, str], Awaitable[None]], **settings: object) -> None:
    async def main() -> None:
        async with RtcServer(**settings) as server:
            await scenario(server, await offer())
            for task in server.endpoint._lines:
                task.cancel()
            await asyncio.sleep(0.05)
            assert server.service.load()[0] == 0

    asyncio.run(main())


def test_an_offer_is_answered_with_the_call_and_with_addresses_to_reach_it() -> None:
    async def scenario(server: RtcServer, sdp: str) -> None:
        status, answer, headers = await post(server, sdp)

        assert (status, headers["Content-Type"].partition(";")[0]) == (201, "application/sdp")
        assert re.fullmatch("/v1/realtime/calls/rtc_[A-Za-z0-9_-]+", headers["Location"])
        assert {host for host, _ in CANDIDATE.findall(answer)} == {"127.0.0.1"}
        assert "a=end-of-candidates" in answer
        assert "opus/48000/2" in answer
        assert "PCMU" not in answer

    run(scenario)


def test_behind_a_nat_the_public_addresses_and_the_ports_of_the_settings_are_told() -> None:
    async def scenario(server: RtcServer, sdp: str) -> None:
        hosts = [host for host in server.endpoint._reach.hosts if host != "127.0.0.1"]
        _, answer, _ = await post(server, sdp)
        told = CANDIDATE.findall(answer)

        assert {host for host, _ in told} == {"127.0.0.1", *(["203.0.113.5"] if hosts else [])}
        assert all(47_000 <= int(port) <= 47_099 for _, port in told)

    run(scenario, webrtc_host="0.0.0.0", webrtc_public_ips="203.0.113.5", webrtc_ports="47000-47099")


def test_no_port_left_is_no_room() -> None:
    async def scenario(server: RtcServer, sdp: str) -> None:
        first = await post(server, sdp)
        status, body, headers = await post(server, sdp)

        assert first[0] == 201
        assert (status, body["error"]["code"], headers["Retry-After"]) == (503, "overloaded", "1")

    run(scenario, webrtc_ports="47100-47100")


def test_a_form_may_bring_the_session_with_the_offer() -> None:
    async def scenario(server: RtcServer, sdp: str) -> None:
        async with Browser(server, session='{"type":"realtime","instructions":"Be brief."}') as browser:
            created = await browser.until("session.created")

        assert created["session"]["instructions"] == "Be brief."

    run(scenario)


@pytest.mark.parametrize(
    ("fields", "param", "code"),
    [
        ({"session": "{}"}, "sdp", "missing_required_parameter"),
        ({"sdp": "garbage"}, "sdp", "invalid_offer"),
        ({"sdp": None, "session": "{"}, "session", "invalid_json"),
        ({"sdp": None, "session": '{"type":"realtime","voices":1}'}, "session.voices", "unknown_parameter"),
        (
            {"sdp": None, "session": '{"type":"realtime","audio":{"output":{"speed":9}}}'},
            "session.audio.output.speed",
            "invalid_value",
        ),
    ],
)
def test_a_form_that_lacks_something_or_a_bad_session_is_refused_by_name(
    fields: dict[str, str | None], param: str, code: str
) -> None:
    async def scenario(server: RtcServer, sdp: str) -> None:
        form = aiohttp.FormData(default_to_multipart=True)
        for name, value in fields.items():
            form.add_field(name, sdp if value is None else value)
        status, body, _ = await post(server, form, kind="")

        assert (status, body["error"]["param"], body["error"]["code"]) == (400, param, code)

    run(scenario)


def test_a_wrong_key_is_refused() -> None:
    async def scenario(server: RtcServer, sdp: str) -> None:
        for key in ("sk-wrong", "ek_wrong", ""):
            status, body, _ = await post(server, sdp, key=key)

            assert (status, body["error"]["code"]) == (401, "invalid_api_key")

    run(scenario)


def test_an_ephemeral_key_opens_the_call_it_is_bound_to() -> None:
    async def scenario(server: RtcServer, sdp: str) -> None:
        _, secret = await server.mint({"session": {"type": "realtime", "instructions": "Be brief."}})
        async with Browser(server, key=secret["value"], path="/v1/realtime/calls") as browser:
            created = await browser.until("session.created")

        assert created["session"]["instructions"] == "Be brief."

    run(scenario)


def test_a_key_that_is_bound_to_a_transcription_opens_no_call() -> None:
    async def scenario(server: RtcServer, sdp: str) -> None:
        _, secret = await server.mint({"session": {"type": "transcription"}})
        status, body, _ = await post(server, sdp, key=secret["value"])

        assert (status, body["error"]["param"], body["error"]["code"]) == (400, "session.type", "not_supported")
        assert "WebSocket" in body["error"]["message"]

    run(scenario)


@pytest.mark.parametrize(
    ("body", "kind", "status", "code"),
    [
        (b"{}", "application/json", 415, "unsupported_content_type"),
        (b"v=0", "text/plain", 415, "unsupported_content_type"),
        (b"", "application/sdp", 400, "invalid_offer"),
        (b"garbage", "application/sdp", 400, "invalid_offer"),
        (b"v=0\r\n" * 50, "application/sdp", 400, "invalid_offer"),
        (b"x" * 1_000_000, "application/sdp", 413, "too_large"),
        (b"no boundary", "multipart/form-data", 400, "invalid_value"),
        (b"--b\r\ntorn", "multipart/form-data; boundary=b", 400, "invalid_value"),
    ],
)
def test_what_is_no_offer_gets_the_vendor_s_error(body: bytes, kind: str, status: int, code: str) -> None:
    async def scenario(server: RtcServer, sdp: str) -> None:
        found, told, _ = await post(server, body, kind=kind)

        assert (found, told["error"]["code"]) == (status, code)
        assert set(told["error"]) == {"message", "type", "param", "code"}
        assert server.scene.agent.sessions == []

    run(scenario)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("UDP/TLS/RTP/SAVPF", "udp-tls"),
        ("a=mid:0", "a=mid:0\r\na=extmap:x y z"),
        ("a=mid:0", "a=mid:0 "),
        ("a=rtcp-mux", "a=nothing"),
        ("a=sctp-port:5000", "a=sctp-port:five"),
        ("opus/48000/2", "opus/48000/2\r\na=fmtp:7 x=1"),
        ("s=-", "c=IN IP9 nowhere"),
    ],
)
def test_an_offer_that_only_its_parser_stumbles_over_is_refused_too(old: str, new: str) -> None:
    async def scenario(server: RtcServer, sdp: str) -> None:
        assert old in sdp
        status, body, _ = await post(server, sdp.replace(old, new))

        assert (status, body["error"]["code"], body["error"]["param"]) == (400, "invalid_offer", "sdp")

    run(scenario)


def test_an_unknown_model_is_not_found_and_leaves_nothing_open() -> None:
    async def scenario(server: RtcServer, sdp: str) -> None:
        server.scene.agent.declines = Declined("unknown_agent", "no such agent")
        status, body, _ = await post(server, sdp, model="nobody")

        assert (status, body["error"]["code"], body["error"]["param"]) == (404, "model_not_found", "model")
        assert server.endpoint._lines == set()

    run(scenario)


def test_a_full_gateway_says_when_to_come_back() -> None:
    async def scenario(server: RtcServer, sdp: str) -> None:
        first = await post(server, sdp)
        status, body, headers = await post(server, sdp)

        assert first[0] == 201
        assert (status, body["error"]["code"], headers["Retry-After"]) == (503, "overloaded", "1")

    run(scenario, capacity=1)


def test_a_browser_s_page_may_read_where_its_call_is() -> None:
    async def scenario(server: RtcServer, sdp: str) -> None:
        headers = {"Authorization": f"Bearer {KEY}", "Content-Type": "application/sdp", "Origin": "https://a.example"}
        async with server.client.post("/v1/realtime/calls", data=sdp, headers=headers) as answer:
            exposed = answer.headers["Access-Control-Expose-Headers"]

        assert "Location" in exposed

    run(scenario)
