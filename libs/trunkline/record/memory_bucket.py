"""A bucket in memory, for tests: passes the conformance suite of the bucket on NATS."""

import asyncio
import time
from collections.abc import Callable

from trunkline.record.store import StoreFull


class MemoryBucket:
    """ttl_s: how long a value is kept. limit_bytes: of all values, 0 for none. now_s: any clock."""

    def __init__(
        self, *, ttl_s: float = 3600.0, limit_bytes: int = 0, now_s: Callable[[], float] = time.monotonic
    ) -> None:
        self.values: dict[str, tuple[float, bytes]] = {}
        self._ttl_s = ttl_s
        self.limit_bytes = limit_bytes
        self._now_s = now_s

    async def ensure(self) -> None:
        """Nothing is missing."""

    async def close(self) -> None:
        """Nothing is in flight."""

    async def put(self, key: str, value: bytes) -> None:
        await self.require_room(len(value))
        self.values[key] = (self._now_s() + self._ttl_s, value)

    async def require_room(self, size_bytes: int) -> None:
        await asyncio.sleep(0)  # others go on meanwhile, as they may while a real answer is under way
        taken_bytes = sum(len(value) for until_s, value in self.values.values() if self._now_s() < until_s)
        if 0 < self.limit_bytes < taken_bytes + size_bytes:
            raise StoreFull("the bucket", self.limit_bytes)

    async def get(self, key: str) -> bytes | None:
        await asyncio.sleep(0)
        until_s, value = self.values.get(key, (0.0, b""))
        return value if self._now_s() < until_s else None

    async def delete(self, key: str) -> None:
        await asyncio.sleep(0)
        self.values.pop(key, None)
