"""All five services in one process over a bus and a record in memory, with null engines and a real socket in front."""

import asyncio
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path
from types import TracebackType

import msgspec
import numpy as np

from trunkline.agent.models.local import LocalModel
from trunkline.agent.models.seam import Model
from trunkline.agent.service import AgentService
from trunkline.agents import load_agent_file
from trunkline.bus.memory import MemoryBroker, MemoryBus
from trunkline.bus.port import Bus, Received
from trunkline.cli import line
from trunkline.cli.caller import Caller
from trunkline.cli.line import Line
from trunkline.cli.listener import HeardTurn
from trunkline.cli.stack import Address
from trunkline.gateway.service import GatewayService, MakeEndpoint
from trunkline.gateway.settings import GatewaySettings
from trunkline.gateway.stores import Stores
from trunkline.proto import subjects
from trunkline.proto.audio import SPEECH_RATE_HZ
from trunkline.proto.record import Event
from trunkline.proto.subjects import Stage
from trunkline.record import CallView, MemoryBucket, MemoryClaimStore, MemoryFileStore, MemoryRecordStore, read_call
from trunkline.runtime.process import Process, Service
from trunkline.runtime.settings import CoreSettings
from trunkline.stt.service import SttService
from trunkline.stt.settings import SttSettings
from trunkline.tool_runner.service import ToolRunnerService, ToolRunnerSettings
from trunkline.tts.registry import open_engine
from trunkline.tts.service import TtsService
from trunkline.tts.settings import TtsSettings

KEY = "sk-test"
WEATHER_DESK = Path(__file__).parent / "weather_desk.py"
ANSWER_LIMIT_S = 10.0
Build = Callable[[Process, CoreSettings], Service]


def hum(seconds: float = 0.6) -> Line:
    """Something to hear for the energy detector; the words come from the STT script."""
    t = np.arange(int(seconds * SPEECH_RATE_HZ)) / SPEECH_RATE_HZ
    samples = (8000 * np.sin(2 * np.pi * 180 * t)).astype(np.int16)
    return line.make(samples, SPEECH_RATE_HZ)


