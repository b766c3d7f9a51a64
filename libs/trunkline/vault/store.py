"""Where sealed values are kept for a while: by call and token. The store can read none of them."""

from typing import Protocol


class VaultStore(Protocol):
    async def ensure(self) -> None:
        """Makes what is missing; call it before anything else. Raises StoreUnavailable."""
        ...

    async def close(self) -> None:
        """What is still in flight ends as StoreUnavailable."""
        ...

    async def put(self, call: str, token: str, sealed: bytes) -> None:
        """Kept from now on for the store's time, in place of what was there. Raises StoreUnavailable."""
        ...

    async def get(self, call: str, token: str) -> bytes | None:
        """As of now; None for what was never kept, or no longer is. Raises StoreUnavailable."""
        ...
