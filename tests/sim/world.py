"""Trunkline's services as simulated processes on one network and one record store, with a supervisor over them.

The processes are the real ones (`Process`, pools, links, sessions, the hub); only what would be a thread, a socket or
an engine is not: the recogniser, the voice, the model, and the sockets between gateways and their callers.
"""

import asyncio
import random
from collections.abc import Iterator

from sim.approver import People
from sim.history import FaultKind, History
from sim.loop import Life, SimLoop, State
from sim.model import SimModel
from sim.network import Network, SimBus
from sim.sockets import EPOCH_S, Front
from sim.sound import Voice
from sim.store import Kept, SimClaims, SimStore
from sim.stt import SimStt
from trunkline.agent.service import AgentService
from trunkline.agents import AgentFile
from trunkline.gateway.service import GatewayService
from trunkline.gateway.settings import GatewaySettings
from trunkline.gateway.stores import Stores
from trunkline.proto.placement import IDLE_BEAT_S
from trunkline.proto.subjects import STAGES, Stage
from trunkline.record import MemoryBucket, MemoryFileStore
from trunkline.runtime.process import Process, Service
from trunkline.runtime.settings import CoreSettings
from trunkline.tool_runner.service import ToolRunnerService, ToolRunnerSettings
from trunkline.tts.service import TtsService
from trunkline.tts.settings import TtsSettings

WORKERS: dict[Stage, int] = {"gateway": 2, "stt": 2, "agent": 2, "tool_runner": 2, "tts": 2}
DRAIN_GRACE_S = 2.0
GATEWAY_GRACE_S = 6.0  # more than the other gateway can be stopped for
WINDOW_S = 6.0  # that a call waits for its client, and a client searches for a gateway
KEY = "sk-sim"


class NoAdmin:
    """In place of the health endpoint, which is a socket."""

    port = 0

    async def start(self) -> None:
        """Nothing listens."""

    async def stop(self) -> None:
        """Nothing listened."""


class Worker:
    """One process: from its start to its end, whichever way that comes."""

    def __init__(self, world: "World", stage: Stage, name: str) -> None:
        self.stage = stage
        self.name = name
        self.life = Life(name, world.loop)
        self.bus = SimBus(world.network, self.life, name)
        self.process: Process
        self.service: Service
        self.ended = asyncio.Event()
        self._world = world
        self.life.spawn(self._live())

    async def _live(self) -> None:
        grace_s = GATEWAY_GRACE_S if self.stage == "gateway" else DRAIN_GRACE_S
        settings = CoreSettings(worker_id=self.name, drain_grace_s=grace_s)
        self.process = Process(self.stage, settings, self.bus)
        self.process.admin = NoAdmin()  # type: ignore[assignment]
        self.service = self._world.build(self)
        await self.process.start(self.service)

    @property
    def alive(self) -> bool:
        return self.life.state is not State.DEAD and not self.ended.is_set()

    @property
    def calls(self) -> int:
        return self.service.load()[0]

    def kill(self) -> None:
        self.life.kill()
        self.bus.lost()
        self._world.front.lost(self.life)
        self.ended.set()

    def stop(self) -> None:
        self.life.stop()

    def go_on(self) -> None:
        self.life.go_on()

    def term(self) -> None:
        self.life.spawn(self._leave())

    async def _leave(self) -> None:
        await self.process.stop()
        self.ended.set()
        self.life.kill()
        self._world.front.lost(self.life)


class World:
    def __init__(self, history: History, loop: SimLoop, file: AgentFile, workers: dict[Stage, int] = WORKERS) -> None:
        self.history = history
        self.loop = loop
        self.rng = random.Random(history.seed + 1)
        self.network = Network(loop, random.Random(history.seed + 2), history.trouble)
        self.front = Front(loop, random.Random(history.seed + 4), history.trouble)
        self.kept = Kept(loop)
        self.workers: list[Worker] = []
        self._file = file
        self._model = SimModel({turn.spoken: turn for turn in history.turns}, repeatable=history.repeatable)
        plans = {turn.spoken: turn.decisions for turn in history.turns}
        self.people = People(self.front, random.Random(history.seed + 5), plans)
        self._started = 0
        self._wanted = workers

    async def start(self) -> None:
        for stage in STAGES:
            for _ in range(self._wanted[stage]):
                self.begin(stage)
        await asyncio.sleep(0.2 + 2 * IDLE_BEAT_S)  # gateways have listened who is there, and everybody has been heard
        if self.history.agent:
            self.people.begin()

    def begin(self, stage: Stage) -> Worker:
        self._started += 1
        worker = Worker(self, stage, f"{stage}-{self._started}")
        self.workers.append(worker)
        return worker

    def of(self, stage: Stage) -> list[Worker]:
        return [worker for worker in self.workers if worker.stage == stage and worker.alive]

    def named(self, name: str) -> Worker | None:
        return next((worker for worker in self.workers if worker.name == name), None)

    def alive(self) -> Iterator[Worker]:
        return (worker for worker in self.workers if worker.alive)

    async def befall(self, worker: Worker, kind: FaultKind, lasts_s: float) -> None:
        """The fault and what a supervisor does about it, to its end."""
        match kind:
            case "kill":
                worker.kill()
                await asyncio.sleep(lasts_s)
                self.begin(worker.stage)
            case "stop":
                worker.stop()
                await asyncio.sleep(lasts_s)
                worker.go_on()
            case "term":
                worker.term()
                await worker.ended.wait()
                self.begin(worker.stage)

    def store(self) -> SimStore:
        return SimStore(self.kept, self.loop, self.rng, self.history.store_unsure)

    def claims(self) -> SimClaims:
        return SimClaims(self.kept, self.loop, self.rng, self.history.store_unsure)

    def build(self, worker: Worker) -> Service:
        process = worker.process
        match worker.stage:
            case "gateway":
                settings = GatewaySettings(worker_id=worker.name, api_keys=KEY, resume_window_s=WINDOW_S)
                stores = Stores(self.store(), MemoryBucket(), MemoryBucket(), MemoryFileStore())
                return GatewayService(process.context, settings, stores, self.wall_s)
            case "stt":
                return SimStt(process.exchange)
            case "agent":
                return AgentService(
                    process.exchange,
                    self._file,
                    self._model,
                    self.store(),
                    self.claims(),
                    wall_us=self.wall_us,
                    lost_window_s=WINDOW_S,
                )
            case "tool_runner":
                return ToolRunnerService(
                    process.context, ToolRunnerSettings(agent_file=str(self._file.path)), self.claims()
                )
            case "tts":
                return TtsService(process.exchange, TtsSettings(), Voice())

    def wall_us(self) -> int:
        return round(self.wall_s() * 1e6)

    def wall_s(self) -> float:
        return EPOCH_S + self.loop.now_s
