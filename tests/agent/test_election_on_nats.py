"""On a real cluster: the leader of the call's shard is killed while a tool is wanted."""

import asyncio
from pathlib import Path

import pytest

from agent.scene import CALL, Scene, lookup
from support.nats_cluster import NatsCluster, running_cluster
from trunkline.agent.models.scripted import Call, Words
from trunkline.agent.record_wait import WAITING
from trunkline.agents import Agent
from trunkline.bus.nats import NatsBus
from trunkline.proto import subjects
from trunkline.proto.ids import shard_of
from trunkline.record import NatsRecordStore

pytestmark = pytest.mark.nats
ELECTED_S = 30.0  # on a busy machine
SCRIPT = [
    [[Words("Hello.", "final_answer")]],
    [[Call("lookup", {"order": "7"})], [Words("Done.", "final_answer")]],
]


def test_a_tool_waits_for_the_election_and_the_caller_hears_why(tmp_path: Path) -> None:
    async def main(cluster: NatsCluster) -> None:
        bus = NatsBus()
        await bus.open(cluster.urls, "agent-a")
        store = NatsRecordStore(bus.client, replicas=3)
        await store.ensure()
        async with Scene(SCRIPT, agent=Agent("desk", tools=[lookup]), store=store) as scene:  # type: ignore[arg-type]  # as good
            await scene.place()
            info = await bus.client.jetstream().stream_info(subjects.stream(shard_of(CALL)))
            assert info.cluster is not None
            leader = cluster.named(info.cluster.leader or "")
            leader.kill()
            scene.says("Hello?")
            scene_heard = await heard(scene, "Hello.")
            scene.says("Where is order 7?")
            await heard(scene, "Done.", ELECTED_S)

            assert scene_heard == ["Hello."]  # nothing but the tool waits
            assert scene.said == ["Hello.", WAITING, "Let me look up 7.", "Done."]
            assert await outcome(scene) == "ok"
        await bus.close()

    async def heard(scene: Scene, words: str, limit_s: float = 3.0) -> list[str]:
        async with asyncio.timeout(limit_s):
            while words not in scene.said:  # noqa: ASYNC110  # what is waited for is real time's
                await asyncio.sleep(0.02)
        return scene.said

    async def outcome(scene: Scene, limit_s: float = 3.0) -> str:
        """Of the one tool, once it is stored: the answer doesn't wait for that."""
        async with asyncio.timeout(limit_s):
            while True:
                (tool,) = (await scene.view()).tools.values()
                if tool.status is not None:
                    return tool.status
                await asyncio.sleep(0.02)

    with running_cluster(tmp_path) as cluster:
        asyncio.run(asyncio.wait_for(main(cluster), 100))
