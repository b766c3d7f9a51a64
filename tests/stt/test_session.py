"""A call at an STT worker, heard from the hub's side of the bus, on virtual time with a scripted engine."""

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import Executor

import numpy as np

from support.virtual import run_virtual
from trunkline.audio import pcm
from trunkline.audio.pcm import Samples
from trunkline.bus.exchange import Exchange, Link
from trunkline.bus.memory import MemoryBroker, MemoryBus
from trunkline.bus.port import Headers
from trunkline.proto.audio import CALLER_STREAM, AudioChunk
from trunkline.proto.envelope import Message
from trunkline.proto.placement import Accepted, CallFailed, Declined, Release
from trunkline.proto.speech import (
    AudioMissing,
    Discard,
    Final,
    Finish,
    Listen,
    Listened,
    Partial,
    RecognitionFailed,
    Silent,
    SpeechStarted,
    SpeechStopped,
    Tune,
    TurnRules,
)
from trunkline.runtime.pool import CallPool, Session
from trunkline.stt.engines.scripted import FAIL, Scripted
from trunkline.stt.listening import Listening
from trunkline.stt.recognition import Recognition
from trunkline.stt.session import CallerSession
from trunkline.stt.vad import Loudness

from .driving import Inline, Slow

FRAME_SAMPLES = 320
MANUAL_FROM = 1_000_000
RULES = TurnRules()
MANUAL = TurnRules(automatic=False)


def silent(seconds: float) -> Samples:
    return np.zeros(round(seconds * 16_000), dtype=np.int16)


def speech(seconds: float) -> Samples:
    return np.tile(np.array([3_000, -3_000], dtype=np.int16), round(seconds * 8_000))


class Hub:
    """A caller's hub. Audio goes out in frames of 20 ms, in real (virtual) time."""

    def __init__(self, link: Callable[["Hub"], Link], handle: int) -> None:
        self.facts: list[Message] = []
        self.position = 0
        self.handle = handle
        self.link = link(self)
        self.stream: Samples = pcm.EMPTY
        self._news = asyncio.Event()

    def hears(self, message: Message, headers: Headers | None) -> None:
        self.facts.append(message)
        self._news.set()
        if isinstance(message, AudioMissing) and message.from_sample < len(self.stream):
            self.send(message.from_sample, self.stream[message.from_sample :])

    def send(self, position: int, samples: Samples) -> None:
        chunk = AudioChunk(self.handle, self.link.attach, CALLER_STREAM, position, pcm.to_bytes(samples))
        self.link.send_audio(chunk)

    async def say(self, *parts: Samples, lose: frozenset[int] = frozenset(), keep: bool = True) -> None:
        """lose: frames (counted in this stretch) that never go out. keep: and may be sent again when asked for."""
        for number, at in enumerate(range(0, len(said := np.concatenate(parts)), FRAME_SAMPLES)):
            frame = said[at : at + FRAME_SAMPLES]
            if keep:
                self.stream = np.concatenate((self.stream, frame))
            if number not in lose:
                self.send(self.position, frame)
            self.position += len(frame)
            await asyncio.sleep(0.02)

    async def told(self, kind: type[Message], times: int) -> None:
        """Returns once so many facts of a kind have come."""
        while len(self.of(kind)) < times:
            self._news.clear()
            await self._news.wait()

    def of(self, *kinds: type[Message]) -> list[Message]:
        return [fact for fact in self.facts if isinstance(fact, kinds)]

    @property
    def finals(self) -> list[Final]:
        return [fact for fact in self.facts if isinstance(fact, Final)]

    @property
    def texts(self) -> list[str]:
        return [final.text for final in self.finals]


class OnThread(Scripted):
    """Takes the time that its executor does."""

    inline = False


class Worker:
    """draft_samples: see CallerSession."""

    def __init__(self, script: tuple[str, ...], executor: Executor | None = None, draft_samples: int = 0) -> None:
        broker = MemoryBroker()
        self.gateway = Exchange(MemoryBus(broker), "gateway", "g")
        self.stt = Exchange(MemoryBus(broker), "stt", "s")
        self._listening = Listening(Loudness(), Inline())
        self._recognition = Recognition(OnThread(script), executor or Inline(), 1)
        self._draft_samples = draft_samples
        self.pool = CallPool(self.stt, capacity=0, open_session=self._open)
        self._calls = 0

    def _open(self, link: Link, message: Message, headers: Headers | None) -> Session | Declined:
        assert isinstance(message, Listen)
        parts = self._listening, self._recognition
        return CallerSession(link, message, *parts, self.pool.fail, draft_samples=self._draft_samples)

    async def start(self) -> None:
        await self.gateway.start()
        await self.stt.start()

    async def stop(self) -> None:
        for exchange in (self.gateway, self.stt):
            await exchange.stop()
            await exchange.bus.close()

    async def call(self, rules: TurnRules = RULES, from_sample: int = 0, *, patient: bool = False) -> Hub:
        self._calls += 1
        name = f"rtc_00_{self._calls}"
        hub = Hub(lambda hub: self.gateway.link(name, self.stt.address, 1, hub.hears), self._calls)
        hub.link.send(Listen(hub.handle, from_sample, rules, patient=patient))
        await asyncio.sleep(0.01)
        assert [Accepted()] == hub.facts
        return hub


