"""Audio that comes faster than it was said: another worker had the call, and this one must hear what that one heard."""

import asyncio
from itertools import pairwise

import numpy as np
import pytest

from support.virtual import run_virtual
from trunkline.audio.pcm import Floats, Samples
from trunkline.bus.exchange import Exchange, Link
from trunkline.bus.memory import MemoryBroker, MemoryBus
from trunkline.bus.port import Headers
from trunkline.proto.envelope import Message
from trunkline.proto.placement import Declined
from trunkline.proto.speech import Discard, Final, Finish, Listen, Listened, Silent, SpeechStarted, TurnRules
from trunkline.runtime.pool import CallPool, Session
from trunkline.stt.listening import Listening
from trunkline.stt.recognition import Recognition
from trunkline.stt.session import CallerSession
from trunkline.stt.vad import Loudness

from .driving import Inline, Slow
from .test_session import MANUAL, RULES, Hub, silent

CHUNK_SAMPLES = 16_000


class Levels:
    """Words that say how loud the audio is, so that they are known by the audio alone."""

    name = "levels"

    def __init__(self) -> None:
        self.recognised = 0

    def warm(self) -> None: ...

    def recognise(self, pcm: Floats, utterance: int) -> str:
        self.recognised += 1
        return f"{round(float(np.abs(pcm).max()) * 32_768)}."


def tone(level: int, seconds: float) -> Samples:
    return np.tile(np.array([level, -level], dtype=np.int16), round(seconds * 8_000))


class Stage:
    """One worker whose recogniser takes `takes_s`."""

    def __init__(self, takes_s: float = 0.1) -> None:
        broker = MemoryBroker()
        self.gateway = Exchange(MemoryBus(broker), "gateway", "g")
        self.stt = Exchange(MemoryBus(broker), "stt", "s")
        self.levels = Levels()
        self._listening = Listening(Loudness(), Inline())
        self._recognition = Recognition(self.levels, Slow(takes_s), 1)
        self.pool = CallPool(self.stt, capacity=0, open_session=self._open)

    def _open(self, link: Link, message: Message, headers: Headers | None) -> Session | Declined:
        assert isinstance(message, Listen)
        return CallerSession(link, message, self._listening, self._recognition, self.pool.fail)

    async def call(self, rules: TurnRules = RULES, from_sample: int = 0) -> Hub:
        hub = Hub(lambda hub: self.gateway.link("rtc_00_1", self.stt.address, 1, hub.hears), 1)
        hub.link.send(Listen(hub.handle, from_sample, rules))
        await asyncio.sleep(0.01)
        return hub

    async def __aenter__(self) -> "Stage":
        await self.gateway.start()
        await self.stt.start()
        return self

    async def __aexit__(self, *error: object) -> None:
        self.pool.close("test ends")
        for exchange in (self.gateway, self.stt):
            await exchange.stop()
            await exchange.bus.close()


def replay(hub: Hub, samples: Samples) -> None:
    for at in range(0, len(samples), CHUNK_SAMPLES):
        hub.send(at, samples[at : at + CHUNK_SAMPLES])


def finals(hub: Hub) -> list[Final]:
    return [
        Final(f.utterance, f.text, f.from_sample, f.to_sample) for f in hub.facts if isinstance(f, Final)
    ]  # but for how long recognition took


SAID = [(1000, 0.6, 0.7), (2000, 1.1, 0.65), (3000, 0.4, 0.9), (4000, 2.0, 0.3), (5000, 0.8, 2.5), (6000, 0.5, 1.0)]


@pytest.mark.parametrize("takes_s", [0.0, 0.1, 0.25])
def test_a_replay_is_told_apart_just_as_when_it_was_said(takes_s: float) -> None:
    said = np.concatenate(
        [part for level, voice_s, pause_s in SAID for part in (tone(level, voice_s), silent(pause_s))]
    )

    async def live() -> list[Final]:
        async with Stage(takes_s) as stage:
            hub = await stage.call()
            await hub.say(said)
            await asyncio.sleep(1.0)
            return finals(hub)

    async def replayed() -> tuple[list[Final], float, int]:
        async with Stage(takes_s) as stage:
            hub = await stage.call()
            replay(hub, said)
            begun_s = asyncio.get_running_loop().time()
            await hub.told(Final, 5)
            return finals(hub), asyncio.get_running_loop().time() - begun_s, stage.levels.recognised

    heard, took_s, recognised = run_virtual(replayed())

    assert heard == run_virtual(live())
    assert [final.text for final in heard] == ["1000.", "2000.", "3000.", "5000.", "6000."]
    assert took_s <= 5 * takes_s + 0.1
    assert recognised == 5  # no pause is taken for an end while it is known not to be one


