"""/v1/files: what is uploaded is checked, listed, given back as a download, and deleted; too much is refused unread."""

import asyncio
import os
import tracemalloc
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import aiohttp
import pytest
from openai.types import FileDeleted, FileObject

from gateway.socket_scene import KEY, WALL_S, Server
from support.pictures import animated, black, data_url, picture
from support.virtual import run_over_sockets
from trunkline.gateway.apis.files import DOWNLOAD_LIMIT_S, DOWNLOADS
from trunkline.gateway.picture_checks import PictureChecks
from trunkline.gateway.picture_urls import PictureHosts, PictureUrls
from trunkline.gateway.pictures import Pictures
from trunkline.record import FileFacts, MemoryFileStore, StoreFull, StoreUnavailable

PNG = picture()
AUTHORISED = {"Authorization": f"Bearer {KEY}"}
DAYS_30_S = 30 * 86_400
LINGER_S = 11.0  # aiohttp waits a while for the rest of what it refused


class Desk:
    def __init__(self, server: Server) -> None:
        self.server = server

    async def ask(self, method: str, path: str, **options: Any) -> tuple[int, Any]:
        async with self.server.client.request(method, path, headers=AUTHORISED, **options) as answer:
            return answer.status, await answer.json()

    async def upload(
        self, data: bytes = PNG, name: str = "cat.png", *, purpose: str | None = "vision", **fields: str
    ) -> tuple[int, Any]:
        form = aiohttp.FormData(quote_fields=False)
        if purpose is not None:
            form.add_field("purpose", purpose)
        for field, value in fields.items():
            form.add_field(field, value)
        form.add_field("file", data, filename=name, content_type="application/octet-stream")
        return await self.ask("POST", "/v1/files", data=form)

    async def uploaded(self, data: bytes = PNG, name: str = "cat.png", **fields: Any) -> FileObject:
        status, body = await self.upload(data, name, **fields)
        assert status == 200, body
        return FileObject.model_validate(body, strict=True)

    async def refused(self, *args: Any, **options: Any) -> tuple[int, str, str | None]:
        status, body = await self.upload(*args, **options)
        assert set(body["error"]) == {"message", "type", "param", "code"}, body
        return status, body["error"]["code"], body["error"]["param"]


def over_http(scenario: Callable[[Desk], Awaitable[None]]) -> None:
    async def main() -> None:
        async with Server() as server:
            await scenario(Desk(server))

    run_over_sockets(main())


def test_a_picture_is_uploaded_told_and_given_back() -> None:
    async def scenario(desk: Desk) -> None:
        file = await desk.uploaded()
        status, body = await desk.ask("GET", f"/v1/files/{file.id}")
        async with desk.server.client.get(f"/v1/files/{file.id}/content", headers=AUTHORISED) as answer:
            data = await answer.read()

        assert (file.filename, file.bytes, file.purpose, file.status) == ("cat.png", len(PNG), "vision", "processed")
        assert (file.created_at, file.expires_at) == (WALL_S, WALL_S + DAYS_30_S)
        assert (status, FileObject.model_validate(body)) == (200, file)
        assert data == PNG
        assert answer.content_type == "image/png"
        facts = await desk.server.files.facts(file.id)
        assert facts == FileFacts(file.id, "cat.png", "vision", "image/png", len(PNG), int(WALL_S), 0, 40, 30)

    over_http(scenario)


def test_nothing_that_was_uploaded_is_shown_as_a_page() -> None:
    async def scenario(desk: Desk) -> None:
        file = await desk.uploaded(b"<script>alert(1)</script>", 'pa"ge\u00fc.html', purpose="user_data")
        async with desk.server.client.get(f"/v1/files/{file.id}/content", headers=AUTHORISED) as answer:
            headers, data = answer.headers, await answer.read()

        assert data == b"<script>alert(1)</script>"
        assert headers["Content-Type"] == "application/octet-stream"
        assert headers["Content-Disposition"] == "attachment; filename*=UTF-8''pa%22ge%C3%BC.html"
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Content-Security-Policy"].startswith("sandbox")

    over_http(scenario)


