"""A stack of the test's own: `trunkline up` in a directory, with its address, its commands and its processes.

Its files outlive it: start it again to see what was kept.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from trunkline.cli import stack
from trunkline.cli.stack import Address, Stack

START_LIMIT_S = 90.0
STOP_LIMIT_S = 60.0
COMMAND = (sys.executable, "-m", "trunkline.cli.main")


class RunningStack:
    def __init__(self, directory: Path, *options: str, environ: Mapping[str, str] | None = None) -> None:
        """options: of `trunkline up`, without --dir and --port. environ: on top of this process's own."""
        self.directory = directory
        self._options = options
        self._environ = {**os.environ, **(environ or {})}
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def file(self) -> Stack:
        found = stack.read(self.directory)
        assert found is not None
        return found

    @property
    def address(self) -> Address:
        return Address(self.file.url, self.file.key)

    @property
    def said(self) -> str:
        """What `trunkline up` wrote on stderr."""
        return (self.directory / "up.err").read_text()

    def start(self) -> "RunningStack":
        """Returns when it says that it is ready."""
        self.directory.mkdir(parents=True, exist_ok=True)
        command = [*COMMAND, "up", "--dir", str(self.directory), "--port", "0", *self._options]
        with (self.directory / "up.out").open("wb") as out, (self.directory / "up.err").open("wb") as err:
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=out, stderr=err, env=self._environ
            )
        until_s = time.monotonic() + START_LIMIT_S
        while not any(line.startswith("ready ") for line in (self.directory / "up.out").read_text().splitlines()):
            if self._process.poll() is not None or time.monotonic() > until_s:
                self.stop()
                raise AssertionError(f"the stack didn't start: {self.said}")
            time.sleep(0.05)
        return self

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """The exit status of `trunkline up`."""
        assert self._process is not None
        if self._process.poll() is None:
            self._process.send_signal(number)
        try:
            return self._process.wait(STOP_LIMIT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            raise

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """A command that finds this stack by its directory."""
        command, *rest = arguments
        return subprocess.run(
            [*COMMAND, command, "--dir", str(self.directory), *rest],
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
            env=self._environ,
        )

    def json(self, *arguments: str) -> Any:
        """What a command prints with --json."""
        done = self.run(*arguments, "--json")
        assert done.returncode == 0, done.stderr
        return msgspec.json.decode(done.stdout)

    def pids(self) -> dict[str, list[int]]:
        """Live processes by stage, nats and webrtc among them."""
        found: dict[str, list[int]] = {}
        for child in children(self.pid):
            command = Path(f"/proc/{child}/cmdline").read_bytes().decode().split("\0")
            module = next((part for part in command if part.startswith("trunkline.")), "trunkline.nats.main")
            program = "webrtc" if module.endswith(".webrtc_main") else module.split(".")[1]
            found.setdefault(program, []).append(child)
        return found


def children(pid: int) -> list[int]:
    """Of this process, on Linux. Source: proc(5), /proc/PID/task/TID/children."""
    tasks = Path(f"/proc/{pid}/task").iterdir()
    return [int(child) for task in tasks for child in (task / "children").read_text().split()]
