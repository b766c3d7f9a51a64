"""Piper as callers hear it: understood by a recogniser, early, for many at a time, and abandoned when hushed."""

import asyncio
import gc
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from support.judge import hear, word_error_rate
from trunkline.proto.audio import SPEECH_RATE_HZ
from trunkline.proto.speaking import Hush, SegmentSpoken, Synthesise
from trunkline.tts.engines.piper import PIECE_CHARS, PiperSynthesiser, open_piper
from trunkline.tts.normalise import speech_text
from trunkline.tts.silence import LOUD_PEAK, TAIL_SENTENCE_MS
from tts.stage import Stage

pytestmark = pytest.mark.engines

LINES = (
    "The weather in Tokyo is sunny, 19 degrees Celsius.",
    "Order 4712 has shipped, and it arrives on Monday.",
    "One moment please, I am checking the weather for you.",
    "We are open from 09:00 to 17:30 on Saturday.",
)
LONG = " ".join(["The parcel left our warehouse this morning and is on its way to you."] * 4)
MEMORY_LIMIT_KB = 450_000  # over the loaded voice; without shrinkage four long jobs take 880 MB


@pytest.fixture(scope="module")
def piper() -> PiperSynthesiser:
    return open_piper("")


def resident_kb() -> int:
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS:"))


def test_what_piper_says_is_understood(piper: PiperSynthesiser) -> None:
    async def scenario() -> Iterator[tuple[str, str]]:
        async with Stage(piper) as stage:
            caller = stage.caller()
            numbered = list(enumerate(LINES, 1))
            caller.order(*(Synthesise(i, line) for i, line in numbered))
            await caller.until_over(*range(1, len(LINES) + 1))
            return ((line, hear(caller.audio(i), SPEECH_RATE_HZ)) for i, line in numbered)

    error_rates = []
    for line, heard in asyncio.run(scenario()):
        error_rates.append(min(word_error_rate(line, heard), word_error_rate(speech_text(line), heard)))
        print(f"{error_rates[-1]:.2f} {line!r} -> {heard!r}")

    assert sum(error_rates) / len(error_rates) <= 0.15


def test_a_short_clause_is_heard_early(piper: PiperSynthesiser) -> None:
    async def scenario() -> list[float]:
        async with Stage(piper) as stage:
            caller = stage.caller()
            for segment in range(1, 8):
                caller.order(Synthesise(segment, "Let me check that now.", urgent=True))
                await caller.until_over(segment)
            return sorted(m.synthesise_ms for m in caller.messages if isinstance(m, SegmentSpoken))

    waits_ms = asyncio.run(scenario())

    print(f"first audio of five words: {waits_ms} ms")
    assert 0 < waits_ms[len(waits_ms) // 2] < 500


def test_eight_callers_at_a_time_all_hear_their_own_line(piper: PiperSynthesiser) -> None:
    async def scenario() -> list[int]:
        async with Stage(piper) as stage:
            callers = [stage.caller(number) for number in range(1, 9)]
            for i, caller in enumerate(callers):
                caller.order(Synthesise(1, ("Hello there, caller.", LINES[1])[i % 2], urgent=True))
            for caller in callers:
                await caller.until_over(1)
            print("first audio ms:", sorted(c.messages[-1].synthesise_ms for c in callers))  # type: ignore[union-attr]
            return [len(caller.audio(1)) for caller in callers]

    lengths = asyncio.run(scenario())

    short, long = lengths[0::2], lengths[1::2]
    assert max(short) < min(long)
    assert min(short) > SPEECH_RATE_HZ // 2


def test_a_hush_in_mid_segment_ends_its_audio_and_frees_the_engine(piper: PiperSynthesiser) -> None:
    async def scenario() -> tuple[int, int, float]:
        async with Stage(piper, tts_threads=1) as stage:
            caller = stage.caller()
            caller.order(Synthesise(1, LONG))
            await caller.until_audio()
            caller.order(Hush(1), Synthesise(2, "Yes?", urgent=True))
            await asyncio.sleep(0.05)
            heard_chunks, begun_s = len(caller.chunks), time.perf_counter()
            await caller.until_over(2)
            took_s = time.perf_counter() - begun_s
            return heard_chunks, sum(chunk.stream == 1 for chunk in caller.chunks), took_s

    before, after, took_s = asyncio.run(scenario())

    print(f"next segment {took_s:.2f} s after the hush")
    assert before == after
    assert took_s < 2.0


def test_memory_stays_bounded_under_long_jobs(piper: PiperSynthesiser) -> None:
    piper.warm()
    gc.collect()
    before_kb = resident_kb()

    async def scenario() -> None:
        async with Stage(piper, tts_threads=4) as stage:
            callers = [stage.caller(number) for number in range(1, 5)]
            for caller in callers:
                caller.order(Synthesise(1, LONG))
            for caller in callers:
                await caller.until_over(1, limit_s=60)

    asyncio.run(scenario())
    grown_kb = resident_kb() - before_kb

    print(f"{before_kb} kB before, {grown_kb} kB more after four long jobs at a time")
    assert grown_kb < MEMORY_LIMIT_KB


def test_a_text_without_a_stop_comes_in_pieces(piper: PiperSynthesiser) -> None:
    steps = list(piper.synthesise("and so on " * 60, 1.0))

    assert len(steps) >= 600 // PIECE_CHARS


def test_the_silence_at_a_sentence_end_is_short(piper: PiperSynthesiser) -> None:
    async def scenario() -> np.ndarray:
        async with Stage(piper) as stage:
            caller = stage.caller()
            caller.order(Synthesise(1, "It has shipped."))
            await caller.until_over(1)
            return caller.audio(1)

    audio = asyncio.run(scenario())
    loud = np.flatnonzero(np.abs(audio.astype(np.int32)) > LOUD_PEAK)

    assert loud[0] < 0.06 * SPEECH_RATE_HZ
    assert (len(audio) - loud[-1]) / SPEECH_RATE_HZ < (TAIL_SENTENCE_MS + 30) / 1000


def test_twice_the_speed_takes_about_half_the_time(piper: PiperSynthesiser) -> None:
    slow, fast = (sum(map(len, piper.synthesise(LINES[0], speed))) for speed in (1.0, 2.0))

    assert 0.4 < fast / slow < 0.7
