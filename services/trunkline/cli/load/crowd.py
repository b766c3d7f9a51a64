"""The processes full of callers, as their parent has them: spawned, told when to begin, and asked what came of it."""

import asyncio
import math
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

import msgspec

from trunkline.cli.errors import CommandFailed
from trunkline.cli.load.asked import Asked
from trunkline.cli.load.process import READY, Order, Outcome
from trunkline.cli.load.services import Target
from trunkline.cli.supervisor import last_line

CALLS_PER_PROCESS = 100
READY_LIMIT_S = 60.0
END_LIMIT_S = 90.0  # beyond the last turn's beginning: for a reply, and for what is written
HEAD_START_S = 0.2  # between the word to begin and the beginning


def processes_for(calls: int, cores: int) -> int:
    """As few as carry the calls, at most one for each core."""
    return max(1, min(math.ceil(calls / CALLS_PER_PROCESS), cores))


class Crowd:
    """Enter it to spawn the processes: they are ready then. directory: for their files, and empty."""

    def __init__(self, asked: Asked, target: Target, lines: Sequence[Path], directory: Path, stop_s: float) -> None:
        count = processes_for(asked.calls, len(os.sched_getaffinity(0)))
        self._log = directory / "callers.log"
        self._outs = [directory / f"callers-{at}.json" for at in range(count)]
        self._files = [directory / f"order-{at}.json" for at in range(count)]
        self._stop_s = stop_s
        self._processes: list[asyncio.subprocess.Process] = []
        for at, (file, out) in enumerate(zip(self._files, self._outs, strict=True)):
            order = Order(
                url=target.url,
                key=target.key,
                dialect=asked.dialect,
                numbers=list(range(at, asked.calls, count)),
                calls=asked.calls,
                at=at,
                of=count,
                seed=asked.seed,
                turns=asked.turns,
                ramp_s=asked.ramp_s,
                think_s=asked.think_s,
                barge_in=asked.barge_in,
                lines=[str(line) for line in lines],
                stop_s=stop_s,
                out=str(out),
            )
            file.write_bytes(msgspec.json.encode(order))

    async def __aenter__(self) -> "Crowd":
        """Raises CommandFailed."""
        try:
            with self._log.open("wb") as log:
                for file in self._files:
                    process = await asyncio.create_subprocess_exec(
                        *(sys.executable, "-m", "trunkline.cli.load.process", str(file)),
                        stdin=asyncio.subprocess.PIPE,
                        stdout=asyncio.subprocess.PIPE,
                        stderr=log,
                        env={"OPENBLAS_NUM_THREADS": "1", **os.environ},
                    )
                    self._processes.append(process)
            await asyncio.wait_for(asyncio.gather(*map(self._ready, self._processes)), READY_LIMIT_S)
        except BaseException as error:
            await self._end()
            if isinstance(error, TimeoutError):
                raise CommandFailed(f"the callers weren't ready within {READY_LIMIT_S:g} s") from None
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._end()

    @property
    def pids(self) -> list[int]:
        return [process.pid for process in self._processes]

    def begin(self) -> float:
        """When the callers do, on the monotonic clock."""
        begin_s = time.monotonic() + HEAD_START_S
        for process in self._processes:
            assert process.stdin is not None
            process.stdin.write(f"{begin_s!r}\n".encode())
        return begin_s

    async def outcomes(self) -> list[Outcome]:
        """Once all have hung up; nobody measures the processes any more. Raises CommandFailed."""
        for process in self._processes:
            assert process.stdin is not None
            process.stdin.close()
        try:
            async with asyncio.timeout(self._stop_s + END_LIMIT_S):
                statuses = await asyncio.gather(*(process.wait() for process in self._processes))
        except TimeoutError:
            raise CommandFailed("the callers didn't end") from None
        if any(statuses):
            raise CommandFailed(f"a process of callers ended with status {max(statuses)}: {last_line(self._log)}")
        return [msgspec.json.decode(out.read_bytes(), type=Outcome) for out in self._outs]

    async def _ready(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdout is not None
        if await process.stdout.readline() != READY:
            raise CommandFailed(f"the callers didn't start: {last_line(self._log)}")

    async def _end(self) -> None:
        for process in self._processes:
            if process.returncode is None:
                process.kill()
        await asyncio.gather(*(process.wait() for process in self._processes))
