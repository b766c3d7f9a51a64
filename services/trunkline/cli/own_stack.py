"""A stack of a command's own: `trunkline up` as a child process, for as long as the block lasts."""

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Mapping
from pathlib import Path

from trunkline.cli import stack
from trunkline.cli.errors import StartFailed
from trunkline.cli.stack import NatsNode, Stack
from trunkline.cli.supervisor import last_line

START_LIMIT_S = 90.0
STOP_LIMIT_S = 60.0


class OwnStack:
    """Enter it to start the stack: it is ready then. run: its run directory, made if need be."""

    def __init__(self, run: Path, options: tuple[str, ...], environ: Mapping[str, str], *, nats_nodes: int = 1) -> None:
        """options: of `trunkline up`, besides --dir, --port and --nats-nodes. environ: on top of this process's own."""
        self.run = run
        self._options = ("--nats-nodes", str(nats_nodes), *options)
        self._environ = {**os.environ, **environ}
        self._process: asyncio.subprocess.Process | None = None
        self._log = run.with_name(f"{run.name}-up.err")

    async def __aenter__(self) -> "OwnStack":
        """Raises StartFailed."""
        self.run.parent.mkdir(parents=True, exist_ok=True)
        command = (sys.executable, "-m", "trunkline.cli.main", "up", "--dir", str(self.run), "--port", "0")
        with self._log.open("wb") as err:
            self._process = await asyncio.create_subprocess_exec(
                *(*command, *self._options),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=err,
                env=self._environ,
            )
        try:
            await asyncio.wait_for(self._ready(self._process), START_LIMIT_S)
        except BaseException as error:
            await self._end(self._process)
            if isinstance(error, TimeoutError):
                raise StartFailed("the stack", f"it wasn't ready within {START_LIMIT_S:g} s", self._log) from None
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._process is not None
        await self._end(self._process)

    @property
    def file(self) -> Stack:
        found = stack.read(self.run)
        assert found is not None
        return found

    @property
    def nats_nodes(self) -> tuple[NatsNode, ...]:
        """In the order of their names, which last as long as the stack: a node that is started again keeps all of it
        but its pid."""
        return self.file.nats_nodes

    def nats_pid(self, node: NatsNode | None = None) -> int:
        """Of the process that runs now, 0 while there is none. node: None for the first."""
        return _pid(self.run, node or self.nats_nodes[0])

    async def _ready(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdout is not None
        async for line in process.stdout:
            if line.startswith(b"ready "):
                return
        raise StartFailed("the stack", last_line(self._log), self._log)

    async def _end(self, process: asyncio.subprocess.Process) -> None:
        if process.returncode is None:
            process.send_signal(signal.SIGTERM)
        try:
            await asyncio.wait_for(process.wait(), STOP_LIMIT_S)
        except TimeoutError:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()


def nats_pids(run: Path) -> list[int]:
    """Of the NATS servers of the stack in this run directory, those that are there."""
    found = stack.read(run)
    nodes = found.nats_nodes if found is not None else ()
    return [pid for node in nodes if (pid := _pid(run, node))]


def _pid(run: Path, node: NatsNode) -> int:
    """0 while there is none: the file of a server that was killed stays until the next one writes it."""
    try:
        pid = int((run / node.pid_file).read_text())
        os.kill(pid, 0)
    except (OSError, ValueError):
        return 0
    return pid
