"""/v1/files: what people upload to show to agents, in the vendor's shapes.

Rule: nothing that was uploaded is ever shown by a browser as a page of ours.
"""

import asyncio
import time
from collections.abc import Callable
from typing import get_args
from urllib.parse import quote

import msgspec
from aiohttp import web

from trunkline.gateway.apis.bodies import RETRY_S
from trunkline.gateway.apis.form import Form, Forms
from trunkline.gateway.apis.pages import page_of, read_page
from trunkline.gateway.auth import Keys, answer, refuse
from trunkline.gateway.http import guarded
from trunkline.gateway.picture_checks import READERS, Seen
from trunkline.gateway.pictures import Pictures
from trunkline.gateway.validation import read_number
from trunkline.proto.errors import BadInput, StageUnavailable
from trunkline.proto.ids import is_id
from trunkline.record import FILES_KEPT_S, FileFacts, FileStore, Purpose

PATH = "/v1/files"
UPLOADS = 4  # of the largest size, that are held at a time
DOWNLOADS = 4  # that are held at a time
DOWNLOAD_WAIT_S = 10.0
DOWNLOAD_LIMIT_S = 240.0  # then a client has read too slowly
PIECE_BYTES = 64 * 1024
PAGE_FILES = 10_000
LIFE_S = (3_600, int(FILES_KEPT_S))  # as the vendor allows
NAME_CHARACTERS = 255
UPLOADED: tuple[Purpose, ...] = ("vision", "user_data")
OF_THE_VENDOR = ("assistants", "batch", "fine-tune", "evals")
FORM_FIELDS = ("purpose", "expires_after[anchor]", "expires_after[seconds]")
UNKNOWN = "application/octet-stream"
CONTENT_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "sandbox; default-src 'none'",
    "Cache-Control": "private, no-store",
}


class FileObject(msgspec.Struct, frozen=True):
    """Times: seconds since 1970."""

    id: str
    bytes: int
    created_at: int
    expires_at: int
    filename: str
    purpose: str
    object: str = "file"
    status: str = "processed"


class FilesEndpoint:
    """limit_bytes: of one file. wall_s: seconds since 1970."""

    def __init__(
        self,
        keys: Keys,
        files: FileStore,
        pictures: Pictures,
        limit_bytes: int,
        wall_s: Callable[[], float] = time.time,
    ) -> None:
        self._keys = keys
        self._files = files
        self._pictures = pictures
        self._forms = Forms(limit_bytes, UPLOADS * limit_bytes)
        self._downloads = asyncio.Semaphore(DOWNLOADS)
        self._wall_s = wall_s

    def add_routes(self, app: web.Application) -> None:
        app.router.add_post(PATH, guarded(self._keys, self._create))
        app.router.add_get(PATH, guarded(self._keys, self._list))
        app.router.add_get(PATH + "/{file}", guarded(self._keys, self._retrieve))
        app.router.add_get(PATH + "/{file}/content", guarded(self._keys, self._content))
        app.router.add_delete(PATH + "/{file}", guarded(self._keys, self._delete))

    async def _create(self, request: web.Request) -> web.StreamResponse:
        async with self._forms.read(request) as form:
            purpose, life_s = _read_fields(form)
            if form.file is None or not form.file_name:
                raise BadInput("file", "is missing", "a file with its name", code="missing_required_parameter")
            if not form.file:
                raise BadInput("file", "is empty", "a file with something in it", code="empty_file")
            shown = purpose == "vision"
            data, form.file = bytes(form.file), None
            seen = await self._pictures.check(data, "file") if shown else Seen(UNKNOWN, 0, 0)
            facts = await self._pictures.keep(
                data,
                seen,
                purpose=purpose,
                name=_name(form.file_name),
                expires_s=int(self._wall_s()) + life_s if life_s else 0,
            )
        return answer(_told(facts))

    async def _list(self, request: web.Request) -> web.StreamResponse:
        wanted, purpose = read_page(request.query, PAGE_FILES, PAGE_FILES, ("purpose",)), _read_purpose(request)
        purposes = (purpose,) if purpose else UPLOADED
        known = [facts for facts in await self._files.all() if facts.purpose in purposes]
        known.sort(key=lambda facts: (facts.at_s, facts.id))
        return answer(page_of([_told(facts) for facts in known], wanted))

    async def _retrieve(self, request: web.Request) -> web.StreamResponse:
        facts = await self._find(request)
        return answer(_told(facts)) if facts is not None else _not_found(request)

    async def _content(self, request: web.Request) -> web.StreamResponse:
        """As a download, and as a picture only where its bytes were seen to be one."""
        facts = await self._find(request)
        if facts is None:
            return _not_found(request)
        try:
            await asyncio.wait_for(self._downloads.acquire(), DOWNLOAD_WAIT_S)
        except TimeoutError as error:
            raise StageUnavailable("gateway", "it gives all the files that it can", RETRY_S) from error
        try:
            data = await self._files.get(facts.id)
            return _not_found(request) if data is None else await _give(request, facts, data)
        finally:
            self._downloads.release()

    async def _delete(self, request: web.Request) -> web.StreamResponse:
        file = request.match_info["file"]
        if not is_id(file) or not await self._files.delete(file):
            return _not_found(request)
        return answer({"id": file, "object": "file", "deleted": True})

    async def _find(self, request: web.Request) -> FileFacts | None:
        file = request.match_info["file"]
        return await self._files.facts(file) if is_id(file) else None


