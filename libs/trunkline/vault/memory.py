"""Sealed values in memory, for tests: passes the conformance suite of the store on NATS."""

import asyncio
import time
from collections.abc import Callable


class MemoryVaultStore:
    """ttl_s: how long a value is kept. now_s: any clock."""

    def __init__(self, *, ttl_s: float = 3600.0, now_s: Callable[[], float] = time.monotonic) -> None:
        self.values: dict[tuple[str, str], tuple[float, bytes]] = {}
        self._ttl_s = ttl_s
        self._now_s = now_s

    async def ensure(self) -> None:
        """Nothing is missing."""

    async def close(self) -> None:
        """Nothing is in flight."""

    async def put(self, call: str, token: str, sealed: bytes) -> None:
        await asyncio.sleep(0)  # others go on meanwhile, as they may while a real answer is under way
        self.values[call, token] = (self._now_s() + self._ttl_s, sealed)

    async def get(self, call: str, token: str) -> bytes | None:
        await asyncio.sleep(0)
        until_s, sealed = self.values.get((call, token), (0.0, b""))
        return sealed if self._now_s() < until_s else None
