"""A picture behind a URL is fetched where settings allow, and never from an address that isn't public."""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from support.pictures import picture
from trunkline.gateway.picture_urls import PictureHosts, PictureUrls
from trunkline.gateway.settings import GatewaySettings, picture_hosts_of
from trunkline.proto.errors import BadInput, BadSettings

LIMIT_BYTES = 100_000
PICTURE = picture()


class Names(AbstractResolver):
    """addresses: of each name, one per time that it is asked for, the last one from then on."""

    def __init__(self, addresses: dict[str, list[str]]) -> None:
        self.addresses = addresses
        self.asked: list[str] = []

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        self.asked.append(host)
        known = self.addresses.get(host)
        if not known:
            raise OSError("no such name")
        address = known.pop(0) if len(known) > 1 else known[0]
        kind = socket.AF_INET6 if ":" in address else socket.AF_INET
        return [{"hostname": host, "host": address, "port": port, "family": kind, "proto": 0, "flags": 0}]

    async def close(self) -> None:
        pass


class Site:
    """A web server on loopback, which counts as public here; requests: what it was asked."""

    def __init__(self) -> None:
        self.requests: list[web.BaseRequest] = []
        self.answers: dict[str, Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]] = {}
        self.port = 0
        self.names = Names({"pictures.test": ["127.0.0.1"]})

    def url(self, path: str, host: str = "pictures.test") -> str:
        return f"http://{host}:{self.port}{path}"

    def urls(self, *hosts: str, permits: Callable[[str], bool] | None = None, limit_s: float = 5.0) -> PictureUrls:
        named = frozenset((host, self.port) for host in (hosts or ("pictures.test",)))
        return PictureUrls(
            PictureHosts(named=named),
            LIMIT_BYTES,
            resolver=lambda: self.names,
            permits=permits or (lambda address: address == "127.0.0.1"),
            limit_s=limit_s,
        )

    def says(self, path: str, body: bytes = PICTURE, status: int = 200, **headers: str) -> None:
        told = {name.replace("_", "-"): value for name, value in headers.items()}

        async def answer(request: web.BaseRequest) -> web.StreamResponse:
            return web.Response(body=body, status=status, headers={"Content-Type": "image/png"} | told)

        self.answers[path] = answer

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        self.requests.append(request)
        return await self.answers[request.path](request)


@asynccontextmanager
async def site() -> AsyncIterator[Site]:
    made = Site()
    runner = web.ServerRunner(web.Server(made.handle), shutdown_timeout=0.1)
    await runner.setup()
    listening = web.TCPSite(runner, "127.0.0.1", 0)
    await listening.start()
    made.port = runner.addresses[0][1]
    made.says("/cat.png")
    yield made
    await runner.cleanup()


def over(scenario: Callable[[Site], Awaitable[None]]) -> None:
    async def main() -> None:
        async with site() as made:
            await scenario(made)

    asyncio.run(main())


async def refusal(urls: PictureUrls, url: str) -> BadInput:
    with pytest.raises(BadInput) as refused:
        await urls.fetch(url, "image_url")
    assert refused.value.param == "image_url"
    return refused.value


def test_a_picture_is_fetched_and_nothing_is_told_of_us() -> None:
    async def scenario(site: Site) -> None:
        data = await site.urls().fetch(site.url("/cat.png?size=1"), "image_url")

        assert data == PICTURE
        (request,) = site.requests
        assert request.query_string == "size=1"
        assert set(request.headers) <= {"Host", "Accept", "Accept-Encoding", "User-Agent", "Connection"}
        assert request.headers["Accept-Encoding"] == "identity"

    over(scenario)


def test_nothing_is_fetched_unless_settings_allow() -> None:
    async def scenario(site: Site) -> None:
        urls = PictureUrls(picture_hosts_of(GatewaySettings()), LIMIT_BYTES, resolver=lambda: site.names)
        refused = await refusal(urls, site.url("/cat.png"))

        assert refused.code == "not_supported"
        assert "data URL" in str(refused)
        assert (site.requests, site.names.asked) == ([], [])

    over(scenario)


