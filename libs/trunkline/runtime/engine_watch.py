"""Notices that every thread of an engine hangs: the process beats and listens, and can serve nobody.

Its hubs have moved the calls for want of progress; the process ends, so that a supervisor starts another.
Loading and warming up aren't watched.
"""

import asyncio
import logging
import os
from collections.abc import Callable

from trunkline.telemetry import logs

HANG_LIMIT_S = 10.0  # of one job, when there is a job on every thread
PATIENT_LIMIT_S = 60.0  # of one that has only the time that others leave
SURE_S = 2.0  # of it in a process that runs: one that was stopped hears of what ended only once it goes on
EXIT_FAILED = 1

log = logs.get(__name__)


def end_process(engine: str) -> None:
    """At once: no orderly stop would get through to threads that hang."""
    log.critical("engine hangs on every thread; the process ends", engine=engine)
    logging.shutdown()
    os._exit(EXIT_FAILED)


class EngineWatch:
    """threads: that run jobs of this engine. limit_s: of one job. Belongs to the event loop."""

    def __init__(
        self,
        engine: str,
        threads: int,
        on_hung: Callable[[str], None] = end_process,
        *,
        limit_s: float = HANG_LIMIT_S,
    ) -> None:
        self._engine = engine
        self._threads = threads
        self._on_hung = on_hung
        self._limit_s = limit_s
        self._loop = asyncio.get_running_loop()
        self._running = 0
        self._due: asyncio.TimerHandle | None = None

    def began(self) -> None:
        """A job is on a thread. When it is the last free one, all are stuck if none ends from here on."""
        self._running += 1
        if self._running == self._threads:
            self._due = self._loop.call_later(self._limit_s - SURE_S, self._make_sure)

    def ended(self) -> None:
        self._running -= 1
        self.stop()

    def _make_sure(self) -> None:
        self._due = self._loop.call_later(SURE_S, self._on_hung, self._engine)

    def stop(self) -> None:
        if self._due is not None:
            self._due.cancel()
            self._due = None
