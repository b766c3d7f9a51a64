"""A write that waits for a leader is tried again the moment that one is elected, the owner's before a taker's."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js.api import StorageType, StreamConfig
from nats.js.errors import NotFoundError

from support.nats_server import NatsServer, running
from trunkline.bus.nats import NatsBus
from trunkline.bus.nats_client import NatsClient
from trunkline.record import nats_elections, nats_writes
from trunkline.record.nats_elections import ELECTED, LISTENS_S, OWNERS_FIRST_S
from trunkline.record.nats_writes import NatsWrites, Write
from trunkline.record.store import StoredEntry, WrongSequence

pytestmark = pytest.mark.nats
STREAM, SUBJECT = "ELECTED", "elected.call"
NEVER_S = 60.0  # for an answer: longer than the test has
LIMIT_S = 20.0
BEHIND_S = LISTENS_S + OWNERS_FIRST_S
WAITING = 5  # entries of an owner
OWNERS = Write("rtc_07_x", STREAM, SUBJECT, b"x", 0, "entry_1")
TAKERS = Write("rtc_07_x", STREAM, SUBJECT, b"y", 0, "entry_y", behind_owner=True)
WAYS = ["asks", "is not answered", "is not answered until just then", "comes just after"]


@pytest.fixture
def owners_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """More than enough for what an owner has waiting, on a busy machine too."""
    monkeypatch.setattr(nats_elections, "OWNERS_FIRST_S", 4 * OWNERS_FIRST_S)


class Writer(NatsWrites):
    """lost: how many of its next questions nobody answers, each for lost_s."""

    lost = 0
    lost_s = NEVER_S

    async def last(self, stream: str, subject: str) -> StoredEntry | None:
        if self.lost:
            self.lost -= 1
            await asyncio.sleep(self.lost_s)
            return None
        return await super().last(stream, subject)


class Election:
    """Of the stream, which isn't there before: the cluster says so to every writer just before the leader listens."""

    def __init__(self, server: NatsServer) -> None:
        self._server = server
        self._clients: list[Client] = []
        self._writers: list[Writer] = []
        self._heard: list[asyncio.Event] = []

    async def writer(self) -> Writer:
        client, heard = await self._server.connect(), asyncio.Event()
        writer = Writer(client, ack_limit_s=NEVER_S)
        await writer.start()

        async def hear(_: Msg) -> None:
            heard.set()

        await client.subscribe(f"{ELECTED}.{STREAM}", cb=hear)  # behind the writer's own
        await client.flush()
        self._clients.append(client)
        self._writers.append(writer)
        self._heard.append(heard)
        return writer

    async def deaf(self) -> None:
        """Somebody listens where the stream's leader will, and says nothing."""
        await self._clients[0].subscribe(SUBJECT)
        await self._clients[0].flush()

    async def asked(self) -> None:
        """What writers have asked for is with the server."""
        for client in 2 * self._clients:  # by the second time each has sent it
            await client.flush()

    async def told(self) -> float:
        """When the telling began; all have heard of it."""
        await self.asked()
        began_s = asyncio.get_running_loop().time()
        for heard in self._heard:
            heard.clear()
        await self._clients[0].publish(f"{ELECTED}.{STREAM}", b"{}")
        async with asyncio.timeout(LIMIT_S):
            await asyncio.gather(*(heard.wait() for heard in self._heard))
        return began_s

    async def lead(self) -> None:
        await (
            self._clients[0]
            .jetstream()
            .add_stream(StreamConfig(name=STREAM, subjects=[SUBJECT], storage=StorageType.MEMORY))
        )

    async def close(self) -> None:
        with contextlib.suppress(NotFoundError):
            await self._clients[0].jetstream().delete_stream(STREAM)
        for writer, client in zip(self._writers, self._clients, strict=True):
            await writer.close()
            await client.close()


@asynccontextmanager
async def election_at(server: NatsServer) -> AsyncIterator[Election]:
    election = Election(server)
    try:
        yield election
    finally:
        await election.close()


async def stored(putting: asyncio.Future[int]) -> tuple[int, float]:
    """Its seq, and when."""
    seq = await asyncio.wait_for(putting, LIMIT_S)
    return seq, asyncio.get_running_loop().time()


