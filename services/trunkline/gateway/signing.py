"""What gateways sign, with a key that all of an installation share and nobody else has."""

import hashlib
import hmac
from collections.abc import Sequence


class Signer:
    """secret: of the installation; empty: derived from its API keys, in any order. label: of what is signed, so that
    one kind of token is never another."""

    def __init__(self, label: bytes, secret: str, keys: Sequence[str]) -> None:
        material = secret.encode() or b"\0".join(sorted(key.encode() for key in keys))
        self._key = hmac.digest(material, label, hashlib.sha256)

    def sign(self, text: str) -> str:
        return hmac.new(self._key, text.encode("utf-8", "surrogateescape"), hashlib.sha256).hexdigest()

    def genuine(self, text: str, signature: str) -> bool:
        """In constant time."""
        return hmac.compare_digest(self.sign(text).encode(), signature.encode("utf-8", "surrogateescape"))
