"""A bucket on JetStream: a key-value bucket that forgets by itself."""

import asyncio

from nats.aio.client import Client
from nats.errors import Error as NatsError
from nats.js.api import KeyValueConfig
from nats.js.client import KV_PRE_TEMPLATE, KV_STREAM_TEMPLATE
from nats.js.kv import KV_DEL, KV_OP

from trunkline.record.nats_store import TROUBLE_LIMIT_S, configured_by_someone_else
from trunkline.record.nats_writes import ACK_LIMIT_S, NatsWrites, backoff
from trunkline.record.store import StoreUnavailable

READ_LIMIT_S = 3.0  # a tool, or a caller, waits for it


class NatsBucket:
    """client: connected; it stays the caller's. ttl_s, replicas: of the bucket, where it is made."""

    def __init__(
        self, client: Client, name: str, *, ttl_s: float, replicas: int = 1, ack_limit_s: float = ACK_LIMIT_S
    ) -> None:
        self._writes = NatsWrites(client, ack_limit_s=ack_limit_s)
        self._name = name
        self._ttl_s = ttl_s
        self._replicas = replicas

    async def ensure(self) -> None:
        await self._writes.start()
        config = KeyValueConfig(bucket=self._name, ttl=self._ttl_s, replicas=self._replicas)
        for wait_s in backoff(TROUBLE_LIMIT_S):
            try:
                with configured_by_someone_else():
                    await self._writes.jetstream.create_key_value(config)
            except (NatsError, TimeoutError):
                await asyncio.sleep(wait_s)
            else:
                return
        raise StoreUnavailable(f"the bucket {self._name}", TROUBLE_LIMIT_S)

    async def close(self) -> None:
        await self._writes.close()

    async def put(self, key: str, value: bytes) -> None:
        await self._write(key, value)

    async def delete(self, key: str) -> None:
        """Leaves a marker, which goes with the bucket's time."""
        await self._write(key, b"", {KV_OP: KV_DEL})

    async def _write(self, key: str, value: bytes, headers: dict[str, str] | None = None) -> None:
        for wait_s in backoff(TROUBLE_LIMIT_S):
            if await self._writes.publish(self._subject(key), value, headers):
                return
            await asyncio.sleep(wait_s)
        raise StoreUnavailable(key, TROUBLE_LIMIT_S)

    async def get(self, key: str) -> bytes | None:
        stream = KV_STREAM_TEMPLATE.format(bucket=self._name)
        for wait_s in backoff(READ_LIMIT_S):
            last = await self._writes.last(stream, self._subject(key))
            if last is not None:
                return last.data if last.seq and not last.removed else None
            await asyncio.sleep(wait_s)
        raise StoreUnavailable(key, READ_LIMIT_S)

    def _subject(self, key: str) -> str:
        return KV_PRE_TEMPLATE.format(bucket=self._name) + key
