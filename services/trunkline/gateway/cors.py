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

BEFORE = "/v1/realtime/"  # the endpoints that browsers call begin so
ANY = "*"
METHODS = "POST"
HEADERS = "Authorization, Content-Type, X-OpenAI-Agents-SDK"
EXPOSED = "Location, Retry-After"
PREFLIGHT_S = "600"  # that a browser may remember the answer to a preflight


def cors(origins: Collection[str]) -> Middleware:
    """origins: as browsers spell them, such as https://desk.example; ANY for all."""

    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        origin = request.headers.get(hdrs.ORIGIN, "")
        if not origin or not request.path.startswith(BEFORE):
            return await handler(request)
        allowed = origin if ANY in origins or origin in origins else ""
        asks = request.method == hdrs.METH_OPTIONS and hdrs.ACCESS_CONTROL_REQUEST_METHOD in request.headers
        if not asks:
            response = await handler(request)
        elif allowed:
            response = web.Response(status=204, headers=_preflight(request))
        else:
            response = refuse(403, "origin_not_allowed", f"calls from pages of {origin[:80]} are not allowed here")
        if allowed:
            response.headers[hdrs.ACCESS_CONTROL_ALLOW_ORIGIN] = ANY if ANY in origins else origin
            response.headers[hdrs.ACCESS_CONTROL_EXPOSE_HEADERS] = EXPOSED
        if ANY not in origins:
            response.headers[hdrs.VARY] = hdrs.ORIGIN
        return response

    return middleware


def _preflight(request: web.Request) -> Mapping[str, str]:
    """Whatever headers a client wants to send it may: SDKs add some of their own, which nobody reads."""
    return {
        hdrs.ACCESS_CONTROL_ALLOW_METHODS: METHODS,
        hdrs.ACCESS_CONTROL_ALLOW_HEADERS: request.headers.get(hdrs.ACCESS_CONTROL_REQUEST_HEADERS, HEADERS),
        hdrs.ACCESS_CONTROL_MAX_AGE: PREFLIGHT_S,
    }
