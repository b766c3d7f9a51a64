"""A new call for which there is no room is refused at the door: at once, and before anybody is asked."""

import asyncio

import pytest

from gateway.scene import Scene, Worker, settle
from gateway.socket_scene import KEY, Server
from support.virtual import run_over_sockets, run_virtual
from trunkline.gateway.call import Call
from trunkline.proto.errors import StageUnavailable
from trunkline.proto.subjects import Stage

STAGES: tuple[Stage, ...] = ("stt", "agent", "tts")


async def limit(worker: Worker, calls: int) -> None:
    worker.pool.capacity = calls
    worker._beats.now()
    await settle()


@pytest.mark.parametrize("stage", STAGES)
def test_where_one_stage_is_full_no_other_is_asked_and_no_time_passes(stage: Stage) -> None:
    async def main() -> None:
        async with Scene() as scene:
            await limit(scene.first[stage], 1)
            await scene.call()
            asked = [len(worker.sessions) for worker in scene.workers]
            began_s = asyncio.get_running_loop().time()
            with pytest.raises(StageUnavailable) as refused:
                await scene.calls.place("")

            assert (refused.value.stage, refused.value.why) == (stage, "full")
            assert asyncio.get_running_loop().time() == began_s
            assert [len(worker.sessions) for worker in scene.workers] == asked
            assert len(scene.calls) == 1

    run_virtual(main())


def test_of_a_crowd_as_many_are_placed_as_there_is_room_for_and_no_worker_has_to_decline() -> None:
    async def main() -> None:
        async with Scene("stt") as scene:
            for worker in scene.workers:
                await limit(worker, 8)
            outcomes = await asyncio.gather(*(scene.calls.place("") for _ in range(200)), return_exceptions=True)
            placed = [one for one in outcomes if not isinstance(one, BaseException)]

            assert len(placed) == len(scene.calls) == 8
            assert all(isinstance(one, StageUnavailable) for one in outcomes if isinstance(one, BaseException))
            assert [len(worker.sessions) for worker in (scene.agent, scene.tts)] == [8, 8]
            for call in placed:
                call.end("caller_hung_up")
            await settle(0.5)
            again = await asyncio.gather(*(scene.calls.place("") for _ in range(8)))
            assert len(again) == 8

    run_virtual(main())


def test_a_call_that_is_given_up_while_it_is_placed_leaves_its_place_to_the_next() -> None:
    async def main() -> None:
        async with Scene() as scene:
            await limit(scene.stt, 1)
            scene.tts.mute = True
            placing = asyncio.create_task(scene.calls.place(""))
            await settle()
            placing.cancel()
            await asyncio.gather(placing, return_exceptions=True)
            scene.tts.mute = False
            await settle(0.5)

            await scene.call()

    run_virtual(main())


def test_a_call_that_is_given_up_in_the_turn_in_which_it_was_placed_is_over(monkeypatch: pytest.MonkeyPatch) -> None:
    place = Call.place

    async def main() -> None:
        async with Scene() as scene:
            placing = asyncio.create_task(scene.calls.place("", key="a"))

            async def placed(call: Call) -> None:
                await place(call)
                asyncio.get_running_loop().call_soon(placing.cancel)

            monkeypatch.setattr(Call, "place", placed)
            await asyncio.gather(placing, return_exceptions=True)

            assert placing.cancelled()
            assert (len(scene.calls), scene.calls.key_use["a"]) == (0, 0)

    run_virtual(main())


def test_calls_of_a_worker_that_dies_get_what_was_kept_for_them_and_new_ones_do_not() -> None:
    async def main() -> None:
        async with Scene("stt") as scene:
            for worker in (scene.stt, scene.second["stt"]):
                await limit(worker, 4)
            calls = [await scene.calls.place("") for _ in range(4)]
            with pytest.raises(StageUnavailable, match="kept"):
                await scene.calls.place("")
            await scene.stt.kill()
            scene.calls._roster.gone("stt", "stt-1", "test")
            with pytest.raises(StageUnavailable):
                await scene.calls.place("")
            await settle(0.5)

            assert {call.workers["stt"] for call in calls} == {"stt-2"}
            assert not [call for call in calls if call.ended]

    run_virtual(main())


def test_the_upgrade_is_refused_with_a_time_to_come_back_and_nobody_is_asked() -> None:
    async def main() -> None:
        async with Server() as server:
            scene = server.scene
            await limit(scene.tts, 1)
            async with server.connect():
                statuses = [await server.refused() for _ in range(5)]

            assert {(status, body["error"]["code"]) for status, body, _ in statuses} == {(503, "overloaded")}
            assert all(1 <= int(retry_after) <= 4 for _, _, retry_after in statuses)
            assert len(scene.stt.sessions) == 1

    run_over_sockets(main())


@pytest.mark.parametrize(
    ("stage", "path"),
    [("stt", "/v1/audio/transcriptions"), ("tts", "/v1/audio/speech"), ("agent", "/v1/responses")],
)
def test_a_request_is_refused_before_its_body_is_looked_at(stage: Stage, path: str) -> None:
    async def main() -> None:
        async with Server() as server:
            await limit(server.scene.first[stage], 1)
            async with (
                server.connect(),
                server.client.post(
                    path, data=b"{", headers={"Authorization": f"Bearer {KEY}", "Content-Type": "application/json"}
                ) as answer,
            ):
                body = await answer.json()

            assert (answer.status, body["error"]["code"]) == (503, "overloaded")
            assert "Retry-After" in answer.headers

    run_over_sockets(main())
