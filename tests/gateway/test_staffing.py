"""A call whose workers are lost in every way: it goes on, nothing is lost or doubled, and nobody keeps a slot."""

import asyncio
from collections.abc import Awaitable, Callable

import numpy as np
import pytest

from gateway.scene import SAMPLES_PER_LETTER, Line, Scene, Session, Worker, ignore, settle, spoken
from support.virtual import run_virtual
from trunkline.gateway import shared, staffing
from trunkline.gateway.call import Call
from trunkline.gateway.call_events import AudioSaid, CallOver, ItemEnded, ResponseEnded, SpeechBegan, Transcribed
from trunkline.proto import response as r
from trunkline.proto import speaking as sp
from trunkline.proto import speech as s
from trunkline.proto.audio import SPEECH_RATE_HZ
from trunkline.proto.envelope import attach_number, hub_of
from trunkline.proto.errors import StageUnavailable
from trunkline.proto.placement import Declined, Superseded
from trunkline.proto.subjects import Stage

STAGES: tuple[Stage, ...] = ("stt", "agent", "tts")
LONG = "The quick brown fox jumps over the lazy dog, twice."  # 2.5 s
NOTICED_S = 0.6  # of a worker that only falls silent, with the look of the hub

Scenario = Callable[[Scene, Call, Line], Awaitable[None]]


async def kill(worker: Worker) -> None:
    await worker.kill()


async def hang(worker: Worker) -> None:
    worker.hang()


async def fail(worker: Worker) -> None:
    worker.pool.fail(worker.last.link, RuntimeError("out of luck"))


async def drain(worker: Worker) -> None:
    worker.drain()


LOSSES = pytest.mark.parametrize("lose", [kill, hang, fail])
Lose = Callable[[Worker], Awaitable[None]]


def play(scenario: Scenario, *more: Stage, prepare: Callable[[Scene], None] = lambda _: None) -> None:
    """more: stages with a second worker. After the call nobody has it any more."""

    async def main() -> None:
        async with Scene(*more) as scene:
            prepare(scene)
            call, line = await scene.call()
            await scenario(scene, call, line)
            call.end("caller_hung_up")
            for worker in scene.workers:
                worker.go_on()
            await settle(3.0)

            assert [w.name for w in scene.workers if w.alive and w.pool.calls] == []
            assert len(scene.calls) == 0

    run_virtual(main())


def audio_of(line: Line) -> bytes:
    return b"".join(event.pcm for event in line.events if isinstance(event, AudioSaid))


def heard_by(session: Session) -> np.ndarray:
    """The caller's audio that this STT worker got, which must be without a gap."""
    at = session.audio[0].position
    for chunk in session.audio:
        assert chunk.position == at
        at += len(chunk.pcm) // 2
    return np.frombuffer(b"".join(chunk.pcm for chunk in session.audio), dtype=np.int16)


def utterance(session: Session, number: int, text: str, from_sample: int, to_sample: int) -> None:
    session.say(s.SpeechStarted(number, from_sample))
    session.say(s.SpeechStopped(number, to_sample))
    session.say(s.Final(number, text, from_sample, to_sample))


def turns(session: Session) -> list[str]:
    return [turn.text for turn in session.all(r.Turn) if isinstance(turn, r.Turn)]


def longest_gap_s(line: Line) -> float:
    """Between what the caller could hear and what came next."""
    gap_s, heard_to_s = 0.0, float("inf")
    for at_s, event in zip(line.at_s, line.events, strict=True):
        if isinstance(event, AudioSaid):
            gap_s = max(gap_s, at_s - heard_to_s)
            heard_to_s = max(at_s, heard_to_s if heard_to_s < float("inf") else 0.0)
            heard_to_s += len(event.pcm) / 2 / SPEECH_RATE_HZ
    return gap_s


# speech to text


