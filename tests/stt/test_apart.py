"""A recogniser that holds the GIL, in a process of its own."""

import asyncio
import errno
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from functools import partial
from multiprocessing.context import SpawnProcess
from pathlib import Path

import numpy as np
import pytest

from support.hungry import DIES, HANGS, RAISES, HungryRecogniser
from trunkline.runtime.apart import PAUSE_S, Apart, EngineDied, EngineFailed, Several
from trunkline.stt.engines.apart import RecogniserApart, answering

pytestmark = pytest.mark.programs

PCM = np.array([0.5, 0.25], dtype=np.float32)
WORKS_S = 0.4


@pytest.fixture
def recogniser() -> Iterator[RecogniserApart]:
    made = RecogniserApart(HungryRecogniser(), HungryRecogniser, 1)
    made.warm()
    yield made
    made.close()


def test_it_is_like_any_other_from_outside(recogniser: RecogniserApart) -> None:
    assert (recogniser.name, recogniser.languages) == ("hungry", ("en",))
    assert recogniser.recognise(PCM, 1).endswith(": 2 0.75")
    assert recogniser.cpu_s() > 0.0


def test_what_it_raises_fails_what_was_asked_and_the_process_goes_on(recogniser: RecogniserApart) -> None:
    before = recogniser.recognise(PCM, 1)

    with pytest.raises(EngineFailed, match="ValueError: this utterance fails"):
        recogniser.recognise(PCM, RAISES)

    assert recogniser.recognise(PCM, 1) == before


def test_a_process_that_dies_fails_what_it_was_asked_and_is_replaced(recogniser: RecogniserApart) -> None:
    before = recogniser.recognise(PCM, 1)

    with pytest.raises(EngineDied, match="the process of hungry died"):
        recogniser.recognise(PCM, DIES)

    assert recogniser.recognise(PCM, 1) != before


def test_a_process_that_hangs_is_ended_and_replaced() -> None:
    apart = Apart("hungry", partial(answering, HungryRecogniser), limit_s=0.5)
    apart.load()
    question = HANGS.to_bytes(4, "little")

    with pytest.raises(EngineDied, match="said nothing for 0"):
        apart.ask(question)

    assert apart.ask((1).to_bytes(4, "little"))
    apart.close()
    with pytest.raises(EngineDied, match="was closed"):
        apart.ask(question)


def test_a_process_that_takes_no_question_is_ended_and_replaced() -> None:
    apart = Apart("hungry", partial(answering, HungryRecogniser), limit_s=0.5)
    apart.load()
    assert apart._process is not None
    assert apart._process.pid is not None
    os.kill(apart._process.pid, signal.SIGSTOP)  # so the pipe fills up
    long = (1).to_bytes(4, "little") + bytes(4 * 16_000 * 28)
    told: Future[bytes] = Future()
    threading.Thread(target=lambda: told.set_exception(failure_of(apart, long)), daemon=True).start()

    assert isinstance(told.exception(5.0), EngineDied)

    assert apart.ask(long)
    apart.close()


def failure_of(apart: Apart, question: bytes) -> Exception | None:
    try:
        apart.ask(question)
    except Exception as error:  # of whatever kind
        return error
    return None


def test_an_engine_that_cannot_be_loaded_says_why() -> None:
    apart = Apart("broken", partial(answering, broken))

    with pytest.raises(EngineFailed, match="no model"):
        apart.load()

    apart.close()


def test_a_process_that_does_not_come_up_is_started_again_only_after_a_pause_that_grows() -> None:
    now_s = 0.0
    apart = Apart("hungry", partial(answering, dies_at_once), now_s=lambda: now_s)
    question = (1).to_bytes(4, "little")
    starts: list[float] = []

    for now_s in (0.0, 0.9, 1.1, 3.0, 3.2, 7.1):
        failure = failure_of(apart, question)
        assert isinstance(failure, EngineDied)
        if "didn't come up" not in str(failure):
            starts.append(now_s)

    apart.close()
    assert starts == [0.0, 1.1, 3.2]


def test_a_process_that_comes_up_after_all_is_asked_again(tmp_path: Path) -> None:
    now_s = 0.0
    apart = Apart("hungry", partial(answering, partial(needs_a_file, tmp_path / "model")), now_s=lambda: now_s)
    question = (1).to_bytes(4, "little")
    assert isinstance(failure_of(apart, question), EngineFailed)
    (tmp_path / "model").touch()
    assert isinstance(failure_of(apart, question), EngineDied)

    now_s = PAUSE_S

    assert apart.ask(question)
    apart.close()


def test_a_process_that_the_system_has_no_room_for_is_started_once_it_has(monkeypatch: pytest.MonkeyPatch) -> None:
    now_s = 0.0
    apart = Apart("hungry", partial(answering, HungryRecogniser), now_s=lambda: now_s)

    def refuse(_: object) -> None:
        raise BlockingIOError(errno.EAGAIN, "resource temporarily unavailable")

    with monkeypatch.context() as patched:
        patched.setattr(SpawnProcess, "start", refuse)
        with pytest.raises(EngineDied, match="can't be started"):
            apart.load()
    now_s = PAUSE_S
    apart.load()

    assert apart.pauses_s == 0.0
    apart.close()


def test_no_question_goes_to_a_process_that_pauses_while_another_runs(tmp_path: Path) -> None:
    model = tmp_path / "model"
    model.touch()
    several = Several("hungry", partial(answering, partial(needs_a_file, model)), 2)
    several.load()
    model.unlink()
    for _ in range(2):  # it dies, and doesn't come up
        assert failure_of(several.each[0], DIES.to_bytes(4, "little"))

    least_busy = several.least_busy()

    several.close()
    assert least_busy is several.each[1]


def dies_at_once() -> HungryRecogniser:
    os._exit(3)


def needs_a_file(path: Path) -> HungryRecogniser:
    path.read_bytes()
    return HungryRecogniser()


def broken() -> HungryRecogniser:
    raise FileNotFoundError("no model")


def test_the_loop_keeps_its_pace_while_the_engine_holds_the_gil_elsewhere() -> None:
    here, apart = HungryRecogniser(WORKS_S), RecogniserApart(HungryRecogniser(), partial(HungryRecogniser, WORKS_S), 1)
    apart.warm()

    beside_itself_s = asyncio.run(lateness(lambda: here.recognise(PCM, 1)))
    machine_s = asyncio.run(lateness(lambda: time.sleep(WORKS_S)))
    apart_s = asyncio.run(lateness(lambda: apart.recognise(PCM, 1)))

    apart.close()
    assert beside_itself_s > 0.05  # or there is nothing to be kept from
    assert apart_s < max(0.025, 3.0 * machine_s)  # a busy machine is late by itself


async def lateness(work: Callable[[], object]) -> float:
    """The 99th percentile of that of a timer every 5 ms while three times this work is done on a thread."""
    loop = asyncio.get_running_loop()
    done = loop.run_in_executor(None, lambda: [work() for _ in range(3)])
    late_s = []
    while not done.done():
        due_s = loop.time() + 0.005
        await asyncio.sleep(0.005)
        late_s.append(loop.time() - due_s)
    await done
    return float(np.percentile(late_s, 99))
