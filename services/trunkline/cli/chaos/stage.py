"""The stack that a run breaks: `trunkline up` in a directory of the run's own, and what its processes tell."""

import asyncio
import contextlib
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec

from trunkline.bus.nats import NatsBus
from trunkline.bus.port import Received
from trunkline.cli.chaos import desk, scene
from trunkline.cli.chaos.cluster import Cluster
from trunkline.cli.chaos.watch import LogLine, Watch
from trunkline.cli.own_stack import OwnStack
from trunkline.cli.stack import NatsNode, Stack
from trunkline.proto import subjects
from trunkline.proto.placement import Beat
from trunkline.proto.subjects import STAGES

BACK_LIMIT_S = 20.0  # for processes that were killed last to be there again
WHOLE_LIMIT_S = 60.0  # for a cluster: a node in lame duck ends within 30 s
DRAIN_GRACE_S = 8.0
SEGMENT_MS = 500  # of tone
WORK_PERCENT = 20  # of a segment's length to make it
TTS_THREADS = 16  # they sleep
HARNESS = "chaos"  # its own name on the bus
_LOG_S = 0.05
_beats = msgspec.msgpack.Decoder(Beat)
_lines = msgspec.json.Decoder(LogLine)
ENGINES = ("--engine", "stt=digits", "--engine", "tts=tone", "--engine", "model=scripted")


class StageUnderTest:
    """Enter it to start the stack. changed: set whenever watch has learned something. cluster: its NATS nodes, or the
    only one."""

    def __init__(self, directory: Path, calls: int, backend_url: str, nats_nodes: int = 1) -> None:
        self.directory = directory
        self.watch = Watch()
        self.changed = asyncio.Event()
        self.bus = NatsBus()
        counts = ",".join([*(f"{name}={count}" for name, count in scene.WORKERS.items()), "webrtc=0"])
        options = (*ENGINES, "--agent", f"{desk.__file__}:desk", "--workers", counts)
        environ = {
            "TRUNKLINE_MODEL_SCRIPT": str(directory / "script.json"),
            "TRUNKLINE_TONE_SEGMENT_MS": str(SEGMENT_MS),
            "TRUNKLINE_TONE_WORK_PERCENT": str(WORK_PERCENT),
            "TRUNKLINE_TTS_THREADS": str(TTS_THREADS),
            "TRUNKLINE_CAPACITY": str(4 * calls + 16),  # one worker may have to serve all for a while
            "TRUNKLINE_DRAIN_GRACE_S": str(DRAIN_GRACE_S),
            desk.BACKEND: backend_url,
        }
        self._stack = OwnStack(directory / "run", options, environ, nats_nodes=nats_nodes)
        self.cluster = Cluster((), time.time)
        self._reading: asyncio.Task[None] | None = None

    async def __aenter__(self) -> "StageUnderTest":
        self.directory.mkdir(parents=True, exist_ok=True)
        (self.directory / "script.json").write_bytes(scene.script())
        await self._stack.__aenter__()
        try:
            await self.bus.open(self.file.nats_urls, HARNESS)
            await self.bus.subscribe(subjects.ALL_BEATS, self._hear)
            self.cluster = await Cluster(self._stack.nats_nodes, time.time).__aenter__()
            await self.whole()
        except BaseException:
            await self.cluster.__aexit__()
            await self._stack.__aexit__()
            raise
        self._reading = asyncio.create_task(self._read_logs(), name="chaos-logs")
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.gather(self._reading, return_exceptions=True)
        await self.cluster.__aexit__()
        await self.bus.close()
        await self._stack.__aexit__()

    @property
    def file(self) -> Stack:
        return self._stack.file

    def nats_pid(self, node: NatsNode | None = None) -> int:
        """0 while there is none. node: None for the first."""
        return self._stack.nats_pid(node)

    def workers(self) -> list[Beat]:
        return [beat for name in STAGES for beat in self.watch.workers(name, time.time())]

    async def whole(self) -> bool:
        """Until every stage has all its workers, and a cluster its nodes; whether it came to that."""
        try:
            if len(self.cluster.nodes) > 1:
                async with asyncio.timeout(WHOLE_LIMIT_S):
                    await self.cluster.until(lambda view: view.whole)
            async with asyncio.timeout(BACK_LIMIT_S):
                while any(len(self.watch.workers(s, time.time())) < count for s, count in scene.WORKERS.items()):
                    self.changed.clear()
                    await self.changed.wait()
        except TimeoutError:
            return False
        return True

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
