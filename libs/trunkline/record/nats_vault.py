"""Sealed values on JetStream: a key-value bucket that forgets them by itself."""

import asyncio

from nats.aio.client import Client
from nats.errors import Error as NatsError
from nats.js.api import KeyValueConfig
from nats.js.client import KV_PRE_TEMPLATE, KV_STREAM_TEMPLATE

from trunkline.proto import subjects
from trunkline.record.nats_store import TROUBLE_LIMIT_S, configured_by_someone_else
from trunkline.record.nats_writes import ACK_LIMIT_S, NatsWrites, backoff
from trunkline.record.store import StoreUnavailable

READ_LIMIT_S = 3.0  # a tool waits for it


class NatsVaultStore:
    """client: connected; it stays the caller's. ttl_s, replicas: of the bucket, where it is made."""

    def __init__(
        self, client: Client, *, ttl_s: float = 3600.0, replicas: int = 1, ack_limit_s: float = ACK_LIMIT_S
    ) -> None:
        self._writes = NatsWrites(client, ack_limit_s=ack_limit_s)
        self._ttl_s = ttl_s
        self._replicas = replicas

    async def ensure(self) -> None:
        await self._writes.start()
        config = KeyValueConfig(bucket=subjects.VAULT_BUCKET, ttl=self._ttl_s, replicas=self._replicas)
        for wait_s in backoff(TROUBLE_LIMIT_S):
            try:
                with configured_by_someone_else():
                    await self._writes.jetstream.create_key_value(config)
            except (NatsError, TimeoutError):
                await asyncio.sleep(wait_s)
            else:
                return
        raise StoreUnavailable("the vault's bucket", TROUBLE_LIMIT_S)

    async def close(self) -> None:
        await self._writes.close()

    async def put(self, call: str, token: str, sealed: bytes) -> None:
        for wait_s in backoff(TROUBLE_LIMIT_S):
            if await self._writes.publish(_subject(call, token), sealed):
                return
            await asyncio.sleep(wait_s)
        raise StoreUnavailable(token, TROUBLE_LIMIT_S)

    async def get(self, call: str, token: str) -> bytes | None:
        stream = KV_STREAM_TEMPLATE.format(bucket=subjects.VAULT_BUCKET)
        for wait_s in backoff(READ_LIMIT_S):
            last = await self._writes.last(stream, _subject(call, token))
            if last is not None:
                return last.data if last.seq else None
            await asyncio.sleep(wait_s)
        raise StoreUnavailable(token, READ_LIMIT_S)


def _subject(call: str, token: str) -> str:
    return KV_PRE_TEMPLATE.format(bucket=subjects.VAULT_BUCKET) + f"{call}.{token}"
