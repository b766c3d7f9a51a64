"""How much goes on at this gateway for each API key: calls, and requests of the HTTP APIs. Pure.

A key is known by its tag alone, which tells nothing of it. What an ephemeral key opened counts for the key that made
it.
"""

import contextlib
from collections import Counter
from collections.abc import Iterator

from trunkline.gateway import metrics
from trunkline.proto.errors import TrunklineError

RETRY_S = 5.0  # a call lasts; who has its most needn't ask every second


class KeyRefused(TrunklineError):
    """Told to the client as it stands. status: 401, 403, 429, or 503 where nobody can tell yet."""

    def __init__(self, status: int, code: str, message: str, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.status, self.code, self.retry_after_s = status, code, retry_after_s


class KeyUse:
    """most: calls and requests at a time for one key, 0 for no limit. Nobody's (tag "") are not counted."""

    def __init__(self, most: int = 0) -> None:
        self._most = most
        self._held: Counter[str] = Counter()

    def __getitem__(self, tag: str) -> int:
        return self._held[tag]

    def require(self, tag: str) -> None:
        """Room for one more. Raises KeyRefused."""
        if self._most and tag and self._held[tag] >= self._most:
            metrics.over_key_limit.inc()
            problem = (
                f"this API key has its {self._most} calls and requests at this gateway; end one, or come back later"
            )
            raise KeyRefused(429, "rate_limit_exceeded", problem, RETRY_S)

    def take(self, tag: str) -> None:
        """Whether there is room or not: a call that comes back is not refused."""
        if tag:
            self._held[tag] += 1

    def give_back(self, tag: str) -> None:
        if tag:
            self._held[tag] -= 1
            if not self._held[tag]:
                del self._held[tag]

    @contextlib.contextmanager
    def held(self, tag: str) -> Iterator[None]:
        """One request. Raises KeyRefused."""
        self.require(tag)
        self.take(tag)
        try:
            yield
        finally:
            self.give_back(tag)
