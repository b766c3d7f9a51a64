"""POST /v1/realtime/calls at a gateway that serves no WebRTC: who is asked, with what, and what the caller is told."""

import asyncio
import socket
import subprocess
import sys
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from gateway.hostile_scene import Line
from gateway.socket_scene import KEY, Server
from gateway.test_admission import limit
from gateway.webrtc_scene import Browser, RtcServer
from trunkline.gateway.dialects.webrtc import forwarding
from trunkline.gateway.settings import GatewaySettings, webrtc_urls_of
from trunkline.proto.errors import BadSettings
from trunkline.proto.subjects import Stage

pytestmark = pytest.mark.programs  # real sockets, in real time

PATH = "/v1/realtime/calls"
ERROR = b'{"error": {"message": "full", "type": "server_error", "param": null, "code": "overloaded"}}'
HEAD = (  # without the body that it announces
    b"POST /v1/realtime/calls?model=gpt-realtime HTTP/1.1\r\nHost: gateway\r\nAuthorization: Bearer %s\r\n"
    b"Content-Type: application/sdp\r\nContent-Length: 3\r\n\r\n"
)
Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Upstream:
    """`async with Upstream(answer) as upstream`: stands where a gateway for WebRTC would. asked: requests, as read."""

    def __init__(self, status: int = 201, body: bytes = b"v=0", **headers: str) -> None:
        self._status, self._body = status, body
        self._headers = {name.replace("_", "-"): value for name, value in headers.items()}
        self.asked: list[tuple[web.Request, bytes]] = []
        app = web.Application()
        app.router.add_post(PATH, self._answer)
        self._server = TestServer(app)
        self.dies = False
        self.hangs = False

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.port}"

    async def __aenter__(self) -> "Upstream":
        await self._server.start_server()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._server.close()

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        self.asked.append((request, await request.read()))
        if self.hangs:
            await asyncio.sleep(5.0)
        if self.dies and request.transport is not None:
            request.transport.abort()
        return web.Response(status=self._status, body=self._body, headers=self._headers)


async def post(server: Server, body: bytes = b"v=0", key: str = KEY, **headers: str) -> tuple[int, bytes, Any]:
    given = {"Authorization": f"Bearer {key}", "Content-Type": "application/sdp"}
    given |= {name.replace("_", "-"): value for name, value in headers.items()}
    async with server.client.post(f"{PATH}?model=gpt-realtime&x=a%20b", data=body, headers=given) as answer:
        return answer.status, await answer.read(), answer.headers


