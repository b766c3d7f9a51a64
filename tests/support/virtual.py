"""Virtual time: an event loop whose clock jumps to the next timer as soon as nothing else is ready.

A test that waits for nothing that will ever happen fails at once instead of hanging.
"""

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")
THREAD_PATIENCE_S = 5.0  # real seconds that a worker thread may take to report back


class DeadlockError(AssertionError):
    pass


class _JumpingSelector(selectors.SelectSelector):
    """Reports I/O that is ready now; instead of waiting, it moves the loop's clock."""

    def __init__(self) -> None:
        super().__init__()
        self.now_s = 0.0

    def select(self, timeout: float | None = None) -> Any:
        ready = super().select(0)
        if ready:
            return ready
        if timeout is None:  # no timer is left: only a thread can wake the loop
            ready = super().select(THREAD_PATIENCE_S)
            if not ready:
                raise DeadlockError("every task waits and no timer is left")
            return ready
        self.now_s += max(timeout, 0.0)
        return ready


class VirtualLoop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self._jumping = _JumpingSelector()
        super().__init__(self._jumping)

    def time(self) -> float:
        return self._jumping.now_s


def stand_still(seconds: float) -> None:
    """Time passes and nothing runs, as in a process that is stopped."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualLoop)
    loop._jumping.now_s += seconds


def run_virtual(main: Coroutine[Any, Any, T]) -> T:
    """Runs main to its end on virtual time. Raises AssertionError for a task that is left pending."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(_without_leftovers(main))


async def _without_leftovers(main: Coroutine[Any, Any, T]) -> T:
    result = await main
    for _ in range(5):  # what main cancelled gets a chance to finish
        await asyncio.sleep(0)
    left = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
    assert not left, f"tasks left pending: {left}"
    return result
