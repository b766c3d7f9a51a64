"""Where a new call's record is kept, when shards don't answer."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from gateway.scene import Scene, settle
from support.virtual import run_virtual
from trunkline.gateway.call_events import MoveAsked
from trunkline.proto.errors import RecordUnavailable
from trunkline.proto.ids import SHARDS, shard_of
from trunkline.proto.placement import Beat

AWAY_S = 0.3


class ShardScene(Scene):
    """Shards in `away` don't answer."""

    def __init__(self) -> None:
        super().__init__()
        self.away: set[int] = set()
        self.roster.on_slow = self.shards.doubt

    async def shard_answers(self, shard: int) -> bool:
        await asyncio.sleep(AWAY_S if shard in self.away else 0.001)
        return shard not in self.away


def play(body: Callable[[ShardScene], Awaitable[None]]) -> None:
    async def main() -> None:
        async with ShardScene() as scene:
            await body(scene)

    run_virtual(main())


def test_new_calls_go_to_shards_that_answer() -> None:
    async def body(scene: ShardScene) -> None:
        scene.away = set(range(SHARDS)) - {2, 9}
        scene.shards.doubt_all()
        calls = [await scene.calls.place("") for _ in range(12)]

        assert {shard_of(call.call_id) for call in calls} <= {2, 9}
        for call in calls:
            call.end("caller_hung_up")
        await settle(3.0)

    play(body)


def test_with_no_shard_a_call_is_refused_before_any_worker_is_asked() -> None:
    async def body(scene: ShardScene) -> None:
        scene.away = set(range(SHARDS))
        scene.shards.doubt_all()

        with pytest.raises(RecordUnavailable):
            await scene.calls.place("")

        assert scene.stt.sessions == []
        assert len(scene.calls) == 0

    play(body)


def test_a_call_whose_shard_is_lost_while_it_is_placed_gets_another_id() -> None:
    async def body(scene: ShardScene) -> None:
        scene.agent.mute = True  # it waits for the record
        placing = asyncio.create_task(scene.calls.place(""))
        await settle(1.0)
        first = scene.agent.sessions[0].link.call
        scene.away = {shard_of(first)}
        scene.agent.mute = False
        scene.roster.hear(Beat("agent", "agent-1", 1, 10, False, "test", slow_shards=(shard_of(first),)))
        call = await asyncio.wait_for(placing, 1.0)

        assert shard_of(call.call_id) != shard_of(first)
        await settle(1.0)
        assert scene.agent.sessions[0].closed == "failed: not placed"
        assert len(scene.calls) == 1
        call.end("caller_hung_up")
        await settle(3.0)

    play(body)


def test_a_call_that_is_placed_already_stays_on_its_shard() -> None:
    async def body(scene: ShardScene) -> None:
        call, _ = await scene.call()
        scene.away = {shard_of(call.call_id)}
        scene.shards.doubt_all()
        await settle(2.0)

        assert not call.ended
        call.end("caller_hung_up")
        await settle(3.0)

    play(body)


def test_a_client_is_asked_to_move_only_once_its_shard_answers() -> None:
    async def body(scene: ShardScene) -> None:
        call, line = await scene.call()
        scene.away = {shard_of(call.call_id)}
        scene.shards.doubt_all()
        draining = asyncio.create_task(scene.calls.drain(30.0))
        await settle(4.0)
        asked_early = line.all(MoveAsked)
        scene.away = set()
        await settle(2.0)

        assert asked_early == []
        assert len(line.all(MoveAsked)) == 1
        call.end("caller_hung_up")
        await draining

    play(body)


def test_who_stays_to_the_end_of_the_grace_is_let_go_though_its_shard_is_silent() -> None:
    async def body(scene: ShardScene) -> None:
        call, line = await scene.call()
        scene.away = {shard_of(call.call_id)}
        scene.shards.doubt_all()
        await scene.calls.drain(3.0)

        assert line.all(MoveAsked) == []
        assert call.ended

    play(body)


def test_an_agent_that_drains_is_relieved_only_once_the_shard_answers() -> None:
    async def body(scene: ShardScene) -> None:
        call, _ = await scene.call()
        late = scene.make("agent")
        await late.start()
        scene.away = {shard_of(call.call_id)}
        scene.shards.doubt_all()
        scene.agent.drain()
        await settle(4.0)
        asked_early = list(late.sessions)
        scene.away = set()
        await settle(3.0)

        assert asked_early == []
        assert call.workers["agent"] == late.name
        call.end("caller_hung_up")
        await settle(3.0)

    play(body)


def test_a_call_that_fails_when_it_is_asked_to_move_keeps_no_other_from_being_asked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail() -> None:
        raise RuntimeError("a bug")

    async def body(scene: ShardScene) -> None:
        call, _ = await scene.call()
        other, line = await scene.call()
        monkeypatch.setattr(call, "ask_to_leave", fail)
        draining = asyncio.create_task(scene.calls.drain(30.0))
        await settle(1.0)

        assert call.ended
        assert len(line.all(MoveAsked)) == 1
        other.end("caller_hung_up")
        await draining

    play(body)