@LOSSES
def test_a_listener_that_is_lost_in_mid_sentence_is_replaced_and_hears_it_all(lose: Lose) -> None:
    async def scenario(scene: Scene, call: Call, line: Line) -> None:
        speaking = asyncio.create_task(line.speaks(3.0))
        await settle(1.0)
        scene.stt.last.say(s.SpeechStarted(1, 1600))
        await settle()
        await lose(scene.stt)
        await speaking
        await settle()

        after = scene.second["stt"].last
        assert isinstance(after.order, s.Listen)
        assert after.order.from_sample == 0
        said = call.listening.ring.read(call.listening.ring.first, call.listening.ring.end)
        assert np.array_equal(heard_by(after), said)
        utterance(after, 1, "How are you?", 1600, 40_000)
        await settle(1.0)
        assert turns(scene.agent.last) == ["How are you?"]
        assert len(line.all(SpeechBegan)) == len(line.all(Transcribed)) == 1
        assert len(line.all(ResponseEnded)) == 1

    play(scenario, "stt")


def test_what_has_its_words_is_not_heard_again() -> None:
    async def scenario(scene: Scene, call: Call, line: Line) -> None:
        await line.speaks(2.0)
        utterance(scene.stt.last, 1, "How are you?", 1600, 16_000)
        await settle(1.0)
        await kill(scene.stt)
        await line.speaks(1.0)
        after = scene.second["stt"].last
        utterance(after, 1, "And now?", 33_000, 40_000)
        await settle(1.0)

        assert after.audio[0].position == 16_000
        assert turns(scene.agent.last) == ["How are you?", "And now?"]

    play(scenario, "stt")


# text to speech


@LOSSES
def test_a_voice_that_is_lost_in_mid_answer_is_replaced_and_every_sample_is_heard_once(lose: Lose) -> None:
    async def scenario(scene: Scene, call: Call, line: Line) -> None:
        scene.agent_mind.answer = LONG
        scene.tts.react = slowly(scene.tts_voice.react)  # type: ignore[method-assign]
        scene.second["tts"].react = slowly(scene.tts_voice.react)  # type: ignore[method-assign]
        utterance(scene.stt.last, 1, "Hello", 0, 1600)
        await settle(0.15)
        await lose(scene.tts)
        await settle(5.0)

        assert audio_of(line) == spoken(LONG).tobytes()
        [played] = scene.agent.last.all(r.Played)
        assert isinstance(played, r.Played)
        assert played.heard.heard_samples == len(LONG) * SAMPLES_PER_LETTER
        assert longest_gap_s(line) < NOTICED_S + 0.2

    play(scenario, "tts")


def slowly(react: Callable[[Session, r.Utterance], None]) -> Callable[[Session, object], None]:
    """Speaks only 100 ms after it was asked, so that a loss can come before."""

    def reacts(session: Session, message: object) -> None:
        asyncio.get_running_loop().call_later(0.1, react, session, message)

    return reacts


# the agent


@LOSSES
@pytest.mark.parametrize("said", [0, 1, 2, 3])
def test_an_agent_that_is_lost_in_mid_answer_is_followed_by_one_that_is_told_all_of_it(lose: Lose, said: int) -> None:
    async def scenario(scene: Scene, call: Call, line: Line) -> None:
        scene.agent.react = ignore  # type: ignore[assignment,method-assign]
        scene.agent_mind.answer = "One moment. "
        utterance(scene.stt.last, 1, "Hello", 0, 1600)
        await settle()
        [turn] = scene.agent.last.all(r.Turn)
        assert isinstance(turn, r.Turn)
        response, item = turn.response, f"item_{turn.response}"
        begun = [
            r.ResponseStarted(response, 1),
            r.ItemStarted(response, item, "final_answer"),
            r.Say(response, item, 0, "One moment. "),
        ][:said]
        for message in begun:
            scene.agent.last.say(message)
        await settle()
        await lose(scene.agent)
        await settle(3.0)

        after = scene.second["agent"].last
        assert isinstance(after.order, r.Converse)
        assert after.order.reason.startswith("agent-1: ")
        assert after.got[:2] == [r.Recall(tuple(begun), (response,), False, 1), turn]
        assert audio_of(line) == spoken("One moment. ").tobytes()
        assert line.kinds().count("ResponseOpened") == line.kinds().count("ItemOpened") == 1
        assert line.all(ItemEnded) == [ItemEnded(response, item, "final_answer", True)]
        assert [e.status for e in line.all(ResponseEnded) if isinstance(e, ResponseEnded)] == ["completed"]

    play(scenario, "agent")


