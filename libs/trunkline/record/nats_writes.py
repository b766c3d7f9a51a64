"""Writes to JetStream by compare-and-set on one subject, and what became of them: shared by records and claims.

An acknowledgement may be lost and a duplicate may be refused, so a write's fate is read from the stream's leader
(STREAM.MSG.GET, not direct get, which may lag behind an acknowledged write). What waits for a leader is tried again as
soon as one is elected; what takes a call from its owner some time after that, and never before a leader has answered.
"""

import asyncio
import contextlib
from collections.abc import Callable, Iterator
from typing import NamedTuple

import msgspec
from nats.aio.client import Client
from nats.errors import Error as NatsError
from nats.js.api import Header
from nats.js.errors import NotFoundError
from nats.js.kv import KV_DEL, KV_OP, KV_PURGE

from trunkline.record.nats_elections import Elections, unless_elected
from trunkline.record.replies import Answer, Replies
from trunkline.record.store import EntryTooLarge, StoredEntry, StoreFull, StoreUnavailable, WrongSequence

ACK_LIMIT_S = 1.0  # then the leader is asked what became of the write
BACKOFF_S = 0.05
BACKOFF_MAX_S = 0.5
NEW_LEADER_S = 0.15  # in which one answers; a question that came before it listened is lost
LEADER_S = 0.5  # likewise of one that nobody tells of: it hung, and goes on
AGAIN_S = 0.1  # then; so an owner asks at least every LEADER_S + AGAIN_S
PAST_LIMIT_S = 3.0  # for a leader of the past to hear of the next; then the store has lost what it acknowledged
OWNERS_TURN_S = 0.8  # behind the first answer that a taker gets after none: longer than that
HEADROOM_BYTES = 1024  # headers count towards the server's payload limit
TROUBLE_S = 0.2  # in which a leader that is there tells what became of a write
NO_MESSAGE = 10037  # nats-server: "no message found"
NO_STREAM = "nobody"  # expects a write that must not be stored
OTHER_STREAM = 10060  # nats-server: "expected stream does not match"
NO_STORAGE = 10023  # nats-server: "insufficient resources", of the account or the machine
NOT_STORED = 10077  # nats-server: whatever its store says; of a limit in these words
LIMIT = "maximum bytes exceeded"


class Write(NamedTuple):
    """call: whose it is. entry: id of the write, the same however often it is tried. expected_seq: 0 for the first.
    behind_owner: it takes a call from its owner, whose entries may wait.
    """

    call: str
    stream: str
    subject: str
    data: bytes
    expected_seq: int
    entry: str
    behind_owner: bool = False


class _Error(msgspec.Struct, frozen=True):
    err_code: int = 0
    description: str = ""


class _Ack(msgspec.Struct):
    """JetStream's answer to a publish; seq is 0 beside an error."""

    seq: int = 0
    error: _Error = _Error()

    @property
    def full(self) -> bool:
        code, said = self.error.err_code, self.error.description
        return code == NO_STORAGE or (code == NOT_STORED and said == LIMIT)


_acks = msgspec.json.Decoder(_Ack)


class _Trouble(NamedTuple):
    call: str
    since_s: float


