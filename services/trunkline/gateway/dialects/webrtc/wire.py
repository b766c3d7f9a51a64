"""A data channel as the peer's wire: bounded, and honest about an event that is too large for it."""

import asyncio
from collections.abc import Callable

from aiortc import RTCDataChannel

from trunkline.gateway import metrics

LIMIT_BYTES = 1_000_000  # that wait: a client this far behind won't catch up


class ChannelWire:
    """message_bytes: the most that the client takes in one message, 0 for no limit. on_too_large: gets the size of an
    event that can't be sent. on_finished: nothing follows. on_slow: nor can it; what waits won't arrive."""

    def __init__(
        self,
        message_bytes: int,
        *,
        on_too_large: Callable[[int], None],
        on_finished: Callable[[], None],
        on_slow: Callable[[], None],
    ) -> None:
        self._limit_bytes = message_bytes
        self._on_too_large = on_too_large
        self._on_finished = on_finished
        self._on_slow = on_slow
        self._channel: RTCDataChannel | None = None  # who opens none is told nothing
        self._finished = False
        self._low = asyncio.Event()

    def open(self, channel: RTCDataChannel) -> None:
        self._channel = channel
        channel.on("bufferedamountlow", self._low.set)  # all of it has gone out
        channel.on("close", self._low.set)

    async def sent(self) -> None:
        """Returns when nothing waits any more."""
        while self._usable and self._channel is not None and self._channel.bufferedAmount:
            self._low.clear()
            await self._low.wait()

    def put(self, data: bytes) -> bool:
        """data: one event as JSON. False: the client is too slow, and is cut off."""
        if self._finished or not self._usable or self._channel is None:
            return True
        if self._limit_bytes and len(data) > self._limit_bytes:
            self._on_too_large(len(data))
            return True
        self._channel.send(data.decode())
        if self._channel.bufferedAmount <= LIMIT_BYTES:
            return True
        metrics.slow_clients.inc()
        self._finished = True
        self._on_slow()
        return False

    def put_binary(self, data: bytes) -> bool:
        """Never: the agent's audio has a track of its own."""
        raise NotImplementedError("a data channel carries events alone")

    def finish(self, code: int, reason: str) -> None:
        """What waits is sent, nothing put later is. A data channel has no code to close with."""
        if not self._finished:
            self._finished = True
            self._on_finished()

    @property
    def _usable(self) -> bool:
        return self._channel is not None and self._channel.readyState == "open"
