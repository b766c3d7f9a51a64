"""A node that the network cuts off from the other two acknowledges nothing, and they go on without it."""

import asyncio
from contextlib import ExitStack
from pathlib import Path

import pytest
from nats.aio.client import Client

from support.nats_cluster import NatsCluster, running_cluster
from support.nats_server import NatsServer
from support.network import Network
from trunkline.proto import subjects
from trunkline.proto.ids import SHARDS, new_call_id, shard_of
from trunkline.record import NatsRecordStore, WrongSequence

from .replicas import read_all

pytestmark = pytest.mark.nats
LIMIT_S = 60.0  # on a busy machine


async def opened(node: NatsServer) -> tuple[Client, NatsRecordStore]:
    client = await node.connect()
    store = NatsRecordStore(client, replicas=3, trouble_limit_s=LIMIT_S)
    await store.ensure()
    return client, store


async def led_by(client: Client, node: NatsServer) -> str:
    """A call whose stream this node leads, if it leads any."""
    for shard in range(SHARDS):
        info = await client.jetstream().stream_info(subjects.stream(shard))
        if info.cluster is not None and info.cluster.leader == node.name:
            return new_call_id(shard)
    return new_call_id(0)


async def append_on_both_sides(cluster: NatsCluster, network: Network) -> tuple[bool, str, list[bytes]]:
    """Whether the node that was cut off had acknowledged, once the others had; what became of it; what is kept."""
    (here, alone), (there, others) = await opened(cluster.nodes[0]), await opened(cluster.nodes[1])
    call = await led_by(here, cluster.nodes[0])
    seq = await alone.append(call, b"before", expected_seq=0, entry="entry_before")
    network.cut()
    waiting = asyncio.ensure_future(alone.append(call, b"alone", expected_seq=seq, entry="entry_alone"))
    await others.append(call, b"others", expected_seq=seq, entry="entry_others")
    acknowledged = waiting.done()
    network.mend()
    try:
        await waiting
        fate = "stored"
    except WrongSequence:
        fate = "fenced"
    await asyncio.to_thread(cluster.until_level, subjects.stream(shard_of(call)))
    kept = await read_all(alone, call, 2)
    for store, client in ((alone, here), (others, there)):
        await store.close()
        await client.close()
    return acknowledged, fate, kept


def test_who_writes_at_a_node_that_is_cut_off_is_fenced_by_who_went_on_at_the_others(tmp_path: Path) -> None:
    with ExitStack() as stack:
        network = Network()
        stack.callback(network.close)
        cluster = stack.enter_context(running_cluster(tmp_path, network))
        acknowledged, fate, kept = asyncio.run(asyncio.wait_for(append_on_both_sides(cluster, network), 100))

    assert not acknowledged
    assert fate == "fenced"
    assert kept == [b"before", b"others"]
