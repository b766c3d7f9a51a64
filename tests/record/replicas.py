"""Reads from a cluster: a replica that lags behind may answer, so what was acknowledged is asked for until it comes."""

import asyncio

from trunkline.record import RecordStore

LIMIT_S = 30.0  # on a busy machine


async def read_all(store: RecordStore, call: str, entries: int) -> list[bytes]:
    """Data of what is kept, once it is so many. Raises TimeoutError."""
    async with asyncio.timeout(LIMIT_S):
        while len(kept := await store.read(call)) < entries:  # noqa: ASYNC110  # another program catches up
            await asyncio.sleep(0.05)
    return [entry.data for entry in kept]
