"""What STT spends on hearing: `python -m bench.hearing [CALLS …]`, CPU per chunk and per window, without a bus.

Callers are real sessions on a link that only counts. Each says a tone of a second and a half in every four seconds,
in chunks of 20 ms, half of which come with every message; messages come every 10 ms, as a gateway under load sends
them. The recogniser is scripted, so that what is measured is the way there.
"""

import asyncio
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple, cast

import numpy as np
import uvloop

from trunkline.bus.exchange import Link
from trunkline.bus.link import LinkState
from trunkline.proto.audio import CALLER_STREAM, AudioChunk
from trunkline.proto.envelope import Message
from trunkline.proto.speech import Listen, TurnRules
from trunkline.stt.engines.scripted import Scripted
from trunkline.stt.listening import Listening
from trunkline.stt.recognition import Recognition
from trunkline.stt.session import CallerSession
from trunkline.stt.vad import WINDOW_SAMPLES, Loudness, Silero, VoiceDetector

CALLS = (1, 10, 50, 200)
CHUNK_SAMPLES = 320
MESSAGE_S = 0.01
PERIOD_CHUNKS = 200  # of 20 ms
VOICED_CHUNKS = 75
MEASURED_S = 4.0
WINDOWS_PER_S = 16_000 / WINDOW_SAMPLES
CHUNKS_PER_S = 16_000 / CHUNK_SAMPLES

_voiced = (8_000 * np.sin(2 * np.pi * 300 * np.arange(CHUNK_SAMPLES) / 16_000)).astype(np.int16).tobytes()
_silent = bytes(2 * CHUNK_SAMPLES)


class Counting:
    """A link whose far end is nobody."""

    def __init__(self, call: str) -> None:
        self.call, self.attach, self.peer = call, 1, "gateway.g"
        self.sent = 0
        self.state = LinkState()
        self.hear: Callable[[AudioChunk], None] = lambda chunk: None

    def send(self, message: Message, *, headers: object = None) -> None:
        self.sent += 1

    def bind_audio(self, handle: int, on_chunk: Callable[[AudioChunk], None]) -> None:
        self.hear = on_chunk


class Cost(NamedTuple):
    """Of a call: CPU per second, and of that the part that takes chunks; messages per second to the gateway."""

    second_us: float
    taking_us: float
    messages: float

    @property
    def chunk_us(self) -> float:
        return self.taking_us / CHUNKS_PER_S

    @property
    def window_us(self) -> float:
        return (self.second_us - self.taking_us) / WINDOWS_PER_S


class Callers:
    def __init__(self, count: int, listening: Listening, recognition: Recognition) -> None:
        self.links = [Counting(f"rtc_00_{number}") for number in range(count)]
        self.sessions = [
            CallerSession(
                cast(Link, link), Listen(number, 0, TurnRules()), listening, recognition, lambda link, error: None
            )
            for number, link in enumerate(self.links)
        ]

    def say(self, message: int) -> None:
        """message: its number; every second chunk is in it."""
        for number in range(message % 2, len(self.links), 2):
            chunk = message // 2
            voiced = (chunk + 7 * number) % PERIOD_CHUNKS < VOICED_CHUNKS
            pcm = _voiced if voiced else _silent
            self.links[number].hear(AudioChunk(number, 1, CALLER_STREAM, chunk * CHUNK_SAMPLES, pcm))


async def measure(detector: VoiceDetector, count: int) -> Cost:
    loop = asyncio.get_running_loop()
    with ThreadPoolExecutor(1) as thread:
        callers = Callers(count, Listening(detector, thread), Recognition(Scripted(), thread, 1))
        messages, taking_s = round(MEASURED_S / MESSAGE_S), 0.0
        begun_s, begun_cpu_s = loop.time(), time.process_time()
        for message in range(messages):
            before_s = time.thread_time()
            callers.say(message)
            taking_s += time.thread_time() - before_s
            await asyncio.sleep(max(0.0, begun_s + (message + 1) * MESSAGE_S - loop.time()))
        while any(session._unheard >= WINDOW_SAMPLES for session in callers.sessions):  # noqa: ASYNC110  # no event tells it
            await asyncio.sleep(MESSAGE_S)
        spent_s = time.process_time() - begun_cpu_s
        for session in callers.sessions:
            session.close("measured")
    call_seconds = MEASURED_S * count
    sent = sum(link.sent for link in callers.links)
    return Cost(spent_s * 1e6 / call_seconds, taking_s * 1e6 / call_seconds, sent / call_seconds)


def main() -> None:
    counts = [int(argument) for argument in sys.argv[1:]] or CALLS
    print("| detector | calls | CPU ms per call-second | µs per chunk | µs per window | messages per call-second |")
    print("|---|---|---|---|---|---|")
    for detector in (Loudness(), Silero()):
        detector.warm()
        for count in counts:
            cost = uvloop.run(measure(detector, count))
            figures = f"{cost.second_us / 1000:.2f} | {cost.chunk_us:.1f} | {cost.window_us:.1f} | {cost.messages:.2f}"
            print(f"| {type(detector).__name__} | {count} | {figures} |", flush=True)


if __name__ == "__main__":
    main()
