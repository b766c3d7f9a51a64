"""Calls at the text-to-speech stage, over a bus in memory and on virtual time."""

import asyncio
import threading
from collections.abc import Iterator

import numpy as np

from support.virtual import run_over_sockets, run_virtual
from trunkline.audio.pcm import Samples
from trunkline.proto.audio import SPEECH_RATE_HZ
from trunkline.proto.placement import Accepted, Declined, Release
from trunkline.proto.speaking import Hush, SegmentFailed, SegmentSpoken, Synthesise
from trunkline.tts.orders import LIMIT_SEGMENTS
from tts.stage import SOUND, PieceSynthesiser, Stage


def test_a_call_is_accepted_and_its_segments_are_spoken_in_order() -> None:
    async def scenario() -> None:
        async with Stage(PieceSynthesiser()) as stage:
            caller = stage.caller()
            caller.order(Synthesise(1, "one two", urgent=True), Synthesise(2, "three"))
            await caller.until_over(1, 2)

        assert caller.messages[0] == Accepted()
        assert [(1, 2 * len(SOUND)), (2, len(SOUND))] == [
            (m.segment, m.samples) for m in caller.messages if isinstance(m, SegmentSpoken)
        ]
        assert [chunk.stream for chunk in caller.chunks if chunk.pcm] == [1] * 6 + [2] * 3
        assert np.array_equal(np.concatenate((SOUND, SOUND)), caller.audio(1))

    run_virtual(scenario())


def test_only_the_closing_chunk_of_a_segment_is_marked_last() -> None:
    async def scenario() -> None:
        async with Stage(PieceSynthesiser()) as stage:
            caller = stage.caller()
            caller.order(Synthesise(7, "one two"))
            await caller.until_over(7)

        assert [chunk.last for chunk in caller.chunks] == [False] * (len(caller.chunks) - 1) + [True]
        assert all(chunk.handle == 1 and chunk.attach == caller.link.attach for chunk in caller.chunks)

    run_virtual(scenario())


def test_punctuation_alone_is_a_segment_of_no_samples() -> None:
    async def scenario() -> None:
        async with Stage(PieceSynthesiser()) as stage:
            caller = stage.caller()
            caller.order(Synthesise(1, " … "))
            await caller.until_over(1)
            last = caller.messages[-1]

        assert last == SegmentSpoken(1, 0, 0.0)
        assert [(chunk.position, chunk.pcm, chunk.last) for chunk in caller.chunks] == [(0, b"", True)]

    run_virtual(scenario())


def test_a_segment_is_taken_up_at_the_sample_that_was_lost() -> None:
    async def scenario() -> None:
        async with Stage(PieceSynthesiser()) as stage:
            caller = stage.caller()
            caller.order(Synthesise(1, "one two", from_sample=len(SOUND) + 100))
            await caller.until_over(1)
            last = caller.messages[-1]

        assert caller.chunks[0].position == len(SOUND) + 100
        assert len(caller.audio(1)) == len(SOUND) - 100
        assert last == SegmentSpoken(1, 2 * len(SOUND), 0.0)

    run_virtual(scenario())


def test_a_failing_segment_is_reported_and_the_call_goes_on() -> None:
    async def scenario() -> None:
        async with Stage(PieceSynthesiser()) as stage:
            caller = stage.caller()
            caller.order(Synthesise(1, "one boom"), Synthesise(2, "two"))
            await caller.until_over(1, 2)

        assert [SegmentFailed(1, "piece: RuntimeError: the voice broke")] == caller.failures()
        assert caller.spoken() == [2]

    run_virtual(scenario())


def test_a_queue_that_is_full_refuses_further_segments() -> None:
    async def scenario() -> None:
        async with Stage(PieceSynthesiser()) as stage:
            caller = stage.caller()
            last = LIMIT_SEGMENTS + 2  # one is spoken at once, LIMIT_SEGMENTS wait
            caller.order(*(Synthesise(segment, "one") for segment in range(1, last + 1)))
            await caller.until_over(*range(1, last + 1))

        assert [SegmentFailed(last, f"queue full: {LIMIT_SEGMENTS} segments wait")] == caller.failures()
        assert list(range(1, last)) == caller.spoken()

    run_virtual(scenario())


class HeldSynthesiser(PieceSynthesiser):
    """Works on a thread and waits before each word until the test lets it go on."""

    def __init__(self) -> None:
        super().__init__(inline=False)
        self.begun = threading.Semaphore(0)
        self.go_on = threading.Semaphore(0)

    def synthesise(self, text: str, speed: float) -> Iterator[Samples]:
        for word in text.split():
            self.worked.append(word)
            self.begun.release()
            assert self.go_on.acquire(timeout=5)
            yield SOUND

    async def until_begun(self) -> None:
        assert await asyncio.to_thread(self.begun.acquire, timeout=5)


async def let_things_arrive() -> None:
    await asyncio.sleep(0.02)


