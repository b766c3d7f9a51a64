"""Whose words are recognised next, and what becomes of an engine that fails."""

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.virtual import run_virtual
from trunkline.audio.pcm import EMPTY, Floats
from trunkline.stt.engines.scripted import FAIL, Scripted
from trunkline.stt.recognition import (
    CALL_JOBS,
    WAIT_LIMIT_S,
    Job,
    JobQueue,
    Outcome,
    Overdue,
    QueueFull,
    Recognition,
    pieces,
)

from .driving import Inline, Slow


def job(call: str, utterance: int = 1, *, final: bool = False) -> Job:
    made = Job(call, utterance, EMPTY, lambda outcome: None)
    made.final = final
    return made


def take_all(queue: JobQueue) -> list[tuple[str, int]]:
    """As one worker would."""
    taken = []
    while (next_job := queue.take()) is not None:
        taken.append((next_job.call, next_job.utterance))
        queue.release(next_job.call)
    return taken


def test_finals_go_before_attempts() -> None:
    queue = JobQueue()
    for waiting in [job("a"), job("b"), job("c", final=True)]:
        queue.put(waiting)

    assert take_all(queue) == [("c", 1), ("a", 1), ("b", 1)]


def test_calls_take_turns() -> None:
    queue = JobQueue()
    for waiting in [job("a", 1), job("a", 2), job("a", 3), job("b", 1)]:
        queue.put(waiting)

    assert take_all(queue) == [("a", 1), ("b", 1), ("a", 2), ("a", 3)]


def test_a_call_has_one_job_at_a_time() -> None:
    queue = JobQueue()
    for waiting in [job("a", 1), job("a", 2)]:
        queue.put(waiting)
    queue.take()
    assert queue.take() is None

    queue.release("a")

    assert take_all(queue) == [("a", 2)]


def test_a_call_with_too_many_waiting_is_told_so() -> None:
    queue = JobQueue()

    accepted = [queue.put(job("a")) for _ in range(CALL_JOBS + 1)]

    assert accepted == [True] * CALL_JOBS + [False]
    assert queue.put(job("b"))


@given(calls=st.lists(st.sampled_from("abc"), max_size=20), finals=st.sets(st.integers(0, 19)))
def test_every_job_is_taken_once_and_in_its_calls_order(calls: list[str], finals: set[int]) -> None:
    queue = JobQueue()
    put = [(call, at) for at, call in enumerate(calls) if queue.put(job(call, at, final=at in finals))]

    taken = take_all(queue)

    assert sorted(taken) == sorted(put)
    assert len(queue) == 0
    for call in "abc":
        mine = [at for name, at in taken if name == call]
        assert mine == sorted(mine)


async def outcomes_of(recognition: Recognition, jobs: list[tuple[str, int]]) -> list[Outcome]:
    outcomes: asyncio.Queue[Outcome] = asyncio.Queue()
    for call, utterance in jobs:
        recognition.submit(Job(call, utterance, np.zeros(16_000, dtype=np.int16), outcomes.put_nowait))
    return [await outcomes.get() for _ in jobs]


def test_an_engine_that_fails_for_one_utterance_goes_on_with_the_others() -> None:
    async def scenario() -> list[Outcome]:
        recognition = Recognition(Scripted(("one", FAIL, "three")), Inline(), 1)
        return await outcomes_of(recognition, [("a", 1), ("a", 2), ("a", 3)])

    one, failure, three = run_virtual(scenario())

    assert (one, three) == ("one", "three")
    assert str(failure) == "ScriptFailure: utterance 2 fails as scripted"


def test_a_call_that_floods_the_queue_is_answered() -> None:
    async def scenario() -> list[Outcome]:
        recognition = Recognition(Scripted(), Inline(), 1)
        return await outcomes_of(recognition, [("a", 1)] * (CALL_JOBS + 2))

    outcomes = run_virtual(scenario())

    assert [type(outcome) for outcome in outcomes].count(QueueFull) == 1
    assert outcomes.count("hello") == CALL_JOBS + 1


