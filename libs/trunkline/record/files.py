"""Files that people give: pictures that an agent is shown. What was put is durable once `put` returns."""

from typing import Literal, Protocol

import msgspec

Purpose = Literal["vision", "user_data", "inline"]
"""What it was uploaded for; inline: it wasn't, it came within a message."""


FILES_KEPT_S = 30 * 86_400.0  # where a file has no end of its own


class FileFacts(msgspec.Struct, frozen=True):
    """id: `file_…`. name: as its giver calls it, empty where it has none. size: bytes. at_s, expires_s: seconds since
    1970; expires_s 0: with the store's own time. width, height: pixels, of a picture; 0 otherwise."""

    id: str
    name: str
    purpose: Purpose
    media_type: str
    size: int
    at_s: int
    expires_s: int = 0
    width: int = 0
    height: int = 0


class FileStore(Protocol):
    async def ensure(self) -> None:
        """Makes what is missing; call it before anything else. Raises StoreUnavailable."""
        ...

    async def close(self) -> None:
        """What is still in flight ends as StoreUnavailable."""
        ...

    async def put(self, facts: FileFacts, data: bytes) -> None:
        """Raises StoreUnavailable."""
        ...

    async def facts(self, file: str) -> FileFacts | None:
        """None for what was never put, was deleted, or has expired. Raises StoreUnavailable."""
        ...

    async def get(self, file: str) -> bytes | None:
        """Whole, and as it was put; None as for `facts`. Raises StoreUnavailable."""
        ...

    async def delete(self, file: str) -> bool:
        """Whether it was there. Raises StoreUnavailable."""
        ...

    async def all(self) -> list[FileFacts]:
        """Newest first. Raises StoreUnavailable."""
        ...
