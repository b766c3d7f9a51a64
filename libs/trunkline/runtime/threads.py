"""Blocking functions, each in a thread of its own that nobody has to wait for.

A pool's threads can't be given up: one that hangs keeps its place, and the process from ending. These are daemons;
how many there may be is decided by whoever starts them.
"""

import asyncio
import contextvars
import threading
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def in_thread(function: Callable[[], T], name: str) -> asyncio.Future[T]:
    """Runs function, which must not raise, with the caller's context variables. The result comes to this loop."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[T] = loop.create_future()
    context = contextvars.copy_context()

    def work() -> None:
        result = context.run(function)
        try:
            loop.call_soon_threadsafe(_deliver, future, result)
        except RuntimeError:  # the loop was closed while the function hung: nobody waits any more
            return

    threading.Thread(target=work, name=name, daemon=True).start()
    return future


def _deliver(future: asyncio.Future[T], result: T) -> None:
    if not future.done():
        future.set_result(result)
