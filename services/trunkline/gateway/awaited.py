"""A socket's messages for who awaits them, one by one; a call's line is called instead.

Rule: no more are taken from the socket than few, so a client that is read slowly feels it.
"""

import asyncio
from collections import deque
from typing import NamedTuple

from trunkline.gateway.socket import Socket

AHEAD_BYTES = 128_000  # a message may be large: of many of them, few are taken ahead


class Awaited(NamedTuple):
    """text: whether it is one."""

    data: bytes | bytearray
    text: bool


class AwaitedMessages:
    """limit, limit_bytes: of what is taken before anybody asks for it; more only by its last message."""

    def __init__(self, socket: Socket, limit: int = 1, limit_bytes: int = AHEAD_BYTES) -> None:
        self._socket = socket
        self._limit, self._limit_bytes = limit, limit_bytes
        self._taken: deque[Awaited] = deque()
        self._waiter: asyncio.Future[None] | None = None
        self._over = False
        socket.listen(self)

    async def next(self) -> Awaited | None:
        """None: nothing follows. One caller at a time."""
        if not self._taken and not self._over:
            self._socket.release()
            self._waiter = asyncio.get_running_loop().create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        return self._taken.popleft() if self._taken else None

    def on_text(self, data: bytes | bytearray) -> bool:
        self._take(Awaited(data, text=True))
        return False

    def on_binary(self, data: bytes | bytearray) -> bool:
        self._take(Awaited(data, text=False))
        return False

    def on_gone(self, code: int | None) -> None:
        self._over = True
        self._wake()

    def _take(self, message: Awaited) -> None:
        self._taken.append(message)
        if len(self._taken) >= self._limit or sum(len(one.data) for one in self._taken) >= self._limit_bytes:
            self._socket.hold()
        self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)
