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


class Life:
    """One simulated process, as its event loop knows it."""

    def __init__(self, name: str, loop: "SimLoop") -> None:
        self.name = name
        self.state = State.RUNS
        self.context: Context = copy_context()
        self.context.run(_life.set, self)
        self._loop = loop
        self._held: deque[asyncio.Handle] = deque()

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

    def hold(self, handle: asyncio.Handle) -> None:
        self._held.append(handle)

    def soon(self, step: Callable[..., object], *args: object) -> None:
        self._loop.call_soon(step, *args, context=self.context)

    def spawn(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        return self._loop.create_task(work, context=self.context)


_life: ContextVar[Life | None] = ContextVar("life", default=None)


class StillError(AssertionError):
    """Every task waits and no timer is left."""


class SimLoop(asyncio.BaseEventLoop):
    """faults: what an event loop would have logged: exceptions that nobody awaited."""

    def __init__(self) -> None:
        super().__init__()
        self.now_s = 0.0
        self.steps = 0
        self.faults: list[str] = []
        # kept, so that nothing of a dead process is finalised, and runs its `finally`, before the history is over
        self.begun: list[tuple[asyncio.Task[Any], Context]] = []
        self.set_exception_handler(self._note)
        self.set_task_factory(_task)

    def time(self) -> float:
        return self.now_s

    def resume(self, handles: deque[asyncio.Handle]) -> None:
        self._ready.extend(handles)
        handles.clear()

    def run(self, main: Coroutine[Any, Any, T]) -> T:
        """Runs main to its end; whatever is left pending is closed unseen, as at the end of a process."""
        task = self.create_task(main)
        task.add_done_callback(lambda _: self.stop())
        try:
            self.run_forever()
            return task.result()
        finally:
            self._drop_everything()
            self.close()

    def _run_once(self) -> None:
        ready, scheduled = self._ready, self._scheduled
        if not ready:
            while scheduled and scheduled[0]._cancelled:
                heapq.heappop(scheduled)
            if not scheduled:
                raise StillError("every task waits and no timer is left")
            self.now_s = max(self.now_s, scheduled[0]._when)
        while scheduled and scheduled[0]._when <= self.now_s:
            ready.append(heapq.heappop(scheduled))
        for _ in range(len(ready)):
            handle = ready.popleft()
            if handle._cancelled:
                continue
            life = handle._context.get(_life)
            if life is not None and life.state is not State.RUNS:
                if life.state is State.STOPPED:
                    life.hold(handle)
                continue
            self.steps += 1
            handle._run()

    def _note(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        self.faults.append(f"{context.get('message')}: {context.get('exception')!r}")

    def _drop_everything(self) -> None:
        self._ready.clear()
        self._scheduled.clear()
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
        self._scheduled.clear()

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
