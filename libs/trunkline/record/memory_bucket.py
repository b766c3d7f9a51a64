"""A bucket in memory, for tests: passes the conformance suite of the bucket on NATS."""

import asyncio
import time
from collections.abc import Callable


class MemoryBucket:
    """ttl_s: how long a value is kept. now_s: any clock."""

    def __init__(self, *, ttl_s: float = 3600.0, now_s: Callable[[], float] = time.monotonic) -> None:
        self.values: dict[str, tuple[float, bytes]] = {}
        self._ttl_s = ttl_s
        self._now_s = now_s

    async def ensure(self) -> None:
        """Nothing is missing."""

    async def close(self) -> None:
        """Nothing is in flight."""

    async def put(self, key: str, value: bytes) -> None:
        await asyncio.sleep(0)  # others go on meanwhile, as they may while a real answer is under way
        self.values[key] = (self._now_s() + self._ttl_s, value)

    async def get(self, key: str) -> bytes | None:
        await asyncio.sleep(0)
        until_s, value = self.values.get(key, (0.0, b""))
        return value if self._now_s() < until_s else None

    async def delete(self, key: str) -> None:
        await asyncio.sleep(0)
        self.values.pop(key, None)
