"""STT workers of a scene that really listen: real sessions, loud is a voice, and words that are the sound's level."""

import numpy as np

from gateway.scene import ProcessBus
from stt.driving import Inline, Slow
from trunkline.audio.pcm import Floats, Samples
from trunkline.bus.exchange import Exchange, Link
from trunkline.bus.memory import MemoryBroker
from trunkline.bus.port import Headers
from trunkline.placement.beats import Beats
from trunkline.proto.audio import CALLER_RATE_HZ
from trunkline.proto.envelope import Message
from trunkline.proto.placement import Beat, Declined
from trunkline.proto.speech import Listen
from trunkline.runtime.pool import CallPool, Session
from trunkline.stt.listening import Listening
from trunkline.stt.recognition import Recognition
from trunkline.stt.session import CallerSession
from trunkline.stt.vad import Loudness

FAILS = 9_999  # a level that the recogniser raises at


class Levels:
    name = "levels"

    def warm(self) -> None: ...

    def recognise(self, pcm: Floats, utterance: int) -> str:
        """The loud levels in it, each once, in order."""
        found = np.abs(pcm[::80]) * 32_768
        levels = [str(round(level)) for level in found[found > 2_000]]
        if str(FAILS) in levels:
            raise RuntimeError("can't hear that")
        return " ".join(dict.fromkeys(levels)) + "."


class Ear:
    """takes_s: of the recogniser, for an utterance."""

    def __init__(self, broker: MemoryBroker, worker: str, *, takes_s: float = 0.1, capacity: int = 4) -> None:
        self.name = worker
        self.listens: list[Listen] = []
        self._bus = ProcessBus(broker)
        self._exchange = Exchange(self._bus, "stt", worker)
        self._listening = Listening(Loudness(), Inline())
        self._recognition = Recognition(Levels(), Slow(takes_s), 1, wait_s=float("inf"))  # files have time
        self.pool = CallPool(self._exchange, capacity=capacity, open_session=self._open)
        self._beats = Beats(self._bus, lambda: Beat("stt", worker, self.pool.calls, capacity, False, "test", pid=1))
        self._exchange.on_placed = self._beats.placed

    async def start(self) -> "Ear":
        await self._exchange.start()
        self._beats.start()
        return self

    async def stop(self) -> None:
        self._beats.stop()
        self.pool.close("test ends")
        self._listening.stop()
        self._recognition.stop()
        await self._exchange.stop()

    async def kill(self) -> None:
        """From one moment to the next it says nothing."""
        await self._bus.close()
        await self.stop()

    def hang(self) -> None:
        """SIGSTOP."""
        self._bus.stop()

    def _open(self, link: Link, message: Message, headers: Headers | None) -> Session | Declined:
        assert isinstance(message, Listen)
        self.listens.append(message)
        return CallerSession(link, message, self._listening, self._recognition, self.pool.fail)


def tone(level: int, seconds: float) -> Samples:
    return np.tile(np.array([level, -level], dtype=np.int16), round(seconds * CALLER_RATE_HZ / 2))


def silence(seconds: float) -> Samples:
    return np.zeros(round(seconds * CALLER_RATE_HZ), dtype=np.int16)


def story(*levels: int, said_s: float = 1.5, pause_s: float = 1.5) -> Samples:
    """An utterance for each level."""
    return np.concatenate([part for level in levels for part in (silence(pause_s), tone(level, said_s))])
