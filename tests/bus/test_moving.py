"""A client of a cluster moves: early from a node in lame duck, soon from one that hangs, and back once any answers."""

import asyncio
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager

import pytest

from support.nats_cluster import NatsCluster, running_cluster
from support.nats_server import NatsServer
from trunkline.bus.nats import NatsBus
from trunkline.bus.port import Received
from trunkline.runtime.process import Process
from trunkline.runtime.settings import CoreSettings

pytestmark = pytest.mark.nats
BEAT_S = 0.005
MOVE_LIMIT_S = 15.0  # on a busy machine


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NatsCluster]:
    with running_cluster(tmp_path_factory.mktemp("moving")) as cluster:
        yield cluster


@pytest.fixture
def cluster(shared: NatsCluster) -> Iterator[NatsCluster]:
    """All nodes are there again after each test; nobody asks for JetStream here."""
    yield shared
    for node in shared.nodes:
        node.kill()
        node.start()


def play(body: Awaitable[None]) -> None:
    async def main() -> None:
        await asyncio.wait_for(body, 60)

    asyncio.run(main())


async def until(holds: Callable[[], bool], limit_s: float = MOVE_LIMIT_S) -> None:
    async with asyncio.timeout(limit_s):
        while not holds():  # noqa: ASYNC110  # what is waited for is another program's
            await asyncio.sleep(0.005)


class Talk:
    """Two processes that count to each other all the time: `a` may use any node, `b` one that stays well.

    What came counts the first time: numbers in order, without a gap.
    """

    def __init__(self, cluster: NatsCluster, used: NatsServer) -> None:
        self.cluster = cluster
        self.used = used
        self.a, self.b = NatsBus(), NatsBus()
        self.sent = 0
        self.came: dict[str, list[int]] = {"to.a": [], "to.b": []}

    async def open(self) -> None:
        others = [node.url for node in self.cluster.nodes if node is not self.used]
        await self.a.open([self.used.url], "a")  # the others it hears of from the node
        await self.b.open(others[:1], "b")
        await self.a.subscribe("to.a", self._hear)
        await self.b.subscribe("to.b", self._hear)
        await self.a.flush()
        await self.b.flush()
        while not (self.came["to.a"] and self.came["to.b"]):  # until each node knows of the other's subscribers
            self.count()
            await asyncio.sleep(0.02)
        self.came = {"to.a": [], "to.b": []}

    def _hear(self, received: Received) -> None:
        number, came = int(received.data), self.came[received.subject]
        if number not in came[-500:]:
            came.append(number)

    def count(self) -> None:
        self.sent += 1
        self.a.publish("to.b", str(self.sent).encode())
        self.b.publish("to.a", str(self.sent).encode())

    async def count_until(self, holds: Callable[[], bool]) -> None:
        async with asyncio.timeout(MOVE_LIMIT_S):
            while not holds():
                self.count()
                await asyncio.sleep(BEAT_S)

    def lost(self, way: str) -> set[int]:
        """Numbers between the first and the last that came."""
        came = self.came[way]
        return set(range(came[0], came[-1] + 1)) - set(came)


@asynccontextmanager
async def talking(cluster: NatsCluster, used: NatsServer) -> AsyncIterator[Talk]:
    talk = Talk(cluster, used)
    await talk.open()
    yield talk
    await talk.a.close()
    await talk.b.close()


def test_a_client_leaves_a_node_in_lame_duck_at_once_and_no_message_either_way_is_lost(cluster: NatsCluster) -> None:
    async def body() -> None:
        async with talking(cluster, cluster.nodes[0]) as talk:
            cluster.lame_duck(talk.used)
            await talk.count_until(lambda: talk.a.node != talk.used.name)
            sent = talk.sent
            await talk.count_until(lambda: all(came and came[-1] > sent + 60 for came in talk.came.values()))

            assert {way: talk.lost(way) for way in talk.came} == {"to.a": set(), "to.b": set()}
            assert [came == sorted(came) for came in talk.came.values()] == [True, True]
            assert talk.a.node != talk.used.name

    play(body())


def test_a_client_leaves_a_hung_node_though_another_hangs_too(cluster: NatsCluster) -> None:
    async def body() -> None:
        bus = NatsBus()
        await bus.open(cluster.urls, "a")
        used = cluster.named(bus.node)
        hung, well = (node for node in cluster.nodes if node is not used)
        for node in (used, hung):
            node.signal(signal.SIGSTOP)
        await until(lambda: bus.node == well.name and bus.connected)
        heard: list[bytes] = []
        await bus.subscribe("x", lambda received: heard.append(received.data))
        bus.publish("x", b"here")
        await until(lambda: heard == [b"here"])
        await bus.close()

    play(body())


def test_a_lone_server_in_lame_duck_is_stayed_with_until_it_cuts_us_off(cluster: NatsCluster) -> None:
    async def body() -> None:
        used = cluster.nodes[0]
        bus = NatsBus()
        await bus.open([used.url], "a")
        for node in cluster.nodes[1:]:
            node.kill()
        cluster.lame_duck(used)
        heard: list[bytes] = []
        await bus.subscribe("x", lambda received: heard.append(received.data))
        await until(lambda: bus._client._leaving is not None)
        bus.publish("x", b"still here")
        await until(lambda: heard == [b"still here"])

        assert bus.node == used.name
        await bus.close()

    play(body())


class _Idle:
    digest = ""
    agents: tuple[str, ...] = ()

    async def start(self) -> None: ...

    def load(self) -> tuple[int, int]:
        return (0, 0)

    async def drain(self, grace_s: float) -> None: ...

    async def stop(self) -> None: ...


def test_a_process_that_no_node_answers_says_so_in_readiness_and_goes_on_once_they_are_back(
    cluster: NatsCluster,
) -> None:
    async def body() -> None:
        bus = NatsBus()
        await bus.open(cluster.urls, "stt-test")
        process = Process("stt", CoreSettings(worker_id="stt-test", drain_grace_s=0.1), bus)
        await process.start(_Idle())
        heard: list[bytes] = []
        await bus.subscribe("x", lambda received: heard.append(received.data))
        await bus.flush()
        before = process.unready()
        for node in cluster.nodes:
            node.kill()
        await until(lambda: process.unready() == "no connection to NATS")
        bus.publish("x", b"kept meanwhile")
        for node in cluster.nodes:
            await asyncio.to_thread(node.start)
        await until(lambda: process.unready() == "")
        await until(lambda: heard == [b"kept meanwhile"])
        await process.stop()

        assert before == ""

    play(body())


def test_a_flush_that_a_move_overtakes_is_done_at_the_other_node(cluster: NatsCluster) -> None:
    async def body() -> None:
        bus = NatsBus()
        await bus.open(cluster.urls, "a")
        used = cluster.named(bus.node)
        used.signal(signal.SIGSTOP)
        await asyncio.wait_for(bus.flush(), MOVE_LIMIT_S)

        assert bus.node != used.name
        await bus.close()

    play(body())
