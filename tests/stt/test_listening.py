"""Batches of windows, and a call that fails among others."""

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from trunkline.audio.pcm import Samples
from trunkline.stt.listening import INLINE_CALLS, Listening
from trunkline.stt.vad import WINDOW_SAMPLES, Loudness, VoiceState


class Counting(Loudness):
    def __init__(self) -> None:
        self.batches: list[int] = []

    def step(self, states: Sequence[VoiceState], windows: Sequence[Samples]) -> list[float]:
        self.batches.append(len(windows))
        assert len(states) == len(set(map(id, states)))
        return super().step(states, windows)


class Ear:
    """Has `windows` left to be heard; every third is loud. Raises at window `fails_at`."""

    def __init__(self, listening: Listening, windows: int, *, fails_at: int = -1) -> None:
        self.voice = VoiceState()
        self.heard: list[float] = []
        self.failures: list[Exception] = []
        self.done = asyncio.Event()
        self._listening, self._windows, self._fails_at = listening, windows, fails_at
        listening.enlist(self)

    def next_window(self) -> Samples | None:
        loud = len(self.heard) % 3 == 2
        return (
            np.full(WINDOW_SAMPLES, 5_000 if loud else 0, dtype=np.int16) if len(self.heard) < self._windows else None
        )

    def hear(self, probability: float) -> None:
        if len(self.heard) == self._fails_at:
            raise ValueError("this call fails")
        self.heard.append(probability)
        self._listening.enlist(self)
        if len(self.heard) == self._windows:
            self.done.set()

    def fail(self, error: Exception) -> None:
        self.failures.append(error)
        self._listening.forget(self)
        self.done.set()


async def hear(ears: int, *, fails_at: int = -1, detector: Loudness | None = None) -> list[Ear]:
    """The first ear is the one that fails."""
    with ThreadPoolExecutor(1) as thread:
        listening = Listening(detector or Counting(), thread)
        made = [Ear(listening, 9, fails_at=fails_at if at == 0 else -1) for at in range(ears)]
        async with asyncio.timeout(5.0):
            for ear in made:
                await ear.done.wait()
        listening.stop()
    return made


@pytest.mark.parametrize("ears", [1, 3, INLINE_CALLS + 5])
def test_every_call_hears_its_windows_in_order(ears: int) -> None:
    heard = [ear.heard for ear in asyncio.run(hear(ears))]

    assert heard == [[0.0, 0.0, 1.0] * 3] * ears


def test_calls_that_are_ready_together_are_judged_in_one_run() -> None:
    detector = Counting()
    asyncio.run(hear(3, detector=detector))

    assert detector.batches == [3] * 9


@pytest.mark.parametrize("ears", [3, INLINE_CALLS + 5])
def test_a_call_that_fails_leaves_the_others_of_its_batch_alone(ears: int) -> None:
    failed, *others = asyncio.run(hear(ears, fails_at=4))

    assert [str(error) for error in failed.failures] == ["this call fails"]
    assert [len(ear.heard) for ear in others] == [9] * (ears - 1)


class Broken(Loudness):
    def step(self, states: Sequence[VoiceState], windows: Sequence[Samples]) -> list[float]:
        raise RuntimeError("no model")


@pytest.mark.parametrize("ears", [2, INLINE_CALLS + 5])
def test_a_broken_detector_fails_the_calls_of_its_batch(ears: int) -> None:
    made = asyncio.run(hear(ears, detector=Broken()))

    assert [str(ear.failures[0]) for ear in made] == ["no model"] * ears
