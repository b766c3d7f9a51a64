"""A call is over for its gateway when its end is on record, and not when an agent has only heard of it."""

from collections.abc import Awaitable, Callable

import pytest

from gateway.scene import Scene, Worker, settle
from support.virtual import run_virtual
from trunkline.gateway import farewell
from trunkline.gateway.call import Call
from trunkline.proto import response as r

KEPT = r.CallerLost(16_000)  # what the agent was told, and may not be on record
ELECTION_S = 8.0


def play(body: Callable[[Scene, Call], Awaitable[None]], wire: int = farewell.TELLS_THE_END) -> None:
    """body: of a call with something that isn't known to be recorded; two agents are there."""

    async def main() -> None:
        async with Scene("agent") as scene:
            scene.agent.wire = scene.second["agent"].wire = wire
            call, _ = await scene.call()
            first = scene.first["agent"] = next(worker for worker in scene.workers if is_its_agent(worker, call))
            scene.second["agent"] = next(w for w in scene.workers if w.stage == "agent" and w is not first)
            call.agent_line.tell(KEPT)
            await settle(1.0)  # its beat tells of its wire
            call.end("caller_hung_up")
            await settle(0.2)
            await body(scene, call)

    run_virtual(main())


def is_its_agent(worker: Worker, call: Call) -> bool:
    return worker.name == call.workers["agent"]


def test_an_agent_that_dies_before_the_end_is_recorded_is_followed_by_one_that_is_told_all() -> None:
    async def body(scene: Scene, call: Call) -> None:
        assert scene.first["agent"].last.closed == "caller_hung_up"  # it knew
        await scene.first["agent"].kill()
        await settle(3.0)

        after = scene.second["agent"].last
        assert [message for message in after.got if message == KEPT] == [KEPT]
        assert after.closed == "caller_hung_up"

    play(body)


def test_an_agent_that_lives_is_waited_for_while_its_shard_elects_a_leader() -> None:
    async def body(scene: Scene, call: Call) -> None:
        await settle(ELECTION_S)

        assert scene.second["agent"].sessions == []
        await scene.first["agent"].kill()
        await settle(3.0)
        assert scene.second["agent"].last.closed == "caller_hung_up"

    play(body)


def test_once_the_end_is_recorded_nobody_is_asked_for_it() -> None:
    async def body(scene: Scene, call: Call) -> None:
        scene.first["agent"].last.link.send_loose(r.Stored(9, 9))
        await settle(0.2)
        await scene.first["agent"].kill()
        await settle(3.0)

        assert scene.second["agent"].sessions == []

    play(body)


def test_what_another_call_has_on_record_says_nothing_of_this_one() -> None:
    async def body(scene: Scene, call: Call) -> None:
        other, _ = await scene.call()
        theirs = next(w for w in scene.workers if is_its_agent(w, other)).last.link
        other.end("caller_hung_up")
        assert theirs.attach == scene.first["agent"].sessions[0].link.attach  # a number is one call's alone
        theirs.send_loose(r.Stored(9, 9))
        await settle(0.2)
        await scene.first["agent"].kill()
        await settle(3.0)

        assert call.call_id in [session.link.call for session in scene.second["agent"].sessions]

    play(body)


def test_an_agent_of_an_earlier_wire_has_done_with_the_call_when_it_has_heard_of_the_end() -> None:
    async def body(scene: Scene, call: Call) -> None:
        await scene.first["agent"].kill()
        await settle(3.0)

        assert scene.second["agent"].sessions == []

    play(body, wire=farewell.TELLS_THE_END - 1)


def test_an_agent_that_never_tells_is_given_up_and_the_index_is_looked_at() -> None:
    async def body(scene: Scene, call: Call) -> None:
        assert not scene.calls.abandoned
        await settle(farewell.FAREWELL_LIMIT_S + 1.0)

        assert scene.calls.abandoned
        assert scene.second["agent"].sessions == []

    play(body)


def test_an_end_that_cannot_be_told_keeps_no_other_call_from_being_watched(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> None:
        raise ValueError("text that UTF-8 can't hold")

    async def body(scene: Scene, call: Call) -> None:
        other, _ = await scene.call()
        monkeypatch.setattr(call.agent_line, "hold", fail)  # for another agent
        await scene.first["agent"].kill()
        await settle(3.0)
        stt = other.workers["stt"]
        await next(worker for worker in scene.workers if worker.name == stt).kill()
        await settle(3.0)

        assert other.workers.get("stt") != stt
        assert scene.calls.abandoned
        other.end("caller_hung_up")
        await settle(3.0)

    play(body)
