"""Threads for what no caller waits for: the machine runs them with the time that others leave.

Rule: they are no others' threads; a call's work never waits for one of them to come free.
"""

import os
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

NICER = 10  # a ninth of the time of one that wants it as much


def patient_threads(count: int, name: str) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(count, name, initializer=_step_back)


def _step_back() -> None:
    """On Linux each thread has a niceness of its own. Source: sched(7), setpriority(2)."""
    if sys.platform == "linux":
        thread = threading.get_native_id()
        os.setpriority(os.PRIO_PROCESS, thread, os.getpriority(os.PRIO_PROCESS, thread) + NICER)
