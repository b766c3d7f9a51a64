"""Questions to a gateway's HTTP API, one at a time. What doesn't answer is GatewaySilent, a refusal is Refused."""

import asyncio
import os
from collections.abc import Mapping

import aiohttp
import msgspec

from trunkline.cli.errors import GatewaySilent, Refused
from trunkline.cli.stack import Address

TIMEOUT_S = 10.0


class _ErrorBody(msgspec.Struct):
    message: str = ""


class _ErrorAnswer(msgspec.Struct):
    """The vendor's shape: {"error": {"message": …}}."""

    error: _ErrorBody


def get(address: Address, path: str) -> bytes:
    """The body of a 200 answer. Raises GatewaySilent, Refused."""
    return asyncio.run(fetch(address, path))


def post(address: Address, path: str, body: Mapping[str, object], *, wait_s: float = TIMEOUT_S) -> bytes:
    """body: sent as JSON. Raises as get does."""
    return asyncio.run(_ask(address, "POST", path, msgspec.json.encode(body), wait_s))


def delete(address: Address, path: str) -> bytes:
    """Raises as get does."""
    return asyncio.run(_ask(address, "DELETE", path, None, TIMEOUT_S))


async def fetch(address: Address, path: str) -> bytes:
    """As get, within a running loop."""
    return await _ask(address, "GET", path, None, TIMEOUT_S)


async def _ask(address: Address, method: str, path: str, body: bytes | None, wait_s: float) -> bytes:
    url = f"{address.base}{path}"
    headers = {"Authorization": f"Bearer {address.key}"} if address.key else {}
    try:
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=wait_s)) as session,
            session.request(method, url, headers=headers, data=body) as answer,
        ):
            told = await answer.read()
    except (aiohttp.ClientError, OSError, TimeoutError) as error:
        raise GatewaySilent(address.base, reason(error)) from error
    if answer.status != 200:
        raise Refused(url, answer.status, error_message(told))
    return told


def error_message(body: bytes) -> str:
    """The words of the vendor's error object, or the start of whatever came instead."""
    try:
        return msgspec.json.decode(body, type=_ErrorAnswer).error.message
    except msgspec.MsgspecError:
        return body[:200].decode(errors="replace").strip() or "no reason given"


def reason(error: BaseException) -> str:
    """Of a connection that failed, in a few words."""
    if isinstance(error, OSError) and error.errno:
        return os.strerror(error.errno)
    return str(error) or type(error).__name__
