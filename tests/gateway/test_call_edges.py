"""A call at its hub where things cross: late answers, doubled orders, cancels before anything began, failures."""

import asyncio

import pytest

from gateway.scene import SAMPLES_PER_LETTER, Line, Scene, Session, Tts, settle, spoken
from gateway.test_call import LONG, play, say
from support.virtual import run_virtual
from trunkline.gateway import calls
from trunkline.gateway.call import Call
from trunkline.gateway.call_events import AudioSaid, ItemEnded, ResponseEnded, ResponseOpened
from trunkline.gateway.turns import Policy
from trunkline.gateway.wanted import Wanted
from trunkline.gateway.wishes import Wishes
from trunkline.proto import response as r
from trunkline.proto import speaking as sp
from trunkline.proto import speech as s
from trunkline.proto.audio import CALLER_RATE_HZ
from trunkline.proto.envelope import Message
from trunkline.proto.errors import BadInput, StageUnavailable
from trunkline.proto.placement import Accepted, CallFailed


def audio_of(line: Line) -> bytes:
    return b"".join(event.pcm for event in line.events if isinstance(event, AudioSaid))


class SlowTts(Tts):
    """Takes 100 ms to speak."""

    def react(self, session: Session, message: Message) -> None:
        asyncio.get_running_loop().call_later(0.1, super().react, session, message)


@pytest.mark.parametrize("lost", [{(1, 0)}, {(1, at) for at in range(0, 5 * SAMPLES_PER_LETTER, 2_400)}])
def test_a_segment_whose_first_audio_was_lost_is_ordered_again_once(lost: set[tuple[int, int]]) -> None:
    def prepare(scene: Scene) -> None:
        slow = SlowTts()
        slow.lose = set(lost)
        scene.tts.react = slow.react  # type: ignore[method-assign]

    async def scenario(scene: Scene, call: Call, line: Line) -> None:
        scene.agent_mind.speak(scene.agent.sessions[0], "resp_a", 0, "Fine.")
        await settle(2.0)

        orders = scene.tts.sessions[0].all(sp.Synthesise)
        assert [(o.segment, o.from_sample) for o in orders if isinstance(o, sp.Synthesise)] == [(1, 0), (1, 0)]
        assert audio_of(line) == spoken("Fine.").tobytes()

    play(scenario, prepare)


def test_a_turn_in_the_last_sound_of_a_response_that_may_not_be_interrupted_is_answered() -> None:
    async def scenario(scene: Scene, call: Call, line: Line) -> None:
        call.configure(Wishes(policy=Policy(interrupt=False)))
        say(scene, 1, "Hello", 0, 1600)
        while not line.all(ResponseEnded):
            await settle(0.005)
        assert call.speaking.busy
        say(scene, 2, "And now?", 3200, 6400)
        await settle(2.0)

        assert len(line.all(ResponseEnded)) == 2

    play(scenario)


def test_a_cancel_before_the_response_started_is_the_client_s() -> None:
    async def scenario(scene: Scene, call: Call, line: Line) -> None:
        call.conversation.type("item_a", "Hello")
        call.respond(Wanted())
        call.cancel(None)
        await settle(1.0)

        assert line.all(ResponseEnded) == [
            ResponseEnded(scene.agent_mind.responses[0], "cancelled", "client_cancelled")
        ]
        [interrupt] = scene.agent.sessions[0].all(r.Interrupt)
        assert isinstance(interrupt, r.Interrupt)
        assert interrupt.reason == "client_cancelled"

    play(scenario)


def test_a_late_cancel_of_another_response_leaves_the_awaited_one_alone() -> None:
    async def scenario(scene: Scene, call: Call, line: Line) -> None:
        call.conversation.type("item_a", "Hello")
        call.respond(Wanted())
        with pytest.raises(BadInput) as refused:
            call.cancel("resp_long_gone")
        await settle(1.0)

        assert refused.value.code == "response_cancel_not_active"
        assert line.all(ResponseEnded) == [ResponseEnded(scene.agent_mind.responses[0], "completed", "", 3, 4)]

    play(scenario)


