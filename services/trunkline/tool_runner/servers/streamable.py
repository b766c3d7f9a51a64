"""A tool server that listens at a URL (MCP's streamable HTTP).

Whatever goes wrong on the way becomes an answer with a code of our own, so that it is known what became of a request.
"""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import httpx2
import msgspec
from mcp.client._transport import TransportStreams  # what transports yield; no public module names it
from mcp.client.streamable_http import streamable_http_client

from trunkline.tool_runner.servers.codes import ANSWER_BYTES, LOST, NOT_SENT, TOO_LONG
from trunkline.tool_runner.servers.place import Place

GRACE_S = 5.0  # longer than the longest call is waited for: then nobody is any more
_NOT_SENT = (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout, httpx2.UnsupportedProtocol)


@asynccontextmanager
async def streamable(place: Place, connect_s: float, call_s: float) -> AsyncGenerator[TransportStreams, None]:
    timeout = httpx2.Timeout(connect_s, read=max(connect_s, call_s) + GRACE_S)
    async with (
        httpx2.AsyncClient(headers=dict(place.headers), timeout=timeout, transport=Guarded()) as client,
        streamable_http_client(place.url, http_client=client, max_sse_event_size=ANSWER_BYTES) as streams,
    ):
        yield streams


class Guarded(httpx2.AsyncBaseTransport):
    """Answers what can't be sent, is lost on the way, or is answered at too great a length."""

    def __init__(self, inner: httpx2.AsyncBaseTransport | None = None) -> None:
        self._inner = inner or httpx2.AsyncHTTPTransport()

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        try:
            response = await self._inner.handle_async_request(request)
        except _NOT_SENT as error:
            return _problem(request, NOT_SENT, f"can't be reached ({type(error).__name__})")
        except httpx2.TransportError as error:
            return _problem(request, LOST, f"the connection was lost ({type(error).__name__})")
        if response.status_code >= 500:
            await response.aclose()
            return _problem(request, LOST, f"it answered with status {response.status_code}")
        if response.headers.get("content-type", "").lower().startswith("application/json"):
            return await self._whole(request, response)
        return response

    async def _whole(self, request: httpx2.Request, response: httpx2.Response) -> httpx2.Response:
        """The response with its body, which isn't read beyond the limit."""
        body = bytearray()
        try:
            async for piece in response.aiter_bytes():
                body += piece
                if len(body) > ANSWER_BYTES:
                    return _problem(request, TOO_LONG, f"the answer is over the limit of {ANSWER_BYTES} bytes")
        except (httpx2.TransportError, httpx2.DecodingError) as error:
            return _problem(request, LOST, f"the connection was lost ({type(error).__name__})")
        finally:
            await response.aclose()
        kept = {k: v for k, v in response.headers.items() if k not in ("content-encoding", "content-length")}
        return httpx2.Response(response.status_code, headers=kept, content=bytes(body), request=request)

    async def aclose(self) -> None:
        await self._inner.aclose()


def _problem(request: httpx2.Request, code: int, message: str) -> httpx2.Response:
    """A refusal whose body the client takes for the server's word. (Status 503 of MCP: a JSON-RPC error.)"""
    error = {"jsonrpc": "2.0", "id": None, "error": {"code": code, "message": message}}
    headers = {"content-type": "application/json"}
    return httpx2.Response(503, headers=headers, content=msgspec.json.encode(error), request=request)