def test_a_turn_that_comes_while_there_is_no_agent_is_answered_by_the_next() -> None:
    async def scenario(scene: Scene, call: Call, line: Line) -> None:
        await kill(scene.agent)
        await settle(1.0)
        utterance(scene.stt.last, 1, "Hello", 0, 1600)
        await settle(1.0)
        late = scene.make("agent")
        await late.start()
        await settle(2.0)

        assert turns(late.last) == ["Hello"]
        assert len(line.all(ResponseEnded)) == 1

    play(scenario)


def test_what_is_stored_is_not_recalled() -> None:
    async def scenario(scene: Scene, call: Call, line: Line) -> None:
        utterance(scene.stt.last, 1, "Hello", 0, 1600)
        await settle(1.0)
        first = scene.agent.last
        first.say(r.Stored(first.link.state.received, first.link.state.sent))
        await settle()
        await fail(scene.agent)
        await settle()

        assert scene.second["agent"].last.got == [r.Recall((), (), False, 0)]

    play(scenario, "agent")


def test_an_owner_of_an_epoch_that_is_over_is_refused() -> None:
    def prepare(scene: Scene) -> None:
        scene.agent.epoch = 5
        scene.second["agent"].epoch = 4

    async def scenario(scene: Scene, call: Call, line: Line) -> None:
        await kill(scene.agent)
        await settle(1.5)
        assert "agent" not in call.workers
        late = scene.make("agent")
        late.epoch = 6
        await late.start()
        await settle(2.0)

        assert call.workers["agent"] == late.name
        assert scene.second["agent"].last.closed == "moved"

    play(scenario, "agent", prepare=prepare)


# any stage


@pytest.mark.parametrize("stage", STAGES)
@LOSSES
def test_the_record_is_told_who_serves_the_call_and_why(stage: Stage, lose: Lose) -> None:
    async def scenario(scene: Scene, call: Call, line: Line) -> None:
        await line.speaks(0.2)
        await lose(scene.first[stage])
        await line.speaks(1.0)

        worker = scene.second[stage].name
        assert call.workers[stage] == worker
        told = [message for message in scene.agent.last.got if isinstance(message, r.Placed)]
        if stage == "agent":
            assert told == []
        else:
            [placed] = told
            assert (placed.stage, placed.worker) == (stage, worker)
            assert placed.reason.startswith(f"{scene.first[stage].name}: ")

    play(scenario, stage)


@pytest.mark.parametrize("stage", STAGES)
def test_a_worker_that_was_only_stopped_learns_that_the_call_moved(stage: Stage) -> None:
    async def scenario(scene: Scene, call: Call, line: Line) -> None:
        scene.first[stage].hang()
        await settle(12.0)
        scene.first[stage].go_on()
        await settle(2.0)

        assert scene.first[stage].last.closed == "moved"
        assert not line.all(CallOver)

    play(scenario, stage)


@pytest.mark.parametrize("stage", STAGES)
@LOSSES
def test_a_stage_that_is_empty_for_two_seconds_is_filled_by_who_comes(stage: Stage, lose: Lose) -> None:
    async def scenario(scene: Scene, call: Call, line: Line) -> None:
        scene.first[stage].declines = Declined("unready", "broken")
        await lose(scene.first[stage])
        await settle(2.0)
        assert stage not in call.workers
        late = scene.make(stage)
        await late.start()
        await settle(1.0)

        assert call.workers[stage] == late.name
        assert not line.all(CallOver)

    play(scenario)


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_that_stays_empty_ends_the_call(stage: Stage) -> None:
    async def scenario(scene: Scene, call: Call, line: Line) -> None:
        await kill(scene.first[stage])
        await settle(staffing.REPLACE_LIMIT_S - 1.0)
        assert not call.ended
        await settle(3.0)

        assert call.ended
        over = line.events[-1]
        assert isinstance(over, CallOver)
        assert over.code == "stage_lost"
        assert over.detail.startswith(f"the {stage} worker of this call was lost: {stage}-1: ")
        others = [worker for worker in scene.workers if worker.stage != stage]
        assert {worker.last.closed for worker in others} == {f"failed: {stage} lost"}

    play(scenario)


