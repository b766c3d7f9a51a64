"""The token by which a client takes up its call again, at any gateway that shares the secret: `rtk_<call>.<HMAC>`."""

import hashlib
import hmac
from collections.abc import Sequence

from trunkline.proto.ids import is_call_id

PREFIX = "rtk_"
LABEL = b"trunkline resume token v1"


class ResumeTokens:
    def __init__(self, secret: str, keys: Sequence[str]) -> None:
        """secret: of the installation; empty: derived from its API keys, in any order."""
        material = secret.encode() or b"\0".join(sorted(key.encode() for key in keys))
        self._key = hmac.digest(material, LABEL, hashlib.sha256)

    def issue(self, call: str) -> str:
        return f"{PREFIX}{call}.{self._signature(call)}"

    def verify(self, token: str) -> str | None:
        """The call it names; None for a token that wasn't issued here."""
        call, _, signature = token.removeprefix(PREFIX).partition(".")
        genuine = hmac.compare_digest(self._signature(call).encode(), signature.encode("utf-8", "surrogateescape"))
        return call if genuine and token.startswith(PREFIX) and is_call_id(call) else None

    def _signature(self, call: str) -> str:
        return hmac.new(self._key, call.encode("utf-8", "surrogateescape"), hashlib.sha256).hexdigest()
