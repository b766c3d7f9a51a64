"""Writes while nodes of a cluster go: each is stored once and in order, soon after the election."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager

import pytest
from nats.aio.client import Client
from nats.errors import Error as NatsError
from nats.js.errors import NotFoundError

from support.nats_cluster import NatsCluster, running_cluster
from support.nats_server import NatsServer
from trunkline.bus.nats import NatsBus
from trunkline.proto import subjects
from trunkline.proto.ids import SHARDS, new_call_id
from trunkline.proto.record import CallerSaid
from trunkline.record import NatsRecordStore, Recorder, read_call
from trunkline.record.nats_writes import NatsWrites

pytestmark = pytest.mark.nats
SHARD = 5
ELECTED_S = 30.0  # on a busy machine
AFTERWARDS_S = 10.0
WRITE_S = 0.02


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NatsCluster]:
    with running_cluster(tmp_path_factory.mktemp("election")) as cluster:
        yield cluster


@pytest.fixture
def gone(cluster: NatsCluster) -> Iterator[list[NatsServer]]:
    """To be filled with what a test takes away; it is brought back afterwards."""
    nodes: list[NatsServer] = []
    yield nodes
    for node in nodes:
        node.kill()
        node.start()
    cluster.ready()


@asynccontextmanager
async def store_at(*urls: str) -> AsyncIterator[tuple[NatsBus, NatsRecordStore]]:
    bus = NatsBus()
    await bus.open(list(urls), "agent-a")
    store = NatsRecordStore(bus.client, replicas=3)
    await store.ensure()
    yield bus, store
    await store.close()
    await bus.close()


async def leader_of(bus: NatsBus, cluster: NatsCluster, shard: int = SHARD) -> NatsServer:
    info = await bus.client.jetstream().stream_info(subjects.stream(shard))
    assert info.cluster is not None
    return cluster.named(info.cluster.leader or "")


async def written_around(store: NatsRecordStore, fault: Callable[[], None], over: Callable[[], bool]) -> None:
    """An owner writes on all the time, before the fault and until it is over: its record has each item, in order."""
    call = new_call_id(SHARD)
    log = await Recorder(store).take(call, "agent-a", "desk", "d1", attach=1)
    turn, fault_at = 0, 25
    async with asyncio.timeout(ELECTED_S):
        while turn < 2 * fault_at or not over():
            turn += 1
            log.append(CallerSaid(turn, turn, f"item_{turn}", "hello", "speech"))
            if turn == fault_at:
                fault()
            await asyncio.sleep(WRITE_S)
        async with asyncio.timeout(AFTERWARDS_S):
            await log.durable()
        while (read := await read_call(store, call)) is None or len(read[1]) < log.stored:  # noqa: ASYNC110
            await asyncio.sleep(WRITE_S)  # a replica that lags behind may answer
    assert list(read[0].items) == [f"item_{n}" for n in range(1, turn + 1)]


def test_every_shard_answers_of_a_subject_that_nothing_stands_on(cluster: NatsCluster) -> None:
    async def main() -> None:
        async with store_at(*cluster.urls) as (bus, store):
            async with asyncio.timeout(ELECTED_S):
                while not all(await asyncio.gather(*(store.answers(shard) for shard in range(SHARDS)))):  # noqa: ASYNC110  # see below
                    await asyncio.sleep(0.1)  # each has just been made, and elects its first leader

            assert store.slow_shards() == ()
            assert bus.client.clustered

    asyncio.run(asyncio.wait_for(main(), 100))


def test_a_leader_is_killed_under_a_call_that_writes(cluster: NatsCluster, gone: list[NatsServer]) -> None:
    """Its shard is known to be slow, and not to answer, until the election is over; others answer all the time."""

    async def main() -> None:
        async with store_at(cluster.urls[0]) as (bus, _):
            leader = await leader_of(bus, cluster)
            gone.append(leader)
        others = [node.url for node in cluster.nodes if node is not leader]
        async with store_at(*others) as (bus, store):
            healths: list[bool] = []
            slow: set[int] = set()
            asking = asyncio.create_task(look(store, healths, slow))
            await written_around(store, leader.kill, lambda: False in healths and healths[-1])
            asking.cancel()

            assert healths[0]
            assert SHARD in slow
            assert await leader_of(bus, cluster) is not leader

    async def look(store: NatsRecordStore, healths: list[bool], slow: set[int]) -> None:
        while True:
            healths.append(await store.answers(SHARD))
            slow.update(store.slow_shards())
            await asyncio.sleep(0.05)

    asyncio.run(asyncio.wait_for(main(), 100))


def test_a_stream_whose_leader_is_there_answers_while_the_cluster_has_none(
    cluster: NatsCluster, gone: list[NatsServer]
) -> None:
    """The stream has one copy, at the only node that is left: JetStream's API answers nothing there."""

    async def main() -> None:
        async with store_at(*cluster.urls) as (bus, _):
            info = await bus.client.jetstream().add_stream(name="LONE", subjects=["lone.>"], num_replicas=1)
            assert info.cluster is not None
            left = cluster.named(info.cluster.leader or "")
        client = await left.connect()
        writes = NatsWrites(client)
        await writes.start()
        for node in cluster.nodes:
            if node is not left:
                gone.append(node)
                node.kill()
        while await api_answers(client):  # noqa: ASYNC110  # it tells only when asked
            await asyncio.sleep(0.1)

        answers = await writes.leads("lone.nobody", limit_s=5.0)
        stored = await writes.publish("lone.somebody", b"hello")

        await writes.close()
        await client.close()
        assert (answers, stored) == (True, 1)

    async def api_answers(client: Client) -> bool:
        try:
            await client.jetstream(timeout=1.0).get_last_msg("LONE", "lone.nobody")
        except NotFoundError:
            return True
        except (NatsError, TimeoutError):
            return False
        return True

    asyncio.run(asyncio.wait_for(main(), 100))


@pytest.mark.parametrize("fault", ["killed", "in lame duck"])
def test_a_writer_loses_its_own_node_while_its_writes_are_under_way(
    cluster: NatsCluster, gone: list[NatsServer], fault: str
) -> None:
    async def main() -> None:
        async with store_at(*cluster.urls) as (bus, store):
            used = cluster.named(bus.node)
            gone.append(used)
            act = used.kill if fault == "killed" else lambda: cluster.lame_duck(used)

            await written_around(store, act, lambda: bus.connected and bus.node != used.name)

    asyncio.run(asyncio.wait_for(main(), 100))
