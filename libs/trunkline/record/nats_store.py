"""Records on JetStream: 16 streams of calls' logs and a key-value bucket of their summaries.

An acknowledgement may be lost and a duplicate may be refused, so an entry's fate is read from the stream's leader
(STREAM.MSG.GET, not direct get, which may lag behind an acknowledged append).
"""

import asyncio
import contextlib
from collections.abc import Iterator
from typing import NamedTuple

import msgspec
from nats.aio.client import Client
from nats.errors import Error as NatsError
from nats.js.api import DiscardPolicy, Header, KeyValueConfig, StorageType, StreamConfig
from nats.js.client import KV_PRE_TEMPLATE, KV_STREAM_TEMPLATE
from nats.js.errors import APIError, NotFoundError

from trunkline.proto import subjects
from trunkline.proto.ids import SHARDS, shard_of
from trunkline.proto.record import CallSummary, decode_summary, encode_summary
from trunkline.record.replies import Answer, Replies
from trunkline.record.store import EntryTooLarge, StoredEntry, StoreUnavailable, WrongSequence
from trunkline.telemetry import logs

ACK_LIMIT_S = 1.0  # then the leader is asked what became of the entry
TROUBLE_LIMIT_S = 12.0  # an election takes 5 s
BACKOFF_S = 0.05
BACKOFF_MAX_S = 1.0
PAGE_ENTRIES = 256
HEADROOM_BYTES = 1024  # headers count towards the server's payload limit
DIRECT_GET = "$JS.API.DIRECT.GET"  # NATS ADR-31: direct and batch get
NAME_IN_USE = 10058  # nats-server: "stream name already in use with a different configuration"
NO_MESSAGE = 10037  # nats-server: "no message found"

log = logs.get(__name__)


class _Ack(msgspec.Struct):
    """JetStream's answer to a publish; seq is 0 beside an error."""

    seq: int = 0


class _Entry(NamedTuple):
    call: str
    data: bytes
    expected_seq: int
    entry: str


_acks = msgspec.json.Decoder(_Ack)


