"""A bucket on JetStream: a key-value bucket that forgets by itself, by age alone: a full one refuses what is new."""

import asyncio

from nats.aio.client import Client
from nats.errors import Error as NatsError
from nats.js.api import KeyValueConfig
from nats.js.client import KV_PRE_TEMPLATE, KV_STREAM_TEMPLATE
from nats.js.kv import KV_DEL, KV_OP

from trunkline.record import nats_room
from trunkline.record.nats_store import TROUBLE_LIMIT_S, configured_by_someone_else, no_room
from trunkline.record.nats_writes import ACK_LIMIT_S, NatsWrites, backoff
from trunkline.record.store import LimitRefused, StoreFull, StoreUnavailable
from trunkline.telemetry import logs

READ_LIMIT_S = 3.0  # a tool, or a caller, waits for it
ROOM_LIMIT_S = 0.5  # what isn't seen by then, writing will tell
GIVE_LIMIT_S = 3.0  # to a bucket that works without one: a start waits for it
ENTRY_BYTES = 256  # of a value's subject and headers, at most

log = logs.get(__name__)


class NatsBucket:
    """client: connected; it stays the caller's. ttl_s, replicas: of the bucket, where it is made. limit_bytes: of it,
    0 for none, also where it has none yet; limit_setting: that says so."""

    def __init__(
        self,
        client: Client,
        name: str,
        *,
        ttl_s: float,
        limit_bytes: int = 0,
        limit_setting: str = "",
        replicas: int = 1,
        ack_limit_s: float = ACK_LIMIT_S,
    ) -> None:
        self._writes = NatsWrites(client, ack_limit_s=ack_limit_s)
        self._name = name
        self._stream = KV_STREAM_TEMPLATE.format(bucket=name)
        self._limit_bytes = limit_bytes
        self._limit_setting = limit_setting
        self._ttl_s = ttl_s
        self._replicas = replicas

    async def ensure(self) -> None:
        await self._writes.start()
        config = KeyValueConfig(
            bucket=self._name, ttl=self._ttl_s, replicas=self._replicas, max_bytes=self._limit_bytes or -1
        )
        refused = ""
        for wait_s in backoff(TROUBLE_LIMIT_S):
            try:
                with configured_by_someone_else():
                    await self._writes.jetstream.create_key_value(config)
            except (NatsError, TimeoutError) as error:
                refused = no_room(error)
                await asyncio.sleep(wait_s)
            else:
                await self._limit()
                return
        if refused and self._limit_bytes:
            raise LimitRefused(f"the bucket {self._name} ({self._limit_setting})", self._limit_bytes, refused)
        raise StoreUnavailable(f"the bucket {self._name}", TROUBLE_LIMIT_S)

    async def _limit(self) -> None:
        """Of a bucket that an earlier release made: it is used all the same where it can't have one."""
        if not self._limit_bytes:
            return
        try:
            await nats_room.limit(self._writes, [self._stream], self._limit_bytes, self._limit_setting, GIVE_LIMIT_S)
        except StoreUnavailable as error:
            log.warning("a bucket stays without a limit", bucket=self._name, reason=str(error))

    async def close(self) -> None:
        await self._writes.close()

    async def put(self, key: str, value: bytes) -> None:
        await self._write(key, value)

    async def delete(self, key: str) -> None:
        """Leaves a marker, which goes with the bucket's time, where there is room for one."""
        try:
            await self._write(key, b"", {KV_OP: KV_DEL})
        except StoreFull:
            await nats_room.purge(self._writes, self._stream, [self._subject(key)], key, TROUBLE_LIMIT_S)

    async def require_room(self, size_bytes: int) -> None:
        try:
            async with asyncio.timeout(ROOM_LIMIT_S):
                info = await self._writes.jetstream.stream_info(self._stream)
        except (NatsError, TimeoutError):
            return  # then writing will tell
        limit_bytes = info.config.max_bytes or 0
        if 0 < limit_bytes < info.state.bytes + size_bytes + ENTRY_BYTES:
            raise StoreFull(f"the bucket {self._name}", limit_bytes)

    async def _write(self, key: str, value: bytes, headers: dict[str, str] | None = None) -> None:
        full = False

        def note_full() -> None:
            nonlocal full
            full = True

        for wait_s in backoff(TROUBLE_LIMIT_S):
            if await self._writes.publish(self._subject(key), value, headers, note_full):
                return
            if full:
                raise StoreFull(f"the bucket {self._name}", self._limit_bytes)
            await asyncio.sleep(wait_s)
        raise StoreUnavailable(key, TROUBLE_LIMIT_S)

    async def get(self, key: str) -> bytes | None:
        for wait_s in backoff(READ_LIMIT_S):
            last = await self._writes.last(self._stream, self._subject(key))
            if last is not None:
                return last.data if last.seq and not last.removed else None
            await asyncio.sleep(wait_s)
        raise StoreUnavailable(key, READ_LIMIT_S)

    def _subject(self, key: str) -> str:
        return KV_PRE_TEMPLATE.format(bucket=self._name) + key