@pytest.mark.parametrize("stage", STAGES)
def test_the_only_worker_may_take_back_a_call_that_it_failed(stage: Stage) -> None:
    async def scenario(scene: Scene, call: Call, line: Line) -> None:
        await fail(scene.first[stage])
        await settle(0.2)

        assert call.workers[stage] == f"{stage}-1"
        assert len(scene.first[stage].sessions) == 2

    play(scenario)


def test_a_worker_that_dies_while_it_is_asked_costs_no_wait_for_its_answer() -> None:
    async def scenario(scene: Scene, call: Call, line: Line) -> None:
        scene.second["stt"].mute = True
        third = scene.make("stt")
        third.pool.capacity = 1  # so that the second, without a limit, is asked first
        await third.start()
        await settle(0.2)
        await fail(scene.stt)
        await settle()
        assert scene.second["stt"].sessions
        await kill(scene.second["stt"])
        await settle(NOTICED_S)

        assert call.workers["stt"] == third.name

    play(scenario, "stt")


def test_nobody_is_lost_while_the_bus_is_away() -> None:
    async def scenario(scene: Scene, call: Call, line: Line) -> None:
        publish, scene.broker.publish = scene.broker.publish, lambda message: None  # type: ignore[method-assign]
        await line.speaks(20.0)
        scene.broker.publish = publish  # type: ignore[method-assign]
        await line.speaks(0.5)

        assert {worker.stage: len(worker.sessions) for worker in scene.workers} == {"stt": 1, "agent": 1, "tts": 1}
        assert not call.ended

    play(scenario)


def test_a_call_that_ends_while_nobody_serves_a_stage_leaves_nothing_behind() -> None:
    async def scenario(scene: Scene, call: Call, line: Line) -> None:
        scene.second["agent"].mute = True
        await kill(scene.agent)
        await settle(1.0)
        call.end("caller_hung_up")
        scene.second["agent"].mute = False
        await settle(4.0)

        ends = [session.closed for session in scene.second["agent"].sessions]
        assert ends == ["moved", "caller_hung_up"]  # the first knew too little to write the end

    play(scenario, "agent")


# progress


def test_a_listener_that_hears_and_says_nothing_is_relieved() -> None:
    async def scenario(scene: Scene, call: Call, line: Line) -> None:
        await line.speaks(4.0)

        assert call.workers["stt"] == "stt-2"
        assert scene.stt.last.closed == "moved"
        assert len(heard_by(scene.second["stt"].last)) == call.listening.ring.end

    play(scenario, "stt")


def test_a_voice_that_is_asked_and_says_nothing_is_relieved() -> None:
    def prepare(scene: Scene) -> None:
        scene.tts.react = ignore  # type: ignore[assignment,method-assign]

    async def scenario(scene: Scene, call: Call, line: Line) -> None:
        utterance(scene.stt.last, 1, "Hello", 0, 1600)
        await settle(4.0)

        assert call.workers["tts"] == "tts-2"
        assert audio_of(line) == spoken("Fine.").tobytes()

    play(scenario, "tts", prepare=prepare)


def test_an_agent_that_begins_no_answer_is_relieved() -> None:
    def prepare(scene: Scene) -> None:
        scene.agent.react = ignore  # type: ignore[assignment,method-assign]

    async def scenario(scene: Scene, call: Call, line: Line) -> None:
        utterance(scene.stt.last, 1, "Hello", 0, 1600)
        await settle(4.0)

        assert call.workers["agent"] == "agent-2"
        assert audio_of(line) == spoken("Fine.").tobytes()

    play(scenario, "agent", prepare=prepare)


def test_a_mute_worker_stays_where_there_is_no_other() -> None:
    async def scenario(scene: Scene, call: Call, line: Line) -> None:
        await line.speaks(10.0)

        assert len(scene.stt.sessions) == 1
        assert not call.ended

    play(scenario)


