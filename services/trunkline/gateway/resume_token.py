"""The token by which a client takes up its call again, at any gateway that shares the secret: `rtk_<call>.<HMAC>`."""

from collections.abc import Sequence

from trunkline.gateway.signing import Signer
from trunkline.proto.ids import is_call_id

PREFIX = "rtk_"
LABEL = b"trunkline resume token v1"


class ResumeTokens:
    """secret, keys: see Signer."""

    def __init__(self, secret: str, keys: Sequence[str]) -> None:
        self._signer = Signer(LABEL, secret, keys)

    def issue(self, call: str) -> str:
        return f"{PREFIX}{call}.{self._signer.sign(call)}"

    def verify(self, token: str) -> str | None:
        """The call it names; None for a token that wasn't issued here."""
        call, _, signature = token.removeprefix(PREFIX).partition(".")
        genuine = self._signer.genuine(call, signature)
        return call if genuine and token.startswith(PREFIX) and is_call_id(call) else None