class Whole:
    """`async with Whole(...) as whole`. says: what each utterance is heard as, in turn. binary: callers' dialect.

    capacity: calls that each process takes, 0 for its own.
    """

    def __init__(
        self,
        *says: str,
        model: Model | None = None,
        agent_file: Path = WEATHER_DESK,
        gateways: int = 1,
        stt: str = "scripted",
        segment_ms: int = 300,
        window_s: float = 15.0,
        webrtc: MakeEndpoint | None = None,
        binary: bool = False,
        capacity: int = 0,
    ) -> None:
        self.broker = MemoryBroker()
        self.store = MemoryRecordStore()
        self.sessions = MemoryBucket()
        self.responses = MemoryBucket()
        self.files = MemoryFileStore()
        self.claims = MemoryClaimStore()
        self.model = model or LocalModel()
        self._says = says
        self._agent_file = agent_file
        self._stack = AsyncExitStack()
        self._count = gateways
        self._stt_engine = stt
        self._segment_ms = segment_ms
        self._window_s = window_s
        self._webrtc = webrtc
        self._binary = binary
        self._capacity = capacity
        self.processes: dict[Stage, Process] = {}  # the last of each
        self.gateways: list[GatewayService] = []
        self._gateway_processes: list[Process] = []

    async def __aenter__(self) -> "Whole":
        script = "|".join(self._says)
        await self._start("stt", SttSettings(engine_stt=self._stt_engine, stt_script=script), self._stt)
        await self._start("tts", TtsSettings(engine_tts="tone", tone_segment_ms=self._segment_ms), self._tts)
        await self._start("tool_runner", ToolRunnerSettings(agent_file=str(self._agent_file)), self._tools)
        await self._start("agent", CoreSettings(), self._agent)
        for number in range(1, self._count + 1):
            await self._start("gateway", GatewaySettings(port=0, api_keys=KEY), self._gateway, number)
        await self._beats()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.aclose()

    @property
    def addresses(self) -> list[Address]:
        """Of the gateways."""
        return [Address(f"http://127.0.0.1:{gateway.port}", KEY) for gateway in self.gateways]

    def caller(self) -> Caller:
        """Calls the first gateway and knows the others."""
        first, *others = self.addresses
        return Caller(first, others=others, binary=self._binary)

    @property
    def gateway_buses(self) -> list[Bus]:
        return [process.bus for process in self._gateway_processes]

    async def kill_gateway(self, number: int) -> None:
        """From one moment to the next it says nothing and hears nothing. number: from 0."""
        gateway = self.gateways[number]
        process = self._gateway_processes[number]
        await process.bus.close()
        gateway.sockets.abort()
        door, gateway._door = gateway._door, None
        assert door is not None
        door.close()

    async def drain_gateway(self, number: int) -> None:
        """As on SIGTERM, without a long wait for those who can't leave."""
        await self.gateways[number].drain(2.0)

    async def conversation(self, turns: int) -> tuple[list[HeardTurn], CallView, list[Event]]:
        """A call of so many turns, each said and answered; then its record once that has its end."""
        async with self.caller() as caller:
            await caller.greeting()
            heard = []
            for _ in range(turns):
                heard.append(await caller.say(hum()))
                await caller.reply(heard[-1], ANSWER_LIMIT_S)
        return heard, *await self.record(caller.call_id)

    async def record(self, call: str) -> tuple[CallView, list[Event]]:
        """Of a call that has ended or is about to."""
        while True:
            found = await read_call(self.store, call)
            assert found is not None
            view, events = found
            if view.ended:
                return view, [recorded.event for recorded in events]
            await asyncio.sleep(0.01)

    async def _start(
        self,
        stage: Stage,
        settings: CoreSettings,
        build: Callable[[Process, CoreSettings], Service],
        number: int = 1,
    ) -> None:
        named = msgspec.structs.replace(
            settings,
            worker_id=f"{stage}-{number}",
            drain_grace_s=0.2,
            resume_window_s=self._window_s,
            capacity=self._capacity or settings.capacity,
        )
        process = Process(stage, named, MemoryBus(self.broker))
        await process.start(build(process, named))
        self.processes[stage] = process
        if stage == "gateway":
            self._gateway_processes.append(process)
        self._stack.push_async_callback(process.stop)

    def _stt(self, process: Process, settings: CoreSettings) -> Service:
        assert isinstance(settings, SttSettings)
        return SttService(process.exchange, settings)

    def _tts(self, process: Process, settings: CoreSettings) -> Service:
        assert isinstance(settings, TtsSettings)
        return TtsService(process.exchange, settings, open_engine(settings))

    def _tools(self, process: Process, settings: CoreSettings) -> Service:
        assert isinstance(settings, ToolRunnerSettings)
        return ToolRunnerService(process.context, settings, self.claims)

    def _agent(self, process: Process, settings: CoreSettings) -> Service:
        file = load_agent_file(str(self._agent_file))
        return AgentService(process.exchange, file, self.model, self.store, self.claims, capacity=settings.capacity)

    def _gateway(self, process: Process, settings: CoreSettings) -> Service:
        assert isinstance(settings, GatewaySettings)
        stores = Stores(self.store, self.sessions, self.responses, self.files)
        self.gateways.append(GatewayService(process.context, settings, stores, time.time, self._webrtc))
        return self.gateways[-1]

    async def _beats(self) -> None:
        """Until every worker has beaten once more, so that the gateway knows them all."""
        waited_for = {subjects.beat(stage, process.worker) for stage, process in self.processes.items()}
        all_heard = asyncio.Event()

        def hear(received: Received) -> None:
            waited_for.discard(received.subject)
            if not waited_for:
                all_heard.set()

        listening = await MemoryBus(self.broker).subscribe(subjects.ALL_BEATS, hear)
        await all_heard.wait()
        await listening.stop()