@pytest.mark.parametrize(
    "address", ["127.0.0.1", "10.1.2.3", "169.254.169.254", "100.64.0.1", "::1", "::ffff:10.0.0.1", "64:ff9b::a00:1"]
)
def test_a_name_of_a_private_address_is_refused_before_anything_is_sent(address: str) -> None:
    async def scenario(site: Site) -> None:
        site.names.addresses["pictures.test"] = [address]
        urls = PictureUrls(
            PictureHosts(named=frozenset({("pictures.test", site.port)})), LIMIT_BYTES, resolver=lambda: site.names
        )
        refused = await refusal(urls, site.url("/cat.png"))

        assert refused.code == "invalid_image_url"
        assert "not public" in str(refused)
        assert address not in str(refused)
        assert site.requests == []

    over(scenario)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1", "2130706433", "0x7f000001", "[::1]", "[::ffff:127.0.0.1]"])
def test_a_private_address_itself_is_refused_however_it_is_written(host: str) -> None:
    async def scenario(site: Site) -> None:
        urls = PictureUrls(PictureHosts(named=frozenset({(host.strip("[]"), site.port)})), LIMIT_BYTES)
        wide = PictureUrls(PictureHosts(any=True), LIMIT_BYTES)

        for one in (urls, wide):
            refused = await refusal(one, site.url("/cat.png", host))
            assert refused.code in ("invalid_image_url", "failed_to_download_image")
        assert site.requests == []

    over(scenario)


def test_a_name_that_turns_to_another_address_gains_nothing() -> None:
    async def scenario(site: Site) -> None:
        site.names.addresses["pictures.test"] = ["127.0.0.1", "127.0.0.2"]
        site.says("/again", status=302, Location="/cat.png")
        refused = await refusal(site.urls(), site.url("/again"))

        assert "not public" in str(refused)
        assert [request.path for request in site.requests] == ["/again"]

    over(scenario)


@pytest.mark.parametrize(
    ("there", "problem"),
    [
        ("http://169.254.169.254/latest/meta-data/", "not allowed"),
        ("http://127.0.0.1:9/", "not allowed"),
        ("http://other.test/cat.png", "not allowed"),
        ("file:///etc/passwd", "no http"),
        ("gopher://pictures.test/", "no http"),
        ("http://user:secret@pictures.test/", "credentials"),
        ("http://[", "no http"),
    ],
)
def test_a_redirect_to_where_nobody_may_go_is_refused(there: str, problem: str) -> None:
    async def scenario(site: Site) -> None:
        site.says("/away", status=302, Location=there)
        refused = await refusal(site.urls(), site.url("/away"))

        assert refused.code == "invalid_image_url"
        assert problem in str(refused)
        assert len(site.requests) == 1

    over(scenario)


def test_a_redirect_to_a_private_address_is_refused_though_every_host_is_allowed() -> None:
    async def scenario(site: Site) -> None:
        site.names.addresses["inside.test"] = ["127.0.0.2"]
        site.says("/away", status=307, Location=site.url("/cat.png", "inside.test"))
        refused = await refusal(site.urls("pictures.test", "inside.test"), site.url("/away"))

        assert "not public" in str(refused)
        assert [request.path for request in site.requests] == ["/away"]

    over(scenario)


def test_three_redirects_are_followed_and_no_more() -> None:
    async def scenario(site: Site) -> None:
        for number in range(4):
            site.says(f"/{number}", status=301, Location=f"/{number - 1}" if number else "/cat.png")

        assert await site.urls().fetch(site.url("/2"), "image_url") == PICTURE
        refused = await refusal(site.urls(), site.url("/3"))
        assert (refused.code, "redirects" in str(refused)) == ("failed_to_download_image", True)

    over(scenario)


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        ({"status": 404}, "failed_to_download_image"),
        ({"status": 206}, "failed_to_download_image"),
        ({"Content_Type": "text/html"}, "unsupported_image_media_type"),
        ({"Content_Type": "image/svg+xml"}, "unsupported_image_media_type"),
        ({"Content_Encoding": "gzip"}, "failed_to_download_image"),
        ({"body": bytes(LIMIT_BYTES + 1)}, "image_file_too_large"),
    ],
)
def test_an_answer_that_is_no_picture_is_refused(answer: dict[str, Any], code: str) -> None:
    async def scenario(site: Site) -> None:
        site.says("/odd", **answer)

        assert (await refusal(site.urls(), site.url("/odd"))).code == code

    over(scenario)


