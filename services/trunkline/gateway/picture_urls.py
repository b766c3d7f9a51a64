"""Pictures behind http(s) URLs that clients give, where settings allow: fetched without reaching into our own network.

The address is judged as the socket is made, on every hop, so no name can turn to another one after it was looked at.
"""

import asyncio
import socket
from collections.abc import Callable
from typing import NamedTuple

import aiohttp
from aiohttp import hdrs
from aiohttp.abc import AbstractResolver
from yarl import URL

from trunkline.gateway.picture_checks import READERS
from trunkline.gateway.picture_header import FORMATS
from trunkline.gateway.public_address import is_public
from trunkline.proto.errors import BadInput

LIMIT_S = 10.0  # of all hops
MOST_REDIRECTS = 3
URL_CHARACTERS = 8192
PORTS = (80, 443)
TYPES = (*READERS, "image/jpg", "application/octet-stream", "binary/octet-stream")  # what it is, its bytes say
PIECE_BYTES = 65_536
HEADERS = {hdrs.ACCEPT: "image/*", hdrs.ACCEPT_ENCODING: "identity", hdrs.USER_AGENT: "trunkline"}


class PictureHosts(NamedTuple):
    """Whence pictures may come: any host at the usual ports, or those that are named, with their ports."""

    any: bool = False
    named: frozenset[tuple[str, int]] = frozenset()

    def allows(self, url: URL) -> bool:
        host, port = (url.host or "").rstrip(".").lower(), url.port or 0
        return (self.any and port in PORTS) or (host, port) in self.named


class _Sockets:
    """Makes sockets to addresses that are permitted, and to no others."""

    def __init__(self, permits: Callable[[str], bool]) -> None:
        self._permits = permits
        self.refused = False

    def make(self, info: aiohttp.AddrInfoType) -> socket.socket:
        family, kind, protocol, _, address = info
        if not self._permits(str(address[0])):
            self.refused = True
            raise OSError("the address is not public")
        return socket.socket(family, kind, protocol)


class PictureUrls:
    """limit_bytes: of one picture. resolver: makes one; permits: whether an address may be reached.

    How many are fetched at a time is for its caller to bound.
    """

    def __init__(
        self,
        hosts: PictureHosts,
        limit_bytes: int,
        *,
        resolver: Callable[[], AbstractResolver] = aiohttp.ThreadedResolver,
        permits: Callable[[str], bool] = is_public,
        limit_s: float = LIMIT_S,
    ) -> None:
        self._hosts = hosts
        self._limit_bytes = limit_bytes
        self._resolver = resolver
        self._permits = permits
        self._limit_s = limit_s

    async def fetch(self, text: str, param: str) -> bytes:
        """Raises BadInput."""
        if self._hosts == PictureHosts():
            allowed = "a data URL, or the file_id of a picture that was uploaded to /v1/files"
            raise BadInput(param, "pictures are not fetched from URLs here", allowed, code="not_supported")
        sockets = _Sockets(self._permits)
        try:
            async with asyncio.timeout(self._limit_s):
                return await self._follow(text, param, sockets)
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
            if sockets.refused:
                raise self._refused(param, "leads to an address that is not public") from error
            raise _failed(param, "no answer that could be read came in time") from error

    async def _follow(self, text: str, param: str, sockets: _Sockets) -> bytes:
        resolver = self._resolver()
        connector = aiohttp.TCPConnector(
            resolver=resolver, socket_factory=sockets.make, use_dns_cache=False, force_close=True
        )
        async with aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            trust_env=False,
            auto_decompress=False,
            headers=HEADERS,
        ) as session:
            url = self._checked(text, param)
            for _ in range(MOST_REDIRECTS + 1):
                async with session.get(url, allow_redirects=False) as answer:
                    if answer.status not in (301, 302, 303, 307, 308):
                        return await self._read(answer, param)
                    there = answer.headers.get(hdrs.LOCATION, "")
                url = self._checked(there, param, url)
        raise _failed(param, f"more than {MOST_REDIRECTS} redirects")

    def _checked(self, text: str, param: str, base: URL | None = None) -> URL:
        """base: what text may be relative to. Raises BadInput."""
        try:
            url = URL(text[: URL_CHARACTERS + 1])
            url = base.join(url) if base is not None else url
            usable = url.scheme in ("http", "https") and bool(url.host) and len(text) <= URL_CHARACTERS
        except ValueError:
            usable = False
        if not usable:
            raise self._refused(param, "is, or leads to, no http(s) URL")
        if url.user is not None or url.password is not None:
            raise self._refused(param, "brings credentials")
        if not self._hosts.allows(url):
            raise self._refused(param, f"leads to {url.host}:{url.port}, which is not allowed")
        return url

    def _refused(self, param: str, problem: str) -> BadInput:
        allowed = (
            ", ".join(sorted(f"{host}:{port}" for host, port in self._hosts.named)) or "public hosts, ports 80, 443"
        )
        return BadInput(param, problem, allowed, code="invalid_image_url")

    async def _read(self, answer: aiohttp.ClientResponse, param: str) -> bytes:
        if answer.status != 200:
            raise _failed(param, f"the answer has status {answer.status}")
        if answer.content_type.lower() not in TYPES:
            problem = f"the answer says that it is {answer.content_type[:80]!r}"
            raise BadInput(param, problem, FORMATS, code="unsupported_image_media_type")
        if answer.headers.get(hdrs.CONTENT_ENCODING, "identity").lower() != "identity":
            raise _failed(param, "the answer is compressed, which was not asked for")
        data = bytearray()
        if (answer.content_length or 0) <= self._limit_bytes:
            async for piece in answer.content.iter_chunked(PIECE_BYTES):
                data += piece
                if len(data) > self._limit_bytes:
                    break
            else:
                return bytes(data)
        raise BadInput(
            param, "the picture is too large", f"up to {self._limit_bytes} bytes", code="image_file_too_large"
        )


def _failed(param: str, problem: str) -> BadInput:
    return BadInput(param, f"can't be downloaded: {problem}", "", code="failed_to_download_image")