def test_two_mute_workers_do_not_pass_a_call_to_and_fro_without_rest() -> None:
    async def scenario(scene: Scene, call: Call, line: Line) -> None:
        await line.speaks(20.0)

        placements = len(scene.stt.sessions) + len(scene.second["stt"].sessions)
        assert 2 <= placements <= 5

    play(scenario, "stt")


# drains


@pytest.mark.parametrize("stage", STAGES)
def test_a_call_moves_away_from_a_worker_that_drains(stage: Stage) -> None:
    async def scenario(scene: Scene, call: Call, line: Line) -> None:
        speaking = asyncio.create_task(line.speaks(2.0))
        await settle(0.5)
        scene.first[stage].drain()
        await settle(0.2)
        assert call.workers[stage] == f"{stage}-2"
        assert scene.first[stage].last.closed == "moved"
        await speaking
        utterance((scene.second["stt"] if stage == "stt" else scene.stt).last, 1, "Hello", 1600, 16_000)
        await settle(2.0)

        assert turns((scene.second["agent"] if stage == "agent" else scene.agent).last) == ["Hello"]
        assert audio_of(line) == spoken("Fine.").tobytes()

    play(scenario, stage)


def test_a_drain_in_mid_sentence_loses_nothing_of_it() -> None:
    async def scenario(scene: Scene, call: Call, line: Line) -> None:
        speaking = asyncio.create_task(line.speaks(2.0))
        await settle(0.5)
        scene.stt.last.say(s.SpeechStarted(1, 1600))
        await settle()
        scene.stt.drain()
        await speaking
        after = scene.second["stt"].last
        assert len(heard_by(after)) == call.listening.ring.end
        utterance(after, 1, "Hello", 1700, 30_000)
        await settle(1.0)

        assert len(line.all(SpeechBegan)) == 1
        assert turns(scene.agent.last) == ["Hello"]

    play(scenario, "stt")


def test_a_voice_that_drains_ends_its_segment_first() -> None:
    async def scenario(scene: Scene, call: Call, line: Line) -> None:
        scene.tts.react = slowly(scene.tts_voice.react)  # type: ignore[method-assign]
        utterance(scene.stt.last, 1, "Hello", 0, 1600)
        await settle()
        scene.tts.drain()
        await settle(0.05)
        assert call.workers["tts"] == "tts-1"
        await settle(2.0)

        assert call.workers["tts"] == "tts-2"
        assert scene.second["tts"].last.all(sp.Synthesise) == []
        assert audio_of(line) == spoken("Fine.").tobytes()
        assert longest_gap_s(line) < 0.1

    play(scenario, "tts")


def test_an_agent_that_drains_ends_its_answer_first() -> None:
    async def scenario(scene: Scene, call: Call, line: Line) -> None:
        scene.agent.react = ignore  # type: ignore[assignment,method-assign]
        utterance(scene.stt.last, 1, "Hello", 0, 1600)
        await settle()
        scene.agent.drain()
        await settle(1.0)
        assert call.workers["agent"] == "agent-1"
        [turn] = scene.agent.last.all(r.Turn)
        assert isinstance(turn, r.Turn)
        scene.agent_mind.speak(scene.agent.last, turn.response, 1, "Fine.")
        await settle(1.0)

        assert call.workers["agent"] == "agent-2"
        assert audio_of(line) == spoken("Fine.").tobytes()

    play(scenario, "agent")


def test_a_turn_that_comes_while_the_agent_moves_is_begun_by_the_next_alone() -> None:
    async def scenario(scene: Scene, call: Call, line: Line) -> None:
        scene.second["agent"].mute = True
        scene.agent.drain()
        await settle(0.2)
        utterance(scene.stt.last, 1, "Hello", 0, 1600)
        await settle(0.2)
        scene.second["agent"].last.say(scene.agent.attached)
        await settle(1.0)

        assert turns(scene.agent.last) == []
        assert turns(scene.second["agent"].last) == ["Hello"]
        assert audio_of(line) == spoken("Fine.").tobytes()

    play(scenario, "agent")


