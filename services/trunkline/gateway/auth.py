"""Keys, and refusals in the vendor's error shape. A key is compared in constant time and never logged.

An API key opens everything; an ephemeral key Realtime calls alone.
"""

import hashlib
import hmac
import math
from collections.abc import Callable, Mapping

import msgspec
from aiohttp import web

from trunkline.gateway import metrics
from trunkline.gateway.ephemeral_keys import EphemeralKey, EphemeralKeys
from trunkline.gateway.key_use import KeyRefused, KeyUse
from trunkline.proto.errors import BadInput
from trunkline.proto.ids import EPHEMERAL_KEY_PREFIX
from trunkline.record import StoreUnavailable

Door = Callable[[str], None]  # gets the tag of an API key
KEY_PROTOCOL = "openai-insecure-api-key."  # a browser's WebSocket sends no header but its subprotocols


class Admitted(msgspec.Struct, frozen=True):
    """Who may call. session: JSON of what an ephemeral key is bound to, null for nothing; None for an API key.

    key: the tag of the API key that it is, or that made it; empty for an ephemeral key of an earlier release.
    """

    session: bytes | None = None
    key: str = ""


class Keys:
    def __init__(self, keys: list[str], ephemeral: EphemeralKeys, use: KeyUse) -> None:
        """No keys: nobody is let in, for whatever is derived from no key is known to all."""
        self.use = use
        self._digests = [_digest(key) for key in keys]
        self._tags = [ephemeral.tag_of(key) for key in keys]
        self._ephemeral = ephemeral

    def require_api_key(self, request: web.Request) -> str:
        """For all but calls. Its tag. Raises KeyRefused."""
        key = _bearer(request)
        if tag := self._tag_of(key):
            return tag
        if self._read(key) is not None:
            raise KeyRefused(403, "insufficient_permissions", "an ephemeral key opens Realtime calls only")
        raise KeyRefused(401, "invalid_api_key", "the API key is missing or wrong; send `Authorization: Bearer KEY`")

    async def admit(self, request: web.Request, door: Door | None, *, again: bool = False) -> Admitted:
        """To a call. door: whether there is any place for whoever has a key, before anybody is asked about the key.

        again: to one that is open, which an ephemeral key may have outlived. Raises KeyRefused, and what the door does.
        """
        try:
            return await self._admit(_bearer(request) or _from_subprotocols(request), door, again)
        except KeyRefused:
            metrics.refused.labels("key", "").inc()
            raise

    async def _admit(self, key: str, door: Door | None, again: bool) -> Admitted:
        if tag := self._tag_of(key):
            return Admitted(key=tag)  # its call is refused when it is made: nobody was asked
        ephemeral = self._read(key)
        if ephemeral is None:
            allowed = "send `Authorization: Bearer KEY`, an API key or an ephemeral key (ek_…) of this installation"
            raise KeyRefused(401, "invalid_api_key", f"the API key is missing or wrong; {allowed}")
        if self._ephemeral.has_expired(ephemeral) and not again:
            raise KeyRefused(401, "ephemeral_key_expired", "the ephemeral key has expired; make a new one")
        if door is not None:
            door(ephemeral.maker)
        try:
            session = await self._ephemeral.session_of(ephemeral)
        except StoreUnavailable as unavailable:
            raise KeyRefused(503, "store_unavailable", str(unavailable), 1.0) from unavailable
        if session is None and not again:
            raise KeyRefused(401, "invalid_api_key", "the session of the ephemeral key is gone; make a new key")
        return Admitted(session or b"null", ephemeral.maker)

    def _tag_of(self, key: str) -> str:
        """Empty for what is no API key."""
        digest = _digest(key)
        matches = [hmac.compare_digest(digest, known) for known in self._digests]  # each of them, always
        return self._tags[matches.index(True)] if any(matches) else ""

    def _read(self, key: str) -> EphemeralKey | None:
        return self._ephemeral.read(key) if self._digests and key.startswith(EPHEMERAL_KEY_PREFIX) else None


def _bearer(request: web.Request) -> str:
    scheme, _, key = request.headers.get("Authorization", "").partition(" ")
    return key.strip() if scheme.lower() == "bearer" else ""


def _from_subprotocols(request: web.Request) -> str:
    """Offered beside `realtime`, which alone is selected."""
    offered = (one.strip() for one in request.headers.get("Sec-WebSocket-Protocol", "").split(","))
    return next((one.removeprefix(KEY_PROTOCOL) for one in offered if one.startswith(KEY_PROTOCOL)), "")


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


def refuse_input(error: BadInput) -> web.Response:
    status = 404 if error.code == "model_not_found" else 400
    return refuse(status, error.code, str(error), param=error.param or None)


def answer(body: object, *, status: int = 200, headers: dict[str, str] | None = None) -> web.Response:
    return web.Response(body=msgspec.json.encode(body), status=status, headers=headers, content_type="application/json")
