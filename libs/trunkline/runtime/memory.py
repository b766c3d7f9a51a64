"""Giving freed memory back to the system."""

import ctypes
import gc

LARGE_BYTES = 1024 * 1024
COLLECTIONS = 2  # of the middle generation between two of the oldest; 10 by Python itself
M_MMAP_THRESHOLD = -3  # as malloc.h has it


def give_back(*, collect: bool) -> None:
    """What glibc holds free between pieces in use; elsewhere nothing. Takes milliseconds.

    collect: Python's garbage first, which takes longer the more is alive.
    """
    if collect:
        gc.collect()
    if _trim is not None:
        _trim(0)


def collect_sooner() -> None:
    """For a process whose long-lived objects end in cycles, as a call with all that was said in it.

    Python still waits until a quarter more lives than at the last time, so that many calls cost no collection each.
    """
    gc.set_threshold(*gc.get_threshold()[:2], COLLECTIONS)


def keep_large_apart() -> None:
    """From now on each large piece is given back as soon as it is freed; elsewhere than with glibc nothing.

    By itself glibc takes the size of what was freed for usual, and keeps as much. Source: mallopt(3).
    """
    if _mallopt is not None:
        _mallopt(M_MMAP_THRESHOLD, LARGE_BYTES)


_trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
_mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
