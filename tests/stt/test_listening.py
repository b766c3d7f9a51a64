"""Batches of windows, and a call that fails among others."""

import asyncio
from collections.abc import Awaitable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import numpy as np
import pytest

from support.virtual import run_virtual
from trunkline.stt.listening import INLINE_US, Listening
from trunkline.stt.vad import WINDOW_SAMPLES, Batch, Loudness

from .driving import Inline, Slow

T = TypeVar("T")


class Counting(Loudness):
    """Counts the windows of each run; with `window_us` of its own a run of some calls goes to the thread."""

    def __init__(self, window_us: float = Loudness.window_us) -> None:
        self.window_us = window_us
        self.batches: list[int] = []
        self.free = list(range(99))

    def open(self) -> int:
        return self.free.pop()

    def close(self, place: int) -> None:
        self.free.append(place)

    def batch(self, places: Sequence[int], windows: Sequence[bytes]) -> Batch:
        self.batches.append(len(windows))
        assert len(places) == len(set(places))
        return super().batch(places, windows)


class Ear:
    """Has `windows` left to be heard; every third is loud. Raises at window `fails_at`."""

    def __init__(self, listening: Listening, windows: int, *, fails_at: int = -1) -> None:
        self.place = listening.join()
        self.heard: list[float] = []
        self.failures: list[Exception] = []
        self.done = asyncio.Event()
        self._listening, self._windows, self._fails_at = listening, windows, fails_at
        listening.enlist(self)

    def next_window(self) -> bytes | None:
        loud = len(self.heard) % 3 == 2
        return (
            np.full(WINDOW_SAMPLES, 5_000 if loud else 0, dtype="<i2").tobytes()
            if len(self.heard) < self._windows
            else None
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


COSTLY_US = INLINE_US / 2.5  # a window: three go to the thread, two don't


@pytest.mark.parametrize("ears", [1, 3, 25])
def test_every_call_hears_its_windows_in_order(ears: int) -> None:
    heard = [ear.heard for ear in asyncio.run(hear(ears, detector=Counting(COSTLY_US)))]

    assert heard == [[0.0, 0.0, 1.0] * 3] * ears


def test_calls_that_are_ready_together_are_judged_in_one_run() -> None:
    detector = Counting()
    asyncio.run(hear(3, detector=detector))

    assert detector.batches == [3] * 9


@pytest.mark.parametrize("ears", [2, 25])
def test_a_call_that_fails_leaves_the_others_of_its_batch_alone(ears: int) -> None:
    failed, *others = asyncio.run(hear(ears, fails_at=4, detector=Counting(COSTLY_US)))

    assert [str(error) for error in failed.failures] == ["this call fails"]
    assert [len(ear.heard) for ear in others] == [9] * (ears - 1)


class Broken(Counting):
    """where: `batch`, `judge` or `keep`."""

    def __init__(self, where: str) -> None:
        super().__init__(COSTLY_US)
        self._where = where

    def batch(self, places: Sequence[int], windows: Sequence[bytes]) -> Batch:
        if self._where == "batch":
            fail()
        batch = super().batch(places, windows)
        setattr(batch, self._where, fail)  # of this one run
        return batch


def fail() -> None:
    raise RuntimeError("no model")


@pytest.mark.parametrize("where", ["batch", "judge", "keep"])
@pytest.mark.parametrize("ears", [2, 25])
def test_a_broken_detector_fails_the_calls_of_its_batch(ears: int, where: str) -> None:
    made = asyncio.run(hear(ears, detector=Broken(where)))

    assert [str(ear.failures[0]) for ear in made] == ["no model"] * ears


def test_a_place_is_nobody_elses_while_a_run_on_the_thread_has_it() -> None:
    async def scenario() -> tuple[bool, bool]:
        detector, thread = Counting(2 * INLINE_US), Slow(1.0)
        listening = Listening(detector, thread)
        ear = Ear(listening, 1)
        await asyncio.sleep(0.5)
        listening.forget(ear)
        held = ear.place in detector.free
        await asyncio.sleep(1.0)
        return held, ear.place in detector.free

    assert run_virtual(scenario()) == (False, True)


def test_a_detector_whose_runs_cost_much_beside_their_windows_pauses_between_them() -> None:
    async def scenario() -> list[int]:
        detector = Counting()
        detector.pause_s = 0.004
        listening = Listening(detector, Inline())
        ears = [Ear(listening, 5) for _ in range(2)]
        for ear in ears:
            await ear.done.wait()
        return detector.batches

    assert run_virtual(timed(scenario())) == ([2] * 5, pytest.approx(0.016, abs=0.002))


async def timed(work: Awaitable[T]) -> tuple[T, float]:
    loop = asyncio.get_running_loop()
    begun_s = loop.time()
    return await work, loop.time() - begun_s


class Live(Ear):
    """Gets a window every 32 ms."""

    def __init__(self, listening: Listening, windows: int) -> None:
        self._ready = 0
        super().__init__(listening, windows)
        self._arrive()

    def next_window(self) -> bytes | None:
        return super().next_window() if len(self.heard) < self._ready else None

    def hear(self, probability: float) -> None:
        self.heard.append(probability)
        if len(self.heard) == self._windows:
            self.done.set()

    def _arrive(self) -> None:
        self._ready += 1
        self._listening.enlist(self)
        if self._ready < self._windows:
            asyncio.get_running_loop().call_later(0.032, self._arrive)


class Replayed(Ear):
    def hear(self, probability: float) -> None:
        self.heard.append(probability)
        left = self._windows - len(self.heard)
        if left:
            self._listening.enlist(self, behind=left >= 4)
        else:
            self.done.set()


def test_a_replay_is_judged_without_pause_and_live_calls_keep_their_pace() -> None:
    async def scenario() -> tuple[float, int]:
        listening = Listening(Loudness(), Inline())
        live = [Live(listening, 31) for _ in range(10)]
        loop = asyncio.get_running_loop()
        await asyncio.sleep(0.2)
        begun_s = loop.time()
        replayed = Replayed(listening, 900)
        await replayed.done.wait()
        took_s = loop.time() - begun_s
        for ear in live:
            await ear.done.wait()
        return took_s, min(len(ear.heard) for ear in live)

    took_s, heard = run_virtual(scenario())

    assert took_s < 0.05  # of virtual time: it waits for nothing
    assert heard == 31
