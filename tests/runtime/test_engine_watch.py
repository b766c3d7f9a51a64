"""An engine that hangs on every thread, and one that is only slow."""

import asyncio
import os
import subprocess
import sys
from concurrent.futures import Executor, Future

import numpy as np
import pytest

from support.virtual import run_virtual
from trunkline.runtime.engine_watch import EXIT_FAILED, HANG_LIMIT_S, EngineWatch
from trunkline.stt import recognition
from trunkline.stt.engines.digits import Digits
from trunkline.tts import scheduler


@pytest.mark.parametrize(("threads", "jobs", "hung"), [(1, 1, True), (2, 2, True), (2, 1, False)])
def test_only_an_engine_that_hangs_on_every_thread_is_told_of(threads: int, jobs: int, hung: bool) -> None:
    async def scenario() -> list[str]:
        told: list[str] = []
        watch = EngineWatch("piper", threads, told.append)
        for _ in range(jobs):
            watch.began()
        await asyncio.sleep(HANG_LIMIT_S - 0.1)
        assert told == []
        await asyncio.sleep(0.2)
        watch.stop()
        return told

    assert run_virtual(scenario()) == (["piper"] if hung else [])


def test_an_engine_that_is_busy_for_long_but_ends_its_jobs_does_not_hang() -> None:
    async def scenario() -> list[str]:
        told: list[str] = []
        watch = EngineWatch("piper", 1, told.append)
        for _ in range(5):
            watch.began()
            await asyncio.sleep(HANG_LIMIT_S - 1.0)
            watch.ended()
        return told

    assert run_virtual(scenario()) == []


def test_a_process_that_was_stopped_for_long_hears_first_of_what_ended() -> None:
    async def scenario() -> list[str]:
        told: list[str] = []
        loop = asyncio.get_running_loop()
        watch = EngineWatch("piper", 1, told.append)
        watch.began()
        loop._jumping.now_s += 30.0  # type: ignore[attr-defined]  # the virtual clock: nothing ran meanwhile
        await asyncio.sleep(0.0)
        await asyncio.sleep(0.01)
        watch.ended()
        await asyncio.sleep(10.0)
        return told

    assert run_virtual(scenario()) == []


def test_a_process_whose_engine_hangs_ends_at_once_with_a_line_and_status_1() -> None:
    script = """
import asyncio, threading
from concurrent.futures import ThreadPoolExecutor
from trunkline.runtime import engine_watch
from trunkline.telemetry import logs

async def main():
    logs.configure("info", "stt", "stt-1")
    engine_watch.SURE_S = 0.1
    watch = engine_watch.EngineWatch("moonshine", 1, limit_s=0.2)
    ThreadPoolExecutor(1).submit(threading.Event().wait)
    watch.began()
    await asyncio.sleep(30)

asyncio.run(main())
"""
    ended = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=20, check=False, env=dict(os.environ)
    )

    assert ended.returncode == EXIT_FAILED
    [line] = [line for line in (ended.stdout + ended.stderr).splitlines() if "engine hangs" in line]
    assert "moonshine" in line


class Stuck(Executor):
    def submit(self, fn, /, *args, **kwargs):  # type: ignore[no-untyped-def]  # the base class has no narrower types
        return Future()


def test_the_recogniser_s_threads_are_watched(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    monkeypatch.setattr(
        recognition,
        "EngineWatch",
        lambda name, threads, *, limit_s: EngineWatch(name, threads, told.append, limit_s=limit_s),
    )

    async def scenario() -> None:
        stage = recognition.Recognition(Digits(), Stuck(), 1)
        stage.submit(recognition.Job("rtc_00_a", 1, np.zeros(16_000, dtype=np.int16), lambda outcome: None))
        await asyncio.sleep(HANG_LIMIT_S + 0.1)

    run_virtual(scenario())
    assert told == ["digits"]


class Step:
    cancelled = False
    step = stepped = failed = staticmethod(lambda *args: None)

    def priority(self) -> scheduler.Priority:
        return scheduler.Priority(later=False, due_s=0.0)


def test_the_threads_of_synthesis_are_watched(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    monkeypatch.setattr(
        scheduler,
        "EngineWatch",
        lambda name, threads, *, limit_s: EngineWatch(name, threads, told.append, limit_s=limit_s),
    )
    monkeypatch.setattr(scheduler, "ThreadPoolExecutor", lambda threads, thread_name_prefix: Stuck())

    async def scenario() -> None:
        scheduler.Scheduler(1, "piper").add(Step())  # type: ignore[arg-type]  # as much of a job as is asked of it
        await asyncio.sleep(HANG_LIMIT_S + 0.1)

    run_virtual(scenario())
    assert told == ["piper"]
