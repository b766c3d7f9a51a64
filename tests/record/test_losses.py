"""Three nodes get what one had, and lose two of them at once: what was acknowledged is there afterwards."""

import asyncio
import urllib.request
from pathlib import Path

import msgspec
import pytest

from support.nats_cluster import NatsCluster, running_cluster
from support.nats_server import NatsServer
from trunkline.cli.main import run
from trunkline.proto import subjects
from trunkline.proto.ids import shard_of
from trunkline.record import NatsRecordStore

from .replicas import read_all

pytestmark = pytest.mark.nats
CALL, ALONE = "rtc_07_losses", "rtc_08_alone"
STREAM = subjects.stream(shard_of(CALL))
LIMIT_S = 60.0  # on a busy machine


async def opened(node: NatsServer, replicas: int = 3) -> NatsRecordStore:
    store = NatsRecordStore(await node.connect(), replicas=replicas, trouble_limit_s=LIMIT_S)
    await store.ensure()
    return store


async def keep(node: NatsServer, count: int) -> None:
    store, seq = await opened(node, replicas=1), 0
    for number in range(count):
        seq = await store.append(CALL, b"entry %d" % number, expected_seq=seq, entry=f"entry_{number}")
    await store.close()


def own_copy(node: NatsServer) -> int:
    """Messages of the stream that lie on this node's disk."""
    with urllib.request.urlopen(f"{node.monitor_url}/jsz?streams=true&accounts=true", timeout=5) as answer:
        accounts = msgspec.json.decode(answer.read())["account_details"]
    return sum(one["state"]["messages"] for each in accounts for one in each["stream_detail"] if one["name"] == STREAM)


def test_a_backup_of_one_node_is_restored_into_three(tmp_path: Path) -> None:
    lone = NatsServer(tmp_path / "lone")
    lone.start()
    asyncio.run(keep(lone, 20))
    saved = run(["backup", str(tmp_path / "copy"), "--nats-url", lone.url])
    lone.stop()
    with running_cluster(tmp_path / "three") as three:
        restored = run(["restore", str(tmp_path / "copy"), "--nats-url", ",".join(three.urls), "--replicas", "3"])
        three.ready()

        assert (saved, restored) == (0, 0)
        assert [own_copy(node) for node in three.nodes] == [20, 20, 20]


async def append_while_alone(cluster: NatsCluster) -> tuple[bool, list[bytes]]:
    """Whether an entry was acknowledged while one node of three was left; and what is kept once two are."""
    left, *others = cluster.nodes
    store = await opened(left)
    seq = await store.append(ALONE, b"before", expected_seq=0, entry="entry_before")
    for node in others:
        node.kill()
    appending = asyncio.ensure_future(store.append(ALONE, b"alone", expected_seq=seq, entry="entry_alone"))
    done, _ = await asyncio.wait([appending], timeout=5.0)
    others[0].start()
    await appending
    kept = await read_all(store, ALONE, 2)
    await store.close()
    others[1].start()
    return bool(done), kept


def test_one_node_alone_acknowledges_nothing_and_two_go_on_with_what_waited(tmp_path: Path) -> None:
    with running_cluster(tmp_path) as cluster:
        acknowledged, kept = asyncio.run(asyncio.wait_for(append_while_alone(cluster), 100))

    assert not acknowledged
    assert kept == [b"before", b"alone"]
