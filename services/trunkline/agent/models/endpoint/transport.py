"""One HTTP session for all rounds: a request out, the events of the answer in.

Whoever stops reading closes the connection at once, so that the server sees it; one that was read to its end is used
again.
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable
from typing import TypeVar

import aiohttp
import msgspec

from trunkline.agent.models.endpoint.errors import EndpointFailed, fault
from trunkline.agent.models.endpoint.options import Endpoint, Limits
from trunkline.agent.models.endpoint.retrying import retry_after_s
from trunkline.agent.models.endpoint.sse import EventReader, StreamOverlong

KEEP_ALIVE_S = 60.0  # of a connection between two rounds
REFUSAL_LIMIT_BYTES = 64 * 1024  # of an error's body that is read
STREAM_LIMIT_BYTES = 64 * 1024 * 1024  # of a round, so that an endless one ends
PICTURE_HINT = "; if this model sees no pictures, set TRUNKLINE_MODEL_PICTURES=omit"
PHASE_HINT = "; if this endpoint knows no phase, set TRUNKLINE_MODEL_PHASE=omit"

T = TypeVar("T")


class Patience:
    """How long one attempt is waited for: time in which the answer's reader does something else isn't counted."""

    def __init__(self, endpoint: Endpoint, first_token_s: float, idle_s: float) -> None:
        self._endpoint = endpoint
        self._left_s = first_token_s
        self._idle_s = idle_s
        self._problem = f"no first token within {first_token_s:.3g} s"

    def heard(self) -> None:
        """The model has begun, and here is an event of it."""
        self._left_s = self._idle_s
        self._problem = f"nothing for {self._idle_s:.3g} s in mid-answer"

    async def wait(self, awaited: Awaitable[T]) -> T:
        """Raises EndpointFailed."""
        loop = asyncio.get_running_loop()
        began_s = loop.time()
        try:
            async with asyncio.timeout(self._left_s):
                return await awaited
        except TimeoutError:
            raise EndpointFailed(self._endpoint, self._problem, code="timeout", elsewhere=True) from None
        finally:
            self._left_s = max(0.0, self._left_s - (loop.time() - began_s))


class Transport:
    def __init__(self, limits: Limits) -> None:
        self._timeout = aiohttp.ClientTimeout(total=None, connect=limits.connect_s)
        self._session: aiohttp.ClientSession | None = None

    async def events(
        self, endpoint: Endpoint, path: str, body: bytes, patience: Patience
    ) -> AsyncGenerator[bytes, None]:
        """The data of each event of the answer. Raises EndpointFailed."""
        response = await patience.wait(self._post(endpoint, path, body))
        try:
            if response.status != 200 or response.content_type in ("text/html", "application/json"):
                raise await patience.wait(_refusal(endpoint, response))
            reader, size = EventReader(), 0
            while received := await patience.wait(_read(endpoint, response)):
                size += len(received)
                if size > STREAM_LIMIT_BYTES:
                    raise EndpointFailed(endpoint, f"the answer is longer than {STREAM_LIMIT_BYTES} bytes")
                for data in reader.feed(received):
                    yield data
            for data in reader.end():
                yield data
        except StreamOverlong as error:
            raise EndpointFailed(endpoint, str(error)) from None
        finally:
            response.close()  # closes the connection, if the answer was not read to its end

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()

    async def _post(self, endpoint: Endpoint, path: str, body: bytes) -> aiohttp.ClientResponse:
        if self._session is None:  # made here: it wants a running loop
            connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=KEEP_ALIVE_S)  # as many as there are calls
            self._session = aiohttp.ClientSession(connector=connector, timeout=self._timeout)
        headers = {"Content-Type": "application/json", "Accept": "text/event-stream"}
        if endpoint.key:
            headers["Authorization"] = f"Bearer {endpoint.key}"
        try:
            return await self._session.post(endpoint.url + path, data=body, headers=headers, allow_redirects=False)
        except (aiohttp.ClientError, OSError) as error:
            problem = f"can't be reached: {str(error) or type(error).__name__}"
            raise EndpointFailed(endpoint, problem, code="connect", retryable=True) from None


async def _read(endpoint: Endpoint, response: aiohttp.ClientResponse) -> bytes:
    try:
        return await response.content.readany()
    except (aiohttp.ClientError, OSError) as error:
        problem = f"the connection broke in mid-answer: {type(error).__name__}"
        raise EndpointFailed(endpoint, problem, code="connect", retryable=True) from None


async def _refusal(endpoint: Endpoint, response: aiohttp.ClientResponse) -> EndpointFailed:
    """What an answer that is no stream of events says."""
    body = bytearray()
    while len(body) < REFUSAL_LIMIT_BYTES and (received := await _read(endpoint, response)):
        body += received
    status, error = response.status, _error_in(bytes(body))
    if 300 <= status < 400:
        return EndpointFailed(endpoint, "redirects; is TRUNKLINE_MODEL_URL right?", status=status)
    if error is None:
        what = "an HTML page" if response.content_type == "text/html" else f"{response.content_type}, no error in it"
        problem = f"answered with {what} instead of events; is TRUNKLINE_MODEL_URL right?"
        return fault(endpoint, problem, status=status, retry_after_s=retry_after_s(response.headers))
    return fault(
        endpoint,
        error,
        status=status if status != 200 else 0,
        retry_after_s=retry_after_s(response.headers),
        hint=_hint(bytes(body).lower()) if status in (400, 422) else "",
    )


def _hint(body: bytes) -> str:
    if b"phase" in body:
        return PHASE_HINT
    return PICTURE_HINT if any(word in body for word in (b"image", b"vision", b"multimodal", b"mmproj")) else ""


def _error_in(body: bytes) -> object:
    """None if there is none."""
    try:
        answer: object = msgspec.json.decode(body)
    except (msgspec.DecodeError, RecursionError):
        return None
    if not isinstance(answer, dict):
        return None
    return answer.get("error") or (answer if answer.get("message") or answer.get("detail") else None)
