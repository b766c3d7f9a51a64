"""Where a call is rehearsed: a thread with the agent service, the tool runner and the caller on one loop."""

import asyncio
import base64
import os
import secrets
import threading
from collections.abc import Awaitable, Callable, Coroutine
from concurrent.futures import Future
from typing import TypeVar, cast

import msgspec

from trunkline.agent.models.choose import choose
from trunkline.agent.models.seam import Model
from trunkline.agent.service import AgentService
from trunkline.agent.settings import AgentSettings
from trunkline.agents import AgentFile
from trunkline.agents.testing import RehearsalFailed, Reply
from trunkline.agents.testing.seen import Sight
from trunkline.bus.exchange import Exchange
from trunkline.bus.memory import MemoryBroker, MemoryBus
from trunkline.proto.approval import Choice
from trunkline.proto.errors import BadInput
from trunkline.proto.ids import new_call_id
from trunkline.proto.subjects import Stage as StageName
from trunkline.record import MemoryBucket, MemoryClaimStore
from trunkline.rehearsal.clock import LeapingLoop
from trunkline.rehearsal.line import Line
from trunkline.rehearsal.model import Fake, Watched
from trunkline.rehearsal.play import Play, Record
from trunkline.runtime import settings as settings_module
from trunkline.runtime.process import Context
from trunkline.tool_runner.service import ToolRunnerService, ToolRunnerSettings
from trunkline.vault import open_vault

T = TypeVar("T")
LEAVE_S = 2.0  # for the thread to end
VALUES_S = 3600.0
MODEL_ALLOWED = "scripted([…]), a function of Asked, the name of an engine, or a model of trunkline.agent"


class Stage:
    """A Backstage: every step is a task of the thread's loop, and what comes of it a future for the test."""

    def __init__(self, file: AgentFile, model: Watched) -> None:
        self._file = file
        self._model = model
        self._loop = LeapingLoop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="rehearsal", daemon=True)
        self._play: Play | None = None
        self._closing: list[Callable[[], Awaitable[None]]] = []  # last first

    def start(self) -> "Future[None]":
        self._thread.start()
        return self._do(self._start())

    def stop(self) -> "Future[None]":
        return self._do(self._stop())

    def sight(self) -> "Future[Sight]":
        return self._do(self._on_stage.sight())

    def asks(self, text: str) -> "Future[None]":
        return self._do(self._asks(text))

    def reply(self) -> "Future[Reply]":
        return self._do(self._on_stage.reply())

    def says(self, text: str) -> "Future[Reply]":
        return self._do(self._on_stage.says(text))

    def passes(self, seconds: float) -> "Future[tuple[Reply, ...]]":
        return self._do(self._on_stage.passes(seconds))

    def interrupts(self, heard: str | None) -> "Future[Reply]":
        return self._do(self._on_stage.interrupts(heard))

    def decides(self, choice: Choice | None, text: str | None, by: str, note: str) -> "Future[Reply]":
        return self._do(self._on_stage.decides(choice, text, by, note))

    def hangs_up(self) -> "Future[None]":
        return self._do(self._on_stage.hangs_up())

    def leave(self) -> None:
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(LEAVE_S)
        if not self._thread.is_alive():
            self._loop.close()

    def what_goes_on(self) -> str:
        return self._play.what_goes_on() if self._play is not None else "The call hasn't begun."

    # in the thread

    @property
    def _on_stage(self) -> Play:
        if self._play is None:
            raise RehearsalFailed("the call hasn't begun")
        return self._play

    def _do(self, work: Coroutine[None, None, T]) -> "Future[T]":
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    async def _asks(self, text: str) -> None:
        await self._on_stage.asks(text)

    async def _start(self) -> None:
        changed = asyncio.Event()
        record, claims = Record(new_call_id(0), changed.set), MemoryClaimStore()
        broker = MemoryBroker()
        gateway = await self._exchange(broker, "gateway")
        agents = await self._exchange(broker, "agent")
        runners = await self._exchange(broker, "tool_runner")
        key, values = base64.b64encode(secrets.token_bytes(32)).decode(), MemoryBucket(ttl_s=VALUES_S)
        settings = ToolRunnerSettings(vault_key=key)
        place = Context(runners.bus, runners, runners.worker, settings)
        runner = ToolRunnerService(place, settings, claims, values=values, file=self._file)
        await runner.start()
        self._closing.append(runner.stop)
        vault = open_vault(key, values, needed=self._file.keeps_sensitive)
        service = AgentService(agents, self._file, self._model, record, claims, wall_us=self._loop.wall_us, vault=vault)
        await service.start()
        self._closing.append(service.stop)
        line = Line(gateway, agents.address, record.view.call, changed.set)
        self._closing.append(line.close)
        self._play = Play(self._loop, self._file, record, line, self._model, changed)
        self._closing.append(self._play.end)
        await self._play.begin()

    async def _exchange(self, broker: MemoryBroker, stage: StageName) -> Exchange:
        bus = MemoryBus(broker)
        exchange = Exchange(bus, stage, f"{stage}-test")
        await exchange.start()
        self._closing += [bus.close, exchange.stop]
        return exchange

    async def _stop(self) -> None:
        while self._closing:
            await self._closing.pop()()
        await self._loop.shutdown_default_executor()


def open_backstage(file: AgentFile, model: object) -> Stage:
    """model: see trunkline.agents.testing.rehearse. Raises BadInput."""
    return Stage(file, _watched(model))


def _watched(model: object) -> Watched:
    if isinstance(model, str):
        settings = settings_module.load(AgentSettings, os.environ)
        return Watched(choose(msgspec.structs.replace(settings, engine_model=model)), own=True)
    if hasattr(model, "respond"):
        return Watched(cast(Model, model), own=False)
    if callable(model):
        return Watched(Fake(model), own=True)
    raise BadInput("rehearse: model", f"is of type {type(model).__name__}", MODEL_ALLOWED)
