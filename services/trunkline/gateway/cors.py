"""Browsers' pages of other origins: which of them may call, and what they are told of the answers (CORS).

A key is in each request's own headers and no cookie is ever read, so a page gains nothing by a visitor's browser that
it couldn't do without; hence every origin is allowed unless the operator names some. A WebSocket's upgrade knows no
CORS, and for the same reason its Origin isn't looked at.
"""

from collections.abc import Collection, Mapping

from aiohttp import hdrs, web
from aiohttp.typedefs import Middleware

from trunkline.gateway.auth import refuse
from trunkline.gateway.http import Handler

FOR_PAGES = (
    "/v1/realtime/",
    "/v1/audio/",
    "/v1/responses",
    "/v1/models",
    "/v1/files",
)  # paths of the vendor's APIs begin so
ANY = "*"
METHODS = "GET, POST, DELETE"
HEADERS = "Authorization, Content-Type, X-OpenAI-Agents-SDK"
EXPOSED = "Location, Retry-After"
PREFLIGHT_S = "600"  # that a browser may remember the answer to a preflight


class Cors:
    """origins: as browsers spell them, such as https://desk.example; ANY for all."""

    def __init__(self, origins: Collection[str]) -> None:
        self._origins = origins

    def guard(self, app: web.Application) -> None:
        app.middlewares.append(self._middleware())
        app.on_response_prepare.append(self._mark)

    def _middleware(self) -> Middleware:
        @web.middleware
        async def preflights(request: web.Request, handler: Handler) -> web.StreamResponse:
            asks = request.method == hdrs.METH_OPTIONS and hdrs.ACCESS_CONTROL_REQUEST_METHOD in request.headers
            if not asks or not _is_for_pages(request):
                return await handler(request)
            origin = request.headers[hdrs.ORIGIN]
            if self._allowed(origin):
                return web.Response(status=204, headers=_preflight(request))
            return refuse(403, "origin_not_allowed", f"calls from pages of {origin[:80]} are not allowed here")

        return preflights

    async def _mark(self, request: web.Request, response: web.StreamResponse) -> None:
        """Before its headers go out: behind that, a streamed answer takes none."""
        if not _is_for_pages(request):
            return
        origin = request.headers[hdrs.ORIGIN]
        if self._allowed(origin):
            response.headers[hdrs.ACCESS_CONTROL_ALLOW_ORIGIN] = ANY if ANY in self._origins else origin
            response.headers[hdrs.ACCESS_CONTROL_EXPOSE_HEADERS] = EXPOSED
        if ANY not in self._origins:
            response.headers[hdrs.VARY] = hdrs.ORIGIN

    def _allowed(self, origin: str) -> bool:
        return ANY in self._origins or origin in self._origins


def _is_for_pages(request: web.Request) -> bool:
    return bool(request.headers.get(hdrs.ORIGIN)) and request.path.startswith(FOR_PAGES)


def _preflight(request: web.Request) -> Mapping[str, str]:
    """Whatever headers a client wants to send it may: SDKs add some of their own, which nobody reads."""
    return {
        hdrs.ACCESS_CONTROL_ALLOW_METHODS: METHODS,
        hdrs.ACCESS_CONTROL_ALLOW_HEADERS: request.headers.get(hdrs.ACCESS_CONTROL_REQUEST_HEADERS, HEADERS),
        hdrs.ACCESS_CONTROL_MAX_AGE: PREFLIGHT_S,
    }
