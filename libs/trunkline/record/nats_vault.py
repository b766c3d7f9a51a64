"""Sealed values on JetStream: a bucket whose keys are calls and tokens."""

from nats.aio.client import Client

from trunkline.proto import subjects
from trunkline.record.nats_bucket import NatsBucket
from trunkline.record.nats_writes import ACK_LIMIT_S


class NatsVaultStore:
    """client: connected; it stays the caller's. ttl_s, replicas: of the bucket, where it is made."""

    def __init__(
        self, client: Client, *, ttl_s: float = 3600.0, replicas: int = 1, ack_limit_s: float = ACK_LIMIT_S
    ) -> None:
        name = subjects.VAULT_BUCKET
        self._bucket = NatsBucket(client, name, ttl_s=ttl_s, replicas=replicas, ack_limit_s=ack_limit_s)

    async def ensure(self) -> None:
        await self._bucket.ensure()

    async def close(self) -> None:
        await self._bucket.close()

    async def put(self, call: str, token: str, sealed: bytes) -> None:
        await self._bucket.put(f"{call}.{token}", sealed)

    async def get(self, call: str, token: str) -> bytes | None:
        return await self._bucket.get(f"{call}.{token}")
