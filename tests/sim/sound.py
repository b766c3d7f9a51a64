"""What a simulated caller says and an agent answers, as samples that tell what they are.

Every frame of speech carries the number of its utterance and its own place in it, so a recogniser that missed a frame,
or heard one twice, gives other words. Every sample of an agent's speech tells which text it belongs to, and where.
"""

import functools
from collections.abc import Sequence

import numpy as np

from trunkline.audio.pcm import Samples
from trunkline.proto.audio import CALLER_RATE_HZ, SAMPLE_BYTES, SPEECH_RATE_HZ
from trunkline.tts.normalise import speech_text

FRAME_SAMPLES = CALLER_RATE_HZ * 80 // 1000
FRAME_S = FRAME_SAMPLES / CALLER_RATE_HZ
FRAMES_LIMIT = 32  # of an utterance
COUGH = 1_000
SPEECH = 2_000
LETTER_SAMPLES = SPEECH_RATE_HZ * 12 // 1000

SILENCE: Samples = np.zeros(FRAME_SAMPLES, dtype=np.int16)
_NOISE = np.random.default_rng(1).integers(-8000, 8000, SPEECH_RATE_HZ * 8, dtype=np.int16)


@functools.cache
def frame(value: int) -> Samples:
    """Noise, which sounds like no agent; its first sample is the value."""
    samples = np.random.default_rng(value).integers(-6000, 6000, FRAME_SAMPLES, dtype=np.int16)
    samples[0] = value
    return samples


def sent(samples: Samples) -> bytes:
    """As a client sends it, at SPEECH_RATE_HZ: every second sample twice, which Narrow undoes."""
    return samples.reshape(-1, 2)[:, (0, 1, 1)].tobytes()


class Narrow:
    """In place of the resampler at a gateway's edge, which would blur what samples tell."""

    bank, tail = None, b""

    def __init__(self, from_hz: int, to_hz: int) -> None:
        assert (from_hz, to_hz) == (SPEECH_RATE_HZ, CALLER_RATE_HZ)

    def flush(self) -> Samples:
        return SILENCE[:0]


def narrow_together(streams: Sequence[Narrow], frames: Sequence[bytes]) -> list[bytes]:
    """frames: whole milliseconds of them."""
    return [np.frombuffer(frame, dtype="<i2").reshape(-1, 3)[:, :2].tobytes() for frame in frames]


def utterance(number: int, frames: int) -> list[Samples]:
    assert frames < FRAMES_LIMIT
    return [frame(SPEECH + number * FRAMES_LIMIT + at) for at in range(frames)]


def cough(frames: int) -> list[Samples]:
    return [frame(COUGH)] * frames


def words_of(number: int, frames: int) -> str:
    """What a recogniser that misses nothing makes of it."""
    return heard_as([SPEECH + number * FRAMES_LIMIT + at for at in range(frames)])


def heard_as(values: list[int]) -> str:
    """The words of voiced frames in the order in which they were heard: `number 3 whole 5`, or what came instead."""
    spoken = [divmod(value - SPEECH, FRAMES_LIMIT) for value in values if value >= SPEECH]
    if not spoken:
        return ""
    number = spoken[0][0]
    if spoken == [(number, at) for at in range(len(spoken))]:
        return f"number {number} whole {len(spoken)}"
    return "number " + " ".join(f"{n}-{at}" for n, at in spoken)


def number_in(words: str) -> int:
    """Of the utterance, as the agent understands it; 0 for none."""
    parts = words.split()
    number = parts[1].partition("-")[0] if len(parts) > 1 else ""
    return int(number) if number.isdecimal() else 0


@functools.lru_cache(maxsize=4096)
def spoken(text: str) -> Samples:
    """An agent's speech of a text: noise that begins somewhere else for each."""
    begin = sum(text.encode()) * 17 % SPEECH_RATE_HZ
    return _NOISE[begin : begin + len(text) * LETTER_SAMPLES]


def is_of(pcm: bytes, text: str, position: int) -> bool:
    """Whether these samples are what an agent that says the text sounds like from that sample on."""
    samples = spoken(_normalised(text))
    return pcm == samples[position : position + len(pcm) // SAMPLE_BYTES].tobytes()


_normalised = functools.lru_cache(maxsize=4096)(speech_text)


class Voice:
    """A synthesiser for the real TTS service."""

    name = "voice"
    rate_hz = SPEECH_RATE_HZ
    inline = True

    def warm(self) -> None:
        """Nothing to load."""

    def synthesise(self, text: str, speed: float):  # type: ignore[no-untyped-def]
        yield spoken(text)
