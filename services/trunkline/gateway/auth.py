"""API keys, and refusals in the vendor's error shape. A key is compared in constant time and never logged."""

import hashlib
import hmac
import math
from collections.abc import Mapping

import msgspec
from aiohttp import web


class Admitted(msgspec.Struct, frozen=True):
    """Who may call. session: JSON of what the key is bound to, None for a key that is bound to nothing."""

    session: bytes | None = None


class Keys:
    def __init__(self, keys: list[str]) -> None:
        """No keys: nobody is let in."""
        self._digests = [_digest(key) for key in keys]

    def allow(self, request: web.Request) -> bool:
        scheme, _, key = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "bearer":
            return False
        digest = _digest(key.strip())
        matches = [hmac.compare_digest(digest, known) for known in self._digests]  # each of them, always
        return any(matches)

    async def admit(self, request: web.Request) -> Admitted | None:
        """To a call; None for nobody."""
        return Admitted() if self.allow(request) else None


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).digest()


def refuse(
    status: int,
    code: str,
    message: str,
    *,
    param: str | None = None,
    retry_after_s: float | None = None,
    facts: Mapping[str, object] | None = None,
) -> web.Response:
    """An HTTP answer like {"error": {"message", "type", "param", "code"}}. facts: that stand beside the error."""
    kind = "invalid_request_error" if status < 500 else "server_error"
    body = {"error": {"message": message, "type": kind, "param": param, "code": code}, **(facts or {})}
    headers = {} if retry_after_s is None else {"Retry-After": str(max(1, math.ceil(retry_after_s)))}
    return answer(body, status=status, headers=headers)


def answer(body: object, *, status: int = 200, headers: dict[str, str] | None = None) -> web.Response:
    return web.Response(body=msgspec.json.encode(body), status=status, headers=headers, content_type="application/json")
