"""The hot path of CALLS calls in one process, on virtual time: sockets' frames in, STT's windows, the agent's audio
out.

The parts are the product's, from a WebSocket's bytes to the bus and back; agent and TTS are a test's, the bus is in
memory.
What reaches STT is held back until it is asked for, so that its CPU is counted apart from the gateway's.
"""

import asyncio
import base64
import time
from collections.abc import Awaitable, Callable
from typing import NamedTuple

import msgspec
import numpy as np

from gateway.any_client import NoPictures
from gateway.client_frames import frame
from gateway.scene import Scene, Session, ignore, settle
from trunkline.bus.exchange import Exchange
from trunkline.bus.memory import MemoryBus
from trunkline.bus.port import Handler, Received, Subscription
from trunkline.gateway.dialects.realtime.connection import Connection
from trunkline.gateway.dialects.realtime.limits import Limits
from trunkline.gateway.dialects.realtime.peer import Peer
from trunkline.gateway.dialects.realtime.terms import STOCK, Dialect, Terms
from trunkline.gateway.frames import BINARY, TEXT
from trunkline.gateway.socket import Socket
from trunkline.placement.beats import Beats
from trunkline.proto import speaking as sp
from trunkline.proto import subjects
from trunkline.proto.audio import FRAME_MS, SPEECH_RATE_HZ, AudioChunk
from trunkline.proto.placement import Beat
from trunkline.stt.service import SttService
from trunkline.stt.settings import SttSettings

CALLS = 50
TURN_S = 0.01  # half of the calls send in each, as callers do whose frames are spread over 20 ms
FRAME_SAMPLES = SPEECH_RATE_HZ * FRAME_MS // 1000
DELTA_SAMPLES = SPEECH_RATE_HZ // 10
FIN = 0x80
WORDS = "Here you are."
ASKED = b'{"type":"response.create"}'
BINARY_DIALECT = Dialect(ours=True, binary=True)
DIALECTS = {"json": STOCK, "binary": BINARY_DIALECT}


class HeldBus(MemoryBus):
    """Audio that comes waits to be let in."""

    def __init__(self, scene: Scene) -> None:
        super().__init__(scene.broker)
        self.held: list[Received] = []
        self._handler: Handler | None = None

    async def subscribe(self, subject: str, handler: Handler, *, queue: str = "") -> Subscription:
        self._handler = handler
        return await super().subscribe(subject, self._hold, queue=queue)

    def _hold(self, received: Received) -> None:
        assert self._handler is not None
        if received.subject.endswith(f".{subjects.AUDIO}"):
            self.held.append(received)
        else:
            self._handler(received)

    def let_in(self) -> None:
        held, self.held = self.held, []
        assert self._handler is not None
        for received in held:
            self._handler(received)


class Stt:
    """In place of the scene's worker: the service with its null engines."""

    stage = "stt"

    def __init__(self, scene: Scene) -> None:
        self.bus = HeldBus(scene)
        self._exchange = Exchange(self.bus, "stt", "stt-1")
        self.service = SttService(self._exchange, SttSettings(engine_stt="scripted"))
        self._beats = Beats(self.bus, self._describe)
        self._exchange.on_placed = self._beats.placed

    async def start(self) -> None:
        await self._exchange.start()
        await self.service.start()
        self._beats.start()

    async def stop(self) -> None:
        self._beats.stop()
        await self.service.stop()
        await self._exchange.stop()

    def _describe(self) -> Beat:
        return Beat("stt", "stt-1", *self.service.load(), False, "guard", pid=1)


class Line(asyncio.Transport):
    """Takes what the gateway writes."""

    def __init__(self) -> None:
        super().__init__()
        self.written = 0

    def pause_reading(self) -> None: ...

    def resume_reading(self) -> None: ...

    def is_closing(self) -> bool:
        return False

    def get_write_buffer_size(self) -> int:
        return 0

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written += 1

    def close(self) -> None: ...

    abort = close


