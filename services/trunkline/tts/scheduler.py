"""Whose step of synthesis runs next, on a bounded number of threads.

Rule: the first step of a response's first segment goes before all others; otherwise the call that will run out of
audio soonest. One job per call waits here, so the queue is bounded by the calls; and none waits for more than
WAIT_LIMIT_S while its call has no audio: it fails, so that a queue that only grows ends.
"""

import asyncio
import heapq
import itertools
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import NamedTuple, Protocol, TypeVar

from prometheus_client import Counter

from trunkline.runtime.engine_watch import HANG_LIMIT_S, PATIENT_LIMIT_S, EngineWatch
from trunkline.runtime.patience import patient_threads
from trunkline.tts.render import Rendered

T = TypeVar("T")
WAIT_LIMIT_S = 10.0  # of a step that is due, for a thread; a gateway moves the call before, where that helps

_overdue = Counter("trunkline_tts_overdue_total", "Segments given up, since no thread came free in time")


class Overdue(RuntimeError):
    def __init__(self, limit_s: float) -> None:
        super().__init__(f"no thread came free within {limit_s:g} s: this worker has more to do than it can")


class _Waiting(NamedTuple):
    priority: "Priority"
    order: int
    job: "Job"
    overdue: asyncio.TimerHandle | None


class Priority(NamedTuple):
    """Lowest first. due_s: monotonic time at which the call's audio runs out."""

    later: bool
    due_s: float


class Job(Protocol):
    """step runs on a thread and blocks; everything else runs on the event loop. At most one step runs at a time."""

    @property
    def cancelled(self) -> bool: ...

    def priority(self) -> Priority: ...

    def step(self) -> Rendered: ...

    def stepped(self, rendered: Rendered) -> None:
        """Takes the step's result; adds itself again if there is more."""
        ...

    def failed(self, error: BaseException) -> None: ...


class Scheduler:
    """threads: steps at a time; 0 runs them on the event loop, one per turn of it.

    patient: in the time that others leave, however long that takes.
    """

    def __init__(self, threads: int, engine: str = "", *, patient: bool = False) -> None:
        self._watch = EngineWatch(engine, threads or 1, limit_s=PATIENT_LIMIT_S if patient else HANG_LIMIT_S)
        self._limit = threads or 1
        make = patient_threads if patient else ThreadPoolExecutor
        self._executor = make(threads, "tts-patient" if patient else "tts") if threads else None
        self._loop = asyncio.get_running_loop()
        self._bounded = bool(threads) and not patient
        self._waiting: list[_Waiting] = []
        self._running = 0
        self._order = itertools.count()
        self._closed = False

    @property
    def waiting(self) -> int:
        return len(self._waiting)

    def add(self, job: Job) -> None:
        priority, overdue = job.priority(), None
        if self._bounded:
            give_up_s = max(priority.due_s, self._loop.time()) + WAIT_LIMIT_S
            overdue = self._loop.call_at(give_up_s, self._give_up, job)
        heapq.heappush(self._waiting, _Waiting(priority, next(self._order), job, overdue))
        self._start()

    async def run(self, work: Callable[[], T]) -> T:
        """Blocking work outside the queue: loading, before there are calls."""
        if self._executor is None:
            return work()
        return await self._loop.run_in_executor(self._executor, work)

    def close(self) -> None:
        """A running step ends by itself; nobody hears of it."""
        self._closed = True
        for waiting in self._waiting:
            _forget(waiting)
        self._waiting.clear()
        self._watch.stop()
        if self._executor is not None:
            self._executor.shutdown(wait=False, cancel_futures=True)

    def _start(self) -> None:
        while self._waiting and self._running < self._limit and not self._closed:
            waiting = heapq.heappop(self._waiting)
            _forget(waiting)
            job = waiting.job
            if job.cancelled:
                continue
            self._running += 1
            if self._executor is None:
                self._loop.call_soon(self._step_here, job)
            else:
                future = self._loop.run_in_executor(self._executor, job.step)
                self._watch.began()
                future.add_done_callback(partial(self._stepped, job))

    def _give_up(self, job: Job) -> None:
        self._waiting = [waiting for waiting in self._waiting if waiting.job is not job]
        heapq.heapify(self._waiting)
        if not job.cancelled:
            _overdue.inc()
            job.failed(Overdue(WAIT_LIMIT_S))

    def _step_here(self, job: Job) -> None:
        future: asyncio.Future[Rendered] = self._loop.create_future()
        try:
            future.set_result(job.step())
        except Exception as error:  # the rim of an engine: contained in its segment
            future.set_exception(error)
        self._stepped(job, future)

    def _stepped(self, job: Job, future: "asyncio.Future[Rendered]") -> None:
        self._running -= 1
        if self._executor is not None:
            self._watch.ended()
        try:
            if self._closed or future.cancelled():
                return
            error = future.exception()
            if not job.cancelled:
                self._tell(job, future, error)
        finally:
            self._start()

    @staticmethod
    def _tell(job: Job, future: "asyncio.Future[Rendered]", error: BaseException | None) -> None:
        if error is not None:
            job.failed(error)
            return
        try:
            job.stepped(future.result())
        except Exception as problem:  # the rim of a call: others wait for this thread
            job.failed(problem)


def _forget(waiting: _Waiting) -> None:
    if waiting.overdue is not None:
        waiting.overdue.cancel()
