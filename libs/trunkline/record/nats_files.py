"""Files on JetStream, in the layout of a NATS object store: chunks first, then the entry that makes them a file.

So a torn upload is never seen: its chunks are taken away, or forgotten with the rest. Layout: NATS ADR-20; the facts
stand in the object's description. An id is put once.
"""

import asyncio
import base64
import hashlib
import math
import secrets
import time
from collections.abc import Callable

import msgspec
from nats.aio.client import Client
from nats.errors import Error as NatsError
from nats.js.api import DiscardPolicy, Header, StorageType, StreamConfig
from nats.js.kv import MSG_ROLLUP_SUBJECT
from nats.js.object_store import (
    OBJ_ALL_CHUNKS_PRE_TEMPLATE,
    OBJ_ALL_META_PRE_TEMPLATE,
    OBJ_CHUNKS_PRE_TEMPLATE,
    OBJ_META_PRE_TEMPLATE,
    OBJ_STREAM_TEMPLATE,
)

from trunkline.record.files import FILES_KEPT_S, FileFacts
from trunkline.record.nats_bucket import READ_LIMIT_S
from trunkline.record.nats_reads import read_subject
from trunkline.record.nats_store import TROUBLE_LIMIT_S, configured_by_someone_else
from trunkline.record.nats_writes import ACK_LIMIT_S, NatsWrites, backoff
from trunkline.record.store import StoreFull, StoreUnavailable
from trunkline.telemetry import logs

CHUNK_BYTES = 128 * 1024
PAGE_CHUNKS = 8  # 1 MiB at a time: audio of calls comes over the same connection, and the server pends 8 MB at most
ENTRY_BYTES = 1024  # at most, and of a chunk's headers
PURGE = "$JS.API.STREAM.PURGE"
MESSAGE_TTL = "Nats-TTL"  # NATS ADR-43

log = logs.get(__name__)


class _Entry(msgspec.Struct, omit_defaults=True):
    """What makes chunks a file; nuid names them. description: FileFacts as JSON."""

    name: str
    bucket: str
    nuid: str
    size: int = 0
    chunks: int = 0
    digest: str = ""
    mtime: str = ""
    deleted: bool = False
    description: str = ""


_entries = msgspec.json.Decoder(_Entry)
_facts = msgspec.json.Decoder(FileFacts)


