"""Records on three nodes: one that dies with its disk, hangs or leaves costs time, nothing that was acknowledged."""

import asyncio
import shutil
import signal
from pathlib import Path

import pytest
from nats.aio.client import Client

from support.nats_cluster import NatsCluster, running_cluster
from support.nats_server import NatsServer
from trunkline.proto import subjects
from trunkline.proto.ids import shard_of
from trunkline.record import NatsRecordStore

from .replicas import read_all

pytestmark = pytest.mark.nats
CALL = "rtc_07_cluster"
ELECTED_S = 30.0  # on a busy machine


async def leader_of(client: Client, cluster: NatsCluster) -> NatsServer:
    info = await client.jetstream().stream_info(subjects.stream(shard_of(CALL)))
    assert info.cluster is not None
    return cluster.named(info.cluster.leader or "")


async def append_around(cluster: NatsCluster, fault: str) -> list[bytes]:
    """What another node has of a call whose stream lost its leader between two appends."""
    asker = await cluster.connect()
    making = NatsRecordStore(asker, replicas=3, trouble_limit_s=ELECTED_S)
    await making.ensure()
    leader = await leader_of(asker, cluster)
    await making.close()
    await asker.close()
    client = await next(node for node in cluster.nodes if node is not leader).connect()
    store = NatsRecordStore(client, trouble_limit_s=ELECTED_S)
    await store.ensure()
    first = await store.append(CALL, b"before", expected_seq=0, entry="entry_1")
    if fault.startswith("kill"):
        leader.kill()
    elif fault == "hang":
        leader.signal(signal.SIGSTOP)
    else:
        cluster.lame_duck(leader)
    await store.append(CALL, b"after", expected_seq=first, entry="entry_2")
    kept = await read_all(store, CALL, 2)
    await store.close()
    await client.close()
    if fault == "hang":
        leader.signal(signal.SIGCONT)
    else:
        leader.stop()
        if fault.startswith("kill"):
            shutil.rmtree(leader.store_dir)
        leader.start()
    cluster.ready()
    cluster.until_kept(leader, subjects.stream(shard_of(CALL)), len(kept))
    return kept


@pytest.mark.parametrize("fault", ["kill, and lose the disk", "hang", "lame duck"])
def test_an_append_waits_for_the_election_and_the_node_that_was_gone_has_it_too(tmp_path: Path, fault: str) -> None:
    with running_cluster(tmp_path) as cluster:
        kept = asyncio.run(asyncio.wait_for(append_around(cluster, fault), 100))

    assert kept == [b"before", b"after"]