def played(scenario: Callable[[Worker], Awaitable[None]], *script: str) -> None:
    async def run() -> None:
        worker = Worker(script or ("hello",))
        await worker.start()
        await scenario(worker)
        worker.pool.close("test ends")
        await worker.stop()

    run_virtual(run())


def test_an_utterance_is_told_from_start_to_words() -> None:
    async def scenario(worker: Worker) -> None:
        hub = await worker.call()
        await hub.say(silent(1.0), speech(1.0), silent(1.0))

        kinds = [type(fact) for fact in hub.facts if not isinstance(fact, Silent | Listened)]
        assert kinds == [Accepted, SpeechStarted, Partial, SpeechStopped, Final]
        [final] = hub.of(Final)
        assert isinstance(final, Final)
        assert (final.utterance, final.text) == (1, "hello")
        assert abs(final.to_sample - 32_000) < 512

    played(scenario)


def test_every_utterance_of_a_call_gets_its_own_words() -> None:
    async def scenario(worker: Worker) -> None:
        hub = await worker.call()
        for _ in range(3):
            await hub.say(speech(0.5), silent(1.0))

        assert hub.texts == ["one", "two", "three"]

    played(scenario, "one", "two", "three")


def test_lost_audio_is_asked_for_once_and_heard_in_full() -> None:
    async def scenario(worker: Worker) -> None:
        hub = await worker.call()
        await hub.say(speech(1.0), silent(1.0), lose=frozenset({20, 21}))

        assert hub.of(AudioMissing) == [AudioMissing(20 * FRAME_SAMPLES)]
        assert hub.texts == ["hello"]

    played(scenario)


def test_audio_that_never_comes_is_asked_for_again_and_then_taken_as_silence() -> None:
    async def scenario(worker: Worker) -> None:
        hub = await worker.call()
        await hub.say(speech(0.5), silent(15.0), speech(0.5), silent(1.0), lose=frozenset({10}), keep=False)

        assert set(hub.of(AudioMissing)) == {AudioMissing(10 * FRAME_SAMPLES)}
        assert len(hub.of(AudioMissing)) == 6
        assert hub.texts == ["hello", "hello"]

    played(scenario)


def test_audio_that_is_sent_twice_is_heard_once() -> None:
    async def scenario(worker: Worker) -> None:
        hub = await worker.call()
        await hub.say(speech(0.5), silent(0.1))
        hub.send(0, hub.stream)
        hub.send(1_000, hub.stream[1_000:5_000])
        await hub.say(silent(1.0))

        assert hub.texts == ["hello"]
        assert hub.of(AudioMissing) == []

    played(scenario)


def test_a_replay_from_the_gateways_ring_is_heard_faster_than_it_was_spoken() -> None:
    async def scenario(worker: Worker) -> None:
        hub = await worker.call(from_sample=160_000)
        replay = np.concatenate((silent(10.0), speech(1.0), silent(1.0)))
        for at in range(0, len(replay), 16_000):
            hub.send(160_000 + at, replay[at : at + 16_000])
        await asyncio.sleep(0.5)

        [final] = hub.of(Final)
        assert isinstance(final, Final)
        assert abs(final.to_sample - (160_000 + 11 * 16_000)) < 512

    played(scenario)


def test_an_engine_that_fails_costs_one_utterance() -> None:
    async def scenario(worker: Worker) -> None:
        hub, other = await worker.call(), await worker.call()
        for _ in range(2):
            await asyncio.gather(hub.say(speech(0.5), silent(1.0)), other.say(silent(1.5)))
        await other.say(silent(0.5))

        [failed] = hub.of(RecognitionFailed)
        assert isinstance(failed, RecognitionFailed)
        assert failed.utterance == 1
        assert "fails as scripted" in failed.reason
        assert hub.texts == ["two"]
        assert other.of(RecognitionFailed, CallFailed) == []

    played(scenario, FAIL, "two")


def test_push_to_talk_says_nothing_until_the_client_finishes() -> None:
    async def scenario(worker: Worker) -> None:
        hub = await worker.call(MANUAL)
        await hub.say(silent(0.5), speech(1.0), silent(2.0))
        assert [Accepted(), *hub.of(Listened)] == hub.facts
        hub.link.send(Finish(1, 0, hub.position))
        await hub.say(silent(0.2))

        [final] = hub.of(Final)
        assert isinstance(final, Final)
        assert (final.utterance, final.text) == (1, "hello")
        assert hub.of(SpeechStarted, SpeechStopped, Silent) == []

    played(scenario)


