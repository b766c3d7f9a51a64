"""The STT stage of one process: engines, threads and calls, between start and stop."""

import asyncio
import math
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from trunkline.bus.exchange import Exchange, Link
from trunkline.bus.port import Headers
from trunkline.proto.audio import CALLER_RATE_HZ
from trunkline.proto.envelope import Message
from trunkline.proto.errors import BadSettings
from trunkline.proto.placement import Declined
from trunkline.proto.speech import Listen
from trunkline.runtime.capacity import capacity_measured, cores_at_hand
from trunkline.runtime.engine_watch import PATIENT_LIMIT_S
from trunkline.runtime.patience import patient_threads
from trunkline.runtime.pool import CallPool, Session
from trunkline.runtime.settings import variable
from trunkline.stt.capacity import cost_of
from trunkline.stt.engines.apart import RecogniserApart
from trunkline.stt.engines.choose import choose
from trunkline.stt.listening import Listening
from trunkline.stt.recognition import Recognition
from trunkline.stt.session import CallerSession
from trunkline.stt.settings import SttSettings
from trunkline.stt.telling import Telling
from trunkline.telemetry import logs

NULL_ENGINE_CALLS = 1000
LEAST_PARTIALS_S, MOST_PARTIALS_S = 0.3, 10.0  # every 0.3 s costs eight times the CPU of finals alone

log = logs.get(__name__)


class SttService:
    digest = ""
    agents: tuple[str, ...] = ()

    def __init__(self, exchange: Exchange, settings: SttSettings) -> None:
        """Raises BadSettings."""
        if settings.stt_threads < 0:
            raise BadSettings(variable("stt_threads"), f"{settings.stt_threads}", "0 or more")
        if settings.stt_partials_s and not LEAST_PARTIALS_S <= settings.stt_partials_s <= MOST_PARTIALS_S:
            allowed = f"0 for none, or {LEAST_PARTIALS_S} to {MOST_PARTIALS_S}"
            raise BadSettings(variable("stt_partials_s"), f"{settings.stt_partials_s}", allowed)
        self._draft_samples = round(settings.stt_partials_s * CALLER_RATE_HZ)
        threads = settings.stt_threads or math.ceil(cores_at_hand())
        self._engine = choose(settings.engine_stt, read_script(settings.stt_script), threads)
        self._cores = min(cores_at_hand(), threads)
        self._measured = not settings.capacity and not getattr(self._engine.recogniser, "inline", False)
        self._voice_thread = ThreadPoolExecutor(1, "vad")
        self._threads = ThreadPoolExecutor(threads, "recognise")
        self._patient_threads = patient_threads(threads, "recognise-patiently")
        self._listening = Listening(self._engine.detector, self._voice_thread)
        self._telling = Telling(exchange)
        self._recognition = Recognition(self._engine.recogniser, self._threads, threads)
        self._patient = Recognition(
            self._engine.recogniser, self._patient_threads, threads, limit_s=PATIENT_LIMIT_S, wait_s=math.inf
        )
        self._languages = tuple(getattr(self._engine.recogniser, "languages", ()))  # a plugin may not tell
        self._ready = False
        self.pool = CallPool(exchange, capacity=settings.capacity or NULL_ENGINE_CALLS, open_session=self._open)

    async def start(self) -> None:
        """Loads and warms the engine. Raises BadSettings when it isn't installed."""
        await asyncio.to_thread(self._engine.warm)
        if self._measured:
            cost = partial(cost_of, self._engine.recogniser, self._engine.detector)
            self.pool.capacity = await asyncio.to_thread(capacity_measured, cost, self._cores)
        self._ready = True
        log.info("engine warm", engine=self._engine.recogniser.name)

    def load(self) -> tuple[int, int]:
        return self.pool.calls, self.pool.capacity

    async def drain(self, grace_s: float) -> None:
        """Hubs see the beat and move their calls; what is left after grace_s is closed by stop."""
        await self.pool.drain(grace_s)

    async def stop(self) -> None:
        self.pool.close("stopped")
        self._listening.stop()
        self._telling.stop()
        for recognition in (self._recognition, self._patient):
            recognition.stop()
        for threads in (self._threads, self._patient_threads, self._voice_thread):
            threads.shutdown(wait=False, cancel_futures=True)
        if isinstance(self._engine.recogniser, RecogniserApart):
            self._engine.recogniser.close()

    def _open(self, link: Link, message: Message, headers: Headers | None) -> Session | Declined:
        if not isinstance(message, Listen):
            return Declined("bad_request", f"a placement at STT begins with Listen, not {type(message).__name__}")
        if not self._ready:
            return Declined("unready", "the engine is being loaded")
        return CallerSession(
            link,
            message,
            self._listening,
            self._patient if message.patient else self._recognition,
            self.pool.fail,
            self._languages,
            telling=self._telling,
            draft_samples=self._draft_samples,
        )


def read_script(text: str) -> tuple[str, ...]:
    return tuple(line.strip() for line in text.split("|") if line.strip())
