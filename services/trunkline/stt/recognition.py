"""Recognition of all calls on a few threads: finals before attempts, calls in turn, a call's own jobs in order.

The event loop owns the queue; threads see one job each and nothing else.
"""

import asyncio
from collections import OrderedDict, deque
from collections.abc import Callable
from concurrent.futures import Executor
from functools import partial

import numpy as np
from prometheus_client import Counter, Gauge

from trunkline.audio import pcm
from trunkline.audio.pcm import Samples
from trunkline.runtime.engine_watch import HANG_LIMIT_S, EngineWatch
from trunkline.stt.engines.seam import PIECE_SAMPLES, RATE_HZ, Recogniser

WAIT_LIMIT_S = 6.0  # of words that are wanted, for a thread; a gateway moves the call before, where that helps
CALL_JOBS = 8  # a call's jobs that wait; one attempt and the finals of a fast replay
QUIET_SAMPLES = RATE_HZ // 20  # how finely a place to split is looked for

_audio = Counter("trunkline_stt_audio_seconds_total", "Audio given to the recogniser")
_failures = Counter("trunkline_stt_failures_total", "Recognitions that raised, or found the call's queue full")
_unwanted = Counter("trunkline_stt_unwanted_total", "Recognitions whose words were not wanted any more")
_overdue = Counter("trunkline_stt_overdue_total", "Utterances given up, since no thread came free in time")
_waiting = Gauge("trunkline_stt_waiting", "Recognitions that wait for a thread")


class QueueFull(RuntimeError):
    def __init__(self, call: str) -> None:
        super().__init__(f"{CALL_JOBS} recognitions of {call} wait already")


class Overdue(RuntimeError):
    def __init__(self, limit_s: float) -> None:
        super().__init__(f"no thread came free within {limit_s:g} s: this worker has more to do than it can")


Outcome = str | Exception


class Job:
    """done: called on the loop with the words or what went wrong, unless the job is cancelled; must not raise."""

    def __init__(self, call: str, utterance: int, audio: Samples, done: Callable[[Outcome], None]) -> None:
        self.call = call
        self.utterance = utterance
        self.audio = audio
        self.done = done
        self.final = False
        self.cancelled = False
        self.waiting = False
        self.overdue: asyncio.TimerHandle | None = None

    def stop_waiting(self) -> None:
        self.waiting = False
        if self.overdue is not None:
            self.overdue.cancel()
            self.overdue = None


class JobQueue:
    """Pure: which job is next. Among calls with a final those go first; within each kind calls take turns."""

    def __init__(self) -> None:
        self._calls: OrderedDict[str, deque[Job]] = OrderedDict()
        self._busy: set[str] = set()
        self._length = 0

    def __len__(self) -> int:
        return self._length

    def put(self, job: Job) -> bool:
        """False if the call has too many waiting."""
        jobs = self._calls.setdefault(job.call, deque())
        if len(jobs) >= CALL_JOBS:
            return False
        jobs.append(job)
        job.waiting = True
        self._count(1)
        return True

    def remove(self, job: Job) -> None:
        jobs = self._calls.get(job.call)
        if jobs is not None and job in jobs:
            jobs.remove(job)
            job.stop_waiting()
            self._count(-1)
            if not jobs:
                del self._calls[job.call]

    def take(self) -> Job | None:
        """The next job; its call has no other turn until `release`."""
        chosen: str | None = None
        for call, jobs in self._calls.items():
            if call in self._busy:
                continue
            if any(job.final for job in jobs):  # what waits before a final of its own call goes with it
                chosen = call
                break
            chosen = chosen or call
        if chosen is None:
            return None
        job = self._calls[chosen].popleft()
        job.stop_waiting()
        self._count(-1)
        self._busy.add(chosen)
        if self._calls[chosen]:
            self._calls.move_to_end(chosen)
        else:
            del self._calls[chosen]
        return job

    def release(self, call: str) -> None:
        self._busy.discard(call)

    def _count(self, more: int) -> None:
        self._length += more
        _waiting.inc(more)