async def _give(request: web.Request, facts: FileFacts, data: bytes) -> web.StreamResponse:
    """Piece by piece, as fast as it is read. Who reads too slowly is cut off."""
    response = web.StreamResponse(headers=CONTENT_HEADERS)
    response.content_type = facts.media_type if facts.media_type in READERS else UNKNOWN
    response.headers["Content-Disposition"] = _disposition(facts.name or facts.id)
    response.content_length = len(data)
    await response.prepare(request)
    try:
        async with asyncio.timeout(DOWNLOAD_LIMIT_S):
            for begin in range(0, len(data) if request.method == "GET" else 0, PIECE_BYTES):
                await response.write(data[begin : begin + PIECE_BYTES])
    except TimeoutError:
        if request.transport is not None:
            request.transport.abort()
    return response


def _not_found(request: web.Request) -> web.Response:
    return refuse(404, "file_not_found", f"no file {request.match_info['file'][:80]!r}", param="file_id")


def _read_fields(form: Form) -> tuple[Purpose, int]:
    """What it is for, and how long it is kept, in seconds; 0 for as long as any. Raises BadInput."""
    given: dict[str, str] = {}
    for name, value in form.fields:
        if name not in FORM_FIELDS:
            raise BadInput(name, "is not known", ", ".join(("file", *FORM_FIELDS)), code="unknown_parameter")
        if name in given:
            raise BadInput(name, "comes twice", "one value")
        given[name] = value
    return _purpose(given), _life_s(given)


def _purpose(given: dict[str, str]) -> Purpose:
    told = given.get("purpose")
    allowed = ", ".join(UPLOADED)
    if told is None:
        raise BadInput("purpose", "is missing", allowed, code="missing_required_parameter")
    for purpose in UPLOADED:
        if told == purpose:
            return purpose
    code = "not_supported" if told in OF_THE_VENDOR else "invalid_value"
    raise BadInput("purpose", f"is {told[:80]!r}", allowed, code=code)


def _life_s(given: dict[str, str]) -> int:
    anchor, seconds = given.get("expires_after[anchor]"), given.get("expires_after[seconds]")
    if anchor is None and seconds is None:
        return 0
    if anchor != "created_at":
        raise BadInput("expires_after[anchor]", f"is {anchor!r}"[:80], "created_at")
    return read_number("expires_after[seconds]", seconds, *LIFE_S)


def _read_purpose(request: web.Request) -> str:
    """Of the files that are listed; empty for what people uploaded. Raises BadInput."""
    purpose = request.query.get("purpose", "")
    known = (*get_args(Purpose), *OF_THE_VENDOR)
    if purpose and purpose not in known:
        raise BadInput("purpose", f"is {purpose[:80]!r}", ", ".join(known))
    return purpose


def _name(text: str) -> str:
    """Without the folders that some clients tell, and without what no name has."""
    plain = "".join(letter for letter in text.replace("\\", "/").rpartition("/")[2] if letter.isprintable())
    return plain[:NAME_CHARACTERS] or "file"


def _disposition(name: str) -> str:
    """RFC 6266, with the name as RFC 8187 has it, whatever is in it."""
    return f"attachment; filename*=UTF-8''{quote(name, safe='')}"


def _told(facts: FileFacts) -> FileObject:
    purpose = "vision" if facts.purpose == "inline" else facts.purpose
    expires_at = facts.expires_s or facts.at_s + int(FILES_KEPT_S)
    return FileObject(facts.id, facts.size, facts.at_s, expires_at, facts.name, purpose)
