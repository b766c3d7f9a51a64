"""The stage as its process sees it: start, load, refusals, drain, stop; and one span per utterance."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from functools import partial

import numpy as np
import pytest
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from support.virtual import run_over_sockets
from trunkline.audio.pcm import Floats
from trunkline.bus.exchange import Exchange, Link
from trunkline.bus.memory import MAX_PAYLOAD_BYTES, MemoryBroker, MemoryBus
from trunkline.bus.port import Headers
from trunkline.proto.audio import CALLER_STREAM, AudioChunk
from trunkline.proto.envelope import Message
from trunkline.proto.errors import BadSettings
from trunkline.proto.placement import Accepted, CallFailed, Declined, Release
from trunkline.proto.speaking import Speak
from trunkline.proto.speech import Final, Listen, TurnRules
from trunkline.runtime.capacity import DUTY_S, LEAST_PER_CORE, UTTERANCE_S
from trunkline.stt import service
from trunkline.stt.capacity import ATTEMPTS
from trunkline.stt.engines.choose import Engine, choose
from trunkline.stt.service import SttService
from trunkline.stt.settings import SttSettings
from trunkline.stt.vad import Loudness
from trunkline.telemetry import tracing

CALL = "rtc_00_a"
LISTEN = Listen(handle=1, from_sample=0, rules=TurnRules())
SCRIPTED = SttSettings(engine_stt="scripted", stt_script="book a taxi", capacity=1)
Facts = asyncio.Queue[tuple[Message, Headers | None]]


class Stage:
    """The service and a hub, in one process."""

    def __init__(self, settings: SttSettings) -> None:
        broker = MemoryBroker()
        self.gateway = Exchange(MemoryBus(broker), "gateway", "g")
        self.stt = Exchange(MemoryBus(broker), "stt", "s")
        self.service = SttService(self.stt, settings)

    def place(self, call: str, order: Message = LISTEN) -> tuple[Link, Facts]:
        facts: Facts = asyncio.Queue()
        link = self.gateway.link(
            call, self.stt.address, 1, lambda message, headers: facts.put_nowait((message, headers))
        )
        link.send(order)
        return link, facts


def staged(scenario: Callable[[Stage], Awaitable[None]], settings: SttSettings = SCRIPTED) -> None:
    async def run() -> None:
        stage = Stage(settings)
        await stage.gateway.start()
        await stage.stt.start()
        async with asyncio.timeout(10.0):
            await stage.service.start()
            await scenario(stage)
        await stage.service.stop()
        for exchange in (stage.gateway, stage.stt):
            await exchange.stop()
            await exchange.bus.close()

    run_over_sockets(run())


async def first_of(facts: Facts, kind: type[Message]) -> tuple[Message, Headers | None]:
    while True:
        message, headers = await facts.get()
        if isinstance(message, kind):
            return message, headers


async def says_something(link: Link) -> None:
    """One second of a tone between silences, all at once."""
    samples = np.zeros(48_000, dtype=np.int16)
    samples[8_000:24_000:2], samples[8_001:24_000:2] = 3_000, -3_000
    link.send_audio(AudioChunk(1, 1, CALLER_STREAM, 0, samples.tobytes()))


def test_a_call_is_accepted_heard_and_let_go() -> None:
    async def scenario(stage: Stage) -> None:
        link, facts = stage.place(CALL)
        assert (await facts.get())[0] == Accepted()
        assert stage.service.load() == (1, 1)
        await says_something(link)
        final, _ = await first_of(facts, Final)
        assert isinstance(final, Final)
        assert final.text == "book a taxi"

        link.send(Release("ended"))
        await stage.service.drain(5.0)

        assert stage.service.load() == (0, 1)

    staged(scenario)


def test_a_full_or_draining_stage_says_so() -> None:
    async def scenario(stage: Stage) -> None:
        _, first = stage.place(CALL)
        assert (await first.get())[0] == Accepted()
        _, second = stage.place("rtc_00_b")
        full, _ = await second.get()
        await stage.service.drain(0.0)
        _, third = stage.place("rtc_00_c")
        draining, _ = await third.get()

        assert isinstance(full, Declined)
        assert isinstance(draining, Declined)
        assert (full.reason, draining.reason) == ("full", "draining")

    staged(scenario)


def test_a_placement_that_is_not_for_stt_is_declined() -> None:
    async def scenario(stage: Stage) -> None:
        _, facts = stage.place(CALL, Speak(handle=1))

        declined, _ = await facts.get()
        assert isinstance(declined, Declined)
        assert declined.reason == "bad_request"

    staged(scenario)


@pytest.mark.parametrize("settings", [SttSettings(engine_stt="nosuch"), SttSettings(stt_threads=-1)])
def test_bad_settings_stop_the_start(settings: SttSettings) -> None:
    with pytest.raises(BadSettings, match=r"TRUNKLINE_ENGINE_STT.*moonshine|TRUNKLINE_STT_THREADS.*0 or more"):
        staged(lambda stage: stage.service.start(), settings)


@pytest.fixture
def exported() -> Iterator[InMemorySpanExporter]:
    exporter = InMemorySpanExporter()
    tracing.configure("stt", "stt-abc", exporter)
    yield exporter
    tracing.shutdown()


def test_an_utterance_is_one_span_of_its_call_and_its_final_carries_it(exported: InMemorySpanExporter) -> None:
    async def scenario(stage: Stage, carried: list[Headers | None]) -> None:
        link, facts = stage.place(CALL)
        await says_something(link)
        carried.append((await first_of(facts, Final))[1])

    carried: list[Headers | None] = []
    staged(partial(scenario, carried=carried))
    tracing.shutdown()

    [span] = exported.get_finished_spans()
    assert (span.name, span.context.trace_id) == ("stt.utterance", tracing.trace_id_of(CALL))
    assert carried[0] is not None
    assert format(span.context.span_id, "016x") in carried[0]["traceparent"]


class Costly:
    """A recogniser that says itself how much CPU it took."""

    name = "costly"

    def __init__(self, cost_s: float) -> None:
        self.spent_s = 0.0
        self._cost_s = cost_s

    def cpu_s(self) -> float:
        return self.spent_s

    def warm(self) -> None:
        """Nothing to load."""

    def recognise(self, pcm: Floats, utterance: int) -> str:
        assert len(pcm) == UTTERANCE_S * 16_000
        self.spent_s += self._cost_s
        return "words"


@pytest.mark.parametrize(("settings", "capacity"), [(SttSettings(engine_stt="costly"), 12), (SCRIPTED, 1)])
def test_its_capacity_is_what_its_engine_was_tried_to_carry_unless_it_is_set(
    settings: SttSettings, capacity: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    scripted = choose("scripted", ("book a taxi",))
    costly = Engine(Costly(DUTY_S * 0.04 / ATTEMPTS), Loudness())
    monkeypatch.setattr(service, "choose", lambda name, *more: costly if name == "costly" else scripted)
    monkeypatch.setattr(service, "cores_at_hand", lambda: 1.0)

    async def scenario(stage: Stage) -> None:
        calls, told = stage.service.load()

        assert (calls, abs(told - capacity) <= capacity // 10) == (0, True)

    staged(scenario, settings)


class Fussy(Costly):
    def recognise(self, pcm: Floats, utterance: int) -> str:
        raise ValueError("no words in it")


def test_an_engine_that_fails_at_the_trial_starts_all_the_same_and_takes_few_calls(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(service, "choose", lambda name, *more: Engine(Fussy(0.0), Loudness()))
    monkeypatch.setattr(service, "cores_at_hand", lambda: 1.0)

    async def scenario(stage: Stage) -> None:
        assert stage.service.load() == (0, LEAST_PER_CORE)

    staged(scenario, SttSettings(engine_stt="fussy"))


class Places(Loudness):
    def __init__(self) -> None:
        self.held = 0

    def open(self) -> int:
        self.held += 1
        return self.held

    def close(self, place: int) -> None:
        self.held -= 1


class Polyglot(Costly):
    languages = ("x" * MAX_PAYLOAD_BYTES,)


def test_a_call_that_cannot_be_opened_leaves_no_place_at_the_detector(monkeypatch: pytest.MonkeyPatch) -> None:
    places = Places()
    monkeypatch.setattr(service, "choose", lambda *_: Engine(Polyglot(0.0), places))

    async def scenario(stage: Stage) -> None:
        _, facts = stage.place(CALL)
        failed, _ = await facts.get()

        assert isinstance(failed, CallFailed)
        assert places.held == 0

    staged(scenario, SttSettings(engine_stt="polyglot", capacity=1))