def test_after_a_hush_nothing_of_the_running_segment_leaves() -> None:
    async def scenario() -> None:
        engine = HeldSynthesiser()
        async with Stage(engine, tts_threads=1) as stage:
            caller = stage.caller()
            caller.order(Synthesise(1, "one two three"), Synthesise(2, "four"), Synthesise(3, "five"))
            await engine.until_begun()
            caller.order(Hush(2))
            await let_things_arrive()
            engine.go_on.release(2)
            await caller.until_over(3)

        assert {3} == {chunk.stream for chunk in caller.chunks}
        assert engine.worked == ["(warm)", "one", "five"]
        assert caller.spoken() == [3]

    asyncio.run(scenario())


def test_a_response_of_one_call_goes_before_the_rest_of_another() -> None:
    async def scenario() -> None:
        engine = HeldSynthesiser()
        async with Stage(engine, tts_threads=1) as stage:
            talker, asker = stage.caller(1), stage.caller(2)
            talker.order(Synthesise(1, "a1 a2 a3", urgent=True))
            await engine.until_begun()
            asker.order(Synthesise(1, "b1 b2", urgent=True))
            await let_things_arrive()
            engine.go_on.release(5)
            await talker.until_over(1)
            await asker.until_over(1)

        assert engine.worked[:3] == ["(warm)", "a1", "b1"]

    asyncio.run(scenario())


def test_the_call_that_runs_out_of_audio_soonest_goes_next() -> None:
    async def scenario() -> None:
        engine = HeldSynthesiser()
        async with Stage(engine, tts_threads=1) as stage:
            ahead, behind = stage.caller(1), stage.caller(2)
            ahead.order(Synthesise(1, "a1 a2 a3 a4"))
            for _ in range(3):
                await engine.until_begun()
                engine.go_on.release()
            await engine.until_begun()
            behind.order(Synthesise(1, "b1 b2"))
            ahead.order(Synthesise(2, "a5"))
            await let_things_arrive()
            engine.go_on.release(9)
            await ahead.until_over(1, 2)
            await behind.until_over(1)

        assert engine.worked[5:] == ["b1", "b2", "a5"]

    asyncio.run(scenario())


def test_a_released_call_is_silent_and_frees_its_place() -> None:
    async def scenario() -> None:
        engine = HeldSynthesiser()
        async with Stage(engine, tts_threads=1, capacity=1) as stage:
            caller = stage.caller(1)
            caller.order(Synthesise(1, "one two"))
            await engine.until_begun()
            caller.order(Release("over"))
            await let_things_arrive()
            refused_before = stage.service.load()
            engine.go_on.release(2)
            await let_things_arrive()

        assert refused_before == (0, 1)
        assert caller.chunks == []
        assert [Accepted()] == caller.messages

    asyncio.run(scenario())


def test_a_full_worker_declines() -> None:
    async def scenario() -> None:
        async with Stage(PieceSynthesiser(), capacity=1) as stage:
            stage.caller(1)
            second = stage.caller(2)
            await let_things_arrive()

        assert [Declined("full", "1 calls", 1.0)] == second.messages

    run_virtual(scenario())


def test_a_draining_worker_finishes_its_calls_and_declines_new_ones() -> None:
    async def scenario() -> None:
        async with Stage(PieceSynthesiser()) as stage:
            caller = stage.caller(1)
            caller.order(Synthesise(1, "one"))
            await let_things_arrive()
            draining = asyncio.create_task(stage.service.drain(30.0))
            await let_things_arrive()
            late = stage.caller(2)
            caller.order(Synthesise(2, "two"))
            await caller.until_over(2)
            caller.order(Release("over"))
            await asyncio.wait_for(draining, 1.0)

        assert caller.spoken() == [1, 2]
        assert isinstance(late.messages[0], Declined)
        assert late.messages[0].reason == "draining"

    run_virtual(scenario())


def test_an_engine_of_another_rate_is_resampled_once_to_the_rate_of_speech() -> None:
    class Slow(PieceSynthesiser):
        rate_hz = SPEECH_RATE_HZ // 2

    async def scenario() -> None:
        async with Stage(Slow()) as stage:
            caller = stage.caller()
            caller.order(Synthesise(1, "one two"))
            await caller.until_over(1)

        assert len(caller.audio(1)) == 4 * len(SOUND)
        assert np.abs(caller.audio(1)[4000:-4000] - 5000.0).max() < 50

    run_virtual(scenario())


class Gate(PieceSynthesiser):
    """The word "long" takes until it is opened."""

    def __init__(self) -> None:
        super().__init__(inline=False)
        self.entered, self.opened = threading.Event(), threading.Event()

    def synthesise(self, text: str, speed: float) -> Iterator[Samples]:
        if text == "long":
            self.entered.set()
            self.opened.wait(10.0)
        yield SOUND


def test_a_calls_words_do_not_wait_for_those_of_a_request() -> None:
    async def scenario() -> None:
        gate = Gate()
        async with Stage(gate, tts_threads=1) as stage:
            request, call = stage.caller(1, patient=True), stage.caller(2)
            request.order(Synthesise(1, "long"))
            await asyncio.to_thread(gate.entered.wait, 10.0)

            call.order(Synthesise(1, "short"))
            await call.until_over(1)

            assert (call.spoken(), request.spoken()) == ([1], [])
            gate.opened.set()
            await request.until_over(1)

    run_over_sockets(scenario())
