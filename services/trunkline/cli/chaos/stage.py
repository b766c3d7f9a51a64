"""The stack that a run breaks: `trunkline up` in a directory of the run's own, and what its processes tell."""

import asyncio
import contextlib
import os
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec

from trunkline.bus.nats import NatsBus
from trunkline.bus.port import Received
from trunkline.cli import stack
from trunkline.cli.chaos import desk, scene
from trunkline.cli.chaos.watch import LogLine, Watch
from trunkline.cli.embedded_nats import PID_FILE
from trunkline.cli.errors import StartFailed
from trunkline.cli.stack import Stack
from trunkline.cli.supervisor import last_line
from trunkline.proto import subjects
from trunkline.proto.placement import Beat
from trunkline.proto.subjects import STAGES

START_LIMIT_S = 90.0
STOP_LIMIT_S = 60.0
BACK_LIMIT_S = 20.0  # for processes that were killed last to be there again
DRAIN_GRACE_S = 8.0
SEGMENT_MS = 500  # of tone
WORK_PERCENT = 20  # of a segment's length to make it
TTS_THREADS = 16  # they sleep
_POLL_S = 0.1
_LOG_S = 0.05
_beats = msgspec.msgpack.Decoder(Beat)
_lines = msgspec.json.Decoder(LogLine)
OPTIONS = ("--port", "0", "--engine", "stt=digits", "--engine", "tts=tone", "--engine", "model=scripted")


class StageUnderTest:
    """Enter it to start the stack. changed: set whenever watch has learned something."""

    def __init__(self, directory: Path, calls: int, backend_url: str) -> None:
        self.directory = directory
        self.watch = Watch()
        self.changed = asyncio.Event()
        self.bus = NatsBus()
        self._environ = {
            **os.environ,
            "TRUNKLINE_MODEL_SCRIPT": str(directory / "script.json"),
            "TRUNKLINE_TONE_SEGMENT_MS": str(SEGMENT_MS),
            "TRUNKLINE_TONE_WORK_PERCENT": str(WORK_PERCENT),
            "TRUNKLINE_TTS_THREADS": str(TTS_THREADS),
            "TRUNKLINE_CAPACITY": str(4 * calls + 16),  # one worker may have to serve all for a while
            "TRUNKLINE_DRAIN_GRACE_S": str(DRAIN_GRACE_S),
            desk.BACKEND: backend_url,
        }
        self._process: asyncio.subprocess.Process | None = None
        self._reading: asyncio.Task[None] | None = None

    async def __aenter__(self) -> "StageUnderTest":
        self.directory.mkdir(parents=True, exist_ok=True)
        (self.directory / "script.json").write_bytes(scene.script())
        counts = ",".join([*(f"{name}={count}" for name, count in scene.WORKERS.items()), "webrtc=0"])
        command = [sys.executable, "-m", "trunkline.cli.main", "up", "--dir", str(self.directory / "run"), *OPTIONS]
        command += ["--agent", f"{desk.__file__}:desk", "--workers", counts]
        with (self.directory / "up.out").open("wb") as out, (self.directory / "up.err").open("wb") as err:
            self._process = await asyncio.create_subprocess_exec(
                *command, stdin=asyncio.subprocess.DEVNULL, stdout=out, stderr=err, env=self._environ
            )
        try:
            await self._ready()
            await self.bus.open([self.file.nats_url], "chaos")
            await self.bus.subscribe(subjects.ALL_BEATS, self._hear)
            await self.whole()
        except BaseException:
            await self._end()
            raise
        self._reading = asyncio.create_task(self._read_logs(), name="chaos-logs")
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.gather(self._reading, return_exceptions=True)
        await self.bus.close()
        await self._end()

    @property
    def file(self) -> Stack:
        found = stack.read(self.directory / "run")
        assert found is not None
        return found

    def nats_pid(self) -> int:
        """0 while there is none."""
        try:
            return int((self.directory / "run" / PID_FILE).read_text())
        except (OSError, ValueError):
            return 0

    def workers(self) -> list[Beat]:
        return [beat for name in STAGES for beat in self.watch.workers(name, time.time())]

    async def whole(self) -> bool:
        """Until every stage has all its workers; whether it came to that."""
        try:
            async with asyncio.timeout(BACK_LIMIT_S):
                while any(len(self.watch.workers(s, time.time())) < count for s, count in scene.WORKERS.items()):
                    self.changed.clear()
                    await self.changed.wait()
        except TimeoutError:
            return False
        return True

    async def _ready(self) -> None:
        """Raises StartFailed."""
        assert self._process is not None
        give_up_s = time.monotonic() + START_LIMIT_S
        while not any(line.startswith("ready ") for line in (self.directory / "up.out").read_text().splitlines()):
            if self._process.returncode is not None or time.monotonic() > give_up_s:
                raise StartFailed("the stack", last_line(self.directory / "up.err"), self.directory / "up.err")
            await asyncio.sleep(_POLL_S)

    async def _end(self) -> None:
        assert self._process is not None
        if self._process.returncode is None:
            self._process.send_signal(signal.SIGTERM)
        try:
            await asyncio.wait_for(self._process.wait(), STOP_LIMIT_S)
        except TimeoutError:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()
            await self._process.wait()

    def _hear(self, received: Received) -> None:
        with contextlib.suppress(msgspec.MsgspecError):
            self.watch.on_beat(_beats.decode(received.data), time.time())
            self.changed.set()

    async def _read_logs(self) -> None:
        """The gateways say whom they place calls at; from where each log ends now."""
        logs = Tail(sorted((self.directory / "run/logs").glob("gateway-*.log")))
        while True:
            for line in logs.lines():
                self.watch.on_log(line)
                self.changed.set()
            await asyncio.sleep(_LOG_S)


class Tail:
    def __init__(self, files: list[Path]) -> None:
        self._ends = {file: file.stat().st_size for file in files}

    def lines(self) -> Iterator[LogLine]:
        """What is new; half a line waits for the rest."""
        for path, end in self._ends.items():
            with path.open("rb") as file:
                file.seek(end)
                data = file.read()
            whole = data[: data.rfind(b"\n") + 1]
            self._ends[path] = end + len(whole)
            for line in whole.splitlines():
                with contextlib.suppress(msgspec.MsgspecError):
                    yield _lines.decode(line)