def test_a_deleted_file_is_gone() -> None:
    async def scenario(desk: Desk) -> None:
        file = await desk.uploaded()
        status, body = await desk.ask("DELETE", f"/v1/files/{file.id}")

        assert (status, FileDeleted.model_validate(body, strict=True).deleted) == (200, True)
        for method, path in (("GET", ""), ("GET", "/content"), ("DELETE", "")):
            status, body = await desk.ask(method, f"/v1/files/{file.id}{path}")
            assert (status, body["error"]["code"]) == (404, "file_not_found")

    over_http(scenario)


@pytest.mark.parametrize("file", ["file_none", "a.b", "%2e%2e", "*", "x" * 300])
def test_a_file_that_there_is_not_is_not_found(file: str) -> None:
    async def scenario(desk: Desk) -> None:
        for method in ("GET", "DELETE"):
            status, body = await desk.ask(method, f"/v1/files/{file}")

            assert (status, body["error"]["type"]) == (404, "invalid_request_error")

    over_http(scenario)


def test_a_file_ends_when_its_giver_says() -> None:
    async def scenario(desk: Desk) -> None:
        ends: dict[str, Any] = {"expires_after[anchor]": "created_at", "expires_after[seconds]": "3600"}
        file = await desk.uploaded(**ends)
        before, _ = await desk.ask("GET", f"/v1/files/{file.id}")
        desk.server.wall_s += 3600
        after, _ = await desk.ask("GET", f"/v1/files/{file.id}")

        assert file.expires_at == WALL_S + 3600
        assert (before, after) == (200, 404)

    over_http(scenario)


async def listed(desk: Desk, query: str = "") -> tuple[list[str], bool]:
    status, body = await desk.ask("GET", f"/v1/files{query}")
    assert (status, body["object"]) == (200, "list"), body
    names = [FileObject.model_validate(one).filename for one in body["data"]]
    ends = (body["data"][0]["id"], body["data"][-1]["id"]) if names else (None, None)
    assert (body["first_id"], body["last_id"]) == ends
    return names, body["has_more"]


def test_files_are_listed_page_by_page_in_either_order() -> None:
    async def scenario(desk: Desk) -> None:
        files = []
        for number in range(5):
            desk.server.wall_s += 1
            files.append(await desk.uploaded(name=f"{number}.png", purpose=("vision", "user_data")[number % 2]))

        assert await listed(desk) == (["4.png", "3.png", "2.png", "1.png", "0.png"], False)
        assert await listed(desk, "?limit=2") == (["4.png", "3.png"], True)
        assert await listed(desk, f"?limit=2&after={files[3].id}") == (["2.png", "1.png"], True)
        assert await listed(desk, f"?limit=2&after={files[1].id}") == (["0.png"], False)
        assert await listed(desk, f"?order=asc&after={files[2].id}") == (["3.png", "4.png"], False)
        assert await listed(desk, "?purpose=user_data") == (["3.png", "1.png"], False)
        assert await listed(desk, "?purpose=assistants") == ([], False)

    over_http(scenario)


def test_pictures_that_came_in_messages_are_not_listed_but_can_be_had_and_deleted() -> None:
    async def scenario(desk: Desk) -> None:
        pictures = Pictures(
            desk.server.files, PictureChecks(len(PNG)), PictureUrls(PictureHosts(), 0), wall_s=lambda: WALL_S
        )
        shown = await pictures.take(image_url=data_url(PNG), file_id=None, detail="auto", param="x")

        assert await listed(desk) == ([], False)
        assert await listed(desk, "?purpose=inline") == ([""], False)
        assert (await desk.ask("GET", f"/v1/files/{shown.file}"))[0] == 200
        assert (await desk.ask("DELETE", f"/v1/files/{shown.file}"))[0] == 200

    over_http(scenario)


@pytest.mark.parametrize(
    ("query", "param"),
    [
        ("limit=0", "limit"),
        ("limit=10001", "limit"),
        ("limit=x", "limit"),
        ("order=up", "order"),
        ("after=file_none", "after"),
        ("purpose=cats", "purpose"),
        ("colour=red", "colour"),
    ],
)
def test_a_list_that_cannot_be_had_is_refused_by_name(query: str, param: str) -> None:
    async def scenario(desk: Desk) -> None:
        status, body = await desk.ask("GET", f"/v1/files?{query}")

        assert (status, body["error"]["param"]) == (400, param)

    over_http(scenario)


