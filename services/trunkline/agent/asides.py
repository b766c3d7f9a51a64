"""What others than the model tell the caller while an answer waits: few, in order, the oldest dropped when too many."""

import asyncio

from trunkline.proto.response import Source

WAITING_ASIDES = 4


class Asides:
    def __init__(self) -> None:
        self._words: list[tuple[str, Source]] = []
        self._waiter: asyncio.Future[None] | None = None

    def add(self, text: str, source: Source) -> None:
        self._words = [*self._words, (text, source)][-WAITING_ASIDES:]
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def waiter(self) -> "asyncio.Future[None]":
        """Done once there are some."""
        if self._waiter is None or self._waiter.done():
            self._waiter = asyncio.get_running_loop().create_future()
        if self._words and not self._waiter.done():
            self._waiter.set_result(None)
        return self._waiter

    def take(self) -> list[tuple[str, Source]]:
        words, self._words = self._words, []
        return words
