"""A file store in memory, for tests and stacks of one process."""

import time
from collections.abc import Callable

from trunkline.record.files import FileFacts


class MemoryFileStore:
    """now_s: seconds since 1970."""

    def __init__(self, now_s: Callable[[], float] = time.time) -> None:
        self._now_s = now_s
        self._files: dict[str, tuple[FileFacts, bytes]] = {}

    async def ensure(self) -> None:
        """Nothing is missing."""

    async def close(self) -> None:
        """Nothing is in flight."""

    async def put(self, facts: FileFacts, data: bytes) -> None:
        self._files[facts.id] = (facts, data)

    async def facts(self, file: str) -> FileFacts | None:
        found = self._found(file)
        return found[0] if found is not None else None

    async def get(self, file: str) -> bytes | None:
        found = self._found(file)
        return found[1] if found is not None else None

    async def delete(self, file: str) -> bool:
        found = self._found(file)
        self._files.pop(file, None)
        return found is not None

    async def all(self) -> list[FileFacts]:
        known = [found[0] for file in self._files if (found := self._found(file)) is not None]
        return sorted(known, key=lambda facts: facts.at_s, reverse=True)

    def _found(self, file: str) -> tuple[FileFacts, bytes] | None:
        found = self._files.get(file)
        if found is None or 0 < found[0].expires_s <= self._now_s():
            return None
        return found
