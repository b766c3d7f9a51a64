"""A call at its hub, on virtual time: the real links, pools and turns; workers that do as they are told."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from gateway.scene import SAMPLES_PER_LETTER, Line, Scene, Worker, ignore, settle, spoken
from support.virtual import run_virtual
from trunkline.gateway.call import Call
from trunkline.gateway.call_events import (
    AudioCommitted,
    AudioSaid,
    CallEvent,
    CallOver,
    ItemCut,
    ItemEnded,
    ResponseEnded,
    SpeechBegan,
    Transcribed,
    WordsSaid,
)
from trunkline.gateway.turns import Policy
from trunkline.gateway.wanted import Wanted
from trunkline.gateway.wishes import Wishes
from trunkline.proto import response as r
from trunkline.proto import speaking as sp
from trunkline.proto import speech as s
from trunkline.proto.audio import CALLER_RATE_HZ, SPEECH_RATE_HZ
from trunkline.proto.envelope import decode
from trunkline.proto.errors import BadInput, StageUnavailable
from trunkline.proto.placement import Declined

LONG = "The quick brown fox jumps over the lazy dog, twice."  # 2.5 s


def play(
    scenario: Callable[[Scene, Call, Line], Awaitable[None]], prepare: Callable[[Scene], None] = lambda _: None
) -> None:
    async def main() -> None:
        async with Scene() as scene:
            prepare(scene)
            call, line = await scene.call()
            await scenario(scene, call, line)
            call.end("caller_hung_up")
            await settle(3.0)

    run_virtual(main())


def say(scene: Scene, number: int, text: str, from_sample: int, to_sample: int) -> None:
    """What STT says of an utterance that is over."""
    stt = scene.stt.sessions[0]
    stt.say(s.SpeechStarted(number, from_sample))
    stt.say(s.SpeechStopped(number, to_sample))
    stt.say(s.Final(number, text, from_sample, to_sample))


def test_a_spoken_turn_goes_all_the_way_round() -> None:
    async def scenario(scene: Scene, call: Call, line: Line) -> None:
        await line.speaks(1.0)
        say(scene, 1, "How are you?", 1600, 16_000)
        await settle(1.0)

        assert line.kinds() == [
            "SpeechBegan", "SpeechEnded", "AudioCommitted", "Transcribed",
            "ResponseOpened", "ItemOpened", "WordsSaid", "AudioSaid", "ItemEnded", "ResponseEnded",
        ]  # fmt: skip
        turn = scene.agent.sessions[0].all(r.Turn)
        began = line.all(SpeechBegan)[0]
        assert isinstance(began, SpeechBegan)
        [response] = scene.agent_mind.responses
        assert turn == [r.Turn(1, began.item, "How are you?", "speech", 1600, 16_000, True, response=response)]
        assert b"".join(e.pcm for e in line.events if isinstance(e, AudioSaid)) == spoken("Fine.").tobytes()
        total = 5 * SAMPLES_PER_LETTER
        heard = r.SegmentHeard(f"item_{scene.agent_mind.responses[0]}", 0, total, total)
        assert scene.agent.sessions[0].all(r.Played) == [r.Played(heard)]

    play(scenario)


def test_what_an_answer_waits_for_is_ordered_before_the_client_is_told_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario(scene: Scene, call: Call, line: Line) -> None:
        done: list[str] = []
        publish, on_event = scene.bus.publish, line.on_event

        def order(subject: str, data: bytes, **more: Any) -> None:
            done.append(type(decode(data).message).__name__)
            publish(subject, data, **more)

        def tell(event: CallEvent) -> None:
            done.append(type(event).__name__)
            on_event(event)

        monkeypatch.setattr(scene.bus, "publish", order)
        monkeypatch.setattr(line, "on_event", tell)
        say(scene, 1, "How are you?", 0, 16_000)
        await settle(0.1)

        watched = ("Turn", "Transcribed", "Synthesise", "ResponseOpened", "ItemOpened", "WordsSaid")
        assert [name for name in done if name in watched] == list(watched)

    play(scenario)


def test_the_caller_s_audio_reaches_stt_whole_and_in_order() -> None:
    async def scenario(scene: Scene, call: Call, line: Line) -> None:
        await line.speaks(0.5)
        await settle()

        chunks = scene.stt.sessions[0].audio
        assert [chunk.position for chunk in chunks] == [320 * i for i in range(25)]

    play(scenario)


def test_stt_gets_audio_again_that_it_missed() -> None:
    async def scenario(scene: Scene, call: Call, line: Line) -> None:
        await line.speaks(0.2)
        await settle()
        stt = scene.stt.sessions[0]
        before = len(stt.audio)
        stt.say(s.AudioMissing(640))
        await settle()

        again = stt.audio[before:]
        assert [(chunk.position, len(chunk.pcm) // 2) for chunk in again] == [(640, 3200 - 640)]

    play(scenario)


def test_audio_goes_out_with_at_most_300_ms_of_lead() -> None:
    async def scenario(scene: Scene, call: Call, line: Line) -> None:
        scene.agent_mind.answer = LONG
        say(scene, 1, "Hello", 0, 1600)
        await settle(4.0)

        first_s = next(at for at, e in zip(line.at_s, line.events, strict=True) if isinstance(e, AudioSaid))
        sent = 0
        for at_s, event in zip(line.at_s, line.events, strict=True):
            if isinstance(event, AudioSaid):
                sent += len(event.pcm) // 2
                assert sent / SPEECH_RATE_HZ - (at_s - first_s) <= 0.3
        assert sent == len(LONG) * SAMPLES_PER_LETTER

    play(scenario)


def test_speech_over_the_agent_holds_at_once_and_flushes_when_it_goes_on() -> None:
    async def scenario(scene: Scene, call: Call, line: Line) -> None:
        scene.agent_mind.answer = LONG
        await line.speaks(0.1)
        say(scene, 1, "Hello", 0, 1600)
        await settle(1.0)
        spoke_from_s = asyncio.get_running_loop().time()
        onset = call.listening.ring.end
        speaking = asyncio.create_task(line.speaks(0.6))
        await asyncio.sleep(0.13)
        scene.stt.sessions[0].say(s.SpeechStarted(2, onset))
        await settle(0.005)
        held = line.samples_said()
        await speaking

        assert line.samples_said() == held
        at_s = [t for t, e in zip(line.at_s, line.events, strict=True) if isinstance(e, SpeechBegan)][-1]
        assert at_s - spoke_from_s < 0.3
        ended = line.all(ResponseEnded)
        assert ended == [ResponseEnded(scene.agent_mind.responses[0], "cancelled", "turn_detected")]
        [interrupt] = scene.agent.sessions[0].all(r.Interrupt)
        assert isinstance(interrupt, r.Interrupt)
        heard = interrupt.heard[0].heard_samples / SPEECH_RATE_HZ
        assert 1.0 < heard < 1.3
        assert scene.tts.sessions[0].all(sp.Hush) in ([], [sp.Hush(1)])
        assert line.kinds()[-5:] == ["SpeechBegan", "Silenced", "ItemEnded", "ItemCut", "ResponseEnded"]

    play(scenario)


def test_a_cough_resumes_the_answer_where_it_was_held() -> None:
    async def scenario(scene: Scene, call: Call, line: Line) -> None:
        scene.agent_mind.answer = LONG
        say(scene, 1, "Hello", 0, 1600)
        await settle(1.0)
        onset = call.listening.ring.end
        await line.speaks(0.14)
        scene.stt.sessions[0].say(s.SpeechStarted(2, onset))
        await line.speaks(0.6, level=20)
        scene.stt.sessions[0].say(s.SpeechStopped(2, onset + 2240))
        scene.stt.sessions[0].say(s.Final(2, "", onset, onset + 2240))
        await settle(3.0)

        assert len(line.all(SpeechBegan)) == 1
        assert line.all(ResponseEnded) == [ResponseEnded(scene.agent_mind.responses[0], "completed", "", 3, 4)]
        assert b"".join(e.pcm for e in line.events if isinstance(e, AudioSaid)) == spoken(LONG).tobytes()

    play(scenario)


def test_the_agent_s_own_voice_does_not_interrupt_it() -> None:
    async def scenario(scene: Scene, call: Call, line: Line) -> None:
        scene.agent_mind.answer = LONG
        say(scene, 1, "Hello", 0, 1600)
        await settle()
        onset = call.listening.ring.end
        task = asyncio.create_task(line.echoes(1.5, delay_s=0.12, gain=0.1))
        await asyncio.sleep(0.4)
        scene.stt.sessions[0].say(s.SpeechStarted(2, onset))
        await task
        scene.stt.sessions[0].say(s.SpeechStopped(2, call.listening.ring.end))
        scene.stt.sessions[0].say(s.Final(2, "the quick brown", onset, call.listening.ring.end))
        await settle(2.0)

        assert len(line.all(SpeechBegan)) == 1
        assert len(scene.agent.sessions[0].all(r.Turn)) == 1
        assert not scene.agent.sessions[0].all(r.Interrupt)

    play(scenario)


def test_what_comes_for_a_cancelled_response_is_not_said() -> None:
    async def scenario(scene: Scene, call: Call, line: Line) -> None:
        scene.agent_mind.answer = ""
        agent = scene.agent.sessions[0]
        say(scene, 1, "Hello", 0, 1600)
        await settle()
        agent.say(r.ResponseStarted("resp_a", 1))
        await settle()
        call.cancel(None)
        agent.say(r.ItemStarted("resp_a", "item_a", "final_answer"))
        agent.say(r.Say("resp_a", "item_a", 0, "Late."))
        agent.say(r.ResponseFinished("resp_a", "cancelled"))
        await settle(1.0)

        assert not line.all(WordsSaid)
        assert line.all(ResponseEnded) == [ResponseEnded("resp_a", "cancelled", "client_cancelled")]

    play(scenario)


def test_a_response_that_is_superseded_before_it_starts_is_cancelled_when_it_does() -> None:
    async def scenario(scene: Scene, call: Call, line: Line) -> None:
        scene.agent_mind.answer = ""
        agent = scene.agent.sessions[0]
        say(scene, 1, "Hello", 0, 1600)
        say(scene, 2, "I mean goodbye", 3200, 6400)
        await settle()
        first, second = (turn.response for turn in agent.all(r.Turn) if isinstance(turn, r.Turn))
        agent.say(r.ResponseStarted(first, 1))
        await settle()

        assert agent.all(r.Interrupt) == [r.Interrupt(first, "turn_detected", ())]
        scene.agent_mind.speak(agent, second, 2, "Bye.")
        await settle(1.0)
        assert line.all(ResponseEnded)[-1] == ResponseEnded(second, "completed", "", 3, 4)

    play(scenario)


def test_audio_that_was_lost_is_ordered_again_from_there() -> None:
    def prepare(scene: Scene) -> None:
        scene.tts_voice.lose = {(1, 4800)}

    async def scenario(scene: Scene, call: Call, line: Line) -> None:
        scene.agent_mind.answer = LONG
        say(scene, 1, "Hello", 0, 1600)
        await settle(5.0)

        orders = scene.tts.sessions[0].all(sp.Synthesise)
        assert [(o.segment, o.from_sample) for o in orders if isinstance(o, sp.Synthesise)] == [(1, 0), (1, 4800)]
        assert b"".join(e.pcm for e in line.events if isinstance(e, AudioSaid)) == spoken(LONG).tobytes()

    play(scenario, prepare)


def test_a_lost_last_chunk_is_ordered_again() -> None:
    def prepare(scene: Scene) -> None:
        scene.tts_voice.lose = {(1, 4800)}

    async def scenario(scene: Scene, call: Call, line: Line) -> None:
        scene.agent_mind.answer = "Fine."
        say(scene, 1, "Hello", 0, 1600)
        await settle(3.0)

        assert b"".join(e.pcm for e in line.events if isinstance(e, AudioSaid)) == spoken("Fine.").tobytes()
        assert line.all(ResponseEnded)

    play(scenario, prepare)


def test_a_segment_that_tts_cannot_speak_is_skipped_and_not_told_as_heard() -> None:
    def prepare(scene: Scene) -> None:
        scene.tts_voice.fail = {1}

    async def scenario(scene: Scene, call: Call, line: Line) -> None:
        agent = scene.agent.sessions[0]
        scene.agent_mind.speak(agent, "resp_a", 0, "Lost. ", "Kept.")
        await settle(2.0)

        played = scene.agent.sessions[0].all(r.Played)
        total = 5 * SAMPLES_PER_LETTER
        assert played == [r.Played(r.SegmentHeard("item_resp_a", 1, total, total))]
        assert line.all(ResponseEnded)

    play(scenario, prepare)


def test_few_segments_are_ordered_ahead_of_what_is_heard() -> None:
    async def scenario(scene: Scene, call: Call, line: Line) -> None:
        scene.agent_mind.speak(scene.agent.sessions[0], "resp_a", 0, *[LONG] * 8)
        await settle(1.0)

        assert len(scene.tts.sessions[0].all(sp.Synthesise)) == 3

    play(scenario)


def test_a_client_s_truncation_shortens_what_was_heard_and_never_lengthens_it() -> None:
    async def scenario(scene: Scene, call: Call, line: Line) -> None:
        agent = scene.agent.sessions[0]
        scene.agent_mind.speak(agent, "resp_a", 0, LONG)
        await settle(1.0)
        call.speaking.interrupt("turn_detected")
        call.truncate("item_resp_a", 0, 300)
        call.truncate("item_resp_a", 0, 900)
        await settle()

        cuts = [event.heard_ms for event in line.all(ItemCut) if isinstance(event, ItemCut) and event.asked]
        assert cuts == [300, 300]
        interrupts = agent.all(r.Interrupt)
        assert len(interrupts) == 2
        last = interrupts[1]
        assert isinstance(last, r.Interrupt)
        assert (last.reason, last.heard[0].heard_samples) == ("truncated", 300 * 24)
        with pytest.raises(BadInput, match="beyond"):
            call.truncate("item_resp_a", 0, 60_000)
        with pytest.raises(BadInput, match="no audio"):
            call.truncate("item_nobody", 0, 10)

    play(scenario)


def test_a_committed_buffer_is_answered_once_its_words_are_there() -> None:
    async def scenario(scene: Scene, call: Call, line: Line) -> None:
        call.configure(Wishes(rules=s.TurnRules(automatic=False), policy=Policy(False, False, False)))
        await line.speaks(0.5)
        call.commit_audio()
        call.respond(Wanted())
        await settle()
        stt, agent = scene.stt.sessions[0], scene.agent.sessions[0]
        [finish] = stt.all(s.Finish)
        assert isinstance(finish, s.Finish)
        assert (finish.from_sample, finish.to_sample) == (0, CALLER_RATE_HZ // 2)
        assert not agent.all(r.Respond)
        stt.say(s.Final(finish.utterance, "Push to talk", 0, CALLER_RATE_HZ // 2))
        await settle(1.0)

        assert [type(m).__name__ for m in agent.got if not isinstance(m, r.Played)] == ["Turn", "Respond"]
        assert line.kinds()[:2] == ["AudioCommitted", "Transcribed"]
        assert line.all(ResponseEnded)

    play(scenario)


def test_a_second_response_is_refused_while_one_is_active() -> None:
    async def scenario(scene: Scene, call: Call, line: Line) -> None:
        call.conversation.type("item_a", "Hello")
        call.respond(Wanted())
        with pytest.raises(BadInput) as refused:
            call.respond(Wanted())
        assert refused.value.code == "conversation_already_has_active_response"
        await settle(2.0)

        call.respond(Wanted())
        await settle(2.0)
        assert len(line.all(ResponseEnded)) == 2

    play(scenario)


def test_a_session_of_text_is_not_spoken() -> None:
    async def scenario(scene: Scene, call: Call, line: Line) -> None:
        call.configure(Wishes(audible=False))
        call.conversation.type("item_a", "Hello")
        call.respond(Wanted())
        await settle(0.5)

        assert line.kinds() == ["ResponseOpened", "ItemOpened", "WordsSaid", "ItemEnded", "ResponseEnded"]
        assert not scene.tts.sessions[0].all(sp.Synthesise)
        assert scene.agent.sessions[0].all(r.Played)

    play(scenario)


def test_without_interruption_a_turn_is_answered_after_the_response_that_goes_on() -> None:
    async def scenario(scene: Scene, call: Call, line: Line) -> None:
        call.configure(Wishes(policy=Policy(interrupt=False)))
        scene.agent_mind.answer = LONG
        say(scene, 1, "Hello", 0, 1600)
        await settle(0.5)
        scene.agent_mind.answer = "Second."
        say(scene, 2, "And now?", 3200, 6400)
        await settle(0.5)
        assert len(line.all(ResponseEnded)) == 0
        await settle(4.0)

        assert [e.status for e in line.all(ResponseEnded) if isinstance(e, ResponseEnded)] == ["completed"] * 2

    play(scenario)


def test_the_agent_hangs_up_after_its_last_word_was_heard() -> None:
    async def scenario(scene: Scene, call: Call, line: Line) -> None:
        agent = scene.agent.sessions[0]
        scene.agent_mind.speak(agent, "resp_a", 0, "Goodbye now.")
        agent.say(r.HangUp("done"))
        await settle(0.4)
        assert not call.ended
        await settle(1.0)

        assert line.events[-1] == CallOver("")
        assert agent.closed == scene.stt.sessions[0].closed == "agent_hung_up"
        assert len(agent.all(r.Played)) == 1

    play(scenario)


def test_an_agents_goodbye_that_was_cut_short_ends_nothing_however_late_its_word_comes() -> None:
    async def scenario(scene: Scene, call: Call, line: Line) -> None:
        agent = scene.agent.sessions[0]
        scene.agent_mind.speak(agent, "resp_a", 0, "Goodbye now.")
        await settle(0.2)
        call.speaking.interrupt("turn_detected")
        agent.say(r.HangUp("done"))
        await settle(2.0)

        assert not call.ended

    play(scenario)


def test_a_worker_that_declines_is_passed_over() -> None:
    async def main() -> None:
        async with Scene() as scene:
            second = Worker(scene.broker, "stt", "stt-2", ignore)
            scene.workers.append(second)
            scene.stt.declines = Declined("full", "1 calls")
            await second.start()
            await settle(0.2)
            for _ in range(4):
                call, _ = await scene.call()
                assert call.workers["stt"] == "stt-2"
                call.end("caller_hung_up")
            await settle(3.0)

    run_virtual(main())


@pytest.mark.parametrize("fault", ["mute", "full", "absent"])
def test_a_stage_that_nobody_takes_leaves_no_trace_at_the_others(fault: str) -> None:
    async def main() -> None:
        async with Scene() as scene:
            scene.tts.mute = fault == "mute"
            scene.tts.declines = Declined("full") if fault == "full" else None
            if fault == "absent":
                scene.tts.silence()
                await settle(1.0)
            with pytest.raises(StageUnavailable) as refused:
                await scene.call()
            await settle(3.0)

            assert refused.value.stage == "tts"
            assert refused.value.retry_after_s == 1.0
            assert scene.stt.pool.calls == scene.agent.pool.calls == scene.tts.pool.calls == 0
            assert len(scene.calls) == 0

    run_virtual(main())


def test_an_unknown_agent_is_bad_input() -> None:
    async def main() -> None:
        async with Scene() as scene:
            scene.agent.declines = Declined("unknown_agent", "no agent 'nobody'")
            with pytest.raises(BadInput) as refused:
                await scene.call("nobody")
            await settle(3.0)
            assert refused.value.code == "model_not_found"

    run_virtual(main())


def test_a_drain_waits_for_calls_and_then_says_so() -> None:
    async def main() -> None:
        async with Scene() as scene:
            short, _ = await scene.call()
            _, line = await scene.call()
            drain = asyncio.create_task(scene.calls.drain(2.0))
            await settle()
            with pytest.raises(StageUnavailable, match="draining"):
                await scene.calls.place("")
            short.end("caller_hung_up")
            await settle(1.0)
            assert not drain.done()
            await drain

            over = line.events[-1]
            assert isinstance(over, CallOver)
            assert over.code == "draining"
            await settle(3.0)

    run_virtual(main())


def test_events_of_an_utterance_without_words_make_no_item() -> None:
    async def scenario(scene: Scene, call: Call, line: Line) -> None:
        say(scene, 1, "", 0, 1600)
        await settle()

        assert line.kinds() == ["SpeechBegan", "SpeechEnded"]
        assert not line.all(AudioCommitted)
        assert not line.all(Transcribed)

    play(scenario)


def test_an_interrupted_item_ends_in_part() -> None:
    async def scenario(scene: Scene, call: Call, line: Line) -> None:
        scene.agent_mind.speak(scene.agent.sessions[0], "resp_a", 0, LONG)
        await settle(0.5)
        call.cancel("resp_a")

        assert line.all(ItemEnded) == [ItemEnded("resp_a", "item_resp_a", "final_answer", False)]

    play(scenario)


def test_a_caller_who_hangs_up_in_mid_answer_is_recorded_as_having_heard_so_much() -> None:
    async def scenario(scene: Scene, call: Call, line: Line) -> None:
        scene.agent_mind.answer = LONG
        say(scene, 1, "Hello", 0, 1600)
        await settle(1.0)
        call.end("caller_hung_up")
        await settle()

        (interrupt,) = scene.agent.sessions[0].all(r.Interrupt)
        assert isinstance(interrupt, r.Interrupt)
        (heard,) = interrupt.heard
        assert 0 < heard.heard_samples < len(LONG) * SAMPLES_PER_LETTER
        assert scene.agent.sessions[0].closed == "caller_hung_up"

    play(scenario)


def test_a_caller_who_hangs_up_within_the_last_sound_has_heard_it_all() -> None:
    async def scenario(scene: Scene, call: Call, line: Line) -> None:
        say(scene, 1, "Hello", 0, 1600)
        while not line.all(AudioSaid):
            await settle()
        await asyncio.sleep(5 * SAMPLES_PER_LETTER / SPEECH_RATE_HZ - 0.08)
        call.end("caller_hung_up")
        await settle()

        assert scene.agent.sessions[0].all(r.Interrupt) == []
        assert len(scene.agent.sessions[0].all(r.Played)) == 1

    play(scenario)
