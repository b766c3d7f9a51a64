"""Virtual time: an event loop whose clock jumps to the next timer as soon as nothing else is ready.

A test that waits for nothing that will ever happen fails at once instead of hanging.
"""

import asyncio
import selectors
import threading
import time
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar
from unittest import mock

T = TypeVar("T")
THREAD_PATIENCE_S = 5.0  # real seconds that a worker thread may take to report back
JUDGE_PATIENCE_S = 0.05  # ... and a guardrail's, before time passes; then it hangs
SOCKET_PACE = 100  # seconds of virtual time that pass in a real one at most: bytes get that long to arrive
SOCKET_PATIENCE_S = 0.01  # and no longer


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
        if timeout > 0 and any(one.name.startswith("guardrail-") for one in threading.enumerate()):
            ready = super().select(JUDGE_PATIENCE_S)
            if ready:
                return ready
        self.now_s += max(timeout, 0.0)
        return ready


class VirtualLoop(asyncio.SelectorEventLoop):
    def __init__(self, jumping: _JumpingSelector | None = None) -> None:
        self._jumping = jumping or _JumpingSelector()
        super().__init__(self._jumping)

    def time(self) -> float:
        return self._jumping.now_s


class _SocketSelector(_JumpingSelector):
    """Before it moves the clock it waits for bytes that are under way, and for whatever a thread has to report."""

    def __init__(self) -> None:
        super().__init__()
        self.now_s = 1000.0  # no timeout is as long as that: whoever looks back sees a past
        self.threads_busy = 0

    def select(self, timeout: float | None = None) -> Any:
        if timeout is None or timeout > 0.0:
            patience_s = min((timeout or 1.0) / SOCKET_PACE, SOCKET_PATIENCE_S)
            ready = selectors.SelectSelector.select(self, THREAD_PATIENCE_S if self.threads_busy else patience_s)
            if ready:
                return ready
        return super().select(timeout)


class SocketLoop(VirtualLoop):
    """Virtual time for sockets and threads of this process: it stands still while there is anything to wait for."""

    def __init__(self) -> None:
        self._sockets = _SocketSelector()
        super().__init__(self._sockets)

    def run_in_executor(self, executor: Any, func: Callable[..., T], *args: Any) -> asyncio.Future[T]:  # type: ignore[override]  # plainer
        work = super().run_in_executor(executor, func, *args)
        self._sockets.threads_busy += 1
        work.add_done_callback(self._reported)
        return work

    def _reported(self, work: asyncio.Future[Any]) -> None:
        self._sockets.threads_busy -= 1


def stand_still(seconds: float) -> None:
    """Time passes and nothing runs, as in a process that is stopped."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualLoop)
    loop._jumping.now_s += seconds


def run_virtual(main: Coroutine[Any, Any, T]) -> T:
    """Runs main to its end on virtual time. Raises AssertionError for a task that is left pending."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(_without_leftovers(main))


def run_over_sockets(main: Coroutine[Any, Any, T]) -> T:
    """As run_virtual, for sockets between the parts of this process. The wall clock is virtual, too.

    What such a test finds depends on no machine's speed, and a minute of calls takes a second.
    """
    with asyncio.Runner(loop_factory=SocketLoop) as runner:
        loop, began_ns = runner.get_loop(), time.time_ns()

        def wall_s() -> float:
            return wall_ns() / 1e9

        def wall_ns() -> int:
            return began_ns + round(loop.time() * 1e9)

        with mock.patch.object(time, "time_ns", wall_ns), mock.patch.object(time, "time", wall_s):
            return runner.run(_without_leftovers(main))


async def _without_leftovers(main: Coroutine[Any, Any, T]) -> T:
    result = await main
    for _ in range(5):  # what main cancelled gets a chance to finish
        await asyncio.sleep(0)
    left = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
    assert not left, f"tasks left pending: {left}"
    return result