class NatsFileStore:
    """client: connected; it stays the caller's. Of the store, where it is made: limit_bytes, kept_s, replicas. now_s:
    seconds since 1970."""

    def __init__(
        self,
        client: Client,
        name: str,
        *,
        limit_bytes: int,
        kept_s: float = FILES_KEPT_S,
        replicas: int = 1,
        ack_limit_s: float = ACK_LIMIT_S,
        now_s: Callable[[], float] = time.time,
    ) -> None:
        self._writes = NatsWrites(client, ack_limit_s=ack_limit_s)
        self._name = name
        self._stream = OBJ_STREAM_TEMPLATE.format(bucket=name)
        self._limit_bytes = limit_bytes
        self._kept_s = kept_s
        self._replicas = replicas
        self._now_s = now_s

    async def ensure(self) -> None:
        await self._writes.start()
        config = StreamConfig(
            name=self._stream,
            subjects=[template.format(bucket=self._name) for template in _SUBJECTS],
            storage=StorageType.FILE,
            max_age=self._kept_s,
            max_bytes=self._limit_bytes,
            num_replicas=self._replicas,
            discard=DiscardPolicy.NEW,  # a full store refuses new files, it never forgets those that it has
            allow_rollup_hdrs=True,
            allow_direct=True,
            allow_msg_ttl=True,
        )
        for wait_s in backoff(TROUBLE_LIMIT_S):
            try:
                with configured_by_someone_else():
                    await self._writes.jetstream.add_stream(config)
            except (NatsError, TimeoutError) as error:
                log.warning("file store not ready", error=repr(error))
                await asyncio.sleep(wait_s)
            else:
                return
        raise StoreUnavailable(f"the file store {self._name}", TROUBLE_LIMIT_S)

    async def close(self) -> None:
        await self._writes.close()

    async def put(self, facts: FileFacts, data: bytes) -> None:
        """Raises StoreFull too."""
        await self._require_room(len(data))
        nuid, ttl = secrets.token_hex(11), self._ttl(facts)
        try:
            entry = await self._put_chunks(nuid, data, ttl)
        except BaseException:  # also where nobody waits any more
            self._forget(nuid)
            raise
        entry.name = facts.id
        entry.description = msgspec.json.encode(facts).decode()
        await self._put_entry(entry, ttl)  # if that fails it may be there all the same, so its chunks stay

    async def _put_chunks(self, nuid: str, data: bytes, ttl: dict[str, str]) -> _Entry:
        digest, count = hashlib.sha256(), 0
        for begin in range(0, len(data), CHUNK_BYTES):
            chunk = data[begin : begin + CHUNK_BYTES]
            digest.update(chunk)
            count += 1
            again = {Header.MSG_ID.value: f"{nuid}-{count}"}  # stored once, however often it is sent
            await self._publish(self._chunks(nuid), chunk, again | ttl)
        return _Entry("", self._name, nuid, size=len(data), chunks=count, digest=_told(digest.digest()))

    async def facts(self, file: str) -> FileFacts | None:
        entry = await self._entry(file)
        return self._living(entry) if entry is not None else None

    async def get(self, file: str) -> bytes | None:
        for wait_s in backoff(READ_LIMIT_S):
            entry = await self._entry(file)
            if entry is None or self._living(entry) is None:
                return None
            chunks = await read_subject(
                self._writes,
                self._stream,
                self._chunks(entry.nuid),
                limit_s=READ_LIMIT_S,
                page_entries=PAGE_CHUNKS,
            )
            data = b"".join(chunk.data for chunk in chunks)
            if len(data) == entry.size and await asyncio.to_thread(_digest_of, data) == entry.digest:
                return data
            await asyncio.sleep(wait_s)  # a replica that lags behind, or a file that is just being deleted
        raise StoreUnavailable(f"the whole of {file}", READ_LIMIT_S)

    async def delete(self, file: str) -> bool:
        entry = await self._entry(file)
        if entry is None:
            return False
        await self._put_entry(_Entry(file, self._name, entry.nuid, deleted=True), {})
        await self._forget(entry.nuid)
        return self._living(entry) is not None

    async def all(self) -> list[FileFacts]:
        everything = OBJ_ALL_META_PRE_TEMPLATE.format(bucket=self._name)
        entries = await read_subject(self._writes, self._stream, everything, limit_s=READ_LIMIT_S)
        known = [facts for one in entries if (facts := self._living(_entries.decode(one.data))) is not None]
        return sorted(known, key=lambda facts: facts.at_s, reverse=True)

    def _living(self, entry: _Entry) -> FileFacts | None:
        if entry.deleted or not entry.description:  # the latter of an object that an operator has put
            return None
        facts = _facts.decode(entry.description)
        return None if 0 < facts.expires_s <= self._now_s() else facts

    async def _entry(self, file: str) -> _Entry | None:
        """From the leader, so it is there as soon as `put` has returned, at any process."""
        for wait_s in backoff(READ_LIMIT_S):
            last = await self._writes.last(self._stream, self._entry_subject(file))
            if last is not None:
                entry = _entries.decode(last.data) if last.seq else None
                return None if entry is None or entry.deleted else entry
            await asyncio.sleep(wait_s)
        raise StoreUnavailable(file, READ_LIMIT_S)

    async def _put_entry(self, entry: _Entry, ttl: dict[str, str]) -> None:
        """In place of the one before."""
        in_its_place = {Header.ROLLUP.value: MSG_ROLLUP_SUBJECT}
        await self._publish(self._entry_subject(entry.name), msgspec.json.encode(entry), in_its_place | ttl)

    async def _publish(self, subject: str, data: bytes, headers: dict[str, str]) -> None:
        for wait_s in backoff(TROUBLE_LIMIT_S):
            if await self._writes.publish(subject, data, headers):
                return
            await self._require_room(len(data))
            await asyncio.sleep(wait_s)
        raise StoreUnavailable(subject, TROUBLE_LIMIT_S)

    async def _require_room(self, size: int) -> None:
        """Raises StoreFull, where the store says so."""
        try:
            info = await self._writes.jetstream.stream_info(self._stream)
        except (NatsError, TimeoutError):
            return  # then writing will tell
        limit = info.config.max_bytes or 0
        if 0 < limit < info.state.bytes + size + ENTRY_BYTES * (2 + size // CHUNK_BYTES):
            raise StoreFull(f"the file store {self._name}", limit)

    def _forget(self, nuid: str) -> asyncio.Future[bool]:
        """Chunks of no file. Best effort: what stays goes with its time."""
        which = msgspec.json.encode({"filter": self._chunks(nuid)})
        return self._writes.replies.ask(
            f"{PURGE}.{self._stream}", which, lambda _: True, limit_s=self._writes.ack_limit_s
        )

    def _ttl(self, facts: FileFacts) -> dict[str, str]:
        """As headers: of a file that goes before the others."""
        if not facts.expires_s:
            return {}
        return {MESSAGE_TTL: f"{max(1, math.ceil(facts.expires_s - self._now_s()))}s"}

    def _chunks(self, nuid: str) -> str:
        return OBJ_CHUNKS_PRE_TEMPLATE.format(bucket=self._name, obj=nuid)

    def _entry_subject(self, file: str) -> str:
        named = base64.urlsafe_b64encode(file.encode()).decode()
        return OBJ_META_PRE_TEMPLATE.format(bucket=self._name, obj=named)


_SUBJECTS = (OBJ_ALL_CHUNKS_PRE_TEMPLATE, OBJ_ALL_META_PRE_TEMPLATE)


def _digest_of(data: bytes) -> str:
    return _told(hashlib.sha256(data).digest())


def _told(digest: bytes) -> str:
    return "SHA-256=" + base64.urlsafe_b64encode(digest).decode()
