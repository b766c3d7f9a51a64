"""The page at `/` as browsers get it: without a key, with strict headers, small, and asking nobody else."""

import re
from collections.abc import Awaitable, Callable

import aiohttp
import pytest

from gateway.socket_scene import Server
from support.virtual import run_over_sockets
from trunkline.gateway.page.serving import read_files

LIMIT_BYTES = 150_000  # as it is; a browser is sent a third of that
ELSEWHERE = re.compile(r"\b(?:https?|wss?|data|blob):|(?:src|href|from|import)\s*[=(]?\s*[\"'`](?:/|\.\./)|//[\w-]+\.")
OF_A_FORMAT = 'xmlns="http://www.w3.org/2000/svg"'  # a name, never asked for

Answer = aiohttp.ClientResponse


def fetch(path: str, check: Callable[[aiohttp.ClientSession, Answer], Awaitable[None]], method: str = "GET") -> None:
    async def main() -> None:
        async with Server() as server, server.client.request(method, path) as answer:
            await check(server.client, answer)

    run_over_sockets(main())


def test_the_page_needs_no_key() -> None:
    async def check(client: aiohttp.ClientSession, answer: Answer) -> None:
        assert answer.status == 200
        assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
        assert "<title>Trunkline</title>" in await answer.text()

    fetch("/", check)


def test_the_browser_is_told_to_load_nothing_from_elsewhere() -> None:
    async def check(client: aiohttp.ClientSession, answer: Answer) -> None:
        policy = dict(rule.split(" ", 1) for rule in answer.headers["Content-Security-Policy"].split("; "))
        assert policy["default-src"] == policy["base-uri"] == policy["form-action"] == "'none'"
        assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == "'self'"
        assert policy["frame-ancestors"] == "'self'"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Referrer-Policy"] == "no-referrer"

    fetch("/", check)


def test_a_page_that_has_not_changed_is_not_sent_again() -> None:
    async def check(client: aiohttp.ClientSession, answer: Answer) -> None:
        known = {"If-None-Match": answer.headers["ETag"]}
        async with client.get("/", headers=known) as again, client.get("/page/app.js", headers=known) as other:
            assert again.status == 304
            assert await again.read() == b""
            assert again.headers["Content-Security-Policy"] == answer.headers["Content-Security-Policy"]
            assert other.status == 200
        assert answer.headers["Cache-Control"] == "no-cache"

    fetch("/", check)


def test_a_browser_gets_it_packed_and_a_plain_client_as_it_is() -> None:
    async def check(client: aiohttp.ClientSession, answer: Answer) -> None:
        async with client.get("/page/app.js", headers={"Accept-Encoding": "identity"}) as plain:
            assert "Content-Encoding" not in plain.headers
            assert await plain.read() == await answer.read()
        assert answer.headers["Content-Encoding"] == "gzip"
        assert int(answer.headers["Content-Length"]) < len(await answer.read()) / 2

    fetch("/page/app.js", check)


def test_head_tells_what_get_would() -> None:
    async def check(client: aiohttp.ClientSession, answer: Answer) -> None:
        assert answer.status == 200
        assert int(answer.headers["Content-Length"]) == len(read_files()["index.html"].packed)
        assert await answer.read() == b""

    fetch("/", check, "HEAD")


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("style.css", "text/css; charset=utf-8"),
        ("app.js", "text/javascript; charset=utf-8"),
        ("icon.svg", "image/svg+xml"),
    ],
)
def test_a_file_has_its_type(name: str, kind: str) -> None:
    async def check(client: aiohttp.ClientSession, answer: Answer) -> None:
        assert (answer.status, answer.headers["Content-Type"]) == (200, kind)
        assert await answer.read() == read_files()[name].body

    fetch(f"/page/{name}", check)


@pytest.mark.parametrize("path", ["/page/serving.py", "/page/__init__.py", "/page/..%2Fauth.py", "/page/", "/page"])
def test_only_the_files_of_the_page_are_served(path: str) -> None:
    async def check(client: aiohttp.ClientSession, answer: Answer) -> None:
        assert answer.status == 404
        assert (await answer.json())["error"]["code"] == "not_found"

    fetch(path, check)


def test_the_whole_page_is_small() -> None:
    found = read_files()

    assert sum(len(file.body) for file in found.values()) < LIMIT_BYTES


@pytest.mark.parametrize("name", sorted(read_files()))
def test_no_address_but_relative_ones_occurs_in(name: str) -> None:
    text = read_files()[name].body.decode().replace(OF_A_FORMAT, "")

    assert ELSEWHERE.findall(text) == []


@pytest.mark.parametrize(
    "line",
    ['src="https://x.example/a.js"', 'fetch("//x.example/a")', 'href="/page/a.css"', 'import x from "/a.js"'],
)
def test_an_address_elsewhere_is_found(line: str) -> None:
    assert ELSEWHERE.search(line)


def test_every_file_that_is_named_is_there() -> None:
    found = read_files()
    html = re.findall(r"(?:src|href)=\"page/([^\"]+)\"", found["index.html"].body.decode())
    imports = [name for file in found.values() for name in re.findall(r"from \"\./([^\"]+)\"", file.body.decode())]

    worklets = [
        name for file in found.values() for name in re.findall(r"addModule\(\"page/([^\"]+)\"", file.body.decode())
    ]

    assert {*html, *imports, *worklets} == found.keys() - {"index.html"}


def test_the_page_has_no_script_or_style_that_its_policy_forbids() -> None:
    html = read_files()["index.html"].body.decode()

    assert re.findall(r"<script(?![^>]*\ssrc=)|<style|\son\w+=|\sstyle=", html) == []
