"""A client's own limit of silence: it counts from the end of an answer, is told, and is answered by the model."""

from collections.abc import Awaitable, Callable

import pytest

from gateway.scene import Line, Scene, settle
from gateway.test_silence import now_s, until_told
from support.virtual import run_virtual
from trunkline.gateway.call import Call
from trunkline.gateway.call_events import AudioCommitted, ResponseEnded, ResponseOpened, TimedOut, Transcribed
from trunkline.gateway.turns import Policy
from trunkline.gateway.wanted import Wanted
from trunkline.gateway.wishes import Wishes
from trunkline.proto import response as r
from trunkline.proto.audio import CALLER_RATE_HZ, SPEECH_RATE_HZ
from trunkline.proto.ids import new_item_id

IDLE_S = 6.0
IDLE = Wishes(idle_s=IDLE_S, instructions="Rhyme.")
ANSWER_S = 0.25  # of "Fine.", the scene's answer to anything

Scenario = Callable[[Scene, Call, Line], Awaitable[None]]


def play(scenario: Scenario, own_s: float = 0.0) -> None:
    """own_s: the agent's limit."""

    async def main() -> None:
        async with Scene() as scene:
            scene.agent.attached = r.Attached("frontdesk", "d1", idle_s=own_s)
            call, line = await scene.call()
            await scenario(scene, call, line)
            call.end("caller_hung_up")
            await settle(3.0)

    run_virtual(main())


async def is_answered(call: Call, line: Line) -> float:
    """When it has been heard."""
    call.conversation.type(new_item_id(), "I am here.")
    call.respond(Wanted())
    before = len(line.all(ResponseEnded))
    while len(line.all(ResponseEnded)) == before:
        await settle(0.01)
    return now_s()


async def until_timed_out(line: Line, times: int = 1) -> float:
    while len(line.all(TimedOut)) < times:
        assert now_s() < 100
        await line.speaks(0.1, level=0)
    return now_s()


def test_it_counts_from_the_end_of_an_answer_and_not_before_there_was_one() -> None:
    async def scenario(scene: Scene, call: Call, line: Line) -> None:
        call.configure(IDLE)
        await settle(3 * IDLE_S)
        assert line.all(TimedOut) == []
        heard_s = await is_answered(call, line)
        timed_out_s = await until_timed_out(line)

        assert timed_out_s - heard_s == pytest.approx(IDLE_S, abs=0.3)

    play(scenario)


def test_the_silence_is_an_item_and_the_model_answers_it_as_the_session_says() -> None:
    async def scenario(scene: Scene, call: Call, line: Line) -> None:
        call.configure(IDLE)
        await is_answered(call, line)
        begin = len(line.events)
        await until_timed_out(line)
        await settle(1.0)
        told, committed, worded, opened, *_ = line.events[begin:]

        assert isinstance(told, TimedOut)
        assert isinstance(committed, AudioCommitted)
        assert isinstance(worded, Transcribed)
        assert isinstance(opened, ResponseOpened)
        assert (committed.item, worded.item, worded.text) == (told.item, told.item, "")
        assert told.to_sample == pytest.approx(call.listening.ring.end, abs=CALLER_RATE_HZ // 5)
        assert told.to_sample - told.from_sample == pytest.approx(IDLE_S * CALLER_RATE_HZ, abs=CALLER_RATE_HZ // 5)
        *_, asked = scene.agent.sessions[0].all(r.Respond)
        assert asked == r.Respond("Rhyme.", opened.response)
        assert scene.agent.sessions[0].all(r.CallerAway) == []

    play(scenario)


def test_it_comes_again_after_the_answer_to_it() -> None:
    async def scenario(scene: Scene, call: Call, line: Line) -> None:
        call.configure(IDLE)
        await is_answered(call, line)
        first_s = await until_timed_out(line)
        second_s = await until_timed_out(line, 2)

        assert second_s - first_s == pytest.approx(IDLE_S + ANSWER_S, abs=0.3)

    play(scenario)


def test_a_caller_who_said_something_waits_for_an_answer_however_long() -> None:
    async def scenario(scene: Scene, call: Call, line: Line) -> None:
        call.configure(Wishes(idle_s=IDLE_S, policy=Policy(respond=False)))
        await is_answered(call, line)
        call.conversation.type(new_item_id(), "Where is my order?")
        await settle(3 * IDLE_S)

        assert line.all(TimedOut) == []

    play(scenario)


def test_what_the_agent_says_to_silence_is_said_when_the_client_wants_it() -> None:
    async def scenario(scene: Scene, call: Call, line: Line) -> None:
        await is_answered(call, line)
        call.configure(IDLE)
        await until_timed_out(line)
        await settle(1.0)

        assert [m.count for m in scene.agent.sessions[0].got if isinstance(m, r.CallerAway)] == [1]
        assert len(scene.agent.sessions[0].all(r.Respond)) == 1

    play(scenario, own_s=60.0)


def test_without_a_limit_of_the_clients_the_agents_own_counts() -> None:
    async def scenario(scene: Scene, call: Call, line: Line) -> None:
        call.configure(IDLE)
        call.configure(Wishes())
        took_s = await until_told(scene, 1)

        assert took_s == pytest.approx(10.0, abs=0.1)
        assert line.all(TimedOut) == []

    play(scenario, own_s=10.0)


def test_a_call_that_is_over_is_not_watched_again() -> None:
    async def scenario(scene: Scene, call: Call, line: Line) -> None:
        await is_answered(call, line)
        call.end("caller_hung_up")
        call.configure(IDLE)
        await settle(2 * IDLE_S)

        assert line.all(TimedOut) == []
        assert len(scene.agent.sessions[0].all(r.Respond)) == 1

    play(scenario)


def test_a_limit_set_after_the_answer_counts_from_then() -> None:
    async def scenario(scene: Scene, call: Call, line: Line) -> None:
        await is_answered(call, line)
        await settle(20.0)
        call.configure(IDLE)
        set_s = now_s()
        timed_out_s = await until_timed_out(line)

        assert timed_out_s - set_s == pytest.approx(IDLE_S, abs=0.3)
        assert line.samples_said() > ANSWER_S * SPEECH_RATE_HZ * 0.9

    play(scenario)
