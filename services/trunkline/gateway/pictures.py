"""Pictures that clients give: checked, stored once, and from there on referred to by id.

What is told to anybody is stored before. Codes are the vendor's (`ResponseError.code` in its types).
"""

import asyncio
import binascii
import hashlib
import re
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from trunkline.gateway.picture_checks import READERS, PictureChecks, Seen
from trunkline.gateway.picture_header import FORMATS, Refusal
from trunkline.gateway.picture_urls import PictureUrls
from trunkline.proto.errors import BadInput, StageUnavailable
from trunkline.proto.ids import is_id, new_file_id
from trunkline.proto.image import Detail, ShownImage
from trunkline.record import FileFacts, FileStore, Purpose

KNOWN_PICTURES = 256  # a client that sends its whole history sends the same ones again and again
KNOWN_S = 86_400.0  # then one is stored anew, so that it outlives the store's time
TAKEN_IN = 5  # of the largest size, as they come, that are held at a time: who brings more comes again
RETRY_S = 2.0
_DATA_URL = re.compile(r"data:([^;,]*)((?:;[^;,]*)*),", re.IGNORECASE)


class Pictures:
    """wall_s: seconds since 1970."""

    def __init__(
        self,
        files: FileStore,
        checks: PictureChecks,
        urls: PictureUrls,
        *,
        wall_s: Callable[[], float] = time.time,
    ) -> None:
        self._files = files
        self._checks = checks
        self._urls = urls
        self._wall_s = wall_s
        self._free_bytes = TAKEN_IN * checks.limit_bytes
        self._known: OrderedDict[bytes, FileFacts] = OrderedDict()  # by digest

    async def take(self, *, image_url: str | None, file_id: str | None, detail: Detail, param: str) -> ShownImage:
        """One of image_url and file_id. param: what the client calls it, whole. `at` is 0.

        Raises BadInput, StoreUnavailable, StageUnavailable.
        """
        if (image_url is None) == (file_id is None):
            raise BadInput(param, "needs one of image_url and file_id", "", code="missing_required_parameter")
        if image_url is not None:
            with self._held(image_url):
                facts = await self._given(image_url, param)
        else:
            facts = await self._kept(file_id or "", param)
        return ShownImage(facts.id, 0, detail, facts.media_type, facts.width, facts.height, facts.size)

    @contextmanager
    def _held(self, url: str) -> Iterator[None]:
        """url: its picture is in it, or still to be fetched."""
        size = len(url) if url[:5].lower() == "data:" else self._checks.limit_bytes
        if size > self._free_bytes:
            raise StageUnavailable("gateway", "it takes in all the pictures that it can", RETRY_S)
        self._free_bytes -= size
        try:
            yield
        finally:
            self._free_bytes += size

    async def check(self, data: bytes, param: str) -> Seen:
        """Raises BadInput."""
        seen = await self._checks.look(data)
        if isinstance(seen, Refusal):
            raise BadInput(param, *seen[:2], code=seen.code)
        return seen

    async def _kept(self, file_id: str, param: str) -> FileFacts:
        facts = await self._files.facts(file_id) if is_id(file_id) else None
        if facts is None:
            raise BadInput(param, f"no file {file_id[:80]!r}", "", code="image_file_not_found")
        if not facts.width:
            allowed = "a file uploaded with purpose vision"
            raise BadInput(param, f"the file {file_id} was uploaded with purpose {facts.purpose}", allowed)
        return facts

    async def _given(self, url: str, param: str) -> FileFacts:
        scheme = url[:16].partition(":")[0].lower()
        if scheme == "data":
            return await self._store(await self._read(url, param), param)
        if scheme in ("http", "https"):
            return await self._store(await self._urls.fetch(url, param), param)
        allowed = "a data URL (data:image/png;base64,…), or an http(s) URL"
        raise BadInput(param, f"is {url[:40]!r}", allowed, code="invalid_image_url")

    async def _read(self, url: str, param: str) -> bytes:
        found = _DATA_URL.match(url[:1024])
        if found is None or not found[2].lower().endswith(";base64"):
            raise BadInput(param, "is no data URL in base64", "data:image/png;base64,…", code="invalid_image_url")
        media_type = found[1].lower()
        if media_type not in (*READERS, "image/jpg"):
            problem = f"says that it is {media_type[:80]!r}"
            raise BadInput(param, problem, FORMATS, code="unsupported_image_media_type")
        if refusal := self._checks.too_many_bytes((len(url) - found.end()) * 3 // 4 - 2):
            raise BadInput(param, *refusal[:2], code=refusal.code)
        data = await asyncio.to_thread(_decoded, url, found.end())
        if data is None:
            raise BadInput(param, "isn't base64", "base64 with its padding", code="invalid_base64_image")
        return data

    async def _store(self, data: bytes, param: str) -> FileFacts:
        digest = await asyncio.to_thread(_digest_of, data)
        if known := await self._stored_lately(digest):
            return known
        seen = await self.check(data, param)
        facts = await self.keep(data, seen, purpose="inline", name="")
        self._known[digest] = facts
        while len(self._known) > KNOWN_PICTURES:
            self._known.popitem(last=False)
        return facts

    async def _stored_lately(self, digest: bytes) -> FileFacts | None:
        known = self._known.pop(digest, None)
        if known is None or self._wall_s() - known.at_s > KNOWN_S or await self._files.facts(known.id) is None:
            return None
        self._known[digest] = known
        return known

    async def keep(self, data: bytes, seen: Seen, *, purpose: Purpose, name: str, expires_s: int = 0) -> FileFacts:
        """As a new file. Raises StoreUnavailable."""
        facts = FileFacts(
            id=new_file_id(),
            name=name,
            purpose=purpose,
            media_type=seen.media_type,
            size=len(data),
            at_s=int(self._wall_s()),
            expires_s=expires_s,
            width=seen.width,
            height=seen.height,
        )
        await self._files.put(facts, data)
        return facts


def _decoded(url: str, begin: int) -> bytes | None:
    try:
        return binascii.a2b_base64(url[begin:], strict_mode=True)
    except ValueError:  # also of what is no ASCII
        return None


def _digest_of(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()