async def write_all(writer: NatsWrites) -> list[int]:
    """As an owner does that has several entries waiting: one is in flight at a time."""
    seqs = [0]
    for number in range(WAITING):
        entry = OWNERS._replace(expected_seq=seqs[-1], entry=f"entry_{number}")
        seqs.append(await writer.put(entry, limit_s=NEVER_S))
    return seqs[1:]


@pytest.mark.parametrize("asks_first", [False, True])
def test_a_write_that_waits_is_stored_when_a_leader_is_elected_and_not_when_its_patience_ends(
    nats_server: NatsServer, asks_first: bool
) -> None:
    """asks_first: the write's fate was being asked for when the leader was elected; else it was still on its way."""

    async def main() -> tuple[bool, int]:
        async with election_at(nats_server) as election:
            writer = await election.writer()
            if not asks_first:
                await election.deaf()
            putting = writer.put(OWNERS, limit_s=NEVER_S)
            await asyncio.wait([putting], timeout=0.1)
            early = putting.done()
            await election.lead()
            await election.told()
            return early, (await stored(putting))[0]

    assert asyncio.run(main()) == (False, 1)


async def taking(election: Election, taker: Writer, way: str) -> tuple[asyncio.Future[int], float]:
    """A taker's write, which comes in this way to a stream that elects; and when the election was told."""
    taker.lost = 1 if "not answered" in way else 0
    taker.lost_s = LISTENS_S if "just then" in way else NEVER_S
    if way != "comes just after":
        putting = taker.put(TAKERS, limit_s=NEVER_S)
    told_s = await election.told()
    await election.lead()
    if way == "comes just after":
        putting = taker.put(TAKERS, limit_s=NEVER_S)
    return putting, told_s


@pytest.mark.parametrize("way", WAYS)
def test_a_taker_comes_a_fixed_time_behind_an_election(nats_server: NatsServer, way: str) -> None:
    async def main() -> float:
        async with election_at(nats_server) as election:
            putting, told_s = await taking(election, await election.writer(), way)
            _, stored_s = await stored(putting)
            return stored_s - told_s

    behind_s = asyncio.run(main())

    assert behind_s >= BEHIND_S


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("owner_asks", [False, True])
def test_all_that_an_owner_has_waiting_comes_before_a_taker(
    nats_server: NatsServer, way: str, owner_asks: bool, owners_time: None
) -> None:
    """owner_asks: else its write is on its way to the leader before."""

    async def main() -> tuple[list[int], int]:
        async with election_at(nats_server) as election:
            owner, taker = await election.writer(), await election.writer()
            if not owner_asks:
                await election.deaf()
            writing = asyncio.create_task(write_all(owner))
            await election.asked()
            putting, _ = await taking(election, taker, way)
            with pytest.raises(WrongSequence) as refused:
                await stored(putting)
            return await writing, refused.value.found_seq

    seqs, found_seq = asyncio.run(main())

    assert seqs == list(range(1, WAITING + 1))
    assert found_seq == WAITING


