"""A client that goes away while its request is worked on: nothing is done for it any more.

The server tells of a lost connection only whoever reads or writes; who waits for a worker looks now and then.
"""

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

from aiohttp import web

from trunkline.proto.errors import TrunklineError

LOOK_S = 0.1
GONE = 499  # a status that nobody reads

T = TypeVar("T")


class ClientGone(TrunklineError):
    def __init__(self) -> None:
        super().__init__("the client has closed its connection")


async def while_there(request: web.Request, what: Awaitable[T]) -> T:
    """Its outcome. Raises ClientGone; what was waited for is cancelled then."""
    task = asyncio.ensure_future(what)
    try:
        while True:
            await asyncio.wait((task,), timeout=LOOK_S)
            if task.done():
                return task.result()
            if has_left(request):
                raise ClientGone
    finally:
        task.cancel()


def has_left(request: web.Request) -> bool:
    return request.transport is None or request.transport.is_closing()