class NatsWrites:
    """client: connected; it stays the caller's."""

    def __init__(self, client: Client, *, ack_limit_s: float = ACK_LIMIT_S) -> None:
        self.jetstream = client.jetstream(timeout=ack_limit_s)
        self.replies = Replies(client)
        self.ack_limit_s = ack_limit_s
        self._client = client
        self._elections = Elections(client, self._ask_again)
        self._unanswered: dict[asyncio.Future[int], str] = {}  # first tries of writes -> their stream
        self._in_trouble: dict[asyncio.Task[int], _Trouble] = {}  # writes whose fate is being found out
        self._closed = False

    async def start(self) -> None:
        """From here on no write of an owner's makes a task, and none a subscription that stays."""
        await self.replies.start()
        await self._elections.start()
        with contextlib.suppress(NatsError, TimeoutError):  # whatever it says: the client now listens for answers
            await self.jetstream.account_info()

    async def close(self) -> None:
        """What is still in flight ends as StoreUnavailable."""
        self._closed = True
        for task in list(self._in_trouble):
            task.cancel()
        await asyncio.gather(*self._in_trouble, return_exceptions=True)
        await self._elections.stop()
        await self.replies.stop()

    def put(self, write: Write, *, limit_s: float) -> asyncio.Future[int]:
        """The result is its seq. Sets WrongSequence, StoreFull, or StoreUnavailable after limit_s; raises EntryTooLarge
        at once.

        The same entry put again while it is the subject's last succeeds with the seq it has.
        """
        limit_bytes = self._client.max_payload - HEADROOM_BYTES
        if len(write.data) > limit_bytes:
            raise EntryTooLarge(write.call, len(write.data), limit_bytes)
        stored: asyncio.Future[int] = asyncio.get_running_loop().create_future()

        def acknowledged(seq: asyncio.Future[int]) -> None:
            del self._unanswered[seq]
            if stored.done():
                return
            if seq.result():
                stored.set_result(seq.result())
            else:
                self._find_out(write, limit_s, stored)

        if write.behind_owner:  # published blindly it could be the first that a new leader reads
            self._find_out(write, limit_s, stored)
            return stored
        first = self._publish_guarded(write)
        self._unanswered[first] = write.stream
        first.add_done_callback(acknowledged)
        return stored

    def publish(
        self,
        subject: str,
        data: bytes,
        headers: dict[str, str] | None = None,
        on_full: Callable[[], None] = lambda: None,
    ) -> asyncio.Future[int]:
        """The message's seq in its stream, or 0 when the answer was an error or did not come. on_full: the error was
        that there is no room."""
        seq: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        acked_seq = 0

        def take(answer: Answer) -> bool:
            nonlocal acked_seq
            ack = _acks.decode(answer.data) if not answer.status else _Ack()
            acked_seq = ack.seq
            if ack.full:
                on_full()
            return True

        def finish(_: asyncio.Future[bool]) -> None:
            if not seq.done():
                seq.set_result(acked_seq)

        self.replies.ask(subject, data, take, limit_s=self.ack_limit_s, headers=headers).add_done_callback(finish)
        return seq

    async def last(self, stream: str, subject: str) -> StoredEntry | None:
        """From the stream's leader; seq 0 where nothing is, None when there is no answer."""
        try:
            message = await self.jetstream.get_last_msg(stream, subject)
        except NotFoundError as error:
            return StoredEntry(0, "", b"") if error.err_code == NO_MESSAGE else None
        except (NatsError, TimeoutError):
            return None
        headers = message.headers or {}
        entry, removed = headers.get(Header.MSG_ID.value, ""), headers.get(KV_OP) in (KV_DEL, KV_PURGE)
        return StoredEntry(message.seq or 0, entry, message.data or b"", removed=removed)

    async def leads(self, nowhere: str, *, limit_s: float) -> bool:
        """Whether anybody answers as the stream's leader. nowhere: a subject of the stream's that nothing stands on.

        Asked by a write that it has to refuse, which goes the way of all writes: questions of JetStream's API nobody
        answers while the cluster elects its own leader, though streams that have theirs store what comes.
        """
        leads = False

        def take(answer: Answer) -> bool:
            nonlocal leads
            leads = not answer.status and _acks.decode(answer.data).error.err_code == OTHER_STREAM
            return True

        await self.replies.ask(nowhere, b"", take, limit_s=limit_s, headers={Header.EXPECTED_STREAM.value: NO_STREAM})
        return leads

    def in_trouble(self) -> set[str]:
        """Calls with a write that no leader has told the fate of, and should have by now."""
        oldest_s = asyncio.get_running_loop().time() - TROUBLE_S
        return {trouble.call for trouble in self._in_trouble.values() if trouble.since_s <= oldest_s}

    def _publish_guarded(self, write: Write, on_full: Callable[[], None] = lambda: None) -> asyncio.Future[int]:
        headers = {
            Header.MSG_ID.value: write.entry,
            Header.EXPECTED_LAST_SUBJECT_SEQUENCE.value: str(write.expected_seq),
        }
        return self.publish(write.subject, write.data, headers, on_full)

    def _behind_s(self, write: Write) -> float:
        """How long it has to wait yet for what owners write after an election."""
        return self._elections.owners_first_s(write.stream) if write.behind_owner else 0.0

    def _ask_again(self, stream: str) -> None:
        """It has another leader: the one before won't answer."""
        for first, of in list(self._unanswered.items()):
            if of == stream and not first.done():
                first.set_result(0)

    def _find_out(self, write: Write, limit_s: float, stored: asyncio.Future[int]) -> None:
        if self._closed:
            stored.set_exception(StoreUnavailable(write.call, 0.0))
            return

        def finish(task: asyncio.Task[int]) -> None:
            self._in_trouble.pop(task, None)
            if stored.done():
                return
            if task.cancelled():
                stored.set_exception(StoreUnavailable(write.call, 0.0))
            elif error := task.exception():
                stored.set_exception(error)
            else:
                stored.set_result(task.result())

        task = asyncio.create_task(self._fate_of(write, limit_s), name="record-fate")
        self._in_trouble[task] = _Trouble(write.call, asyncio.get_running_loop().time() + self._behind_s(write))
        task.add_done_callback(finish)

    async def _fate_of(self, write: Write, limit_s: float) -> int:
        """Asks the leader, and writes again while nothing has come after expected_seq."""
        loop, past_s = asyncio.get_running_loop(), 0.0
        full = unanswered = False

        def note_full() -> None:
            nonlocal full
            full = True

        for wait_s in backoff(limit_s):
            await asyncio.sleep(self._behind_s(write))
            elected = self._elections.next(write.stream)
            lately = self._elections.owners_first_s(write.stream) > 0.0
            asked = self.last(write.stream, write.subject)
            last = await unless_elected(elected, asked, NEW_LEADER_S if lately else LEADER_S)
            if last is not None and _is_past(last, write):
                unanswered, past_s = True, past_s or loop.time()
                if loop.time() - past_s > PAST_LIMIT_S:
                    raise WrongSequence(write.call, write.expected_seq, last.seq)
            elif last is None:
                unanswered = True
            elif last.entry == write.entry:
                return last.seq
            elif write.behind_owner and unanswered:  # whoever it is that answers now: what the owner has waiting first
                unanswered = False
                await asyncio.sleep(OWNERS_TURN_S)
                continue
            else:
                if last.seq != write.expected_seq:
                    raise WrongSequence(write.call, write.expected_seq, last.seq)
                if self._behind_s(write):  # an election was heard meanwhile
                    continue
                if seq := await unless_elected(elected, self._publish_guarded(write, note_full)):
                    return seq
                if full:
                    raise StoreFull(f"the stream {write.stream}")
            await asyncio.wait([elected], timeout=BACKOFF_S if lately else min(wait_s, AGAIN_S))
        raise StoreUnavailable(write.call, limit_s)


def _is_past(last: StoredEntry, write: Write) -> bool:
    """A leader that was cut off, or stopped, and doesn't know yet that there is another answers with what was: it lacks
    what the write is to follow, which was acknowledged."""
    return 0 < last.seq < write.expected_seq


def backoff(limit_s: float) -> Iterator[float]:
    """Waits between tries, until limit_s is over."""
    loop = asyncio.get_running_loop()
    give_up_s = loop.time() + limit_s
    wait_s = BACKOFF_S
    while loop.time() < give_up_s:
        yield wait_s
        wait_s = min(wait_s * 2, BACKOFF_MAX_S)
