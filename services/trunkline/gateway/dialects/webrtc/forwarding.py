"""POST /v1/realtime/calls where WebRTC isn't served: the offer is handed on to a gateway that has it, its answer back.

Media never comes here. An offer is handed on once: who is handed one serves it or refuses it, so it goes in no circle.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Sequence

import aiohttp
from aiohttp import hdrs, web
from yarl import URL

from trunkline.gateway.apis.bodies import small
from trunkline.gateway.auth import Keys, refuse
from trunkline.gateway.call import ALL_STAGES
from trunkline.gateway.dialects.realtime.opening import overloaded
from trunkline.gateway.dialects.webrtc.offer import PATH
from trunkline.placement.roster import Roster
from trunkline.proto.errors import StageUnavailable
from trunkline.telemetry import logs

CONNECT_LIMIT_S = 2.0
LIMIT_S = 10.0  # for all who are asked
HANDED_ON = "Trunkline-Handed-On"
ASKED_WITH = (hdrs.AUTHORIZATION, hdrs.CONTENT_TYPE, hdrs.ORIGIN, "X-OpenAI-Agents-SDK")
ANSWERED_WITH = (hdrs.CONTENT_TYPE, hdrs.LOCATION, hdrs.RETRY_AFTER)  # CORS is our own word, as in every answer

log = logs.get(__name__)


class Forwarding:
    """roster: of the stages that a call needs, which are the same for all gateways. urls: of the gateways that serve
    WebRTC, asked in turn; none: nobody does."""

    def __init__(self, keys: Keys, roster: Roster, urls: Sequence[URL]) -> None:
        self._keys = keys
        self._roster = roster
        self._urls = deque(urls)
        self._client: aiohttp.ClientSession

    def add_routes(self, app: web.Application) -> None:
        app.router.add_post(PATH, self._call)
        app.cleanup_ctx.append(self._connected)

    async def _connected(self, app: web.Application) -> AsyncIterator[None]:
        """A connection per offer: one that was kept may be to a process that is gone."""
        limits = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_LIMIT_S)
        connector = aiohttp.TCPConnector(force_close=True)
        async with aiohttp.ClientSession(
            connector=connector, timeout=limits, cookie_jar=aiohttp.DummyCookieJar()
        ) as self._client:
            yield

    async def _call(self, request: web.Request) -> web.StreamResponse:
        problem = self._not_served(request)
        try:
            await self._keys.admit(request, None if problem else self._require_places)
            if problem:
                return refuse(501, "not_supported", problem)
            self._require_places()
        except StageUnavailable as full:  # told before its offer has even been read, as there where it would go
            return overloaded(full)
        body = await small(request)
        try:
            async with asyncio.timeout(LIMIT_S):
                return await self._hand_on(request, body)
        except TimeoutError:  # it may still open the call, which then ends, for nobody connects to it
            return overloaded(StageUnavailable("webrtc", f"no answer within {LIMIT_S:g} s"))

    def _not_served(self, request: web.Request) -> str:
        """Why; empty if it is."""
        if HANDED_ON in request.headers:
            return f"{request.host} serves no WebRTC, and is named as if it did"
        return "" if self._urls else "WebRTC is not served here: no gateway that has it is named"

    def _require_places(self, key: str = "") -> None:
        """By what beats say. Whether the key may have one more call is asked there. Raises StageUnavailable."""
        for stage in ALL_STAGES:
            self._roster.require_room(stage)

    async def _hand_on(self, request: web.Request, body: bytes) -> web.Response:
        """The first answer but 503; else the last of these."""
        last: web.Response | None = None
        urls = list(self._urls)
        self._urls.rotate(-1)  # the next offer begins with the next
        for url in urls:
            try:
                last = await self._ask(url, request, body)
            except aiohttp.ClientError as error:
                log.warning("gateway for WebRTC doesn't answer", url=str(url), error=repr(error))
                continue
            if last.status != 503:
                return last
        return last or overloaded(StageUnavailable("webrtc", "no gateway that serves WebRTC answers"))

    async def _ask(self, url: URL, request: web.Request, body: bytes) -> web.Response:
        """Raises aiohttp.ClientError."""
        there = url.with_path(PATH).with_query(request.query)
        headers = {name: request.headers[name] for name in ASKED_WITH if name in request.headers}
        headers[HANDED_ON] = "1"
        async with self._client.post(there, data=body, headers=headers, allow_redirects=False) as answer:
            told = {name: answer.headers[name] for name in ANSWERED_WITH if name in answer.headers}
            return web.Response(status=answer.status, body=await answer.read(), headers=told)
