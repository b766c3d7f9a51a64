"""A request lasts as long as its client waits for the answer.

aiohttp would cancel the handlers of calls as well, and has no event for one request alone: so its connection is
looked at now and then.
"""

import asyncio
from collections.abc import Coroutine

from aiohttp import web

LOOK_S = 0.1
STATUS_CLIENT_GONE = 499  # nobody reads it


def is_gone(request: web.Request) -> bool:
    return request.transport is None or request.transport.is_closing()


async def while_present(request: web.Request, work: Coroutine[None, None, web.StreamResponse]) -> web.StreamResponse:
    """Its outcome; it is cancelled when the client goes away."""
    task = asyncio.ensure_future(work)
    try:
        while not task.done() and not is_gone(request):
            await asyncio.wait((task,), timeout=LOOK_S)
        return task.result() if task.done() else web.Response(status=STATUS_CLIENT_GONE)
    finally:
        task.cancel()
        await asyncio.wait((task,))