class Blocking:
    """Answers once it may; tells how many were at work at a time."""

    name = "blocking"

    def __init__(self) -> None:
        self.may_go = threading.Event()
        self.asked: list[int] = []

    def warm(self) -> None:
        """Nothing to load."""

    def recognise(self, pcm: Floats, utterance: int) -> str:
        self.asked.append(utterance)
        self.may_go.wait(5.0)
        return f"utterance {utterance}"


def test_a_cancelled_job_is_neither_run_nor_reported() -> None:
    async def scenario() -> tuple[list[int], list[Outcome]]:
        engine, outcomes = Blocking(), asyncio.Queue[Outcome]()
        with ThreadPoolExecutor(1) as threads:
            recognition = Recognition(engine, threads, 1)
            jobs = [Job(f"call {n}", n, np.zeros(16_000, dtype=np.int16), outcomes.put_nowait) for n in (1, 2, 3)]
            for waiting in jobs:
                recognition.submit(waiting)
            recognition.cancel(jobs[0])  # runs already: its words are dropped
            recognition.cancel(jobs[1])
            engine.may_go.set()
            async with asyncio.timeout(5.0):
                first = await outcomes.get()
        return engine.asked, [first]

    asked, outcomes = asyncio.run(scenario())

    assert asked == [1, 3]
    assert outcomes == ["utterance 3"]


@given(samples=st.integers(0, 40_000), limit=st.integers(5_000, 20_000))
def test_long_audio_is_split_without_loss(samples: int, limit: int) -> None:
    audio = np.random.default_rng(1).integers(-3_000, 3_000, samples).astype(np.int16)

    split = pieces(audio, limit)

    assert np.array_equal(audio, np.concatenate(split))
    assert max(map(len, split)) <= limit


def test_long_audio_is_split_at_its_quietest_place() -> None:
    audio = np.full(48_000, 9_000, dtype=np.int16)
    audio[25_600:27_200] = 0

    first, _ = pieces(audio, 32_000)

    assert 25_600 <= len(first) <= 27_200


def test_a_script_without_lines_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one line"):
        Scripted(())


def test_a_final_that_waits_too_long_for_a_thread_fails_and_what_is_only_tried_waits_on() -> None:
    async def scenario() -> list[list[Outcome]]:
        recognition = Recognition(Plain(), Slow(100.0), 1, limit_s=1e6)  # it works, and doesn't hang
        outcomes: list[Outcome] = []
        jobs = [Job(call, 1, EMPTY, outcomes.append) for call in ("runs", "wanted", "wanted later", "tried")]
        jobs[1].final = True
        for each in jobs:
            recognition.submit(each)
        await asyncio.sleep(1.0)
        recognition.want(jobs[2])
        seen = []
        for wait_s in (WAIT_LIMIT_S - 0.5, 1.0, 200.0):
            await asyncio.sleep(wait_s)
            seen.append(list(outcomes))
        recognition.stop()
        return seen

    one, two, end = ([type(outcome) for outcome in outcomes] for outcomes in run_virtual(scenario()))

    assert (one, two) == ([Overdue], [Overdue, Overdue])
    assert end == [Overdue, Overdue, str, str]


def test_a_final_that_gets_its_thread_in_time_is_not_given_up() -> None:
    async def scenario() -> list[Outcome]:
        recognition = Recognition(Plain(), Slow(WAIT_LIMIT_S - 1.0), 1)
        outcomes: list[Outcome] = []
        for call in ("a", "b"):
            wanted = Job(call, 1, EMPTY, outcomes.append)
            wanted.final = True
            recognition.submit(wanted)
        await asyncio.sleep(3 * WAIT_LIMIT_S)
        return outcomes

    assert run_virtual(scenario()) == ["words", "words"]


class Plain:
    name = "plain"

    def warm(self) -> None:
        """Nothing to load."""

    def recognise(self, pcm: Floats, utterance: int) -> str:
        return "words"
