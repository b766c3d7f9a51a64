"""One voice detector for all calls of the process: windows that are ready together are judged in one run.

A call is in a batch at most once, so that its windows are judged in order; a replay is judged without pause, and live
calls take part in every run of it.
"""

import asyncio
from collections.abc import Sequence
from concurrent.futures import Executor
from typing import Protocol

from trunkline.audio.pcm import Samples
from trunkline.stt.vad import VoiceDetector, VoiceState

INLINE_CALLS = 20  # more are judged on a thread, so that the loop keeps its pace
LONELY_CALLS = 4  # with more calls than this, windows are gathered for a moment: one run costs much like another
GATHER_S = 0.01


class Listener(Protocol):
    voice: VoiceState

    def next_window(self) -> Samples | None:
        """WINDOW_SAMPLES, or None if there are not that many."""
        ...

    def hear(self, probability: float) -> None:
        """Of the window that next_window gave last."""
        ...

    def fail(self, error: Exception) -> None: ...


class Listening:
    def __init__(self, detector: VoiceDetector, thread: Executor) -> None:
        """thread: runs one job at a time."""
        self._detector = detector
        self._thread = thread
        self._loop = asyncio.get_running_loop()
        self._waiting: dict[Listener, None] = {}
        self._judged: set[Listener] = set()
        self._last_calls = 0
        self._behind = False  # somebody has more than the windows of the next run
        self._due: asyncio.Handle | None = None
        self._run: asyncio.Future[list[float]] | None = None

    def enlist(self, listener: Listener, *, behind: bool = False) -> None:
        """It has a window ready; behind: and more than live audio brings, so that nothing is gained by gathering."""
        self._waiting[listener] = None
        if behind and not self._behind:
            self._behind = True
            self._hurry()
        self._schedule()

    def forget(self, listener: Listener) -> None:
        self._waiting.pop(listener, None)
        self._judged.discard(listener)

    def stop(self) -> None:
        self._waiting.clear()
        self._judged.clear()
        if self._due is not None:
            self._due.cancel()

    def _schedule(self) -> None:
        if self._due is not None or self._run is not None or not self._waiting:
            return
        if self._last_calls > LONELY_CALLS and not self._behind:
            self._due = self._loop.call_later(GATHER_S, self._tick)
        else:
            self._due = self._loop.call_soon(self._tick)

    def _hurry(self) -> None:
        if self._due is not None:
            self._due.cancel()
            self._due = None

    def _tick(self) -> None:
        self._due, self._behind = None, False
        ready = [(listener, window) for listener in self._waiting if (window := listener.next_window()) is not None]
        self._waiting.clear()
        self._last_calls = len(ready)
        if not ready:
            return
        listeners = [listener for listener, _ in ready]
        self._judged.update(listeners)
        states, windows = [listener.voice for listener in listeners], [window for _, window in ready]
        if len(ready) <= INLINE_CALLS:
            self._judge_inline(listeners, states, windows)
            return
        self._run = self._loop.run_in_executor(self._thread, self._detector.step, states, windows)
        self._run.add_done_callback(lambda run: self._judged_on_thread(listeners, run))

    def _judge_inline(
        self, listeners: Sequence[Listener], states: Sequence[VoiceState], windows: Sequence[Samples]
    ) -> None:
        try:
            probabilities = self._detector.step(states, windows)
        except Exception as error:  # the rim of an engine: its calls fail, the process goes on
            self._fail(listeners, error)
        else:
            self._tell(listeners, probabilities)

    def _judged_on_thread(self, listeners: Sequence[Listener], run: asyncio.Future[list[float]]) -> None:
        self._run = None
        if run.cancelled():  # the process ends
            return
        error = run.exception()
        if isinstance(error, Exception):
            self._fail(listeners, error)
        else:
            self._tell(listeners, run.result())
        self._schedule()

    def _tell(self, listeners: Sequence[Listener], probabilities: Sequence[float]) -> None:
        for listener, probability in zip(listeners, probabilities, strict=True):
            if listener not in self._judged:  # its call ended meanwhile
                continue
            self._judged.discard(listener)
            try:
                listener.hear(probability)
            except Exception as error:  # the rim of a call: the others in the batch go on
                listener.fail(error)

    def _fail(self, listeners: Sequence[Listener], error: Exception) -> None:
        for listener in listeners:
            if listener in self._judged:
                self._judged.discard(listener)
                listener.fail(error)