def test_a_picture_without_an_end_is_read_up_to_the_limit_only() -> None:
    async def scenario(site: Site) -> None:
        sent = 0

        async def endless(request: web.BaseRequest) -> web.StreamResponse:
            nonlocal sent
            answer = web.StreamResponse(headers={"Content-Type": "image/png"})
            await answer.prepare(request)
            while True:
                await answer.write(bytes(10_000))
                sent += 10_000

        site.answers["/endless"] = endless
        refused = await refusal(site.urls(), site.url("/endless"))

        assert refused.code == "image_file_too_large"
        assert sent < LIMIT_BYTES + 10_000_000  # what sockets hold on the way

    over(scenario)


def test_one_that_takes_too_long_is_given_up() -> None:
    async def scenario(site: Site) -> None:
        async def silent(request: web.BaseRequest) -> web.StreamResponse:
            await asyncio.Event().wait()
            raise AssertionError

        site.answers["/silent"] = silent
        refused = await refusal(site.urls(limit_s=0.2), site.url("/silent"))

        assert refused.code == "failed_to_download_image"

    over(scenario)


@pytest.mark.parametrize("url", ["http://", "http:///x", "http://[::1", "http://x:99999/", "http://" + "a" * 9000])
def test_what_is_no_url_is_refused(url: str) -> None:
    async def scenario(site: Site) -> None:
        refused = await refusal(PictureUrls(PictureHosts(any=True), LIMIT_BYTES), url)

        assert refused.code == "invalid_image_url"

    over(scenario)


def test_a_name_that_there_is_not_has_no_picture() -> None:
    async def scenario(site: Site) -> None:
        refused = await refusal(site.urls("nobody.test"), site.url("/cat.png", "nobody.test"))

        assert refused.code == "failed_to_download_image"

    over(scenario)


def test_the_environments_proxy_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario(site: Site) -> None:
        for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
            monkeypatch.setenv(name, "http://127.0.0.1:9")

        assert await site.urls().fetch(site.url("/cat.png"), "image_url") == PICTURE

    over(scenario)


def test_cookies_are_not_kept() -> None:
    async def scenario(site: Site) -> None:
        site.says("/first", status=302, Location="/cat.png", Set_Cookie="a=1; Path=/")
        await site.urls().fetch(site.url("/first"), "image_url")

        assert all("Cookie" not in request.headers for request in site.requests)

    over(scenario)


# settings


@pytest.mark.parametrize(
    ("told", "url", "allowed"),
    [
        ("on", "https://any.example/cat.png", True),
        ("on", "http://any.example:8080/cat.png", False),
        ("off", "https://any.example/cat.png", False),
        ("", "https://any.example/cat.png", False),
        ("cdn.example", "https://cdn.example/cat.png", True),
        ("cdn.example", "https://CDN.example./cat.png", True),
        ("cdn.example", "http://cdn.example/cat.png", True),
        ("cdn.example", "https://cdn.example:8443/cat.png", False),
        ("cdn.example", "https://a.cdn.example/cat.png", False),
        ("a.example, cdn.example:8443", "https://cdn.example:8443/cat.png", True),
        ("a.example, cdn.example:8443", "https://cdn.example/cat.png", False),
    ],
)
def test_settings_say_which_hosts_are_asked(told: str, url: str, allowed: bool) -> None:
    assert picture_hosts_of(GatewaySettings(image_urls=told)).allows(URL(url)) == allowed


@pytest.mark.parametrize("told", ["yes/no", "https://cdn.example", "*.example", "cdn.example:x", "a@b", ":80"])
def test_a_setting_that_names_no_host_is_refused(told: str) -> None:
    with pytest.raises(BadSettings, match="TRUNKLINE_IMAGE_URLS"):
        picture_hosts_of(GatewaySettings(image_urls=told))


def test_the_real_resolver_is_used_where_none_is_given() -> None:
    async def scenario(site: Site) -> None:
        urls = PictureUrls(
            PictureHosts(named=frozenset({("localhost", site.port)})),
            LIMIT_BYTES,
            permits=lambda address: address == "127.0.0.1",
        )

        assert await urls.fetch(site.url("/cat.png", "localhost"), "image_url") == PICTURE
        assert isinstance(urls._resolver(), aiohttp.ThreadedResolver)

    over(scenario)
