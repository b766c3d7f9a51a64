"""The text-to-speech service: one engine, one scheduler, many calls."""

import asyncio
from functools import partial

from trunkline.bus.exchange import Exchange, Link
from trunkline.bus.port import Headers
from trunkline.proto.envelope import Message
from trunkline.proto.placement import Declined
from trunkline.proto.speaking import Speak
from trunkline.runtime.capacity import capacity_measured, cores_at_hand
from trunkline.runtime.pool import CallPool, Session
from trunkline.telemetry import logs
from trunkline.tts.capacity import cost_of
from trunkline.tts.engines.apart import SynthesiserApart
from trunkline.tts.engines.port import Synthesiser
from trunkline.tts.scheduler import Scheduler
from trunkline.tts.session import SpeakingSession
from trunkline.tts.settings import TtsSettings, threads_of

INLINE_CALLS = 400

log = logs.get(__name__)


class TtsService:
    digest = ""
    agents: tuple[str, ...] = ()

    def __init__(self, exchange: Exchange, settings: TtsSettings, engine: Synthesiser) -> None:
        threads = 0 if engine.inline else threads_of(settings)
        self._cores = min(cores_at_hand(), threads)
        self._measured = not settings.capacity and not engine.inline
        self._engine = engine
        self._scheduler = Scheduler(threads, engine.name)
        self._patient = Scheduler(threads, engine.name, patient=True)
        self._loop = asyncio.get_running_loop()
        self.calls = CallPool(exchange, capacity=settings.capacity or INLINE_CALLS, open_session=self._open)

    async def start(self) -> None:
        begun_s = self._loop.time()
        await self._scheduler.run(self._engine.warm)
        if self._measured:
            cost = partial(cost_of, self._engine)
            self.calls.capacity = await self._scheduler.run(lambda: capacity_measured(cost, self._cores))
        log.info("engine warm", engine=self._engine.name, took_s=round(self._loop.time() - begun_s, 2))

    def load(self) -> tuple[int, int]:
        return self.calls.calls, self.calls.capacity

    async def drain(self, grace_s: float) -> None:
        await self.calls.drain(grace_s)

    async def stop(self) -> None:
        self.calls.close("stopped")
        self._scheduler.close()
        self._patient.close()
        if isinstance(self._engine, SynthesiserApart):
            self._engine.close()

    def _open(self, link: Link, message: Message, headers: Headers | None) -> Session | Declined:
        if not isinstance(message, Speak):
            return Declined("bad_request", f"{type(message).__name__} places no call at this stage; allowed: Speak")
        scheduler = self._patient if message.patient else self._scheduler
        return SpeakingSession(link, message, self._engine, scheduler, self._loop.time)
