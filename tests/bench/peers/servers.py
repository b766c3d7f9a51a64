"""What is measured: a peer's server, in a process and an environment of its own, and Trunkline by `trunkline up`.

A peer's server is frozen while another stack is measured, so that it costs nobody anything.
"""

import asyncio
import contextlib
import os
import signal
import socket
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from types import MappingProxyType

from bench.peers import environments
from trunkline.cli.load import services
from trunkline.cli.load.own import own_stack
from trunkline.cli.load.services import Target

START_LIMIT_S, STOP_LIMIT_S = 60.0, 10.0
POLL_S = 0.1
SERVER = "server"  # a peer's one service
COMMANDS = {  # by stack: its environment and its script with arguments
    "pipecat full": ("pipecat", "pipecat_server.py", "full"),
    "pipecat tuned": ("pipecat", "pipecat_server.py", "tuned"),
    "pipecat bare": ("pipecat", "pipecat_server.py", "bare"),
    "livekit-agents": ("livekit", "livekit_server.py"),
}


class Peer:
    """Enter it to start it; it accepts connections then, and is not frozen. log: what it says."""

    def __init__(self, stack: str, pythons: Path, log: Path) -> None:
        environment, script, *arguments = COMMANDS[stack]
        self._port = _free_port()
        python = environments.ready(pythons, environment)
        self._command = [str(python), str(environments.HERE / script), str(self._port), *arguments]
        self.stack, self._log = stack, log
        self._process: asyncio.subprocess.Process | None = None

    @property
    def target(self) -> Target:
        return Target(f"http://127.0.0.1:{self._port}", pids={SERVER: [self._running.pid]})

    @property
    def alive(self) -> bool:
        return self._running.returncode is None

    def freeze(self) -> None:
        self._running.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self._running.send_signal(signal.SIGCONT)

    async def __aenter__(self) -> "Peer":
        environ = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
        with self._log.open("wb") as log:
            self._process = await asyncio.create_subprocess_exec(
                *self._command, stdin=asyncio.subprocess.DEVNULL, stdout=log, stderr=log, env=environ
            )
        try:
            async with asyncio.timeout(START_LIMIT_S):
                while not await self._accepts():
                    if not self.alive:
                        raise SystemExit(f"{self.stack} didn't start: {self._log.read_text()[-2000:]}")
                    await asyncio.sleep(POLL_S)  # nothing tells when another program listens
        except BaseException:
            await self._end()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._end()

    async def _accepts(self) -> bool:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", self._port)
        except OSError:
            return False
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()
        return True

    async def _end(self) -> None:
        if not self.alive:
            return
        self.thaw()
        self._running.terminate()
        try:
            await asyncio.wait_for(self._running.wait(), STOP_LIMIT_S)
        except TimeoutError:
            self._running.kill()
            await self._running.wait()

    @property
    def _running(self) -> asyncio.subprocess.Process:
        assert self._process is not None
        return self._process


@contextlib.asynccontextmanager
async def trunkline(
    directory: Path, calls: int, more: Mapping[str, str] = MappingProxyType({})
) -> AsyncIterator[Target]:
    """With null engines, as `trunkline load` starts it. more: environment."""
    run = directory / "run"
    async with own_stack(run, directory / "reply.json", capacity=2 * calls, environ=more) as own:
        yield await services.of_directory(run, own.file)


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port
