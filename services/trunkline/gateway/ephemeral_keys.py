"""Ephemeral keys: `ek_<id>-<maker>.<expires_at>.<HMAC>`, for clients that must not have an API key.

One opens Realtime calls until it expires, at any gateway that shares the secret and the bucket. The session bound to it
lies in the bucket, durable before the key is told. A call that is open goes on when its key expires.
"""

import time
from collections.abc import Callable, Sequence

import msgspec

from trunkline.gateway.signing import Signer
from trunkline.proto.ids import EPHEMERAL_KEY_PREFIX, new_ephemeral_key_id
from trunkline.record import Bucket

LABEL = b"trunkline ephemeral key v1"
TAG_CHARACTERS = 8
LIFE_S = (10, 7200)  # what a client may ask for
KEPT_S = LIFE_S[1] + 600.0  # that a bound session outlives every key, whatever the clocks of gateways say


class EphemeralKey(msgspec.Struct, frozen=True):
    """expires_at: whole seconds since 1970."""

    id: str
    value: str
    expires_at: int

    @property
    def maker(self) -> str:
        """The tag of the API key that made it; empty where it wasn't told."""
        return self.id.partition("-")[2]


class EphemeralKeys:
    """secret, keys: see Signer. bucket: of bound sessions. wall_s: seconds since 1970."""

    def __init__(
        self, secret: str, keys: Sequence[str], bucket: Bucket, wall_s: Callable[[], float] = time.time
    ) -> None:
        self._signer = Signer(LABEL, secret, keys)
        self._bucket = bucket
        self._wall_s = wall_s

    def tag_of(self, api_key: str) -> str:
        """Tells API keys apart, the same at all gateways; nobody without the secret can tell which key it is of."""
        return self._signer.sign(f"tag {api_key}")[:TAG_CHARACTERS]

    async def mint(self, session: bytes, for_s: int, maker: str = "") -> EphemeralKey:
        """session: JSON that is bound to it, by the client. maker: the tag of the API key that asks for it.

        Raises StoreUnavailable; then there is no key.
        """
        name, expires_at = new_ephemeral_key_id() + (f"-{maker}" if maker else ""), int(self._wall_s()) + for_s
        await self._bucket.put(name, session)
        signed = f"{name}.{expires_at}"
        return EphemeralKey(name, f"{signed}.{self._signer.sign(signed)}", expires_at)

    def read(self, value: str) -> EphemeralKey | None:
        """None for what isn't a key of this installation; one that has expired is."""
        signed, _, signature = value.rpartition(".")
        name, _, expires_at = signed.partition(".")
        if not self._signer.genuine(signed, signature) or not name.startswith(EPHEMERAL_KEY_PREFIX):
            return None
        return EphemeralKey(name, value, int(expires_at))

    def has_expired(self, key: EphemeralKey) -> bool:
        return self._wall_s() >= key.expires_at

    async def session_of(self, key: EphemeralKey) -> bytes | None:
        """None where it is no longer kept. Raises StoreUnavailable."""
        return await self._bucket.get(key.id)