def test_a_turn_that_comes_while_nobody_relieves_the_agent_is_its_own() -> None:
    async def scenario(scene: Scene, call: Call, line: Line) -> None:
        scene.second["agent"].mute = True
        scene.agent.drain()
        await settle(0.2)
        utterance(scene.stt.last, 1, "Hello", 0, 1600)
        await settle()
        await fail(scene.second["agent"])
        await settle(0.2)

        assert turns(scene.agent.last) == ["Hello"]

    play(scenario, "agent")


@pytest.mark.parametrize("stage", STAGES)
def test_a_worker_that_drains_keeps_its_call_while_there_is_no_other(stage: Stage) -> None:
    async def scenario(scene: Scene, call: Call, line: Line) -> None:
        scene.first[stage].drain()
        await settle(3.0)
        assert call.workers[stage] == f"{stage}-1"
        late = scene.make(stage)
        await late.start()
        await settle(1.0)

        assert call.workers[stage] == f"{stage}-2"

    play(scenario)


def test_few_calls_move_away_from_a_worker_at_a_time_and_in_the_end_all() -> None:
    async def scenario(scene: Scene, call: Call, line: Line) -> None:
        second = scene.second["agent"]
        second.declines = Declined("full")
        more = [(await scene.call())[0] for _ in range(2 * shared.RELIEFS)]
        second.declines, second.mute = None, True
        await settle(staffing.AVOID_S)
        scene.agent.drain()
        await settle(0.2)
        asked = second.sessions[:]
        second.mute = False
        for session in asked:
            session.say(scene.agent.attached)
        await settle(1.0)

        assert len(asked) == shared.RELIEFS
        assert {one.workers["agent"] for one in (call, *more)} == {"agent-2"}
        for one in more:
            one.end("caller_hung_up")

    play(scenario, "agent")


# other placements


def test_a_call_that_another_gateway_has_is_let_go_without_a_word_to_the_record() -> None:
    async def scenario(scene: Scene, call: Call, line: Line) -> None:
        scene.agent_mind.answer = LONG
        utterance(scene.stt.last, 1, "Hello", 0, 1600)
        await settle(0.5)
        before = len(scene.agent.last.got)
        scene.stt.last.link.send_loose(Superseded(attach_number(call.hub + 1, 1)))
        await settle(0.2)

        assert call.ended
        assert line.events[-1] == CallOver("moved", "the call goes on at another gateway")
        assert {worker.last.closed for worker in scene.workers} == {"moved"}
        assert len(scene.agent.last.got) == before

    play(scenario)


def test_a_worker_that_was_superseded_by_a_forgotten_placement_of_the_same_gateway_is_replaced() -> None:
    async def scenario(scene: Scene, call: Call, line: Line) -> None:
        link = scene.agent.last.link
        assert hub_of(link.attach) == call.hub
        link.send_loose(Superseded(link.attach + 1))
        await settle(0.2)

        assert call.workers["agent"] == "agent-2"
        assert not call.ended

    play(scenario, "agent")


@pytest.mark.parametrize("taken", [True, False])
def test_an_agent_that_answered_too_late_learns_how_it_went_on(taken: bool) -> None:
    """Had it taken the record, somebody must end it."""

    async def main() -> None:
        async with Scene("agent") as scene:
            scene.agent.mute = True
            if not taken:
                scene.second["agent"].declines = Declined("full", "no room")
            placing = asyncio.create_task(scene.calls.place(""))
            await settle(3.0)
            if taken:
                call = await placing
                assert scene.agent.last.closed == "moved"
                call.end("caller_hung_up")
            else:
                with pytest.raises(StageUnavailable):
                    await placing
            await settle(1.0)

            assert scene.agent.last.closed == ("moved" if taken else "failed: not placed")
            await settle(3.0)

    run_virtual(main())


# the end