LIFE = "expires_after[seconds]"
ANCHOR = {"expires_after[anchor]": "created_at"}
BAD: dict[str, tuple[dict[str, Any], str, str]] = {  # what -> (of the upload, code, param)
    "a text as a picture": ({"data": b"hello"}, "invalid_image_format", "file"),
    "an SVG": ({"data": b"<svg/>", "name": "cat.svg"}, "invalid_image_format", "file"),
    "what moves": ({"data": animated("GIF")}, "invalid_image_format", "file"),
    "a picture of too many pixels": ({"data": black(8_000, 8_000)}, "image_too_large", "file"),
    "a torn picture": ({"data": PNG[:-30]}, "image_parse_error", "file"),
    "nothing": ({"data": b""}, "empty_file", "file"),
    "a purpose of the vendor's": ({"purpose": "assistants"}, "not_supported", "purpose"),
    "another of the vendor's": ({"purpose": "fine-tune"}, "not_supported", "purpose"),
    "an unknown purpose": ({"purpose": "cats"}, "invalid_value", "purpose"),
    "a purpose of ours": ({"purpose": "inline"}, "invalid_value", "purpose"),
    "no purpose": ({"purpose": None}, "missing_required_parameter", "purpose"),
    "an unknown field": ({"colour": "red"}, "unknown_parameter", "colour"),
    "too short a life": ({**ANCHOR, LIFE: "3599"}, "invalid_value", LIFE),
    "too long a life": ({**ANCHOR, LIFE: "2592001"}, "invalid_value", LIFE),
    "a life of no number": ({**ANCHOR, LIFE: "soon"}, "invalid_value", LIFE),
    "no life": (ANCHOR, "invalid_value", LIFE),
    "another anchor": ({"expires_after[anchor]": "now", LIFE: "4000"}, "invalid_value", "expires_after[anchor]"),
    "a life without its anchor": ({LIFE: "4000"}, "invalid_value", "expires_after[anchor]"),
}


@pytest.mark.parametrize("what", BAD)
def test_an_upload_that_cannot_be_taken_is_refused_by_name_and_kept_nowhere(what: str) -> None:
    options, code, param = BAD[what]

    async def scenario(desk: Desk) -> None:
        assert await desk.refused(**options) == (400, code, param)
        assert await desk.server.files.all() == []

    over_http(scenario)


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (b"{}", "application/json"),
        (b"--x\r\nrubbish", "multipart/form-data; boundary=x"),
        (b"", "multipart/form-data; boundary=x"),
        (b"", "multipart/form-data"),
        (
            b'--x\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\ntorn',
            "multipart/form-data; boundary=x",
        ),
    ],
)
def test_a_body_that_is_no_form_is_refused(body: bytes, content_type: str) -> None:
    async def scenario(desk: Desk) -> None:
        headers = {**AUTHORISED, "Content-Type": content_type}
        async with desk.server.client.post("/v1/files", data=body, headers=headers) as answer:
            told = await answer.json()

        assert answer.status == 400
        assert told["error"]["type"] == "invalid_request_error"
        assert await desk.server.files.all() == []

    over_http(scenario)


def test_a_form_without_a_file_is_refused() -> None:
    async def scenario(desk: Desk) -> None:
        form = aiohttp.FormData(default_to_multipart=True)
        form.add_field("purpose", "vision")
        status, body = await desk.ask("POST", "/v1/files", data=form)

        assert (status, body["error"]["param"]) == (400, "file")

    over_http(scenario)