class Client:
    def __init__(self, number: int, scene: Scene, dialect: Dialect) -> None:
        self.line = Line()
        noise = np.random.default_rng(number).integers(-20, 20, FRAME_SAMPLES, dtype=np.int16).tobytes()
        append = {"type": "input_audio_buffer.append", "audio": base64.b64encode(noise).decode()}
        self._frame = frame(FIN | BINARY, noise) if dialect.binary else frame(FIN | TEXT, msgspec.json.encode(append))
        self._scene, self._dialect = scene, dialect

    async def dial(self) -> "Client":
        self.call = await self._scene.calls.place("")
        self.socket = Socket(self.line, 1_000_000, lambda socket: None)
        peer = Peer(self.call, self.socket, NoPictures(), Terms("guard", "", Limits(100_000), self._dialect))
        Connection(peer, self.socket, lambda: None).start()
        return self

    def speak(self) -> None:
        """One frame."""
        self.socket.data_received(self._frame)

    def ask(self) -> None:
        """For an answer."""
        self.socket.data_received(frame(FIN | TEXT, ASKED))


class Cost(NamedTuple):
    """CPU us of this thread: per frame of 20 ms that a caller sends, and per delta of 100 ms that the agent says."""

    gateway_us: float
    stt_us: float
    out_us: float


class Path:
    """`async with Path(dialect) as path`: every call is placed, and is asked for an answer that has no audio yet."""

    def __init__(self, dialect: Dialect) -> None:
        self._dialect = dialect
        self._said = 0  # samples of each answer
        self._noise = np.random.default_rng(1).integers(-8_000, 8_000, DELTA_SAMPLES, dtype=np.int16).tobytes()

    async def __aenter__(self) -> "Path":
        self._scene = scene = Scene()
        self._stt = Stt(scene)
        scene.workers[0] = self._stt  # type: ignore[call-overload]  # starts and stops as the scene's own
        scene.tts._react = ignore
        scene.agent_mind.answer = WORDS
        await scene.__aenter__()
        self.clients = [await Client(number, scene, self._dialect).dial() for number in range(CALLS)]
        await settle()
        for client in self.clients:
            client.ask()
        await asyncio.sleep(1.0)
        self._speakers = [self._speaker(session) for session in scene.tts.sessions]
        assert len(self._speakers) == CALLS
        await self._talk(2, apart=False)
        return self

    async def __aexit__(self, *error: object) -> None:
        assert all(client.call.settled_to for client in self.clients), "STT has judged what was sent"
        for client in self.clients:
            client.call.end("caller_hung_up")
        await asyncio.sleep(1.0)
        await self._scene.__aexit__()

    @staticmethod
    def _speaker(session: Session) -> Callable[[int, bytes], None]:
        order = session.order
        assert isinstance(order, sp.Speak)
        (asked,) = session.all(sp.Synthesise)
        assert isinstance(asked, sp.Synthesise)
        handle, attach, segment = order.handle, session.link.attach, asked.segment
        return lambda at, pcm: session.link.send_audio(AudioChunk(handle, attach, segment, at, pcm))

    async def measure(self, seconds: float) -> Cost:
        """One after another: callers' frames of so many tenths of seconds, and as many deltas of the agent's."""
        gateway_s, stt_s = await self._talk(round(seconds / TURN_S), apart=True)
        frames = seconds * CALLS * 1000 / FRAME_MS
        deltas = round(seconds * 10)
        before = sum(client.line.written for client in self.clients)
        out_s = await _cpu_s(lambda: self._answer(deltas))
        written = sum(client.line.written for client in self.clients) - before
        assert abs(written - deltas * CALLS) <= 2 * CALLS, "an event for each delta"
        return Cost(gateway_s / frames * 1e6, stt_s / frames * 1e6, out_s / (deltas * CALLS) * 1e6)

    async def _talk(self, turns: int, *, apart: bool) -> tuple[float, float]:
        """CPU s of the gateway and of STT."""
        gateway_s = stt_s = 0.0
        for _ in range(0, turns, 10):
            gateway_s += await _cpu_s(lambda: self._send(min(10, turns)))
            if apart:
                assert self._stt.bus.held
            stt_s += await _cpu_s(self._hear)
        return gateway_s, stt_s

    async def _send(self, turns: int) -> None:
        for turn in range(turns):
            for client in self.clients[turn % 2 :: 2]:
                client.speak()
            await asyncio.sleep(TURN_S)

    async def _hear(self) -> None:
        self._stt.bus.let_in()
        for _ in range(4):
            await asyncio.sleep(0)

    async def _answer(self, deltas: int) -> None:
        for _ in range(deltas):
            for say in self._speakers:
                say(self._said, self._noise)
            self._said += DELTA_SAMPLES
            await asyncio.sleep(DELTA_SAMPLES / SPEECH_RATE_HZ)


async def _cpu_s(act: Callable[[], Awaitable[None]]) -> float:
    begun_s = time.thread_time()
    await act()
    return time.thread_time() - begun_s