def test_words_come_in_the_order_in_which_utterances_ended() -> None:
    """The client's word comes as an utterance has just ended, and there is nothing behind that."""

    async def scenario() -> None:
        worker = Worker(("hello",), Slow(1.0))
        await worker.start()
        hub = await worker.call(TurnRules(silence_ms=200, unfinished_ms=200))
        await hub.say(speech(0.8), silent(0.3))
        hub.link.send(Finish(MANUAL_FROM, 0, hub.position))
        await asyncio.sleep(3.0)
        worker.pool.close("test ends")
        await worker.stop()

        assert [(final.utterance, final.text) for final in hub.finals] == [(1, "hello"), (MANUAL_FROM, "")]

    run_virtual(scenario())


def test_finishing_asks_for_audio_that_was_lost_at_the_very_end() -> None:
    async def scenario(worker: Worker) -> None:
        hub = await worker.call(MANUAL)
        await hub.say(speech(1.0), lose=frozenset({48, 49}))
        hub.link.send(Finish(1, 0, hub.position))
        await asyncio.sleep(1)

        assert hub.of(AudioMissing) == [AudioMissing(48 * FRAME_SAMPLES)]
        assert hub.texts == ["hello"]

    played(scenario)


def test_finishing_does_without_audio_that_never_comes() -> None:
    async def scenario(worker: Worker) -> None:
        hub = await worker.call(MANUAL)
        await hub.say(speech(1.0), lose=frozenset({48, 49}), keep=False)
        hub.link.send(Finish(1, 0, hub.position))
        await asyncio.sleep(12)
        assert hub.texts == ["hello"]

        await hub.say(speech(0.5))
        hub.link.send(Finish(2, 16_000, hub.position))
        await asyncio.sleep(0.1)
        assert hub.texts == ["hello", "hello"]

    played(scenario)


def test_finishing_far_beyond_all_audio_fails_the_call_and_no_other() -> None:
    async def scenario(worker: Worker) -> None:
        hub, other = await worker.call(MANUAL), await worker.call(MANUAL)
        hub.link.send(Finish(1, 0, 2**40))
        await asyncio.sleep(12)
        assert len(hub.of(CallFailed)) == 1

        await other.say(speech(0.5))
        other.link.send(Finish(1, 0, other.position))
        await asyncio.sleep(0.1)
        assert other.texts == ["hello"]

    played(scenario)


def test_finishing_over_silence_gives_no_words() -> None:
    async def scenario(worker: Worker) -> None:
        hub = await worker.call(MANUAL)
        await hub.say(silent(1.0))
        hub.link.send(Finish(1, 0, hub.position))
        await asyncio.sleep(0.1)

        assert hub.texts == [""]

    played(scenario)


def test_new_rules_count_from_the_next_decision() -> None:
    async def scenario(worker: Worker) -> None:
        hub = await worker.call()
        hub.link.send(Tune(TurnRules(silence_ms=1200)))
        await hub.say(speech(0.5), silent(1.0))
        assert hub.texts == []
        await hub.say(silent(0.4))

        assert hub.texts == ["hello"]

    played(scenario)


def test_discarded_audio_gives_no_words() -> None:
    async def scenario(worker: Worker) -> None:
        hub = await worker.call()
        await hub.say(speech(0.5))
        hub.link.send(Discard(hub.position))
        await hub.say(silent(2.0))

        assert hub.texts == []
        assert len(hub.of(SpeechStarted)) == 1

    played(scenario)


def test_silence_is_not_declared_over_words_that_are_still_to_come() -> None:
    async def scenario(worker: Worker) -> None:
        hub = await worker.call()
        await hub.say(silent(3.0), speech(0.5), silent(3.0))

        [final] = hub.of(Final)
        assert isinstance(final, Final)
        before = [fact for fact in hub.facts[: hub.facts.index(final)] if isinstance(fact, Silent)]
        assert before
        assert all(fact.to_sample <= final.from_sample for fact in before)
        assert isinstance(hub.facts[-1], Silent)
        assert hub.facts[-1].to_sample > final.to_sample

    played(scenario)


def test_audio_beyond_all_bounds_fails_this_call_alone() -> None:
    async def scenario(worker: Worker) -> None:
        hub, other = await worker.call(), await worker.call()
        hub.send(0, speech(25.0))
        hub.send(25 * 16_000, speech(25.0))
        await other.say(speech(0.5), silent(1.0))

        assert len(hub.of(CallFailed)) == 1
        assert other.texts == ["hello"]
        assert worker.pool.calls == 1

    played(scenario)


def test_a_released_call_is_forgotten_with_its_unfinished_words() -> None:
    async def scenario(worker: Worker) -> None:
        hub = await worker.call()
        await hub.say(speech(0.5), silent(0.3))
        hub.link.send(Release("ended"))
        await hub.say(silent(1.0))

        assert hub.texts == []
        assert worker.pool.calls == 0

    played(scenario)