@pytest.mark.parametrize("length", ["told", "not told"])
def test_fifty_megabytes_are_refused_without_being_held(length: str) -> None:
    piece, total = bytes(65_536), 50 * 1024 * 1024
    head = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n'

    async def body() -> AsyncIterator[bytes]:
        yield head
        for _ in range(total // len(piece)):
            yield piece
        yield b"\r\n--x--\r\n"

    async def scenario(desk: Desk) -> None:
        headers = {**AUTHORISED, "Content-Type": "multipart/form-data; boundary=x"}
        if length == "told":
            headers["Content-Length"] = str(len(head) + total + 9)
        tracemalloc.start()
        async with desk.server.client.post("/v1/files", data=body(), headers=headers) as answer:
            told = await answer.json()
        _, peak_bytes = tracemalloc.get_traced_memory()
        tracemalloc.stop()

        assert (answer.status, told["error"]["type"]) == (413, "invalid_request_error")
        assert peak_bytes < (2_000_000 if length == "told" else 30_000_000)
        assert (await desk.uploaded()).bytes == len(PNG)
        await asyncio.sleep(LINGER_S)

    over_http(scenario)


@pytest.mark.parametrize(
    ("path", "content_type"),
    [
        ("/v1/files", "multipart/form-data; boundary=x"),
        ("/v1/audio/transcriptions", "multipart/form-data; boundary=x"),
        ("/v1/responses", "application/json"),
    ],
)
def test_a_body_that_does_not_come_is_not_waited_for(path: str, content_type: str) -> None:
    over = asyncio.Event()

    async def body() -> AsyncIterator[bytes]:
        yield b'--x\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n' + bytes(100_000)
        await over.wait()

    async def scenario(desk: Desk) -> None:
        async with desk.server.client.post(
            path, data=body(), headers={**AUTHORISED, "Content-Type": content_type}
        ) as answer:
            told = await answer.json()
        over.set()

        assert (answer.status, told["error"]["code"]) == (408, "request_timeout")
        await asyncio.sleep(LINGER_S)

    over_http(scenario)


@pytest.mark.programs  # real sockets, full to their brim
def test_who_does_not_read_a_file_is_cut_off_and_others_wait_that_long_at_most() -> None:
    data = os.urandom(10_000_000)

    async def ask(desk: Desk, file: str) -> asyncio.StreamWriter:
        """Its answer is never read."""
        port = desk.server.service.port
        _, writer = await asyncio.open_connection("127.0.0.1", port, limit=1_000)
        head = f"GET /v1/files/{file}/content HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {KEY}\r\n\r\n"
        writer.write(head.encode())
        return writer

    async def scenario(desk: Desk) -> None:
        file = await desk.uploaded(data, purpose="user_data")
        path = f"/v1/files/{file.id}/content"
        writers = [await ask(desk, file.id) for _ in range(DOWNLOADS)]
        await asyncio.sleep(1)
        status, body = await desk.ask("GET", path)
        await asyncio.sleep(DOWNLOAD_LIMIT_S)
        async with desk.server.client.get(path, headers=AUTHORISED) as answer:
            whole = await answer.read()
        async with desk.server.client.head(path, headers=AUTHORISED) as answer:
            length = answer.headers["Content-Length"]
        for writer in writers:
            writer.transport.abort()

        assert (status, body["error"]["code"]) == (503, "overloaded")
        assert whole == data
        assert length == str(len(data))

    over_http(scenario)


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [(StoreUnavailable("it", 1.0), 503, "store_unavailable"), (StoreFull("the store", 5), 507, "store_full")],
)
def test_a_store_that_takes_nothing_is_told(error: StoreUnavailable, status: int, code: str) -> None:
    class Store(MemoryFileStore):
        async def put(self, facts: FileFacts, data: bytes) -> None:
            raise error

    async def main() -> None:
        server = Server()
        server.files = Store()
        async with server:
            got, body = await Desk(server).upload()

            assert (got, body["error"]["code"]) == (status, code)

    run_over_sockets(main())


def test_nothing_is_done_without_a_key() -> None:
    async def scenario(desk: Desk) -> None:
        for method, path in (
            ("POST", ""),
            ("GET", ""),
            ("GET", "/file_1"),
            ("GET", "/file_1/content"),
            ("DELETE", "/file_1"),
        ):
            async with desk.server.client.request(method, f"/v1/files{path}") as answer:
                assert answer.status == 401

    over_http(scenario)
