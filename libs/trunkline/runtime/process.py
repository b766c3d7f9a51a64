"""The life of a service process, the same for every stage.

Start: settings, logs, service (built, so that a bad engine or agent file is said at once), bus, admin endpoint,
inbox, service (engines loaded and warm), then the first beat, so that nobody places a call before it can be served.
End: beats say draining, the service drains within its grace, the bus is closed last.
"""

import asyncio
import gc
import os
import signal
import sys
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from importlib import metadata
from typing import NoReturn, Protocol, TypeVar

import msgspec
import uvloop
from prometheus_client import Gauge

from trunkline.bus.exchange import Exchange
from trunkline.bus.nats import NatsBus
from trunkline.bus.port import Bus
from trunkline.placement.beats import Beats
from trunkline.proto import WIRE
from trunkline.proto.errors import BadInput, BadSettings, TrunklineError
from trunkline.proto.ids import WORKER_ID_CHARACTERS, is_worker_id, new_worker_id
from trunkline.proto.placement import Beat
from trunkline.proto.subjects import Stage
from trunkline.runtime import settings as settings_module
from trunkline.runtime.admin import Admin
from trunkline.runtime.hub_watch import HubWatch
from trunkline.runtime.leaving import leave_if_threads_hang
from trunkline.runtime.settings import CoreSettings
from trunkline.telemetry import logs, tracing
from trunkline.telemetry.metrics import announce_build

VERSION = metadata.version("trunkline")
EXIT_BAD_SETTINGS = 2
EXIT_FAILED = 1

log = logs.get(__name__)
_tasks = Gauge("trunkline_worker_tasks", "Tasks of the event loop")
_holds = Gauge("trunkline_bus_holds", "Links, streams of audio and waiting messages; 0 at rest")
_subscriptions = Gauge("trunkline_bus_subscriptions", "Subscriptions at NATS, the same whatever the number of calls")
_objects = Gauge("trunkline_worker_objects", "Python objects that hold others, of those made since the start")


class Service(Protocol):
    """One stage's work. digest: of the agent file it runs, empty for a stage without one. agents: that it serves."""

    digest: str
    agents: tuple[str, ...]

    async def start(self) -> None:
        """Returns once a call could be served."""
        ...

    def load(self) -> tuple[int, int]:
        """(calls now, capacity; 0 for no limit)."""
        ...

    async def drain(self, grace_s: float) -> None:
        """Takes no new call; returns when the last one is gone or grace_s is over."""
        ...

    async def stop(self) -> None: ...


class Context:
    """What a service is built from. The bus is open only when the service starts.

    slow_shards: of the record, that keep this process waiting; its heartbeat tells. Who builds the service sets it.
    """

    def __init__(self, bus: Bus, exchange: Exchange, worker: str, settings: CoreSettings) -> None:
        self.bus = bus
        self.exchange = exchange
        self.worker = worker
        self.settings = settings
        self.slow_shards: Callable[[], tuple[int, ...]] = tuple


S = TypeVar("S", bound=CoreSettings)
Build = Callable[[Context, S], Service]


