"""One voice detector for all calls of the process: windows that are ready together are judged in one run.

Whatever came in one message is ready together, so a run begins right behind it. A call is in a batch at most once, so
that its windows are judged in order; a replay is judged without pause, and live calls take part in every run of it.
"""

import asyncio
from collections.abc import Sequence
from concurrent.futures import Executor
from typing import Protocol

from trunkline.stt.vad import Batch, VoiceDetector

INLINE_US = 1_300.0  # of a run; a longer one goes to a thread, so that the loop keeps its pace


class Listener(Protocol):
    place: int  # at the detector, from `Listening.join`

    def next_window(self) -> bytes | None:
        """WINDOW_SAMPLES of int16 LE, or None if there are not that many."""
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
        self._rested_s = 0.0  # when a run may begin that nobody is behind for
        self._waiting: dict[Listener, None] = {}
        self._judged: set[Listener] = set()
        self._left: list[int] = []  # places of calls that ended while a run on the thread has them
        self._behind = False  # somebody has more than the windows of the next run
        self._due: asyncio.Handle | None = None
        self._run: asyncio.Future[None] | None = None

    def join(self) -> int:
        """The place of a listener to be, until `forget`."""
        return self._detector.open()

    def enlist(self, listener: Listener, *, behind: bool = False) -> None:
        """It has a window ready; behind: and more than live audio brings, so that nothing is gained by a pause."""
        self._waiting[listener] = None
        if behind and not self._behind:
            self._behind = True
            self._hurry()
        if self._due is None and self._run is None:
            self._schedule()

    def forget(self, listener: Listener) -> None:
        """Once."""
        self._waiting.pop(listener, None)
        self._judged.discard(listener)
        if self._run is None:
            self._detector.close(listener.place)
        else:
            self._left.append(listener.place)

    def stop(self) -> None:
        self._waiting.clear()
        self._judged.clear()
        if self._due is not None:
            self._due.cancel()

    def _schedule(self) -> None:
        if not self._behind and self._loop.time() < self._rested_s:
            self._due = self._loop.call_at(self._rested_s, self._tick)
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
        if not ready:
            return
        listeners = [listener for listener, _ in ready]
        self._judged.update(listeners)
        try:
            batch = self._detector.batch([listener.place for listener in listeners], [window for _, window in ready])
        except Exception as error:  # the rim of an engine, as below
            self._fail(listeners, error)
            return
        if len(ready) * self._detector.window_us <= INLINE_US:
            self._judge_inline(listeners, batch)
            return
        self._run = self._loop.run_in_executor(self._thread, batch.judge)
        self._run.add_done_callback(lambda run: self._judged_on_thread(listeners, batch, run))

    def _judge_inline(self, listeners: Sequence[Listener], batch: Batch) -> None:
        try:
            batch.judge()
        except Exception as error:  # the rim of an engine: its calls fail, the process goes on
            self._fail(listeners, error)
        else:
            self._tell(listeners, batch)

    def _judged_on_thread(self, listeners: Sequence[Listener], batch: Batch, run: asyncio.Future[None]) -> None:
        self._run = None
        if run.cancelled():  # the process ends
            return
        error = run.exception()
        if isinstance(error, Exception):
            self._fail(listeners, error)
        else:
            self._tell(listeners, batch)
        for place in self._left:
            self._detector.close(place)
        self._left.clear()
        if self._waiting and self._due is None:
            self._schedule()

    def _tell(self, listeners: Sequence[Listener], batch: Batch) -> None:
        self._rested_s = self._loop.time() + self._detector.pause_s
        try:
            probabilities = batch.keep()
        except Exception as error:  # the rim of an engine, as above
            self._fail(listeners, error)
            return
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
