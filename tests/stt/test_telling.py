"""How far calls were judged, said for many in one message."""

import asyncio
from collections.abc import Awaitable, Callable

from support.virtual import run_virtual
from trunkline.bus.exchange import Exchange, Link
from trunkline.bus.memory import MemoryBroker, MemoryBus
from trunkline.bus.port import Headers
from trunkline.proto.audio import CALLER_STREAM, AudioChunk
from trunkline.proto.envelope import Envelope, Message
from trunkline.proto.placement import Accepted, Declined
from trunkline.proto.speech import Final, Heard, HeardCall, Listen, Listened, Silent, TurnRules
from trunkline.runtime.pool import CallPool, Session
from trunkline.stt.engines.scripted import Scripted
from trunkline.stt.listening import Listening
from trunkline.stt.recognition import Recognition
from trunkline.stt.session import CallerSession
from trunkline.stt.telling import HEARD_S, Telling
from trunkline.stt.vad import Loudness

from .driving import Inline

FRAME_SAMPLES = 320
SILENT, LOUD = bytes(2 * FRAME_SAMPLES), b"\x00\x20\x00\xe0" * (FRAME_SAMPLES // 2)


class Stage:
    """A worker, and a gateway that notes what it is told."""

    def __init__(self) -> None:
        broker = MemoryBroker()
        self.gateway = Exchange(MemoryBus(broker), "gateway", "g")
        self.stt = Exchange(MemoryBus(broker), "stt", "s")
        self.told: list[Message] = []
        self.heard: list[HeardCall] = []
        self.messages = 0
        self._telling = Telling(self.stt)
        self._listening = Listening(Loudness(), Inline())
        self._recognition = Recognition(Scripted(), Inline(), 1)
        self._pool = CallPool(self.stt, capacity=0, open_session=self._open)
        self.gateway.on_loose = self._loose

    def _open(self, link: Link, message: Message, headers: Headers | None) -> Session | Declined:
        assert isinstance(message, Listen)
        parts = self._listening, self._recognition
        return CallerSession(link, message, *parts, self._pool.fail, telling=self._telling)

    def _loose(self, envelope: Envelope, headers: Headers | None) -> None:
        assert isinstance(envelope.message, Heard)
        self.messages += 1
        self.heard += envelope.message.calls

    async def call(self, handle: int, *, joined: bool = True) -> Link:
        link = self.gateway.link(f"rtc_00_{handle}", "stt.s", 1, lambda message, headers: self.told.append(message))
        link.send(Listen(handle, 0, TurnRules(), joined=joined))
        await asyncio.sleep(0.01)
        return link

    def close(self) -> None:
        self._pool.close("test ends")
        self._telling.stop()


def staged(scenario: Callable[[Stage], Awaitable[None]]) -> Stage:
    async def run() -> Stage:
        stage = Stage()
        await stage.gateway.start()
        await stage.stt.start()
        await scenario(stage)
        stage.close()
        for exchange in (stage.gateway, stage.stt):
            await exchange.stop()
            await exchange.bus.close()
        return stage

    return run_virtual(run())


async def say(links: list[Link], seconds: float, pcm: bytes = SILENT, begin: int = 0) -> None:
    for frame in range(begin, begin + round(seconds * 50)):
        for handle, link in enumerate(links, start=1):
            link.send_audio(AudioChunk(handle, 1, CALLER_STREAM, frame * FRAME_SAMPLES, pcm))
        await asyncio.sleep(0.02)


def test_many_calls_are_told_of_in_one_message_and_none_on_its_link() -> None:
    async def scenario(stage: Stage) -> None:
        await say([await stage.call(handle) for handle in range(1, 6)], 3.0)

    stage = staged(scenario)

    assert [type(message) for message in stage.told[:-5]] == [Accepted] * 5
    assert 3.0 / HEARD_S - 2 <= stage.messages <= 3.0 / HEARD_S
    last = {call.call: call for call in stage.heard}
    assert len(last) == 5
    assert all(call.judged_to > 32_000 and call.judged_to - 6_000 < call.silent_to for call in last.values())


def test_a_gateway_that_does_not_know_it_is_told_of_each_call_alone() -> None:
    async def scenario(stage: Stage) -> None:
        await say([await stage.call(1, joined=False)], 4.2)

    stage = staged(scenario)

    assert stage.messages == 0
    told = [message for message in stage.told if isinstance(message, Silent | Listened)]
    assert [type(message) for message in told] == [Silent] * 4


def test_what_was_said_on_the_link_comes_before_and_words_to_come_keep_their_audio() -> None:
    async def scenario(stage: Stage) -> None:
        link = await stage.call(1)
        await say([link], 1.0)
        await say([link], 1.5, LOUD, begin=50)
        await say([link], 2.0, begin=125)

    stage = staged(scenario)

    [final] = [message for message in stage.told if isinstance(message, Final)]
    said = stage.told.index(final) + 1
    before = [call for call in stage.heard if call.after < said]
    assert before
    assert all(call.silent_to <= final.from_sample for call in before)
    assert stage.heard[-1].after == said
    assert stage.heard[-1].silent_to > final.to_sample


def test_a_call_that_is_over_is_not_told_of() -> None:
    async def scenario(stage: Stage) -> None:
        links = [await stage.call(1), await stage.call(2)]
        await say(links, 0.3)
        stage._pool._remove("rtc_00_1", "over")
        await asyncio.sleep(1.0)

    assert [call.call for call in staged(scenario).heard] == ["rtc_00_2"]
