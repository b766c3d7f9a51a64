"""What a run says of how it goes, on its way to the caller: short, seldom, and only while the run goes on.

A tool may say it from any thread and as often as it likes.
"""

import asyncio
from collections.abc import Callable

EVERY_S = 0.5  # between two words; of what is said meanwhile only the newest counts
TEXT_CHARACTERS = 300


class Progress:
    """say: takes the words, on the loop of whoever makes this."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._loop = asyncio.get_running_loop()
        self._newest = ""
        self._told = False  # the loop will look at the newest words
        self._timer: asyncio.TimerHandle | None = None
        self._closed = False

    def report(self, text: str) -> None:
        """From any thread. Anything but text is refused where it is said: raises TypeError."""
        if not isinstance(text, str):
            raise TypeError(f"progress takes text, not {type(text).__name__}")
        if self._closed:
            return
        self._newest = " ".join(text[: TEXT_CHARACTERS * 4].split())[:TEXT_CHARACTERS]
        if self._told:
            return
        self._told = True
        try:
            self._loop.call_soon_threadsafe(self._take)
        except RuntimeError:  # the loop was closed while a thread hung: nobody listens any more
            return

    def close(self) -> None:
        """The run is over, and whatever was not said yet is moot."""
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()

    def _take(self) -> None:
        self._told = False  # before the words are read: a thread may be changing them
        if self._timer is None:
            self._next()

    def _next(self) -> None:
        self._timer = None
        if self._closed or not self._newest:
            return
        text, self._newest = self._newest, ""
        self._timer = self._loop.call_later(EVERY_S, self._next)
        self._say(text)
