"""Forms (multipart/form-data) with one file, read piece by piece.

Rule: nothing is read beyond what is allowed, of one form and of all together; who comes when that is used up is asked
to come later.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec
from aiohttp import BodyPartReader, web
from aiohttp.http_exceptions import HttpProcessingError

from trunkline.gateway.apis.bodies import PIECE_BYTES, Room, arriving, in_time
from trunkline.proto.errors import BadInput

FIELD_BYTES = 64 * 1024
FIELDS = 64
CODED = ("Content-Encoding", "Content-Transfer-Encoding")
UNREADABLE = (ValueError, AssertionError, RuntimeError, HttpProcessingError)  # as aiohttp has it for torn parts
PLAIN = ("", "identity", "binary", "7bit", "8bit")


class Form(msgspec.Struct):
    """fields: in order; a name may come again. file: None without one; file_name: empty where its
    giver has none. held_bytes: of fields and file."""

    fields: list[tuple[str, str]] = []
    file: bytearray | None = None
    file_name: str = ""
    held_bytes: int = 0


class Forms:
    """file_bytes: of one file, at most. total_bytes: of all forms that are held at a time."""

    def __init__(self, file_bytes: int, total_bytes: int) -> None:
        self._file_bytes = file_bytes
        self._room = Room(total_bytes)

    @asynccontextmanager
    async def read(self, request: web.Request) -> AsyncIterator[Form]:
        """Whole, and held until the block ends. Raises BadInput, HTTPRequestEntityTooLarge, HTTPRequestTimeout,
        StageUnavailable."""
        if request.content_type != "multipart/form-data":
            raise BadInput("Content-Type", f"is {request.content_type[:80]!r}", "multipart/form-data, with a `file`")
        if (request.content_length or 0) > self._file_bytes + FIELDS * FIELD_BYTES:
            raise self._too_large("the form is too long", request.content_length or 0)
        form = Form()
        try:
            async with in_time():
                await self._fill(form, request)
            yield form
        finally:
            form.file = None  # an error that is kept refers to its frames, and so to the form
            self._room.give_back(form.held_bytes)

    async def _fill(self, form: Form, request: web.Request) -> None:
        try:
            parts = await request.multipart()
            while (part := await arriving(parts.next())) is not None:
                if not isinstance(part, BodyPartReader):
                    raise BadInput("form", "has a form in it", "fields, and one `file`")
                await self._take(form, part)
        except UNREADABLE as error:
            raise BadInput("form", f"can't be read ({str(error)[:200]})", "multipart/form-data") from error

    async def _take(self, form: Form, part: BodyPartReader) -> None:
        name = (part.name or "")[:80]
        if any(part.headers.get(header, "").lower() not in PLAIN for header in CODED):
            raise BadInput(name, "is encoded", "bytes as they are")
        if name == "file":
            if form.file is not None:
                raise BadInput(name, "comes twice", "one file")
            form.file_name = part.filename or ""
            form.file = await self._body(form, part, self._file_bytes)
            return
        if len(form.fields) == FIELDS:
            raise BadInput("form", f"has more than {FIELDS} fields", "fewer")
        body = await self._body(form, part, FIELD_BYTES)
        try:
            form.fields.append((name, body.decode()))
        except UnicodeDecodeError as error:
            raise BadInput(name, "is no text", "UTF-8") from error

    async def _body(self, form: Form, part: BodyPartReader, limit_bytes: int) -> bytearray:
        body = bytearray()
        while piece := await arriving(part.read_chunk(PIECE_BYTES)):
            if len(body) + len(piece) > limit_bytes:
                raise self._too_large(f"the field {(part.name or '')[:80]!r} is too long", len(body) + len(piece))
            self._room.take(len(piece))
            form.held_bytes += len(piece)
            body += piece
        return body

    def _too_large(self, problem: str, size_bytes: int) -> web.HTTPRequestEntityTooLarge:
        reason = f"{problem}; allowed: a `file` of at most {self._file_bytes} bytes, other fields of {FIELD_BYTES}"
        return web.HTTPRequestEntityTooLarge(self._file_bytes, size_bytes, reason=reason)
