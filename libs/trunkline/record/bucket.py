"""Values under keys, forgotten after a time by themselves. What was put is durable once `put` returns."""

from typing import Protocol


class Bucket(Protocol):
    async def ensure(self) -> None:
        """Makes what is missing; call it before anything else. Raises StoreUnavailable."""
        ...

    async def close(self) -> None:
        """What is still in flight ends as StoreUnavailable."""
        ...

    async def put(self, key: str, value: bytes) -> None:
        """key: letters, digits, - and _, in parts joined by dots. Kept from now on for the bucket's time, in place of
        what was there. Raises StoreUnavailable, of which StoreFull where it would go over the bucket's limit."""
        ...

    async def require_room(self, size_bytes: int) -> None:
        """For one more value of that size, as far as that can be seen now. Raises StoreFull."""
        ...

    async def get(self, key: str) -> bytes | None:
        """As of now, at any process; None for what was never kept, or no longer is. Raises StoreUnavailable."""
        ...

    async def delete(self, key: str) -> None:
        """What is kept under it, if anything, is gone once this returns. Raises StoreUnavailable."""
        ...