class Recognition:
    """workers: jobs at a time; more than there are cores helps nobody. limit_s: of one, until the engine hangs.

    wait_s: that a Final waits for a thread; it fails then, so that a queue that only grows ends.
    """

    def __init__(
        self,
        recogniser: Recogniser,
        executor: Executor,
        workers: int,
        *,
        limit_s: float = HANG_LIMIT_S,
        wait_s: float = WAIT_LIMIT_S,
    ) -> None:
        self._recogniser = recogniser
        self._inline = getattr(recogniser, "inline", False)  # a plugin may not tell
        self._executor = executor
        self._workers = workers
        self._loop = asyncio.get_running_loop()
        self._queue = JobQueue()
        self._running: set[asyncio.Future[str]] = set()
        self._watch = EngineWatch(recogniser.name, workers, limit_s=limit_s)
        self._wait_s = wait_s
        self._stopped = False

    @property
    def idle(self) -> bool:
        """A job that nobody waits for delays none: no other waits, and of several threads one stays free."""
        return not len(self._queue) and len(self._running) < max(1, self._workers - 1)

    def submit(self, job: Job) -> None:
        if self._queue.put(job):
            self._dispatch()
            self._limit_wait(job)
            return
        _failures.inc()
        self._loop.call_soon(self._report, job, QueueFull(job.call))

    def want(self, job: Job) -> None:
        """The job's words are a Final: it goes before attempts."""
        job.final = True
        self._limit_wait(job)

    def cancel(self, job: Job) -> None:
        if not job.cancelled:
            job.cancelled = True
            _unwanted.inc()
            self._queue.remove(job)

    def stop(self) -> None:
        """Nothing is started or reported any more; what runs on a thread ends by itself."""
        self._stopped = True
        self._watch.stop()

    def _limit_wait(self, job: Job) -> None:
        if job.waiting and job.final and job.overdue is None and self._wait_s < float("inf"):
            job.overdue = self._loop.call_later(self._wait_s, self._give_up, job)

    def _give_up(self, job: Job) -> None:
        _overdue.inc()
        self._queue.remove(job)
        self._report(job, Overdue(self._wait_s))

    def _dispatch(self) -> None:
        while not self._stopped and len(self._running) < self._workers:
            job = self._queue.take()
            if job is None:
                break
            run = self._begin(job)
            self._running.add(run)
            self._watch.began()
            run.add_done_callback(partial(self._ended, job))

    def _begin(self, job: Job) -> asyncio.Future[str]:
        if not self._inline:
            return self._loop.run_in_executor(self._executor, recognise, self._recogniser, job)
        run: asyncio.Future[str] = self._loop.create_future()
        try:
            run.set_result(recognise(self._recogniser, job))
        except Exception as error:  # the rim of an engine: contained in its utterance
            run.set_exception(error)
        return run

    def _ended(self, job: Job, run: asyncio.Future[str]) -> None:
        self._running.discard(run)
        self._watch.ended()
        self._queue.release(job.call)
        outcome: Outcome
        if run.cancelled():
            outcome = RuntimeError("the process ends")
        else:
            error = run.exception()
            outcome = run.result() if error is None else RuntimeError(f"{type(error).__name__}: {error}")
            if error is not None:
                _failures.inc()
        _audio.inc(len(job.audio) / RATE_HZ)
        self._report(job, outcome)
        self._dispatch()

    def _report(self, job: Job, outcome: Outcome) -> None:
        if not job.cancelled and not self._stopped:
            job.done(outcome)


def recognise(recogniser: Recogniser, job: Job) -> str:
    """On a thread. Long audio (of push to talk) is recognised in pieces."""
    if job.cancelled:
        return ""
    texts = [recogniser.recognise(pcm.to_float(piece), job.utterance).strip() for piece in pieces(job.audio)]
    return " ".join(text for text in texts if text)


def pieces(audio: Samples, limit_samples: int = PIECE_SAMPLES) -> list[Samples]:
    """Pieces of limit_samples at most that join to audio, each split at the quietest place of the last third."""
    found: list[Samples] = []
    while len(audio) > limit_samples:
        first = limit_samples * 2 // 3
        spans = (limit_samples - first) // QUIET_SAMPLES
        tail = audio[first : first + spans * QUIET_SAMPLES].astype(np.float32).reshape(spans, QUIET_SAMPLES)
        quietest = int(np.square(tail).sum(axis=1).argmin())
        split = first + quietest * QUIET_SAMPLES + QUIET_SAMPLES // 2
        found.append(audio[:split])
        audio = audio[split:]
    return [*found, audio]
