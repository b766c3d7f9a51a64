"""A request lasts as long as its client waits for the answer.

aiohttp would cancel the handlers of calls as well, and has no event for one request alone: so its connection is
looked at now and then.
"""

import asyncio
from collections.abc import Coroutine

from aiohttp import web

from trunkline.proto.errors import TrunklineError
from trunkline.telemetry import logs

LOOK_S = 0.1
STATUS_CLIENT_GONE = 499  # nobody reads it

log = logs.get(__name__)


class ClientGone(TrunklineError):
    def __init__(self, why: str) -> None:
        super().__init__(f"the client is gone: {why}")


async def while_present(request: web.Request, work: Coroutine[None, None, web.StreamResponse]) -> web.StreamResponse:
    """Its outcome; it is cancelled when the client goes away, and may itself raise ClientGone."""
    task = asyncio.ensure_future(work)
    try:
        while not task.done():
            await asyncio.wait((task,), timeout=LOOK_S)
            if not task.done() and _is_gone(request):
                raise ClientGone("it has closed its connection")
        return task.result()
    except ClientGone as gone:
        log.info("client gone", path=request.path, reason=str(gone))
        return web.Response(status=STATUS_CLIENT_GONE)
    finally:
        task.cancel()
        await asyncio.wait((task,))


def _is_gone(request: web.Request) -> bool:
    return request.transport is None or request.transport.is_closing()
