"""Drives the pure parts without a loop: audio or voice probabilities in, facts out, words after a set delay."""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Executor, Future
from typing import NamedTuple

import numpy as np

from trunkline.audio import pcm
from trunkline.audio.pcm import Samples
from trunkline.proto.speech import TurnRules
from trunkline.stt.endpointing import NO_ATTEMPT, Attempt, Decision, Endpointer, Resumed, Stopped
from trunkline.stt.engines.seam import Recogniser
from trunkline.stt.vad import WINDOW_SAMPLES, Silero, step

WINDOWS_PER_S = 16_000 / WINDOW_SAMPLES
Words = Callable[[Attempt], str]


class Inline(Executor):
    """Runs at once, on the loop: what is given to it takes no time."""

    def submit(self, fn, /, *args, **kwargs):  # type: ignore[no-untyped-def]  # the base class has no narrower types
        future: Future[object] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except Exception as error:
            future.set_exception(error)
        return future


class Heard(NamedTuple):
    utterance: int
    text: str
    from_sample: int
    to_sample: int


class Caller:
    """An endpointer whose recogniser takes `delay_windows`; decisions, finals and the time of each are kept."""

    def __init__(self, rules: TurnRules, words: Words, *, delay_windows: int = 3, from_sample: int = 0) -> None:
        self.endpointer = Endpointer(rules, from_sample)
        self.decisions: list[tuple[int, Decision]] = []
        self.finals: list[Heard] = []
        self._words = words
        self._delay = delay_windows
        self._running: dict[int, tuple[int, str]] = {}
        self._known: dict[int, str] = {NO_ATTEMPT: ""}
        self._wanted: list[Stopped] = []
        self._windows = 0

    def hear(self, probabilities: Iterable[float]) -> "Caller":
        for probability in probabilities:
            self._windows += 1
            self.take(self.endpointer.hear(probability))
            for number in [number for number, (due, _) in self._running.items() if due <= self._windows]:
                self._known[number] = self._running.pop(number)[1]
                self.take(self.endpointer.recognised(number, self._known[number]))
                self._settle(number)
        return self

    def take(self, decisions: Sequence[Decision]) -> None:
        for decision in decisions:
            self.decisions.append((self.endpointer.heard_to, decision))
            match decision:
                case Attempt(number=number):
                    self._running[number] = (self._windows + self._delay, self._words(decision))
                case Resumed(attempt=number):
                    self._running.pop(number, None)
                case Stopped(attempt=number):
                    self._wanted.append(decision)
                    self._settle(number)
                case _:
                    pass

    def _settle(self, attempt: int) -> None:
        """A Final for every end whose words are known."""
        for stopped in [stopped for stopped in self._wanted if stopped.attempt == attempt]:
            if attempt in self._known:
                self._wanted.remove(stopped)
                text = self._known[attempt]
                self.finals.append(Heard(stopped.utterance, text, stopped.from_sample, stopped.to_sample))

    def of(self, kind: type[Decision]) -> list[Decision]:
        return [decision for _, decision in self.decisions if isinstance(decision, kind)]

    def when(self, kind: type[Decision]) -> list[int]:
        """Samples heard when each decision of this kind fell."""
        return [heard_to for heard_to, decision in self.decisions if isinstance(decision, kind)]


def silence(seconds: float) -> list[float]:
    return [0.02] * round(seconds * WINDOWS_PER_S)


def voice(seconds: float) -> list[float]:
    return [0.95] * round(seconds * WINDOWS_PER_S)


def quiet(seconds: float, level_dbfs: float = -70.0) -> Samples:
    """A line's own faint noise."""
    noise = np.random.default_rng(7).normal(0.0, 10 ** (level_dbfs / 20) * pcm.FULL_SCALE, round(seconds * 16_000))
    return np.rint(noise).astype(np.int16)


def hear_audio(samples: Samples, rules: TurnRules, detector: Silero, recogniser: Recogniser) -> Caller:
    """samples: at 16 kHz."""

    def words(attempt: Attempt) -> str:
        clip = samples[attempt.from_sample : attempt.to_sample]
        return recogniser.recognise(pcm.to_float(clip), attempt.utterance)

    caller, place = Caller(rules, words), detector.open()
    for at in range(0, len(samples) - WINDOW_SAMPLES + 1, WINDOW_SAMPLES):
        caller.hear(step(detector, [place], [pcm.to_bytes(samples[at : at + WINDOW_SAMPLES])]))
    detector.close(place)
    return caller


class Slow(Executor):
    """Runs on the loop, and takes so long of its (virtual) time; one job after the other."""

    def __init__(self, takes_s: float) -> None:
        self._takes_s = takes_s
        self._free_s = 0.0

    def submit(self, fn, /, *args, **kwargs):  # type: ignore[no-untyped-def]  # the base class has no narrower types
        future: Future[object] = Future()
        loop = asyncio.get_running_loop()
        self._free_s = max(self._free_s, loop.time()) + self._takes_s

        def run() -> None:
            try:
                future.set_result(fn(*args, **kwargs))
            except Exception as error:
                future.set_exception(error)

        loop.call_at(self._free_s, run)
        return future