def test_a_response_that_waits_for_words_can_be_cancelled() -> None:
    async def scenario(scene: Scene, call: Call, line: Line) -> None:
        call.configure(Wishes(rules=s.TurnRules(automatic=False), policy=Policy(False, False, False)))
        await line.speaks(0.5)
        call.commit_audio()
        call.respond(Wanted())
        call.cancel(None)

        [opened] = line.all(ResponseOpened)
        assert isinstance(opened, ResponseOpened)
        assert line.all(ResponseEnded) == [ResponseEnded(opened.response, "cancelled", "client_cancelled")]
        await settle()
        [finish] = scene.stt.sessions[0].all(s.Finish)
        assert isinstance(finish, s.Finish)
        scene.stt.sessions[0].say(s.Final(finish.utterance, "Push to talk", 0, CALLER_RATE_HZ // 2))
        await settle(1.0)
        assert not scene.agent.sessions[0].all(r.Respond)

    play(scenario)


def test_a_refused_truncation_changes_nothing() -> None:
    async def scenario(scene: Scene, call: Call, line: Line) -> None:
        agent = scene.agent.sessions[0]
        scene.agent_mind.speak(agent, "resp_a", 0, "One. ", "Two. ", "Three. ")
        await settle(0.1)
        with pytest.raises(BadInput, match="beyond"):
            call.truncate("item_resp_a", 0, 60_000)
        await settle(3.0)

        assert [p.heard.index for p in agent.all(r.Played) if isinstance(p, r.Played)] == [0, 1, 2]
        assert not agent.all(r.Interrupt)

    play(scenario)


def test_a_response_that_the_agent_cancels_in_mid_item_ends_the_item_too() -> None:
    async def scenario(scene: Scene, call: Call, line: Line) -> None:
        agent = scene.agent.sessions[0]
        agent.say(r.ResponseStarted("resp_a", 0))
        agent.say(r.ItemStarted("resp_a", "item_a", None))
        agent.say(r.Say("resp_a", "item_a", 0, "Fine."))
        agent.say(r.ResponseFinished("resp_a", "cancelled", "superseded"))
        await settle(1.0)

        assert line.kinds()[-2:] == ["ItemEnded", "ResponseEnded"]
        assert line.all(ItemEnded) == [ItemEnded("resp_a", "item_a", None, False)]

    play(scenario)


def test_a_caller_who_coughs_before_the_answer_is_answered() -> None:
    async def scenario(scene: Scene, call: Call, line: Line) -> None:
        stt = scene.stt.sessions[0]
        stt.say(s.SpeechStarted(1, 1600))
        stt.say(s.SpeechStopped(1, 16_000))
        stt.say(s.SpeechStarted(2, 20_000))
        stt.say(s.Final(1, "What is the weather?", 1600, 16_000))
        await settle()
        stt.say(s.SpeechStopped(2, 22_000))
        stt.say(s.Final(2, "", 20_000, 22_000))
        await settle(1.0)

        assert [event.status for event in line.all(ResponseEnded) if isinstance(event, ResponseEnded)] == ["completed"]

    play(scenario)


def test_a_hold_ends_when_the_client_sends_no_more_audio() -> None:
    async def scenario(scene: Scene, call: Call, line: Line) -> None:
        scene.agent_mind.answer = LONG
        say(scene, 1, "Hello", 0, 1600)
        await settle(1.0)
        onset = call.listening.ring.end
        await line.speaks(0.1)
        scene.stt.sessions[0].say(s.SpeechStarted(2, onset))
        await settle(5.0)  # the client has muted its microphone: STT will never know how that ended

        assert line.all(ResponseEnded) == [ResponseEnded(scene.agent_mind.responses[0], "completed", "", 3, 4)]
        assert audio_of(line) == spoken(LONG).tobytes()

    play(scenario)


def test_push_to_talk_ends_a_hold_and_an_utterance_that_were_vad_s() -> None:
    async def scenario(scene: Scene, call: Call, line: Line) -> None:
        scene.agent_mind.answer = LONG
        say(scene, 1, "Hello", 0, 1600)
        await settle(1.0)
        onset = call.listening.ring.end
        await line.speaks(0.1)
        scene.stt.sessions[0].say(s.SpeechStarted(2, onset))
        await settle()
        call.configure(Wishes(rules=s.TurnRules(automatic=False), policy=Policy(False, False, False)))
        call.conversation.type("item_t", "typed")
        await settle(4.0)

        assert line.all(ResponseEnded) == [ResponseEnded(scene.agent_mind.responses[0], "completed", "", 3, 4)]
        assert [t.text for t in scene.agent.sessions[0].all(r.Turn) if isinstance(t, r.Turn)] == ["Hello", "typed"]

    play(scenario)


def test_what_callers_dictate_is_told_to_an_stt_worker_that_takes_the_call_last() -> None:
    async def main() -> None:
        async with Scene() as scene:
            scene.stt.mute = True
            scene.agent.attached = r.Attached("frontdesk", "d1", dictations=(r"\d{4}",))
            placing = asyncio.create_task(scene.calls.place(""))
            await settle(0.5)
            scene.stt.sessions[0].say(Accepted())
            call = await placing
            await settle()

            [tune] = scene.stt.sessions[0].all(s.Tune)
            assert isinstance(tune, s.Tune)
            assert tune.rules.dictations == (r"\d{4}",)
            call.end("caller_hung_up")
            await settle(3.0)

    run_virtual(main())


def test_a_stage_lost_while_others_are_placed_is_replaced_and_released_if_those_fail() -> None:
    async def main() -> None:
        async with Scene() as scene:
            scene.tts.mute = True
            placing = asyncio.create_task(scene.calls.place(""))
            await settle(0.5)
            scene.stt.sessions[0].say(CallFailed("out of luck"))
            await settle(0.5)
            assert len(scene.stt.sessions) == 2
            scene.tts.pool.fail(scene.tts.last.link, RuntimeError("no voice"))
            with pytest.raises(StageUnavailable):
                await placing
            await settle(1.0)

            assert scene.stt.sessions[1].closed == "failed: not placed"
            assert scene.agent.pool.calls == scene.tts.pool.calls == 0
            assert len(scene.calls) == 0

    run_virtual(main())


def test_a_call_that_is_being_placed_when_a_drain_begins_has_its_grace() -> None:
    async def main() -> None:
        async with Scene() as scene:
            scene.tts.mute = True
            placing = asyncio.create_task(scene.calls.place(""))
            await settle(0.5)
            drain = asyncio.create_task(scene.calls.drain(3.0))
            await settle()
            scene.tts.sessions[0].say(Accepted())
            call = await placing
            await settle(1.0)

            assert not call.ended
            assert not drain.done()
            call.end("caller_hung_up")
            await settle(1.0)
            assert drain.done()
            await settle(2.0)

    run_virtual(main())


def test_a_call_that_cannot_even_end_cleanly_stops_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario(scene: Scene, call: Call, line: Line) -> None:
        def broken(*_: object) -> None:
            raise RuntimeError("a bug")

        other, other_line = await scene.call()
        monkeypatch.setattr(call.speaking.playout, "advance", broken)
        scene.agent_mind.speak(scene.agent.sessions[0], "resp_a", 0, LONG)
        scene.agent_mind.speak(scene.agent.sessions[1], "resp_b", 0, LONG)
        await settle(4.0)

        assert call.ended
        assert scene.stt.sessions[0].closed
        assert other_line.all(ResponseEnded) == [ResponseEnded("resp_b", "completed", "", 3, 4)]
        assert audio_of(other_line) == spoken(LONG).tobytes()
        other.end("caller_hung_up")

    play(scenario)


def test_memory_is_given_back_when_many_calls_have_ended_and_not_for_a_few(monkeypatch: pytest.MonkeyPatch) -> None:
    given_back: list[int] = []

    async def main() -> None:
        async with Scene() as scene:
            monkeypatch.setattr(calls, "give_back", lambda *, collect: given_back.append(len(scene.calls)))
            few = [(await scene.call())[0] for _ in range(calls.FEW)]
            for call in few:
                call.end("caller_hung_up")
            await settle(1.0)
            assert given_back == []
            many = [(await scene.call())[0] for _ in range(4 * calls.FEW)]
            for call in many[: 3 * calls.FEW]:
                call.end("caller_hung_up")
            await settle(1.0)
            assert given_back == [calls.FEW]
            for call in many:
                call.end("caller_hung_up")
            await settle(1.0)
            assert given_back == [calls.FEW, 0]

    run_virtual(main())