@pytest.mark.parametrize("lose", [kill, hang])
def test_a_call_that_ends_as_its_agent_is_lost_is_ended_by_another_that_knows_it_all(lose: Lose) -> None:
    async def scenario(scene: Scene, call: Call, line: Line) -> None:
        scene.agent_mind.answer = LONG
        utterance(scene.stt.last, 1, "Hello", 0, 1600)
        await settle(1.0)
        before = list(scene.agent.last.got)
        await lose(scene.agent)
        call.end("caller_hung_up")
        await settle(3.0)

        after = scene.second["agent"].last
        assert after.closed == "caller_hung_up"
        recall, *told = after.got
        assert isinstance(recall, r.Recall)
        assert len(recall.said) == 5
        assert told[: len(before)] == before
        assert isinstance(told[-1], r.Interrupt)

    play(scenario, "agent")


def test_a_call_that_ends_without_an_agent_is_ended_by_the_next_that_comes() -> None:
    async def scenario(scene: Scene, call: Call, line: Line) -> None:
        await kill(scene.agent)
        await settle(1.0)
        call.end("caller_hung_up")
        await settle(3.0)
        late = scene.make("agent")
        late.mute = True
        await late.start()
        await settle(3.0)
        later = scene.make("agent")
        await later.start()
        await settle(3.0)

        assert (late.last.closed, later.last.closed) == ("moved", "caller_hung_up")

    play(scenario)


def test_a_call_that_ends_while_its_agent_moves_is_ended_by_whoever_has_the_record() -> None:
    async def scenario(scene: Scene, call: Call, line: Line) -> None:
        utterance(scene.stt.last, 1, "Hello", 0, 1600)
        await settle(0.05)
        scene.second["agent"].mute = True
        scene.agent.drain()
        await settle(0.15)
        call.end("caller_hung_up")
        await settle()
        after = scene.second["agent"].last
        assert (scene.agent.last.closed, after.closed) == ("caller_hung_up", "")
        after.say(scene.agent.attached)
        await settle()

        assert after.closed == "caller_hung_up"
        assert [type(message) for message in after.got] == [r.Recall, r.Turn, r.Played]

    play(scenario, "agent")


def test_a_drain_waits_until_an_agent_knows_of_the_end() -> None:
    async def scenario(scene: Scene, call: Call, line: Line) -> None:
        await kill(scene.agent)
        await settle(1.0)
        call.end("caller_hung_up")
        drain = asyncio.create_task(scene.calls.drain(10.0))
        await settle(2.0)
        assert not drain.done()
        late = scene.make("agent")
        await late.start()
        await settle(1.0)

        assert drain.done()

    play(scenario)


def test_agents_that_cannot_have_the_call_are_not_asked_for_ever() -> None:
    """As of a call whose record has its end already."""

    async def scenario(scene: Scene, call: Call, line: Line) -> None:
        scene.second["agent"].opens = refuse
        await kill(scene.agent)
        await settle(0.5)
        asked = len(scene.second["agent"].sessions)
        call.end("caller_hung_up")
        await settle(10.0)

        assert len(scene.second["agent"].sessions) == asked + 3

    play(scenario, "agent")


def refuse(session: Session) -> None:
    asyncio.get_running_loop().call_soon(session.worker.pool.fail, session.link, RuntimeError("it is over"))


def test_nothing_is_held_for_a_call_whose_end_was_another_gateways_to_write() -> None:
    async def scenario(scene: Scene, call: Call, line: Line) -> None:
        second = scene.second["agent"]

        def outrank(session: Session) -> None:
            session.link.send_loose(Superseded(attach_number(call.hub + 1, 1)))
            asyncio.get_running_loop().call_soon(second.pool.drop, session.link, "superseded")

        second.opens = outrank
        scene.agent.hang()
        call.end("caller_hung_up")
        await settle(5.0)
        scene.agent.go_on()
        await settle(5.0)

        assert len(second.sessions) == 1
        assert scene.exchange.holds == 0

    play(scenario, "agent")


def test_a_call_whose_agent_knows_of_its_end_bothers_no_other() -> None:
    async def scenario(scene: Scene, call: Call, line: Line) -> None:
        call.end("caller_hung_up")
        await settle(0.2)
        await kill(scene.agent)
        await settle(3.0)

        assert not scene.second["agent"].sessions

    play(scenario, "agent")