def test_the_hub_hears_once_a_second_that_audio_is_judged() -> None:
    async def scenario() -> list[Message]:
        async with Stage() as stage:
            hub = await stage.call()
            await hub.say(silent(2.0), tone(1000, 5.0), silent(3.0))
            return hub.of(Listened, Silent, SpeechStarted, Final)

    told = run_virtual(scenario())

    ends = [fact.to_sample for fact in told if isinstance(fact, Listened | Silent)]
    assert 9 <= len(ends) <= 11
    assert all(later - earlier < 24_000 for earlier, later in pairwise(ends))
    voiced = [type(fact) for fact in told if 40_000 < getattr(fact, "to_sample", 0) < 110_000]
    assert voiced == [Listened] * len(voiced)


def test_a_discard_leaves_the_client_what_it_ended_before() -> None:
    async def scenario() -> list[Final]:
        async with Stage() as stage:
            hub = await stage.call(MANUAL)
            hub.link.send(Finish(1_000_000, 0, 32_000))
            hub.link.send(Discard(64_000))
            hub.link.send(Finish(1_000_001, 64_000, 80_000))
            replay(hub, np.concatenate((tone(1000, 2.0), tone(2000, 2.0), tone(3000, 1.0), silent(0.5))))
            await asyncio.sleep(1.0)
            return finals(hub)

    assert [(final.utterance, final.text) for final in run_virtual(scenario())] == [
        (1_000_000, "1000."),
        (1_000_001, "3000."),
    ]


def test_what_is_discarded_before_it_comes_is_not_heard() -> None:
    async def scenario() -> list[Message]:
        async with Stage() as stage:
            hub = await stage.call()
            hub.link.send(Discard(32_000))
            await asyncio.sleep(0.01)
            replay(hub, np.concatenate((tone(1000, 1.5), silent(1.5), tone(2000, 1.0), silent(1.0))))
            await asyncio.sleep(1.0)
            return hub.of(SpeechStarted, Final)

    started, final = run_virtual(scenario())
    assert isinstance(started, SpeechStarted)
    assert isinstance(final, Final)
    assert abs(started.at_sample - 48_000) < 512
    assert final.text == "2000."


def test_speech_that_goes_on_after_what_is_discarded_late_is_heard() -> None:
    async def scenario() -> list[Message]:
        async with Stage() as stage:
            hub = await stage.call()
            replay(hub, tone(1000, 3.0))
            await asyncio.sleep(0.05)
            hub.link.send(Discard(16_000))
            hub.position = 48_000
            await hub.say(silent(1.0))
            return hub.of(SpeechStarted, Final)

    first, second, final = run_virtual(scenario())
    assert (first, second) == (SpeechStarted(1, 0), SpeechStarted(2, 16_000))
    assert isinstance(final, Final)
    assert (final.utterance, final.from_sample) == (2, 16_000)


def test_speech_that_begins_after_what_is_discarded_is_not_cut_off() -> None:
    async def scenario() -> list[Message]:
        async with Stage() as stage:
            hub = await stage.call()
            await hub.say(silent(1.0), tone(1000, 0.3))
            hub.link.send(Discard(15_000))  # within the padding before the voice
            await hub.say(tone(1000, 0.7), silent(1.0))
            return hub.of(SpeechStarted, Final)

    started, final = run_virtual(scenario())
    assert isinstance(started, SpeechStarted)
    assert isinstance(final, Final)
    assert (started.utterance, final.utterance, final.from_sample, final.text) == (1, 1, 15_000, "1000.")


def test_no_utterance_gets_the_number_of_one_that_the_client_ends_later() -> None:
    async def scenario() -> list[Final]:
        async with Stage() as stage:
            hub = await stage.call()
            hub.link.send(Finish(1, 48_000, 80_000))
            replay(hub, np.concatenate((tone(1000, 1.0), silent(2.0), tone(2000, 2.0), silent(1.0))))
            await asyncio.sleep(1.0)
            return finals(hub)

    texts = {final.utterance: final.text for final in run_virtual(scenario())}
    assert texts[1] == "2000."
    assert "1000." in texts.values()