def test_behind_a_leader_that_nobody_tells_of_an_owner_comes_first_too(
    nats_server: NatsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that hung and goes on, before another was elected."""
    monkeypatch.setattr(nats_writes, "OWNERS_TURN_S", 4 * nats_writes.OWNERS_TURN_S)

    async def main() -> tuple[list[int], int]:
        async with election_at(nats_server) as election:
            owner, taker = await election.writer(), await election.writer()
            taker.lost, taker.lost_s = 1, 0.0
            writing = asyncio.create_task(write_all(owner))
            putting = taker.put(TAKERS, limit_s=NEVER_S)
            await election.asked()
            await election.lead()
            with pytest.raises(WrongSequence) as refused:
                await stored(putting)
            return await writing, refused.value.found_seq

    seqs, found_seq = asyncio.run(main())

    assert seqs == list(range(1, WAITING + 1))
    assert found_seq == WAITING


def test_a_taker_whose_write_is_stored_already_waits_for_nobody(
    nats_server: NatsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its acknowledgement was lost, and so was the answer to its first question."""
    monkeypatch.setattr(nats_writes, "OWNERS_TURN_S", NEVER_S)

    async def main() -> int:
        async with election_at(nats_server) as election:
            taker = await election.writer()
            await election.lead()
            await stored(taker.put(TAKERS, limit_s=NEVER_S))
            taker.lost, taker.lost_s = 1, 0.0
            return (await stored(taker.put(TAKERS, limit_s=NEVER_S)))[0]

    assert asyncio.run(main()) == 1


def test_a_taker_publishes_nothing_before_a_leader_has_answered(nats_server: NatsServer) -> None:
    async def main() -> int:
        async with election_at(nats_server) as election:
            taker, client = await election.writer(), await nats_server.connect()
            published = await client.subscribe(SUBJECT)
            await client.flush()
            putting = taker.put(TAKERS, limit_s=NEVER_S)
            await election.asked()
            await client.flush()
            early = published.pending_msgs
            await client.close()
            await election.told()
            await election.lead()
            await stored(putting)
            return early

    assert asyncio.run(main()) == 0


def test_owner_and_taker_may_be_one_process(nats_server: NatsServer, owners_time: None) -> None:
    async def main() -> None:
        async with election_at(nats_server) as election:
            writer = await election.writer()
            putting, writing = writer.put(TAKERS, limit_s=NEVER_S), asyncio.create_task(write_all(writer))
            await election.told()
            await election.lead()

            with pytest.raises(WrongSequence):
                await stored(putting)
            assert await writing == list(range(1, WAITING + 1))

    asyncio.run(main())


def test_an_owner_whose_question_came_before_the_leader_listened_asks_again_before_a_taker(
    nats_server: NatsServer, owners_time: None
) -> None:
    async def main() -> None:
        async with election_at(nats_server) as election:
            owner, taker = await election.writer(), await election.writer()
            await election.deaf()
            owner.lost = 1
            putting, taking = (one.put(write, limit_s=NEVER_S) for one, write in ((owner, OWNERS), (taker, TAKERS)))
            await election.told()
            await election.lead()

            with pytest.raises(WrongSequence):
                await stored(taking)
            assert (await stored(putting))[0] == 1

    asyncio.run(main())


def test_a_taker_waits_behind_the_last_of_several_elections(nats_server: NatsServer) -> None:
    async def main() -> float:
        async with election_at(nats_server) as election:
            taker = await election.writer()
            putting = taker.put(TAKERS, limit_s=NEVER_S)
            await election.told()
            await asyncio.sleep(OWNERS_FIRST_S / 2)
            told_s = await election.told()
            await election.lead()
            _, stored_s = await stored(putting)
            return stored_s - told_s

    behind_s = asyncio.run(main())

    assert behind_s >= BEHIND_S


def test_a_taker_that_hears_of_no_election_waits_for_nothing(
    nats_server: NatsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nats_elections, "OWNERS_FIRST_S", NEVER_S)

    async def main() -> int:
        async with election_at(nats_server) as election:
            taker = await election.writer()
            await election.lead()
            return (await stored(taker.put(TAKERS, limit_s=NEVER_S)))[0]

    assert asyncio.run(main()) == 1


def test_a_taker_that_has_just_come_to_a_cluster_may_have_missed_an_election(
    nats_server: NatsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(NatsClient, "clustered", True)

    async def main() -> float:
        async with election_at(nats_server) as election:
            await election.writer()
            await election.lead()
            bus = NatsBus()
            await bus.open([nats_server.url], "agent-a")
            taker, began_s = NatsWrites(bus.client), asyncio.get_running_loop().time()
            await taker.start()
            _, stored_s = await stored(taker.put(TAKERS, limit_s=NEVER_S))
            await taker.close()
            await bus.close()
            return stored_s - began_s

    behind_s = asyncio.run(main())

    assert behind_s >= BEHIND_S


def test_a_taker_whose_connection_was_lost_may_have_missed_an_election(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nats_elections, "OWNERS_FIRST_S", NEVER_S)

    async def main(server: NatsServer) -> list[bool]:
        bus, anew = NatsBus(), asyncio.Event()
        await bus.open([server.url], "agent-a")
        elections = nats_elections.Elections(bus.client, lambda _: None)
        await elections.start()
        waits = [elections.owners_first_s(STREAM) > 0.0]  # a server alone elects nothing
        monkeypatch.setattr(NatsClient, "clustered", True)
        assert isinstance(bus.client, NatsClient)
        bus.client.on_anew.append(anew.set)
        await asyncio.to_thread(server.kill)
        await asyncio.to_thread(server.start)
        async with asyncio.timeout(LIMIT_S):
            await anew.wait()
        waits.append(elections.owners_first_s(STREAM) > 0.0)
        await elections.stop()
        await bus.close()
        return waits

    with running(tmp_path) as server:
        assert asyncio.run(main(server)) == [False, True]
