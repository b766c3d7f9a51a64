"""Giving freed memory back to the system."""

import ctypes
import gc


def give_back(*, collect: bool) -> None:
    """What glibc holds free between pieces in use; elsewhere nothing. Takes milliseconds.

    collect: Python's garbage first, which takes longer the more is alive.
    """
    if collect:
        gc.collect()
    if _trim is not None:
        _trim(0)


_trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