class NatsRecordStore:
    def __init__(
        self,
        client: Client,
        *,
        replicas: int = 1,
        ack_limit_s: float = ACK_LIMIT_S,
        trouble_limit_s: float = TROUBLE_LIMIT_S,
    ) -> None:
        """client: connected; it stays the caller's. replicas: of streams that ensure makes, 1 or 3."""
        self._client = client
        self._jetstream = client.jetstream(timeout=ack_limit_s)
        self._replies = Replies(client)
        self._replicas = replicas
        self._ack_limit_s = ack_limit_s
        self._trouble_limit_s = trouble_limit_s
        self._in_trouble: set[asyncio.Task[int]] = set()  # appends whose fate is being found out

    async def ensure(self) -> None:
        await self._replies.start()
        for wait_s in self._backoff():
            try:
                await asyncio.gather(*(self._ensure_stream(shard) for shard in range(SHARDS)), self._ensure_index())
            except (NatsError, TimeoutError) as error:
                log.warning("record streams not ready", error=repr(error))
                await asyncio.sleep(wait_s)
            else:
                return
        raise StoreUnavailable("the record's streams", self._trouble_limit_s)

    async def close(self) -> None:
        for task in list(self._in_trouble):
            task.cancel()
        await asyncio.gather(*self._in_trouble, return_exceptions=True)
        await self._replies.stop()

    def append(self, call: str, data: bytes, *, expected_seq: int, entry: str) -> asyncio.Future[int]:
        limit_bytes = self._client.max_payload - HEADROOM_BYTES
        if len(data) > limit_bytes:
            raise EntryTooLarge(call, len(data), limit_bytes)
        one = _Entry(call, data, expected_seq, entry)
        stored: asyncio.Future[int] = asyncio.get_running_loop().create_future()

        def acknowledged(seq: asyncio.Future[int]) -> None:
            if stored.done():
                return
            if seq.result():
                stored.set_result(seq.result())
            else:
                self._find_out(one, stored)

        self._publish_entry(one).add_done_callback(acknowledged)
        return stored

    async def read(self, call: str) -> list[StoredEntry]:
        subject = subjects.record(call)
        return await self._read_subject(subjects.stream(shard_of(call)), subject)

    async def put_summary(self, summary: CallSummary) -> None:
        subject = KV_PRE_TEMPLATE.format(bucket=subjects.INDEX_BUCKET) + summary.call
        for wait_s in self._backoff():
            if await self._publish(subject, encode_summary(summary)):
                return
            await asyncio.sleep(wait_s)
        raise StoreUnavailable(f"the index line of {summary.call}", self._trouble_limit_s)

    async def summaries(self) -> list[CallSummary]:
        everything = KV_PRE_TEMPLATE.format(bucket=subjects.INDEX_BUCKET) + ">"
        stream = KV_STREAM_TEMPLATE.format(bucket=subjects.INDEX_BUCKET)
        lines = [decode_summary(one.data) for one in await self._read_subject(stream, everything) if one.data]
        return sorted(lines, key=lambda line: line.started_us, reverse=True)

    async def _ensure_stream(self, shard: int) -> None:
        config = StreamConfig(
            name=subjects.stream(shard),
            subjects=subjects.stream_subjects(shard),
            storage=StorageType.FILE,
            num_replicas=self._replicas,
            discard=DiscardPolicy.NEW,  # a full stream refuses new calls, it never forgets live ones
            allow_direct=True,
        )
        with _configured_by_someone_else():
            await self._jetstream.add_stream(config)

    async def _ensure_index(self) -> None:
        config = KeyValueConfig(bucket=subjects.INDEX_BUCKET, replicas=self._replicas, direct=True)
        with _configured_by_someone_else():
            await self._jetstream.create_key_value(config)

    def _publish_entry(self, one: _Entry) -> asyncio.Future[int]:
        headers = {
            Header.MSG_ID.value: one.entry,
            Header.EXPECTED_LAST_SUBJECT_SEQUENCE.value: str(one.expected_seq),
        }
        return self._publish(subjects.record(one.call), one.data, headers)

    def _publish(self, subject: str, data: bytes, headers: dict[str, str] | None = None) -> asyncio.Future[int]:
        """The message's seq in its stream, or 0 when the answer was an error or did not come."""
        seq: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        acked_seq = 0

        def take(answer: Answer) -> bool:
            nonlocal acked_seq
            acked_seq = 0 if answer.status else _acks.decode(answer.data).seq
            return True

        def finish(_: asyncio.Future[bool]) -> None:
            if not seq.done():
                seq.set_result(acked_seq)

        self._replies.ask(subject, data, take, limit_s=self._ack_limit_s, headers=headers).add_done_callback(finish)
        return seq

    def _find_out(self, one: _Entry, stored: asyncio.Future[int]) -> None:
        def finish(task: asyncio.Task[int]) -> None:
            self._in_trouble.discard(task)
            if stored.done():
                return
            if task.cancelled():
                stored.set_exception(StoreUnavailable(one.call, 0.0))
            elif error := task.exception():
                stored.set_exception(error)
            else:
                stored.set_result(task.result())

        task = asyncio.create_task(self._fate_of(one), name="record-fate")
        self._in_trouble.add(task)
        task.add_done_callback(finish)

    async def _fate_of(self, one: _Entry) -> int:
        """Asks the leader, and appends again while nothing has come after expected_seq."""
        for wait_s in self._backoff():
            last = await self._last(one.call)
            if last is not None:
                if last.entry == one.entry:
                    return last.seq
                if last.seq != one.expected_seq:
                    raise WrongSequence(one.call, one.expected_seq, last.seq)
                if seq := await self._publish_entry(one):
                    return seq
            await asyncio.sleep(wait_s)
        raise StoreUnavailable(one.call, self._trouble_limit_s)

    async def _last(self, call: str) -> StoredEntry | None:
        """From the stream's leader; seq 0 for an empty log, None when there is no answer."""
        try:
            message = await self._jetstream.get_last_msg(subjects.stream(shard_of(call)), subjects.record(call))
        except NotFoundError as error:
            return StoredEntry(0, "", b"") if error.err_code == NO_MESSAGE else None
        except (NatsError, TimeoutError):
            return None
        headers = message.headers or {}
        return StoredEntry(message.seq or 0, headers.get(Header.MSG_ID.value, ""), message.data or b"")

    async def _read_subject(self, stream: str, subject: str) -> list[StoredEntry]:
        """All messages in order, page by page; a page with a hole in it is asked for again."""
        entries: list[StoredEntry] = []
        for wait_s in self._backoff():
            while True:
                page = _Page()
                ask = {"seq": entries[-1].seq + 1 if entries else 1, "next_by_subj": subject, "batch": PAGE_ENTRIES}
                request = msgspec.json.encode(ask)
                answered = await self._replies.ask(
                    f"{DIRECT_GET}.{stream}", request, page.take, limit_s=self._ack_limit_s
                )
                if not (answered and page.whole):
                    break
                entries += page.entries
                if not page.pending:
                    return entries
            await asyncio.sleep(wait_s)
        raise StoreUnavailable(subject, self._trouble_limit_s)

    def _backoff(self) -> Iterator[float]:
        """Waits between tries, until trouble_limit_s is over."""
        loop = asyncio.get_running_loop()
        give_up_s = loop.time() + self._trouble_limit_s
        wait_s = BACKOFF_S
        while loop.time() < give_up_s:
            yield wait_s
            wait_s = min(wait_s * 2, BACKOFF_MAX_S)


class _Page:
    """The answer to one batch get: messages, then an end mark (204) or that there are none (404).

    Each names the sequence before it in this answer, 0 for the first, so a hole shows. Source: NATS ADR-31.
    """

    def __init__(self) -> None:
        self.entries: list[StoredEntry] = []
        self.pending = 0
        self.whole = False

    def take(self, answer: Answer) -> bool:
        """Whether that was the end."""
        if answer.status == "404":
            self.whole = True
            return True
        if answer.status not in ("", "204"):
            return True
        headers = answer.headers
        if int(headers["Nats-Last-Sequence"]) != (self.entries[-1].seq if self.entries else 0):
            return True
        if answer.status:
            self.whole = True
            self.pending = int(headers["Nats-Num-Pending"])
            return True
        self.entries.append(StoredEntry(int(headers["Nats-Sequence"]), headers.get("Nats-Msg-Id", ""), answer.data))
        return False


@contextlib.contextmanager
def _configured_by_someone_else() -> Iterator[None]:
    """A stream that an operator has given other limits or replicas stays as it is."""
    try:
        yield
    except APIError as error:
        if error.err_code != NAME_IN_USE:
            raise
