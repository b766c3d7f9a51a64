"""Where a gateway keeps what it doesn't hold itself."""

from typing import NamedTuple

from trunkline.record import Bucket, FileStore, RecordStore


class Stores(NamedTuple):
    """sessions: bound to ephemeral keys. responses: of the Responses API. files: pictures that agents are shown."""

    record: RecordStore
    sessions: Bucket
    responses: Bucket
    files: FileStore

    async def ensure(self) -> None:
        """Raises StoreUnavailable."""
        for store in self:
            await store.ensure()

    async def close(self) -> None:
        for store in reversed(self):
            await store.close()
