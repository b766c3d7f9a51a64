"""Silence of both sides: the agent is told after so much of it, again and again, until somebody says something."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from gateway.scene import Line, Scene, settle
from support.virtual import run_virtual
from trunkline.gateway.asking import Asking
from trunkline.gateway.call import Call
from trunkline.gateway.call_events import AudioSaid, ResponseEnded
from trunkline.gateway.silence import Silence
from trunkline.gateway.turns import Policy
from trunkline.gateway.wanted import Wanted
from trunkline.gateway.wishes import Wishes
from trunkline.proto import response as r
from trunkline.proto import speech as s
from trunkline.proto.audio import CALLER_RATE_HZ, SPEECH_RATE_HZ
from trunkline.proto.errors import BadInput
from trunkline.proto.ids import new_item_id
from trunkline.proto.subjects import Stage

IDLE_S = 5.0
PROMPT_S = 0.25  # of "Fine.", the scene's answer to anything

Scenario = Callable[[Scene, Call, Line], Awaitable[None]]


def play(scenario: Scenario, *more: Stage, idle_s: float = IDLE_S, answer: str = "Fine.") -> None:
    async def main() -> None:
        async with Scene(*more) as scene:
            for worker in scene.workers:
                worker.attached = r.Attached("frontdesk", "d1", idle_s=idle_s)
            scene.agent_mind.answer = answer
            call, line = await scene.call()
            await scenario(scene, call, line)
            call.end("caller_hung_up")
            await settle(3.0)

    run_virtual(main())


def told(scene: Scene, worker: Stage | None = None) -> list[int]:
    """The counts that an agent was told."""
    sessions = scene.second[worker].sessions if worker else scene.agent.sessions
    return [m.count for m in sessions[0].got if isinstance(m, r.CallerAway)]


def now_s() -> float:
    return asyncio.get_running_loop().time()


async def until_told(scene: Scene, times: int, limit_s: float = 60.0) -> float:
    """How long it took."""
    began_s = now_s()
    while len(told(scene)) < times:
        assert now_s() - began_s < limit_s, told(scene)
        await asyncio.sleep(0.01)
    return now_s() - began_s


def hears(scene: Scene, number: int, from_s: float, to_s: float | None = None, text: str = "Hello.") -> None:
    """What STT says of an utterance; it goes on where there is no end."""
    stt = scene.stt.sessions[0]
    stt.say(s.SpeechStarted(number, int(from_s * CALLER_RATE_HZ)))
    if to_s is not None:
        stt.say(s.SpeechStopped(number, int(to_s * CALLER_RATE_HZ)))
        stt.say(s.Final(number, text, int(from_s * CALLER_RATE_HZ), int(to_s * CALLER_RATE_HZ)))


def test_silence_is_told_again_and_again_each_time_after_what_was_said_of_it() -> None:
    async def scenario(scene: Scene, call: Call, line: Line) -> None:
        took_s = [await until_told(scene, times) for times in (1, 2, 3)]

        assert told(scene) == [1, 2, 3]
        assert took_s == pytest.approx([IDLE_S, IDLE_S + PROMPT_S, IDLE_S + PROMPT_S], abs=0.1)
        asked = [m.response for m in scene.agent.sessions[0].got if isinstance(m, r.CallerAway)]
        await settle(1.0)
        assert [event.response for event in line.events if isinstance(event, ResponseEnded)] == asked

    play(scenario)


def test_the_callers_words_begin_the_count_anew_from_their_end_on() -> None:
    async def scenario(scene: Scene, call: Call, line: Line) -> None:
        await until_told(scene, 2)
        await settle(1.0)
        await line.speaks(2.0)
        ended_s = now_s()
        await settle(0.7)  # STT takes its time
        scene.agent_mind.answer = ""
        call.configure(Wishes(policy=Policy(respond=False)))
        hears(scene, 1, 0.0, 2.0)
        await until_told(scene, 3)

        assert told(scene) == [1, 2, 1]
        assert now_s() - ended_s == pytest.approx(IDLE_S, abs=0.1)

    play(scenario)


def test_sound_without_words_delays_it_and_does_not_count_as_an_answer() -> None:
    async def scenario(scene: Scene, call: Call, line: Line) -> None:
        await until_told(scene, 1)
        await settle(1.0)
        await line.speaks(2.0)
        hears(scene, 1, 0.0, 2.0, text="")
        took_s = await until_told(scene, 2)

        assert told(scene) == [1, 2]
        assert took_s == pytest.approx(IDLE_S, abs=0.1)

    play(scenario)


def test_nobody_is_asked_while_the_caller_speaks_or_his_words_are_on_their_way() -> None:
    async def scenario(scene: Scene, call: Call, line: Line) -> None:
        stt = scene.stt.sessions[0]
        await line.speaks(0.5)
        hears(scene, 1, 0.2)
        for second in range(round(3 * IDLE_S)):
            await line.speaks(1.0)
            stt.say(s.Listened(second * CALLER_RATE_HZ))
        assert told(scene) == []
        stt.say(s.SpeechStopped(1, call.listening.ring.end))
        await settle(1.5)
        assert told(scene) == []  # the words are still to come
        stt.say(s.Final(1, "", 0, call.listening.ring.end))
        took_s = await until_told(scene, 1)

        assert took_s < 1.1

    play(scenario, idle_s=1.0)


def test_it_counts_from_the_end_of_what_is_heard_and_not_while_it_sounds() -> None:
    async def scenario(scene: Scene, call: Call, line: Line) -> None:
        call.conversation.type(new_item_id(), "Tell me a story.")
        call.respond(Wanted())
        await settle(4.0)
        assert told(scene) == []
        said_s = [at_s for event, at_s in zip(line.events, line.at_s, strict=True) if type(event) is AudioSaid]
        heard_to_s = said_s[0] + line.samples_said() / SPEECH_RATE_HZ
        await until_told(scene, 1)

        assert said_s[-1] < heard_to_s
        assert now_s() - heard_to_s == pytest.approx(1.0, abs=0.1)

    play(scenario, idle_s=1.0, answer="a" * 80)  # 4 s


def test_nobody_is_asked_while_the_agent_has_something_to_say_and_is_silent_yet() -> None:
    async def scenario(scene: Scene, call: Call, line: Line) -> None:
        scene.agent_mind.answer = ""
        call.conversation.type(new_item_id(), "Where is my order?")
        call.respond(Wanted())
        await settle(1.5)
        [asked] = scene.agent.sessions[0].all(r.Respond)
        assert isinstance(asked, r.Respond)
        scene.agent.sessions[0].say(r.ResponseStarted(asked.response, 0))  # it looks it up
        await settle(10.0)
        assert told(scene) == []
        scene.agent.sessions[0].say(r.ResponseFinished(asked.response, "completed"))
        took_s = await until_told(scene, 1)

        assert took_s == pytest.approx(1.0, abs=0.1)

    play(scenario, idle_s=1.0)


def test_a_response_of_the_agents_own_begins_the_count_anew() -> None:
    async def scenario(scene: Scene, call: Call, line: Line) -> None:
        await until_told(scene, 2)
        await settle(1.0)
        scene.agent_mind.speak(scene.agent.sessions[0], "resp_news", 0, "Your refund is through.")
        await until_told(scene, 3)

        assert told(scene) == [1, 2, 1]

    play(scenario)


def test_nobody_is_asked_while_the_client_is_away_and_it_counts_from_his_return() -> None:
    async def scenario(scene: Scene, call: Call, line: Line) -> None:
        await settle(3.0)
        call.suspend()
        await settle(4 * IDLE_S)
        assert told(scene) == []
        call.start(line)
        took_s = await until_told(scene, 1)

        assert took_s == pytest.approx(IDLE_S, abs=0.1)

    play(scenario)


def test_typed_turns_and_unspoken_answers_count_in_a_session_of_text() -> None:
    async def scenario(scene: Scene, call: Call, line: Line) -> None:
        call.configure(Wishes(audible=False))
        await until_told(scene, 1)
        await settle(3.0)
        call.conversation.type(new_item_id(), "I am here.")
        call.respond(Wanted())
        took_s = await until_told(scene, 2)

        assert told(scene) == [1, 1]
        assert took_s == pytest.approx(IDLE_S, abs=0.1)
        assert line.samples_said() == 0

    play(scenario)


def test_without_vad_whatever_the_client_sends_counts_as_a_voice() -> None:
    async def scenario(scene: Scene, call: Call, line: Line) -> None:
        call.configure(Wishes(rules=s.TurnRules(automatic=False), policy=Policy(False, False, False)))
        await line.speaks(2 * IDLE_S)
        assert told(scene) == []
        took_s = await until_told(scene, 1)

        assert took_s == pytest.approx(IDLE_S, abs=0.1)

    play(scenario)


def test_with_vad_a_microphone_that_is_on_is_no_voice() -> None:
    async def scenario(scene: Scene, call: Call, line: Line) -> None:
        await line.speaks(IDLE_S + 0.1, level=0)

        assert told(scene) == [1]

    play(scenario)


def test_another_agent_is_told_the_same_and_its_own_wish_does_not_count() -> None:
    async def scenario(scene: Scene, call: Call, line: Line) -> None:
        second = scene.second["agent"]
        second.attached = r.Attached("frontdesk", "d1", idle_s=0.5)
        scene.agent_mind.answer = ""  # the first dies over it
        await until_told(scene, 1)
        await scene.agent.kill()
        scene.agent_mind.answer = "Are you there?"
        await settle(2.0)
        [before] = [m for m in scene.agent.sessions[0].got if isinstance(m, r.CallerAway)]
        recall, *again = [m for m in second.sessions[0].got if isinstance(m, r.Recall | r.CallerAway)]

        assert isinstance(recall, r.Recall)
        assert recall.unfinished == (before.response,)
        assert again == [before]
        assert [event.response for event in line.events if isinstance(event, ResponseEnded)] == [before.response]
        await settle(IDLE_S)
        assert told(scene, "agent") == [1, 2]

    play(scenario, "agent")


def test_the_slot_is_taken_while_the_agent_asks_and_the_client_may_cancel_that() -> None:
    async def scenario(scene: Scene, call: Call, line: Line) -> None:
        scene.agent_mind.answer = "Are you still there, or shall I ring off?"
        await until_told(scene, 1)
        with pytest.raises(BadInput, match="already active"):
            call.respond(Wanted())
        await settle(0.5)
        call.cancel(None)
        await settle(0.5)

        [asked] = [m.response for m in scene.agent.sessions[0].got if isinstance(m, r.CallerAway)]
        [cut] = [m for m in scene.agent.sessions[0].got if isinstance(m, r.Interrupt)]
        assert cut.response == asked

    play(scenario)


def test_a_call_that_is_over_or_asks_for_nothing_of_the_kind_is_never_told() -> None:
    async def over(scene: Scene, call: Call, line: Line) -> None:
        call.end("caller_hung_up")
        await settle(3 * IDLE_S)

        assert told(scene) == []

    async def never(scene: Scene, call: Call, line: Line) -> None:
        await settle(120.0)

        assert told(scene) == []

    play(over)
    play(never, idle_s=0.0)


def test_a_call_that_can_tell_nobody_fails_and_its_timer_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario(scene: Scene, call: Call, line: Line) -> None:
        def broken(asking: Asking, count: int) -> str:
            raise RuntimeError("full")

        monkeypatch.setattr(Asking, "away", broken)
        await settle(IDLE_S + 0.5)

        assert call.ended
        await settle(3 * IDLE_S)  # no other failure

    play(scenario)


def test_it_is_looked_at_once_in_the_time_while_something_goes_on() -> None:
    silence = Silence(100, 0)
    looks, now = 0, 0
    while now < 1000:
        wait = silence.look(now, going_on=True)
        now += wait
        looks += 1

    assert looks == 10
    silence.sounded(950)
    assert silence.look(now, going_on=False) == 50


def test_what_sounded_last_counts_and_nothing_makes_silence_longer() -> None:
    silence = Silence(100, 0)
    silence.sounded(60)
    silence.sounded(20)

    assert silence.look(100, going_on=False) == 60
    assert silence.look(160, going_on=False) == 0
    assert silence.tell(160) == 1
    assert silence.look(160, going_on=False) == 100
