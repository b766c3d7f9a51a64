"""A worker that is killed is known to be gone at once, from the server that saw its connection close."""

import asyncio
import sys
from pathlib import Path

import pytest

from support.nats_cluster import NatsCluster
from support.nats_server import running
from trunkline.bus.nats import NatsBus
from trunkline.bus.port import SETTLED_S
from trunkline.placement.roster import Roster
from trunkline.proto.placement import BEAT_LIMIT_S, Beat

WORKER = """
import asyncio, sys
from trunkline.bus.nats import NatsBus
async def main():
    bus = NatsBus()
    await bus.open([sys.argv[1]], "stt-dies")
    print("up", flush=True)
    await asyncio.sleep(60)
asyncio.run(main())
"""


async def going(gateway_url: str, worker_url: str) -> tuple[str, str, str]:
    """Stage, worker and reason, as a gateway's roster has it of a worker that is killed."""
    bus = NatsBus()
    await bus.open([gateway_url], "gateway-1")
    roster = Roster(asyncio.get_running_loop().time)
    gone: asyncio.Future[tuple[str, str, str]] = asyncio.get_running_loop().create_future()
    roster.on_gone = lambda stage, worker, reason: gone.set_result((stage, worker, reason))
    await roster.start(bus)
    await bus.flush()
    worker = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", WORKER, worker_url), stdout=asyncio.subprocess.PIPE
    )
    assert worker.stdout is not None
    await worker.stdout.readline()
    await asyncio.sleep(SETTLED_S)
    roster.hear(Beat("stt", "stt-dies", 0, 8, False, "0"))
    worker.kill()
    told = await asyncio.wait_for(gone, BEAT_LIMIT_S)
    await worker.wait()
    await roster.stop()
    await bus.close()
    return told


@pytest.mark.nats
def test_a_worker_killed_is_gone_before_its_beats_are_missed(tmp_path: Path) -> None:
    with running(tmp_path) as server:
        stage, worker, reason = asyncio.run(asyncio.wait_for(going(server.url, server.url), 15))

    assert (stage, worker) == ("stt", "stt-dies")
    assert reason.startswith("disconnected: ")


@pytest.mark.nats
def test_a_worker_killed_at_another_node_is_gone_as_soon(nats_cluster: NatsCluster) -> None:
    here, there, _ = nats_cluster.urls

    stage, worker, reason = asyncio.run(asyncio.wait_for(going(here, there), 15))

    assert (stage, worker) == ("stt", "stt-dies")
    assert reason.startswith("disconnected: ")
