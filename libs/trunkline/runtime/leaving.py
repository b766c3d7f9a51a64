"""The way out of a process whose threads may hang: an engine that never returns must not keep its process alive.

Python waits for its threads at the end, and a supervisor for the process: nobody would start the stage again.
"""

import logging
import os
import sys
import threading
import time
from typing import NoReturn

from trunkline.telemetry import logs, tracing

THREADS_LIMIT_S = 2.0  # for threads whose work is over to notice

log = logs.get(__name__)


def leave(status: int) -> NoReturn:
    """At once, whatever threads still do; spans and log lines that wait get out first. May be called anywhere."""
    tracing.shutdown()
    logging.shutdown()
    sys.stdout.flush()
    os._exit(status)


def leave_if_threads_hang(status: int) -> None:
    """Returns when no thread is left that Python would wait for; does not return otherwise."""
    hanging = _hanging()
    if hanging:
        log.error("leaving with threads that hang", threads=hanging, status=status)
        leave(status)


def _hanging() -> list[str]:
    give_up_s = time.monotonic() + THREADS_LIMIT_S
    others = [each for each in threading.enumerate() if each is not threading.current_thread() and not each.daemon]
    for thread in others:
        thread.join(max(0.0, give_up_s - time.monotonic()))
    return sorted(thread.name for thread in others if thread.is_alive())
