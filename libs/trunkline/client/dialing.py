"""Reaching a gateway: one of several addresses, tried in turn; when coming back, tries overlap and the first wins.

A try has no effect on a call until its first event is sent, so any number may be made.
"""

import asyncio
import base64
import contextlib
import os
import secrets
from collections.abc import Sequence

import aiohttp
import msgspec

from trunkline.client.errors import Refused, Unreachable
from trunkline.client.events import BINARY, RESUME, STOCK
from trunkline.client.socket import HUNG_UP, MOVED

CONNECT_LIMIT_S = 10.0
TRY_LIMIT_S = 3.0
TRY_AFTER_S = (
    0.1  # while the first try is still unanswered; doubles with every try, for who is slow isn't helped by more
)
TRY_AFTER_LIMIT_S = 1.6
LEAVE_LIMIT_S = 0.2  # for sockets that answered too late: the one that goes on waits for its first word meanwhile
OVER = 410  # this call has ended
NO_BINARY = 101  # the status of a gateway that agreed to the upgrade and not to the dialect
LATER = frozenset((NO_BINARY, 502, 503, 504))  # statuses worth another try


def fresh_connections() -> aiohttp.TCPConnector:
    """Each try connects anew: the one on which a gateway refused leads to that gateway, though another has its port."""
    return aiohttp.TCPConnector(force_close=True)


class _Body(msgspec.Struct):
    message: str = ""


class _Answer(msgspec.Struct):
    """The vendor's shape: {"error": {"message": …}}."""

    error: _Body


class Dialer:
    """urls: ws(s)://host:port/v1/realtime; any of them may be a balancer's. binary: the dialect to ask for first;
    must: to take no other."""

    def __init__(
        self,
        session: aiohttp.ClientSession,
        urls: Sequence[str],
        key: str,
        model: str,
        *,
        binary: bool = False,
        must: bool = False,
    ) -> None:
        self._session = session
        self._urls = list(urls)
        self._headers = {"Authorization": f"Bearer {key}"} if key else {}
        self._params = {"model": model} if model else {}
        self._protocols = (BINARY, RESUME, STOCK) if binary else (RESUME, STOCK)
        self._must = must

    async def dial(self) -> tuple[aiohttp.ClientWebSocketResponse, str]:
        """For a new call. Raises Refused, Unreachable: of the last address, when none takes it."""
        for url in self._urls[:-1]:
            with contextlib.suppress(Unreachable, Refused):
                return await self._open(url, self._params, CONNECT_LIMIT_S), url
        return await self._open(self._urls[-1], self._params, CONNECT_LIMIT_S), self._urls[-1]

    async def dial_again(self, token: str, avoid: str = "") -> tuple[aiohttp.ClientWebSocketResponse, str]:
        """For a call that goes on; until one answers, or for ever. avoid: an address to try last.

        Raises Refused when the call can't be taken up by anybody.
        """
        urls = [url for url in self._urls if url != avoid] + [url for url in self._urls if url == avoid]
        tries: dict[asyncio.Task[aiohttp.ClientWebSocketResponse], str] = {}
        number = 0
        wait_s = TRY_AFTER_S
        try:
            while True:
                url = urls[number % len(urls)]
                number += 1
                tries[asyncio.create_task(self._open(url, {"resume_token": token}, TRY_LIMIT_S))] = url
                done, _ = await asyncio.wait(tries, timeout=wait_s, return_when=asyncio.FIRST_COMPLETED)
                wait_s = TRY_AFTER_S if done else min(2 * wait_s, TRY_AFTER_LIMIT_S)
                for task in done:
                    at = tries.pop(task)
                    try:
                        return task.result(), at
                    except Unreachable:
                        pass
                    except Refused as refusal:
                        if refusal.status not in LATER:
                            raise
                if done and number % len(urls) == 0:
                    await asyncio.sleep(TRY_AFTER_S)
        finally:
            await _let_go(tries)

    async def _open(self, url: str, params: dict[str, str], limit_s: float) -> aiohttp.ClientWebSocketResponse:
        try:
            async with asyncio.timeout(limit_s):
                socket = await self._session.ws_connect(
                    url,
                    headers=self._headers,
                    params=params,
                    protocols=self._protocols,
                    autoping=False,
                    max_msg_size=0,
                )
                if not self._must or socket.protocol == BINARY:
                    return socket
                await socket.close(code=MOVED if "resume_token" in params else HUNG_UP)
                raise Refused(url, NO_BINARY, f"it knows no {BINARY}")
        except aiohttp.WSServerHandshakeError as error:
            tried_again = "resume_token" in params and error.status in LATER  # whatever the reason
            why = "" if tried_again else await self._refusal(url, params)
            raise Refused(url, error.status, why or error.message) from error
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise Unreachable(url, reason(error)) from error

    async def _refusal(self, url: str, params: dict[str, str]) -> str:
        """Why the upgrade was refused: aiohttp drops that answer's body, so it is asked by hand (RFC 6455, 4.1)."""
        upgrade = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13"}
        upgrade["Sec-WebSocket-Key"] = base64.b64encode(secrets.token_bytes(16)).decode()
        address = f"http{url.removeprefix('ws')}"
        with contextlib.suppress(aiohttp.ClientError, OSError, TimeoutError):
            async with (
                asyncio.timeout(TRY_LIMIT_S),
                self._session.get(address, headers=self._headers | upgrade, params=params) as answer,
            ):
                return message_of(await answer.read()) if answer.status >= 400 else ""
        return ""


async def _let_go(tries: dict[asyncio.Task[aiohttp.ClientWebSocketResponse], str]) -> None:
    for task in tries:
        task.cancel()
    answers = await asyncio.gather(*tries, return_exceptions=True)
    late = [answer for answer in answers if isinstance(answer, aiohttp.ClientWebSocketResponse)]
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(LEAVE_LIMIT_S):
            await asyncio.gather(*(socket.close() for socket in late), return_exceptions=True)


def message_of(body: bytes) -> str:
    """The words of the vendor's error object, or the start of whatever came instead."""
    try:
        return msgspec.json.decode(body, type=_Answer).error.message
    except msgspec.MsgspecError:
        return body[:200].decode(errors="replace").strip() or "no reason given"


def reason(error: BaseException) -> str:
    """Of a connection that failed, in a few words."""
    if isinstance(error, OSError) and error.errno:
        return os.strerror(error.errno)
    return str(error) or type(error).__name__
