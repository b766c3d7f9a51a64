"""Records on JetStream: 16 streams of calls' logs and a key-value bucket of their summaries."""

import asyncio
import contextlib
from collections.abc import Iterator

from nats.aio.client import Client
from nats.errors import Error as NatsError
from nats.js.api import DiscardPolicy, KeyValueConfig, StorageType, StreamConfig
from nats.js.client import KV_PRE_TEMPLATE, KV_STREAM_TEMPLATE
from nats.js.errors import APIError

from trunkline.proto import subjects
from trunkline.proto.ids import SHARDS, shard_of
from trunkline.proto.record import CallSummary, decode_summary, encode_summary
from trunkline.record import nats_room
from trunkline.record.limits import RECORD_BYTES
from trunkline.record.nats_reads import read_subject
from trunkline.record.nats_writes import ACK_LIMIT_S, NatsWrites, Write, backoff
from trunkline.record.store import LimitRefused, ShardRoom, StoredEntry, StoreUnavailable
from trunkline.telemetry import logs

TROUBLE_LIMIT_S = 12.0  # an election takes 4 to 9 s
PROBE_LIMIT_S = 0.3  # for a stream's leader to say that it is there
NO_ROOM = (10005, 10023, 10047)  # nats-server: no node, or not this one, has the room that is to be set aside
NAME_IN_USE = 10058  # nats-server: "stream name already in use with a different configuration"

log = logs.get(__name__)


class NatsRecordStore:
    def __init__(
        self,
        client: Client,
        *,
        replicas: int = 1,
        limit_bytes: int = 0,
        ack_limit_s: float = ACK_LIMIT_S,
        trouble_limit_s: float = TROUBLE_LIMIT_S,
    ) -> None:
        """client: connected; it stays the caller's. Of streams that ensure makes: replicas, 1 or 3; limit_bytes, of all
        of them, 0 for none, also for those that have none yet."""
        self._writes = NatsWrites(client, ack_limit_s=ack_limit_s)
        self._replicas = replicas
        self._shard_bytes = limit_bytes // SHARDS
        self._trouble_limit_s = trouble_limit_s

    async def ensure(self) -> None:
        await self._writes.start()
        refused = ""
        for wait_s in backoff(self._trouble_limit_s):
            try:
                await asyncio.gather(*(self._ensure_stream(shard) for shard in range(SHARDS)), self._ensure_index())
                if self._shard_bytes:
                    names = [subjects.stream(shard) for shard in range(SHARDS)]
                    await nats_room.limit(self._writes, names, self._shard_bytes, RECORD_BYTES, self._trouble_limit_s)
            except (NatsError, TimeoutError) as error:
                log.warning("record streams not ready", error=repr(error))
                refused = no_room(error)
                await asyncio.sleep(wait_s)
            else:
                return
        if refused and self._shard_bytes:
            raise LimitRefused(f"each of {SHARDS} streams ({RECORD_BYTES})", self._shard_bytes, refused)
        raise StoreUnavailable("the record's streams", self._trouble_limit_s)

    async def close(self) -> None:
        await self._writes.close()

    def append(self, call: str, data: bytes, *, expected_seq: int, entry: str) -> asyncio.Future[int]:
        return self._writes.put(_write(call, data, expected_seq, entry), limit_s=self._trouble_limit_s)

    def append_behind_owner(self, call: str, data: bytes, *, expected_seq: int, entry: str) -> asyncio.Future[int]:
        write = _write(call, data, expected_seq, entry)._replace(behind_owner=True)
        return self._writes.put(write, limit_s=self._trouble_limit_s)

    async def read(self, call: str, *, after_seq: int = 0) -> list[StoredEntry]:
        stream, subject = subjects.stream(shard_of(call)), subjects.record(call)
        return await read_subject(self._writes, stream, subject, after_seq=after_seq, limit_s=self._trouble_limit_s)

    async def answers(self, shard: int) -> bool:
        nowhere = subjects.record(f"rtc_{shard:02d}_nobody")
        return await self._writes.leads(nowhere, limit_s=PROBE_LIMIT_S)

    def slow_shards(self) -> tuple[int, ...]:
        """Those whose acknowledgements don't come: of what was to be written there it is not known yet what became."""
        return tuple(sorted({shard_of(call) for call in self._writes.in_trouble()}))

    async def put_summary(self, summary: CallSummary) -> None:
        subject = KV_PRE_TEMPLATE.format(bucket=subjects.INDEX_BUCKET) + summary.call
        for wait_s in backoff(self._trouble_limit_s):
            if await self._writes.publish(subject, encode_summary(summary)):
                return
            await asyncio.sleep(wait_s)
        raise StoreUnavailable(f"the index line of {summary.call}", self._trouble_limit_s)

    async def summaries(self) -> list[CallSummary]:
        everything = KV_PRE_TEMPLATE.format(bucket=subjects.INDEX_BUCKET) + ">"
        stream = KV_STREAM_TEMPLATE.format(bucket=subjects.INDEX_BUCKET)
        entries = await read_subject(self._writes, stream, everything, limit_s=self._trouble_limit_s)
        lines = [decode_summary(one.data) for one in entries if one.data]
        return sorted(lines, key=lambda line: line.started_us, reverse=True)

    async def forget(self, call: str) -> None:
        await nats_room.forget(self._writes, call, self._trouble_limit_s)

    async def room(self) -> list[ShardRoom]:
        return await nats_room.room(self._writes, self._trouble_limit_s)

    async def _ensure_stream(self, shard: int) -> None:
        config = StreamConfig(
            name=subjects.stream(shard),
            subjects=subjects.stream_subjects(shard),
            storage=StorageType.FILE,
            max_bytes=self._shard_bytes or -1,
            num_replicas=self._replicas,
            discard=DiscardPolicy.NEW,  # a full stream refuses new calls, it never forgets live ones
            allow_direct=True,
        )
        with configured_by_someone_else():
            await self._writes.jetstream.add_stream(config)

    async def _ensure_index(self) -> None:
        config = KeyValueConfig(bucket=subjects.INDEX_BUCKET, replicas=self._replicas, direct=True)
        with configured_by_someone_else():
            await self._writes.jetstream.create_key_value(config)


def _write(call: str, data: bytes, expected_seq: int, entry: str) -> Write:
    return Write(call, subjects.stream(shard_of(call)), subjects.record(call), data, expected_seq, entry)


@contextlib.contextmanager
def configured_by_someone_else() -> Iterator[None]:
    """A stream that an operator has given other limits or replicas stays as it is."""
    try:
        yield
    except APIError as error:
        if error.err_code != NAME_IN_USE:
            raise


def no_room(error: NatsError | TimeoutError) -> str:
    """What the server said of the room that a stream with a limit is to have; empty where it is something else."""
    return (error.description or "") if isinstance(error, APIError) and error.err_code in NO_ROOM else ""
