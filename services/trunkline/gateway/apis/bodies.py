"""Bodies of requests that are larger than the application takes: read piece by piece, bounded one by one and together.

Rule: nothing of a body is kept once its reader is done with it, or its sender takes too long.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from typing import TypeVar

from aiohttp import web

from trunkline.proto.errors import StageUnavailable

T = TypeVar("T")

PIECE_BYTES = 64 * 1024
RETRY_S = 2.0
READ_LIMIT_S = 240.0  # for all of a body: 25 MB at a megabit in a second
SMALL_LIMIT_S = 20.0  # for all of one that the application's own limit bounds
PIECE_LIMIT_S = 20.0  # for a client to send more: what is held of its body is room that others lack


@asynccontextmanager
async def in_time(limit_s: float = READ_LIMIT_S) -> AsyncIterator[None]:
    """For a body to come. Raises HTTPRequestTimeout."""
    try:
        async with asyncio.timeout(limit_s):
            yield
    except TimeoutError as error:
        raise web.HTTPRequestTimeout(reason=f"the body did not come within {limit_s:g} s") from error


async def small(request: web.Request) -> bytes:
    """The body of a request, of which the application takes no large one. Raises HTTPRequestEntityTooLarge,
    HTTPRequestTimeout."""
    async with in_time(SMALL_LIMIT_S):
        return await request.read()


async def arriving(piece: Awaitable[T]) -> T:
    """The next piece of a body. Raises HTTPRequestTimeout."""
    try:
        async with asyncio.timeout(PIECE_LIMIT_S):
            return await piece
    except TimeoutError as error:
        raise web.HTTPRequestTimeout(reason=f"nothing of the body came for {PIECE_LIMIT_S:g} s") from error


class Room:
    """For bodies that are held. free_bytes: of all together."""

    def __init__(self, free_bytes: int) -> None:
        self._free_bytes = free_bytes

    def take(self, size_bytes: int) -> None:
        """Raises StageUnavailable."""
        if size_bytes > self._free_bytes:
            raise StageUnavailable("gateway", "it holds all the bodies of requests that it can", RETRY_S)
        self._free_bytes -= size_bytes

    def give_back(self, size_bytes: int) -> None:
        self._free_bytes += size_bytes


class Bodies:
    """limit_bytes: of one. total_bytes: of all that are held at a time."""

    def __init__(self, limit_bytes: int, total_bytes: int) -> None:
        self._limit_bytes = limit_bytes
        self._room = Room(total_bytes)

    @asynccontextmanager
    async def read(self, request: web.Request) -> AsyncIterator[bytes]:
        """Whole, and held until the block ends.

        Raises HTTPRequestEntityTooLarge, HTTPRequestTimeout, StageUnavailable.
        """
        if (request.content_length or 0) > self._limit_bytes:
            raise self._too_large(request)
        body = bytearray()
        size_bytes = 0
        try:
            async with in_time():
                while piece := await arriving(request.content.read(PIECE_BYTES)):
                    self._room.take(len(piece))
                    size_bytes += len(piece)
                    body += piece
                    if size_bytes > self._limit_bytes:
                        raise self._too_large(request)
            whole = bytes(body)
            body.clear()
            yield whole
        finally:
            self._room.give_back(size_bytes)

    def _too_large(self, request: web.Request) -> web.HTTPRequestEntityTooLarge:
        reason = f"the body has more than {self._limit_bytes} bytes"
        return web.HTTPRequestEntityTooLarge(self._limit_bytes, request.content_length or 0, reason=reason)
