"""A process ends when it is told to, also one whose engine hangs."""

import asyncio
import os
import signal
import sys

import pytest

from trunkline.runtime.leaving import THREADS_LIMIT_S

pytestmark = pytest.mark.programs

NOWHERE = {"TRUNKLINE_NATS_URL": "nats://127.0.0.1:9", "TRUNKLINE_WORKER_ID": "stt-1"}
SERVICE = """
import asyncio, sys, threading, time
from concurrent.futures import ThreadPoolExecutor
from trunkline.runtime.leaving import leave
from trunkline.runtime.process import run
from trunkline.runtime.settings import CoreSettings
never = threading.Event()
def build(context, settings):
    loop = asyncio.get_running_loop()
    {work}
    print("built", file=sys.stderr, flush=True)
run("stt", CoreSettings, build)
"""


async def end(work: str, *, ask: bool = True) -> tuple[int, list[str], float]:
    """Exit status, what was logged after the build, and how long it took to go, of a process that does this work."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", SERVICE.format(work=work)),
        env={**os.environ, **NOWHERE},
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stderr is not None
    try:
        while b"built" not in await process.stderr.readline():
            pass
        begun_s = asyncio.get_running_loop().time()
        if ask:
            process.send_signal(signal.SIGTERM)
        lines = (await asyncio.wait_for(process.stderr.read(), 15)).decode().splitlines()
        return await process.wait(), lines, asyncio.get_running_loop().time() - begun_s
    finally:
        if process.returncode is None:
            process.kill()


@pytest.mark.parametrize(
    ("work", "thread"),
    [
        ("ThreadPoolExecutor(1, 'recognise').submit(never.wait)", "recognise_0"),
        ("loop.run_in_executor(None, never.wait)", "work_0"),
        ("threading.Thread(target=never.wait, name='engine').start()", "engine"),
    ],
)
def test_a_thread_that_hangs_keeps_no_process_alive_and_is_named(work: str, thread: str) -> None:
    status, lines, took_s = asyncio.run(end(work))

    assert status == 0
    (said,) = [line for line in lines if "hang" in line]
    assert f'"threads":["{thread}"]' in said
    assert took_s < THREADS_LIMIT_S + 3


@pytest.mark.parametrize("work", ["pass", "loop.run_in_executor(None, time.sleep, 0.01)"])
def test_a_process_without_one_goes_at_once_and_says_nothing_of_it(work: str) -> None:
    status, lines, took_s = asyncio.run(end(work))

    assert status == 0
    assert not [line for line in lines if "hang" in line]
    assert took_s < THREADS_LIMIT_S


def test_a_process_can_be_left_from_its_loop_while_a_thread_hangs() -> None:
    work = "threading.Thread(target=never.wait).start(); loop.call_later(0.1, leave, 1)"

    status, _, took_s = asyncio.run(end(work, ask=False))

    assert status == 1
    assert took_s < 2


def test_a_bug_ends_the_process_with_its_traceback_though_a_thread_hangs() -> None:
    work = "threading.Thread(target=never.wait).start(); print('built', file=sys.stderr, flush=True); raise KeyError(7)"

    status, lines, _ = asyncio.run(end(work, ask=False))

    assert status == 1
    assert any("KeyError(7)" in line and "traceback" in line for line in lines)
