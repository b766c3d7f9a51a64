"""Signals to real processes, the back end that counts effects, and the log that is followed."""

import asyncio
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import aiohttp
import pytest

from trunkline.cli.chaos.backend import Backend
from trunkline.cli.chaos.faults import Faults
from trunkline.cli.chaos.plan import Planned
from trunkline.cli.chaos.stage import Tail
from trunkline.cli.chaos.watch import Doing, LogLine, Told, Watch
from trunkline.proto.placement import Beat

SLEEP = [sys.executable, "-c", "import time; time.sleep(60)"]


@pytest.fixture
def processes() -> Iterator[list[subprocess.Popen[bytes]]]:
    started = [subprocess.Popen(SLEEP) for _ in range(2)]
    yield started
    for process in started:
        process.kill()
        process.wait()


def state(process: subprocess.Popen[bytes]) -> str:
    """T for stopped. Source: proc(5), /proc/PID/stat."""
    return Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()[0]


def watching(processes: list[subprocess.Popen[bytes]]) -> Watch:
    """Two STT workers with a call each; the caller of the second one speaks."""
    watch = Watch()
    for worker, call, process in zip(("stt-a", "stt-b"), ("rtc_1", "rtc_2"), processes, strict=True):
        watch.on_beat(Beat("stt", worker, 1, 8, False, "0", pid=process.pid), time.time())
        watch.on_log(LogLine("placed", "gateway-a", call, worker))
    watch.on_told(Told("rtc_2", Doing.SPEAKING))
    return watch


@pytest.mark.parametrize("seed", range(4))
def test_an_aimed_fault_hits_whoever_holds_a_call_in_mid_turn(
    processes: list[subprocess.Popen[bytes]], seed: int
) -> None:
    async def main() -> Faults:
        faults = Faults(watching(processes), asyncio.Event(), lambda: 0, seed)
        await faults.carry_out([Planned(0.0, "kill", "stt", aimed=True)])
        return faults

    (fault,) = asyncio.run(main()).done

    assert (fault.worker, fault.held, fault.mid_turn) == ("stt-b", ["rtc_2"], ["rtc_2"])
    assert processes[1].wait(5) == -9
    assert processes[0].poll() is None


def test_a_stopped_process_goes_on_and_is_not_hit_meanwhile(processes: list[subprocess.Popen[bytes]]) -> None:
    async def main() -> tuple[Faults, str]:
        faults = Faults(watching(processes), asyncio.Event(), lambda: 0, 1)
        plan = [Planned(0.0, "stop", "stt", True, 0.3), Planned(0.05, "kill", "stt", False)]
        running = asyncio.create_task(faults.carry_out(plan))
        await asyncio.sleep(0.15)
        during = state(processes[1])
        await running
        return faults, during

    faults, during = asyncio.run(main())

    assert [(fault.kind, fault.worker) for fault in faults.done] == [("kill", "stt-a"), ("stop", "stt-b")]
    assert (during, state(processes[1]) != "T") == ("T", True)


def test_a_run_that_is_cut_short_leaves_nothing_stopped(processes: list[subprocess.Popen[bytes]]) -> None:
    async def main() -> None:
        faults = Faults(watching(processes), asyncio.Event(), lambda: 0, 1)
        running = asyncio.create_task(faults.carry_out([Planned(0.0, "stop", "stt", True, 30.0)]))
        await asyncio.sleep(0.1)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)

    asyncio.run(main())

    assert state(processes[1]) != "T"


def test_an_effect_takes_place_although_its_client_went_away() -> None:
    async def main() -> Backend:
        backend = Backend(seed=1)
        await backend.start()
        order = {"key": "call_1", "arguments": "{}", "call": "rtc_1", "pid": 1}
        with pytest.raises(TimeoutError):
            async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=0.05)) as session:
                await session.post(backend.url, json=order)
        async with aiohttp.ClientSession() as session, session.post(backend.url, json=order) as answer:
            assert answer.status == 200
        await asyncio.sleep(0.7)  # more than the slowest effect
        await backend.stop()
        return backend

    assert [effect.key for effect in asyncio.run(main()).effects] == ["call_1", "call_1"]


def test_a_log_is_followed_from_its_present_end_line_by_line(tmp_path: Path) -> None:
    log = tmp_path / "gateway-1.log"
    log.write_text('{"message": "placed", "call_id": "rtc_old"}\n')
    tail = Tail([log])

    with log.open("a") as file:
        file.write(
            'no json\n{"message": "placed", "worker": "g", "call_id": "rtc_1", "placed_at": "stt-a", "x": 1}\n{"mes'
        )
    first = list(tail.lines())
    with log.open("a") as file:
        file.write('sage": "ended"}\n')

    assert first == [LogLine("placed", "g", "rtc_1", "stt-a")]
    assert list(tail.lines()) == [LogLine("ended")]
