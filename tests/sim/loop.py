"""An event loop on virtual time for several simulated processes, each of which can be killed, stopped and continued.

Every callback belongs to the process whose context it runs in. Of a dead process nothing runs any more, not even what
it was in the middle of; of a stopped one it waits, timers too, as with SIGKILL and SIGSTOP. No thread, no socket.
"""

import asyncio
import contextlib
import heapq
from collections import deque
from collections.abc import Callable, Coroutine
from contextvars import Context, ContextVar, copy_context
from enum import Enum
from typing import Any, TypeVar

T = TypeVar("T")


class State(Enum):
    RUNS = "runs"
    STOPPED = "stopped"
    DEAD = "dead"


class Due:
    """A callback, soon or at a time: what asyncio's own handle does, in half the steps."""

    __slots__ = ("_args", "_callback", "_cancelled", "_when", "context")

    def __init__(self, when: float, callback: Callable[..., object], args: tuple[Any, ...], context: Context) -> None:
        self._when = when
        self._callback = callback
        self._args = args
        self._cancelled = False
        self.context = context

    def when(self) -> float:
        return self._when

    def cancel(self) -> None:
        self._cancelled = True
        self._args = ()

    def cancelled(self) -> bool:
        return self._cancelled

    def run(self) -> None:
        self.context.run(self._callback, *self._args)


class Life:
    """One simulated process, as its event loop knows it."""

    def __init__(self, name: str, loop: "SimLoop") -> None:
        self.name = name
        self.state = State.RUNS
        self.context: Context = copy_context()
        self.context.run(_life.set, self)
        self._loop = loop
        self._held: deque[Due] = deque()

    def kill(self) -> None:
        self.state = State.DEAD
        self._held.clear()

    def stop(self) -> None:
        if self.state is State.RUNS:
            self.state = State.STOPPED

    def go_on(self) -> None:
        if self.state is State.STOPPED:
            self.state = State.RUNS
            self._loop.resume(self._held)

    def hold(self, due: Due) -> None:
        self._held.append(due)

    def spawn(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        return self._loop.create_task(work, context=self.context)


_life: ContextVar[Life | None] = ContextVar("life", default=None)


def living() -> Life:
    """The process in which this runs."""
    life = _life.get()
    assert life is not None, "outside of every process"
    return life


class StillError(AssertionError):
    """Every task waits and no timer is left."""


class SimLoop(asyncio.BaseEventLoop):
    """faults: what an event loop would have logged: exceptions that nobody awaited."""

    def __init__(self) -> None:
        super().__init__()
        self.now_s = 0.0
        self.steps = 0
        self._ready: deque[Due] = deque()
        self._timers: list[tuple[float, int, Due]] = []  # a number tells equals apart: the first set goes first
        self._numbers = 0
        self.faults: list[str] = []
        # kept, so that nothing of a dead process is finalised, and runs its `finally`, before the history is over
        self.begun: list[tuple[asyncio.Task[Any], Context]] = []
        self.set_exception_handler(self._note)
        self.set_task_factory(_task)

    def time(self) -> float:
        return self.now_s

    def resume(self, handles: deque[Due]) -> None:
        self._ready.extend(handles)
        handles.clear()

    def run(self, main: Coroutine[Any, Any, T]) -> T:
        """Runs main to its end; finish closes what is left."""
        task = self.create_task(main)
        task.add_done_callback(lambda _: self.stop())
        self.run_forever()
        return task.result()

    def call_soon(self, callback: Callable[..., object], *args: Any, context: Context | None = None) -> Any:
        due = Due(self.now_s, callback, args, context if context is not None else copy_context())
        self._ready.append(due)
        return due

    call_soon_threadsafe = call_soon  # there is one thread

    def call_at(self, when: float, callback: Callable[..., object], *args: Any, context: Context | None = None) -> Any:
        due = Due(when, callback, args, context if context is not None else copy_context())
        self._numbers += 1
        heapq.heappush(self._timers, (when, self._numbers, due))
        return due

    def call_later(
        self, delay: float, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> Any:
        return self.call_at(self.now_s + delay, callback, *args, context=context)

    def _run_once(self) -> None:
        ready, timers = self._ready, self._timers
        if not ready:
            while timers and timers[0][2]._cancelled:
                heapq.heappop(timers)
            if not timers:
                raise StillError("every task waits and no timer is left")
            self.now_s = max(self.now_s, timers[0][0])
        while timers and timers[0][0] <= self.now_s:
            ready.append(heapq.heappop(timers)[2])
        for _ in range(len(ready)):
            due = ready.popleft()
            if due._cancelled:
                continue
            life = due.context.get(_life)
            if life is not None and life.state is not State.RUNS:
                if life.state is State.STOPPED:
                    life.hold(due)
                continue
            self.steps += 1
            try:
                due.run()
            except Exception as error:
                self.faults.append(f"{due._callback!r}: {error!r}")

    def _note(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        self.faults.append(f"{context.get('message')}: {context.get('exception')!r}")

    def finish(self) -> None:
        """Whatever is left pending is closed, and nobody looks at what it says to that: its process is over."""
        self._ready.clear()
        self._timers.clear()
        asyncio._set_running_loop(self)
        try:
            for task, context in self.begun:
                if task.done():
                    if not task.cancelled() and task._log_traceback:
                        self.faults.append(f"nobody looked at {task.exception()!r} of {task.get_coro()}")
                    continue
                task._log_destroy_pending = False
                with contextlib.suppress(BaseException):
                    context.run(task.get_coro().close)
        finally:
            asyncio._set_running_loop(None)
        self.begun.clear()
        self._ready.clear()
        self._timers.clear()
        self.close()

    def _process_events(self, event_list: object) -> None:
        """There is no I/O."""

    def _write_to_self(self) -> None:
        """No thread wakes this loop."""


def _task(loop: asyncio.AbstractEventLoop, work: Coroutine[Any, Any, T], *, context: Context | None = None) -> Any:
    context = context or copy_context()
    task = asyncio.Task(work, loop=loop, context=context)
    assert isinstance(loop, SimLoop)
    loop.begun.append((task, context))
    return task
