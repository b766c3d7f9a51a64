"""Speech of the real voice, in every format: heard by a judge, and whole though its worker is killed in the middle."""

import asyncio
import io
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile  # type: ignore[import-untyped]  # ships no types
from openai import AsyncOpenAI

from stack.test_failover import kill, serving
from support import judge
from support.running_stack import RunningStack
from trunkline.audio.pcm import Samples, from_bytes
from trunkline.proto.audio import SAMPLE_BYTES, SPEECH_RATE_HZ

AGENTS = Path(__file__).parent / "agents.py"
TEXT = "One moment please, I am looking that up for you. The weather in Oslo is fine today. Is there anything else?"
# Sentences of one pattern, or much more than half a minute, would be too much for the judge.
LONG = (
    "The first ship left the harbor early in the morning. A baker opened his window and waved to the sailors. "
    "Two children ran along the wall until they could see it no more. In the afternoon the wind turned, and clouds "
    "came in from the west. The old man who kept the lighthouse lit his lamp before dinner. Nobody in the village "
    "slept well that night. At seven the next day a boy saw a white sail behind the island. People came down to the "
    "water with blankets and hot soup. The captain was tired, but he smiled and thanked everybody. His wife had never "
    "doubted that he would come home."
)
NEAR = 0.15  # word error rate
FIRST_BYTE_S = 3.0  # of a clause that takes 0.1 s, on a machine that is busy with other tests


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningStack]:
    workers = "stt=1,agent=1,tts=2,tool_runner=1,gateway=1,webrtc=0"
    running = RunningStack(tmp_path_factory.mktemp("pair"), "--agent", f"{AGENTS}:quick", "--workers", workers).start()
    yield running
    assert running.stop() == 0


def client_of(stack: RunningStack) -> AsyncOpenAI:
    return AsyncOpenAI(base_url=f"{stack.address.base}/v1", api_key=stack.address.key, max_retries=0)


def samples_of(form: str, data: bytes) -> Samples:
    if form == "pcm":
        return from_bytes(data)
    samples, rate_hz = soundfile.read(io.BytesIO(data), dtype="int16")
    assert rate_hz == SPEECH_RATE_HZ
    return np.asarray(samples, dtype=np.int16)


@pytest.mark.parametrize("form", ["pcm", "wav", "flac", "mp3", "opus"])
def test_every_format_is_heard_as_it_was_written(pair: RunningStack, form: Any) -> None:
    async def ask() -> bytes:
        async with client_of(pair) as client:
            speech = await client.audio.speech.create(
                model="gpt-4o-mini-tts", voice="ash", input=TEXT, response_format=form
            )
        return speech.content

    heard = judge.hear(samples_of(form, asyncio.run(ask())), SPEECH_RATE_HZ)

    assert judge.word_error_rate(TEXT, heard) < NEAR, heard


def test_speed_makes_it_shorter(pair: RunningStack) -> None:
    async def ask(speed: float) -> int:
        async with client_of(pair) as client:
            speech = await client.audio.speech.create(
                model="tts-1", voice="alloy", input=TEXT, response_format="pcm", speed=speed
            )
        return len(speech.content)

    slow, fast = asyncio.run(ask(0.8)), asyncio.run(ask(1.6))

    assert 1.5 < slow / fast < 2.5


def test_the_first_sound_comes_long_before_the_last(pair: RunningStack) -> None:
    async def ask() -> tuple[float, float]:
        async with client_of(pair) as client:
            began_s = time.monotonic()
            streaming = client.audio.speech.with_streaming_response
            async with streaming.create(model="tts-1", voice="alloy", input=LONG, response_format="pcm") as speech:
                pieces = speech.iter_bytes()
                await anext(pieces)
                first_s = time.monotonic() - began_s
                async for _ in pieces:
                    pass
        return first_s, time.monotonic() - began_s

    first_s, whole_s = asyncio.run(ask())

    assert first_s < min(FIRST_BYTE_S, whole_s / 3)


def test_a_worker_that_is_killed_in_mid_speech_is_not_heard(pair: RunningStack) -> None:
    async def ask() -> bytes:
        async with client_of(pair) as client:
            streaming = client.audio.speech.with_streaming_response
            async with streaming.create(model="tts-1", voice="alloy", input=LONG, response_format="pcm") as speech:
                pieces = speech.iter_bytes(chunk_size=4800)
                begun = await anext(pieces)
                await asyncio.sleep(0.3)
                kill(await serving(pair, "tts"))
                return begun + b"".join([piece async for piece in pieces])

    data = asyncio.run(ask())

    heard = judge.hear(from_bytes(data), SPEECH_RATE_HZ)
    assert judge.word_error_rate(LONG, heard) < NEAR, heard
    assert len(data) > 25 * SPEECH_RATE_HZ * SAMPLE_BYTES
