"""What a client says while one of its events takes time: it waits its turn, in order, and bounded.

Nothing waits, and nothing is slower, while no event takes time.
"""

import asyncio
from collections.abc import Callable, Coroutine

EVENTS_LIMIT = 4_000
AUDIO_BYTES = 2_000_000  # half a minute of it in base64

STEPS_AT_ONCE = 64  # then other calls have their turn
Step = Callable[[], object]
Work = Callable[[], Coroutine[None, None, None]]


class Backlog:
    """on_failure: a bug met what waited. limit_bytes: of what waits."""

    def __init__(self, on_failure: Callable[[Exception], None], limit_bytes: int = AUDIO_BYTES) -> None:
        self._on_failure = on_failure
        self._limit_bytes = limit_bytes
        self._work: asyncio.Task[None] | None = None
        self._behind: list[tuple[Step, int]] = []
        self._size_bytes = 0
        self.on_room: Step = nothing  # it is no longer full: for a client that can be read more slowly

    @property
    def waits(self) -> bool:
        """What comes now has something to wait for."""
        return self._work is not None

    @property
    def full(self) -> bool:
        return len(self._behind) >= EVENTS_LIMIT or self._size_bytes >= self._limit_bytes

    def begin(self, work: Work) -> None:
        """What is put from here on waits for the end of it, and so does what waits. Said where nothing waits, or by a
        step."""
        self._work = asyncio.create_task(self._run(work))

    def put(self, step: Step, size_bytes: int = 0) -> None:
        """At once if nothing waits."""
        if self._work is None:
            step()
            return
        self._behind.append((step, size_bytes))
        self._size_bytes += size_bytes

    def drop(self) -> None:
        """Nothing of it is done any more."""
        work, self._work = self._work, None
        self._forget()
        if work is not None and work is not asyncio.current_task():
            work.cancel()

    async def _run(self, work: Work) -> None:
        mine = asyncio.current_task()
        try:
            await work()
            while self._behind and self._work is mine:  # else dropped meanwhile, or followed by other work
                for _ in range(STEPS_AT_ONCE):
                    if self._behind and self._work is mine:
                        self._do_next()
                await asyncio.sleep(0)
        except Exception as error:  # the rim of a task
            self._on_failure(error)
        if self._work is mine:
            self._work = None

    def _do_next(self) -> None:
        was_full = self.full
        step, size_bytes = self._behind.pop(0)
        self._size_bytes -= size_bytes
        step()
        if was_full and not self.full:
            self.on_room()

    def _forget(self) -> None:
        was_full = self.full
        self._behind.clear()
        self._size_bytes = 0
        if was_full:
            self.on_room()


def nothing() -> None:
    """Nobody waits for it."""