def nobody() -> str:
    """An address at which nobody listens."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{unused.getsockname()[1]}"


def code_of(body: bytes) -> str:
    return body.decode().partition('"code":')[2].partition('"')[2].partition('"')[0]


def test_an_offer_at_an_ordinary_gateway_becomes_a_call_at_one_for_webrtc() -> None:
    async def main() -> None:
        async with (
            RtcServer() as there,
            Server(webrtc_urls=f"http://127.0.0.1:{there.service.port}") as here,
            Browser(here) as browser,
        ):
            created = await browser.until("session.created")
            loads = here.service.load()[0], there.service.load()[0]

        assert created["session"]["id"] == browser.call_id
        assert loads == (0, 1)

    asyncio.run(main())


def test_an_ephemeral_key_and_its_session_hold_there_too() -> None:
    async def main() -> None:
        async with RtcServer() as there:
            here = Server(webrtc_urls=f"http://127.0.0.1:{there.service.port}")
            here.sessions = there.sessions  # one NATS
            async with here:
                _, secret = await here.mint({"session": {"type": "realtime", "instructions": "Be brief."}})
                async with Browser(here, key=secret["value"], path=PATH) as browser:
                    created = await browser.until("session.created")

        assert created["session"]["instructions"] == "Be brief."

    asyncio.run(main())


def test_the_offer_is_handed_on_as_it_came() -> None:
    async def main() -> None:
        async with Upstream() as there, Server(webrtc_urls=there.url) as here:
            await post(here, b"an offer", Origin="https://a.example", X_OpenAI_Agents_SDK="0.2", Cookie="a=b")
            ((request, body),) = there.asked
            names = ("Authorization", "Content-Type", "Origin", "X-OpenAI-Agents-SDK", "Cookie")

            assert body == b"an offer"
            assert dict(request.query) == {"model": "gpt-realtime", "x": "a b"}
            assert [request.headers.get(name, "") for name in names] == [
                f"Bearer {KEY}",
                "application/sdp",
                "https://a.example",
                "0.2",
                "",
            ]

    asyncio.run(main())


@pytest.mark.parametrize("status", [200, 201, 400, 401, 404, 415, 500, 501])
def test_the_answer_comes_back_as_it_is(status: int) -> None:
    async def main() -> None:
        told = {"Content_Type": "application/sdp", "Location": f"{PATH}/rtc_00_x", "Retry_After": "7", "Server": "x"}
        async with Upstream(status, b"an answer", **told) as there, Server(webrtc_urls=there.url) as here:
            found, body, headers = await post(here, Origin="https://a.example")

            assert (found, body) == (status, b"an answer")
            assert (headers["Content-Type"], headers["Location"]) == ("application/sdp", f"{PATH}/rtc_00_x")
            assert (headers["Retry-After"], headers["Access-Control-Allow-Origin"]) == ("7", "*")
            assert headers["Server"] != "x"

    asyncio.run(main())


def test_a_wrong_key_is_refused_here() -> None:
    async def main() -> None:
        async with Upstream() as there, Server(webrtc_urls=there.url) as here:
            status, body, _ = await post(here, key="sk-wrong")

            assert (status, code_of(body)) == (401, "invalid_api_key")
            assert there.asked == []

    asyncio.run(main())


@pytest.mark.parametrize("ephemeral", [False, True])
@pytest.mark.parametrize("stage", ["stt", "agent", "tts"])
def test_without_room_at_a_stage_an_offer_is_refused_here_before_it_is_read(stage: Stage, ephemeral: bool) -> None:
    async def main() -> None:
        async with Upstream() as there, Server(webrtc_urls=there.url) as here:
            _, secret = await here.mint()
            await limit(here.scene.first[stage], 1)
            async with here.connect() as caller, Line(here) as line:
                await caller.until("session.created")
                line.send(HEAD % (secret["value"] if ephemeral else KEY).encode())
                told = await line.rest()

            assert told.startswith(b"HTTP/1.1 503 ")
            assert b"\r\nRetry-After: " in told
            assert code_of(told) == "overloaded"
            assert there.asked == []

    asyncio.run(main())


def test_a_body_that_is_too_large_is_refused_here() -> None:
    async def main() -> None:
        async with Upstream() as there, Server(webrtc_urls=there.url) as here:
            status, body, _ = await post(here, b"x" * 200_000)

            assert (status, code_of(body)) == (413, "too_large")
            assert there.asked == []

    asyncio.run(main())


def test_gateways_are_asked_in_turn() -> None:
    async def main() -> None:
        async with Upstream() as one, Upstream() as two, Server(webrtc_urls=f"{one.url},{two.url}") as here:
            for _ in range(4):
                await post(here)

            assert (len(one.asked), len(two.asked)) == (2, 2)

    asyncio.run(main())


def test_where_one_is_full_the_next_is_asked() -> None:
    async def main() -> None:
        async with (
            Upstream(503, ERROR) as full,
            Upstream() as free,
            Server(webrtc_urls=f"{full.url},{free.url}") as here,
        ):
            status, body, _ = await post(here)

            assert (status, body) == (201, b"v=0")
            assert (len(full.asked), len(free.asked)) == (1, 1)

    asyncio.run(main())


def test_where_one_is_not_there_the_next_is_asked() -> None:
    async def main() -> None:
        async with Upstream() as there, Server(webrtc_urls=f"{nobody()}, {there.url}/") as here:
            status, _, _ = await post(here)

            assert (status, len(there.asked)) == (201, 1)

    asyncio.run(main())


def test_where_one_dies_while_it_is_asked_the_next_is() -> None:
    async def main() -> None:
        async with Upstream() as dying, Upstream() as there, Server(webrtc_urls=f"{dying.url},{there.url}") as here:
            dying.dies = True
            status, _, _ = await post(here)

            assert (status, len(dying.asked), len(there.asked)) == (201, 1, 1)

    asyncio.run(main())


def test_where_all_are_full_their_word_is_told() -> None:
    async def main() -> None:
        told = {"Retry_After": "3", "Content_Type": "application/json"}
        async with Upstream(503, ERROR, **told) as full, Server(webrtc_urls=f"{full.url},{nobody()}") as here:
            status, body, headers = await post(here)

            assert (status, body, headers["Retry-After"]) == (503, ERROR, "3")

    asyncio.run(main())


def test_where_nobody_is_there_the_caller_is_told_to_come_back() -> None:
    async def main() -> None:
        async with Server(webrtc_urls=f"{nobody()},{nobody()}") as here:
            status, body, headers = await post(here)

            assert (status, code_of(body), headers["Retry-After"]) == (503, "overloaded", "1")

    asyncio.run(main())


def test_one_that_says_nothing_is_given_up_and_no_other_opens_the_call_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forwarding, "LIMIT_S", 0.2)

    async def main() -> None:
        async with Upstream() as slow, Upstream() as other, Server(webrtc_urls=f"{slow.url},{other.url}") as here:
            slow.hangs = True
            status, body, headers = await post(here)

            assert (status, code_of(body), headers["Retry-After"]) == (503, "overloaded", "1")
            assert (len(slow.asked), len(other.asked)) == (1, 0)

    asyncio.run(main())


def test_an_offer_goes_in_no_circle() -> None:
    async def main() -> None:
        async with (
            Upstream() as there,
            Server(webrtc_urls=there.url) as wrong,
            Server(webrtc_urls=f"http://127.0.0.1:{wrong.service.port}") as here,
        ):
            status, body, _ = await post(here)

            assert (status, code_of(body)) == (501, "not_supported")
            assert there.asked == []

    asyncio.run(main())


def test_where_no_gateway_for_webrtc_is_named_callers_are_told() -> None:
    async def main() -> None:
        async with Server() as here:
            status, body, _ = await post(here)

            assert (status, code_of(body)) == (501, "not_supported")

    asyncio.run(main())


def test_addresses_are_read_from_the_settings_and_bad_ones_refused() -> None:
    urls = webrtc_urls_of(GatewaySettings(webrtc_urls=" http://10.0.0.7:8080, https://rtc.example/ ,"))

    assert [str(url.origin()) for url in urls] == ["http://10.0.0.7:8080", "https://rtc.example"]
    for wrong in ("10.0.0.7:8080", "ws://a:1", "http://a:1/v1", "http://a:1?x=1", "http://u@a:1", "http://a:port"):
        with pytest.raises(BadSettings, match="TRUNKLINE_WEBRTC_URLS"):
            webrtc_urls_of(GatewaySettings(webrtc_urls=wrong))


def test_a_gateway_never_loads_what_serves_webrtc() -> None:
    program = "import sys, trunkline.gateway.main; print({'aiortc', 'aioice', 'av', 'ifaddr'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)

    assert (done.stdout, done.stderr) == ("set()\n", "")


def test_a_gateway_for_webrtc_without_the_extra_says_so_in_one_line() -> None:
    program = (
        "import sys\n"
        "sys.modules['aiortc'] = None\n"  # importing it fails
        "from trunkline.gateway.webrtc_main import main\n"
        "main()"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)

    assert done.returncode == 2
    assert done.stderr.startswith("trunkline-webrtc: ")
    assert "trunkline[webrtc]" in done.stderr
    assert done.stderr.count("\n") == 1
