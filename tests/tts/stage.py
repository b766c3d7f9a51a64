"""A text-to-speech service on a bus in memory, with a hub that orders and notes what it hears."""

import asyncio
from collections.abc import Iterator

import numpy as np

from trunkline.audio.pcm import Samples, from_bytes
from trunkline.bus.exchange import Exchange, Link
from trunkline.bus.memory import MemoryBroker, MemoryBus
from trunkline.proto.audio import SPEECH_RATE_HZ, AudioChunk
from trunkline.proto.envelope import Message, attach_number
from trunkline.proto.speaking import SegmentFailed, SegmentSpoken, Speak
from trunkline.tts.engines.port import Synthesiser
from trunkline.tts.service import TtsService
from trunkline.tts.settings import TtsSettings

SOUND: Samples = np.full(SPEECH_RATE_HZ // 2, 5000, dtype=np.int16)  # half a second


class PieceSynthesiser:
    """Half a second of sound per word, one word per step; "boom" raises. Notes the order of its work."""

    name = "piece"
    rate_hz = SPEECH_RATE_HZ

    def __init__(self, *, inline: bool = True) -> None:
        self.inline = inline
        self.worked: list[str] = []

    def warm(self) -> None:
        self.worked.append("(warm)")

    def synthesise(self, text: str, speed: float) -> Iterator[Samples]:
        for word in text.split():
            if word == "boom":
                raise RuntimeError("the voice broke")
            self.worked.append(word)
            yield SOUND


class Caller:
    """The hub's side of one call."""

    def __init__(self, stage: "Stage", call: str, handle: int, placement: int, *, patient: bool = False) -> None:
        self.call, self.handle = call, handle
        self.messages: list[Message] = []
        self.chunks: list[AudioChunk] = []
        self._news = asyncio.Event()
        attach = attach_number(1, placement)
        self.link: Link = stage.hub.link(call, stage.exchange.address, attach, self._hear)
        self.link.bind_audio(handle, self._listen)
        self.link.send(Speak(handle, patient=patient))

    def _hear(self, message: Message, headers: object) -> None:
        self.messages.append(message)
        self._news.set()

    def _listen(self, chunk: AudioChunk) -> None:
        self.chunks.append(chunk)
        self._news.set()

    def order(self, *messages: Message) -> None:
        for message in messages:
            self.link.send(message)

    def audio(self, segment: int) -> Samples:
        return from_bytes(b"".join(chunk.pcm for chunk in self.chunks if chunk.stream == segment))

    def spoken(self) -> list[int]:
        return [message.segment for message in self.messages if isinstance(message, SegmentSpoken)]

    def failures(self) -> list[SegmentFailed]:
        return [message for message in self.messages if isinstance(message, SegmentFailed)]

    async def until_audio(self) -> None:
        while not self.chunks:
            self._news.clear()
            await self._news.wait()

    async def until_over(self, *segments: int, limit_s: float = 30.0) -> None:
        """Until each of these segments was spoken or has failed."""
        async with asyncio.timeout(limit_s):
            while not set(segments) <= {*self.spoken(), *(failure.segment for failure in self.failures())}:
                self._news.clear()
                await self._news.wait()


class Stage:
    """`async with Stage(engine) as stage:`"""

    def __init__(self, engine: Synthesiser, **settings: int) -> None:
        given = {"capacity": 400, **settings}  # so that the engine isn't tried for it
        self._engine, self._settings = engine, TtsSettings(**given)  # type: ignore[arg-type]  # all given are ints
        self._placements = 0

    async def __aenter__(self) -> "Stage":
        broker = MemoryBroker()
        self.hub = Exchange(MemoryBus(broker), "gateway", "gateway-test")
        self.exchange = Exchange(MemoryBus(broker), "tts", "tts-test")
        self.service = TtsService(self.exchange, self._settings, self._engine)
        await self.hub.start()
        await self.exchange.start()
        await self.service.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.service.stop()
        await self.exchange.stop()
        await self.hub.stop()

    def caller(self, number: int = 1, *, patient: bool = False) -> Caller:
        self._placements += 1
        return Caller(self, f"rtc_00_caller{number}", number, self._placements, patient=patient)
