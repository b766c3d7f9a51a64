"""The processes full of dialers, as their parent has them: spawned before what is measured begins, and joined again.

One process of many dialers would be what is slow, not the gateway that refuses them.
"""

import asyncio
import math
import os
import sys
import time
from types import TracebackType

import msgspec

from bench.storm import READY, Order, Stormed, When
from trunkline.cli.load.services import Target

DIALERS_PER_PROCESS = 200
READY_LIMIT_S = 60.0
END_LIMIT_S = 30.0  # beyond the last dialling: for its answer


def orders(target: Target, dialers: int, burst: int, cores: int) -> list[Order]:
    """One for each process: as few as carry the dialers, at most one for each core."""
    count = max(1, min(math.ceil(dialers / DIALERS_PER_PROCESS), cores))
    return [
        Order(target.url, target.key, len(range(at, dialers, count)), len(range(at, burst, count)))
        for at in range(count)
    ]


class Storming:
    """Enter it to spawn the processes: they are ready then. dialers, burst: of all together."""

    def __init__(self, target: Target, dialers: int, burst: int) -> None:
        self._orders = orders(target, dialers, burst, len(os.sched_getaffinity(0)))
        self._processes: list[asyncio.subprocess.Process] = []

    async def __aenter__(self) -> "Storming":
        try:
            for order in self._orders:
                process = await asyncio.create_subprocess_exec(
                    *(sys.executable, "-m", "bench.storm"),
                    stdin=asyncio.subprocess.PIPE,
                    stdout=asyncio.subprocess.PIPE,
                    env={"OPENBLAS_NUM_THREADS": "1", **os.environ},
                )
                self._processes.append(process)
                _tell(process, order)
            async with asyncio.timeout(READY_LIMIT_S):
                for process in self._processes:
                    await _ready(process)
        except BaseException:
            await self._end()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._end()

    async def run(self, until_s: float, burst_at_s: float) -> Stormed:
        """Both on the monotonic clock. Raises SystemExit when a process of dialers failed, TimeoutError."""
        for process in self._processes:
            _tell(process, When(until_s, burst_at_s))
        async with asyncio.timeout(max(0.0, until_s - time.monotonic()) + END_LIMIT_S):
            told = await asyncio.gather(*(process.communicate() for process in self._processes))
        if any(process.returncode for process in self._processes):
            raise SystemExit("a process of dialers failed")
        return joined([msgspec.json.decode(out, type=Stormed) for out, _ in told])

    async def _end(self) -> None:
        for process in self._processes:
            if process.returncode is None:
                process.kill()
        await asyncio.gather(*(process.wait() for process in self._processes))


def joined(several: list[Stormed]) -> Stormed:
    return Stormed(
        [tried for one in several for tried in one.tried],
        [tried for one in several for tried in one.burst],
        [late_ms for one in several for late_ms in one.late_ms],
    )


def _tell(process: asyncio.subprocess.Process, what: Order | When) -> None:
    assert process.stdin is not None
    process.stdin.write(msgspec.json.encode(what) + b"\n")


async def _ready(process: asyncio.subprocess.Process) -> None:
    assert process.stdout is not None
    if await process.stdout.readline() != READY:
        raise SystemExit("the dialers didn't start")
