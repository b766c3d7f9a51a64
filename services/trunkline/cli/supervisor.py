"""Keeps processes running: what dies is started again, later each time it dies young, and that is said in one line.

A child lives in a process group of its own, so a Ctrl-C meant for `trunkline up` doesn't reach it before its turn.
"""

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import msgspec

from trunkline.cli import child

FIRST_PAUSE_S = 0.2
LONGEST_PAUSE_S = 5.0
STEADY_S = 10.0  # a child that lived so long starts over with the first pause
_TAIL_BYTES = 4096


class Job(msgspec.Struct, frozen=True):
    """A program to keep running. log: where its stdout and stderr go, appended."""

    name: str
    command: tuple[str, ...]
    environ: Mapping[str, str]
    log: Path


class Child:
    """One job and its present process."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self.process: asyncio.subprocess.Process | None = None
        self.keeper: asyncio.Task[None] | None = None
        self.stopping = False

    @property
    def pid(self) -> int:
        return self.process.pid if self.process and self.process.returncode is None else 0

    async def start(self) -> None:
        command = (sys.executable, "-I", "-S", child.__file__, str(os.getpid()), *self.job.command)
        with self.job.log.open("ab") as log:
            self.process = await asyncio.create_subprocess_exec(
                *command,
                env=self.job.environ,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def signal(self, number: signal.Signals) -> None:
        if self.process is not None and self.process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self.process.send_signal(number)


class Supervisor:
    """died: the first child that ended before `settled` was set, with its exit status."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self.settled = False  # while False, a death is a failure to start
        self.died: asyncio.Future[tuple[Child, int]] = asyncio.get_running_loop().create_future()

    async def start(self, job: Job) -> Child:
        started = Child(job)
        await started.start()
        started.keeper = asyncio.create_task(self._keep(started), name=f"keep-{job.name}")
        return started

    async def stop(self, children: Iterable[Child], grace_s: float) -> None:
        """SIGTERM to all of them at once; what hasn't ended after the grace is killed, which is said."""
        stopped = list(children)
        for each in stopped:
            each.stopping = True
            each.signal(signal.SIGTERM)
            if not each.pid and each.keeper is not None:
                each.keeper.cancel()  # it waits to start the child again
        keepers = [each.keeper for each in stopped if each.keeper is not None]
        if not keepers:
            return
        _, late = await asyncio.wait(keepers, timeout=grace_s)
        for each in stopped:
            if each.keeper in late:
                self._say(f"{each.job.name} (pid {each.pid}) didn't end within {grace_s:g} s: killed")
                each.signal(signal.SIGKILL)
        await asyncio.gather(*keepers, return_exceptions=True)

    def kill(self, children: Iterable[Child]) -> None:
        for each in children:
            each.stopping = True
            each.signal(signal.SIGKILL)

    async def _keep(self, kept: Child) -> None:
        """Ends when the child has ended after `stopping` was set."""
        loop = asyncio.get_running_loop()
        pause_s = FIRST_PAUSE_S
        while kept.process is not None:
            began_s, pid = loop.time(), kept.process.pid
            status = await kept.process.wait()
            if kept.stopping:
                return
            if not self.settled:
                if not self.died.done():
                    self.died.set_result((kept, status))
                return
            pause_s = next_pause_s(pause_s, loop.time() - began_s)
            again = f"starting it again in {pause_s:g} s (its log: {kept.job.log})"
            self._say(f"{kept.job.name} (pid {pid}) {ending(status)}: {again}")
            await asyncio.sleep(pause_s)
            if kept.stopping:
                return
            await kept.start()


def next_pause_s(last_s: float, lived_s: float) -> float:
    """Doubles for a child that dies young, up to a limit."""
    return FIRST_PAUSE_S if lived_s >= STEADY_S else min(2 * last_s, LONGEST_PAUSE_S)


def ending(status: int) -> str:
    """status: as asyncio gives it, negative for a signal."""
    if status >= 0:
        return f"ended with status {status}"
    try:
        return f"was ended by {signal.Signals(-status).name}"
    except ValueError:
        return f"was ended by signal {-status}"


def last_line(log: Path) -> str:
    """The last line that is not empty, which says why a program ended."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - _TAIL_BYTES))
            lines = file.read().decode(errors="replace").splitlines()
    except OSError:
        return "it wrote no log"
    return next((line.strip() for line in reversed(lines) if line.strip()), "it wrote nothing to its log")
