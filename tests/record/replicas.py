"""Reads from a cluster: a replica that lags behind may answer, so what was acknowledged is waited for first."""

import asyncio

from nats.aio.client import Client
from nats.js.client import KV_STREAM_TEMPLATE
from nats.js.object_store import OBJ_STREAM_TEMPLATE

from support.nats_cluster import NatsCluster
from trunkline.proto import subjects
from trunkline.proto.ids import shard_of
from trunkline.proto.record import CallSummary
from trunkline.record import FileFacts, NatsFileStore, NatsRecordStore, RecordStore, StoredEntry

LIMIT_S = 30.0  # on a busy machine


async def read_all(store: RecordStore, call: str, entries: int) -> list[bytes]:
    """Data of what is kept, once it is so many. Raises TimeoutError."""
    async with asyncio.timeout(LIMIT_S):
        while len(kept := await store.read(call)) < entries:  # noqa: ASYNC110  # another program catches up
            await asyncio.sleep(0.05)
    return [entry.data for entry in kept]


class LevelRecords(NatsRecordStore):
    """Reads when all copies are level."""

    def __init__(self, cluster: NatsCluster, client: Client) -> None:
        super().__init__(client, replicas=len(cluster.nodes))
        self._cluster = cluster

    async def read(self, call: str, *, after_seq: int = 0) -> list[StoredEntry]:
        await asyncio.to_thread(self._cluster.until_level, subjects.stream(shard_of(call)))
        return await super().read(call, after_seq=after_seq)

    async def summaries(self) -> list[CallSummary]:
        await asyncio.to_thread(self._cluster.until_level, KV_STREAM_TEMPLATE.format(bucket=subjects.INDEX_BUCKET))
        return await super().summaries()


class LevelFiles(NatsFileStore):
    """Reads when all copies are level."""

    def __init__(self, cluster: NatsCluster, client: Client, name: str, limit_bytes: int) -> None:
        super().__init__(client, name, limit_bytes=limit_bytes, replicas=len(cluster.nodes))
        self._cluster = cluster
        self._of = OBJ_STREAM_TEMPLATE.format(bucket=name)

    async def get(self, file: str) -> bytes | None:
        await asyncio.to_thread(self._cluster.until_level, self._of)
        return await super().get(file)

    async def all(self) -> list[FileFacts]:
        await asyncio.to_thread(self._cluster.until_level, self._of)
        return await super().all()