class Process:
    """One service between its bus and its end; `run` wraps it for the command line, tests drive it directly."""

    def __init__(self, stage: Stage, settings: CoreSettings, bus: Bus) -> None:
        self.stage = stage
        self.settings = settings
        self.bus = bus
        self.worker = settings.worker_id or new_worker_id(stage)
        self.exchange = Exchange(bus, stage, self.worker, settings.audio_window_ms / 1000)
        self.context = Context(bus, self.exchange, self.worker, settings)
        self.ready = False
        self.draining = False
        self.admin = Admin(settings.admin_host, settings.admin_port, self.unready)
        self._beats = Beats(bus, self.describe)
        self._hubs = HubWatch(self.exchange)
        self._service: Service | None = None

    async def start(self, service: Service) -> None:
        self._service = service
        await self.admin.start()
        await self.exchange.start()
        await service.start()
        if self.stage != "gateway":
            await self._hubs.start()
        gc.collect()
        gc.freeze()  # what start-up made lives as long as the process: no collection looks at it again
        self.ready = True
        announce_build(self.stage, VERSION)
        loop = asyncio.get_running_loop()
        _tasks.set_function(lambda: len(asyncio.all_tasks(loop)))
        _holds.set_function(lambda: self.exchange.holds)
        _subscriptions.set_function(lambda: self.bus.subscriptions)
        _objects.set_function(lambda: len(gc.get_objects()))  # a millisecond per 50,000, whenever metrics are read
        self._beats.start()
        self.bus.watch(self._beats.now)  # a gateway knows by it who has moved to another server, and isn't dead
        self.exchange.on_placed = self._beats.placed
        log.info("ready", admin_port=self.admin.port, version=VERSION)

    async def stop(self) -> None:
        """Drains within the grace of the settings, then leaves the bus."""
        service = self._service
        assert service is not None
        self.draining = True
        self._beats.now()
        calls, _ = service.load()
        log.info("draining", calls=calls, grace_s=self.settings.drain_grace_s)
        await service.drain(self.settings.drain_grace_s)
        self._beats.stop()
        await self._hubs.stop()
        await service.stop()
        await self.exchange.stop()
        await self.bus.close()
        await self.admin.stop()
        log.info("stopped")

    def unready(self) -> str:
        if self.draining:
            return "draining"
        if not self.ready:
            return "starting"
        return "" if self.bus.connected else "no connection to NATS"

    def describe(self) -> Beat:
        service = self._service
        assert service is not None
        calls, capacity = service.load()
        return Beat(
            stage=self.stage,
            worker=self.worker,
            calls=calls,
            capacity=capacity,
            draining=self.draining,
            version=VERSION,
            digest=service.digest,
            pid=os.getpid(),
            admin_port=self.admin.port,
            agents=service.agents,
            node=self.bus.node,
            slow_shards=self.context.slow_shards(),
            wire=WIRE,
        )


def run(stage: Stage, settings_type: type[S], build: Build[S], *, name: str = "") -> NoReturn:
    """main() of a service: runs until SIGTERM or SIGINT and exits 0; a failed start says one line and exits 1 or 2.

    name: that its workers' ids and that line begin with, where it isn't the stage's.
    """
    name = name or stage
    try:
        settings = settings_module.load(settings_type, os.environ)
        if settings.worker_id and not is_worker_id(settings.worker_id):
            allowed = f"up to {WORKER_ID_CHARACTERS} letters, digits, - and _"
            raise BadSettings("TRUNKLINE_WORKER_ID", repr(settings.worker_id), allowed)
    except BadInput as error:
        sys.exit(_say(name, error, EXIT_BAD_SETTINGS))
    settings = msgspec.structs.replace(settings, worker_id=settings.worker_id or new_worker_id(name))
    logs.configure(settings.log_level, stage, settings.worker_id)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        threads = ThreadPoolExecutor(thread_name_prefix="work")
        runner.get_loop().set_default_executor(threads)
        status = _run(runner, stage, name, settings, build)
        threads.shutdown(wait=False, cancel_futures=True)
        leave_if_threads_hang(status)  # before the runner waits for them
    sys.exit(status)


def _run(runner: asyncio.Runner, stage: Stage, name: str, settings: S, build: Build[S]) -> int:
    """The exit status."""
    try:
        runner.run(_live(stage, settings, build))
    except BadInput as error:
        return _say(name, error, EXIT_BAD_SETTINGS)
    except (OSError, TrunklineError) as error:
        return _say(name, error, EXIT_FAILED)
    except Exception as error:  # the rim of the process
        log.error("process failed", error=repr(error), exc_info=error)
        return EXIT_FAILED
    return 0


def _say(name: str, error: Exception, status: int) -> int:
    print(f"trunkline-{name.replace('_', '-')}: {error or type(error).__name__}", file=sys.stderr)  # noqa: T201
    return status


async def _live(stage: Stage, settings: S, build: Build[S]) -> None:
    asked_to_stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, asked_to_stop.set)
    worker = settings.worker_id
    tracing.configure(stage, worker, sample_ratio=settings.trace_ratio)
    bus = NatsBus()
    process = Process(stage, settings, bus)
    try:
        service = build(process.context, settings)
        opened = await _unless(asked_to_stop, bus.open(settings.nats_urls, worker))
        if not opened or not await _unless(asked_to_stop, process.start(service)):
            await bus.close()
            return
    except BaseException:
        await bus.close()
        raise
    await asked_to_stop.wait()
    await process.stop()
    tracing.shutdown()


async def _unless(stop: asyncio.Event, work: Coroutine[None, None, None]) -> bool:
    """Whether the work was done; False when asked to stop first. Raises what the work raises."""
    working, stopping = asyncio.ensure_future(work), asyncio.ensure_future(stop.wait())
    try:
        await asyncio.wait((working, stopping), return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            return False
        working.result()
        return True
    finally:
        for task in (working, stopping):
            task.cancel()
