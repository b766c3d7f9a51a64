"""What Trunkline needs of a message bus, in three verbs; NATS and memory pass the same conformance suite.

Delivery is at most once and in order per publisher and subscription; what must arrive goes over a Link. While a client
moves from a server that ends to another, a message may come twice.
"""

from collections.abc import Callable, Mapping
from typing import Protocol

SETTLED_S = 1.0  # connected for so long, one may judge by silence and missing ears who is gone

Headers = Mapping[str, str]


class Received:
    """One message. no_responders: nobody heard what was published with this subject as its reply; it isn't told when
    servers come or go at that time."""

    __slots__ = ("data", "headers", "no_responders", "reply", "subject")

    def __init__(
        self, subject: str, data: bytes, reply: str = "", headers: Headers | None = None, *, no_responders: bool = False
    ) -> None:
        self.subject = subject
        self.data = data
        self.reply = reply
        self.headers = headers
        self.no_responders = no_responders


Handler = Callable[[Received], None]
"""Synchronous and short: it enqueues or does microseconds of work. An exception is logged and counted, never fatal.
Called from the event loop, never from within a publish."""


class PayloadTooLarge(ValueError):
    def __init__(self, subject: str, size_bytes: int, limit_bytes: int) -> None:
        super().__init__(f"message of {size_bytes} bytes on {subject} is over the bus's limit of {limit_bytes}")
        self.size_bytes, self.limit_bytes = size_bytes, limit_bytes


class Subscription(Protocol):
    async def stop(self) -> None:
        """What the server had for it is still handled; nothing is once this returns."""
        ...


class Bus(Protocol):
    @property
    def max_payload(self) -> int:
        """Bytes that one message may hold."""
        ...

    @property
    def connected(self) -> bool: ...

    @property
    def connected_s(self) -> float:
        """Since when without interruption, and without a server that came or went; 0 while disconnected."""
        ...

    @property
    def node(self) -> str:
        """Name of the server that it uses, or used last; empty where there is none."""
        ...

    def watch(self, on_change: Callable[[], object]) -> None:
        """on_change: called whenever it is connected, at first or anew, and when servers come or go."""
        ...

    @property
    def subscriptions(self) -> int:
        """Of this client, at the server."""
        ...

    def publish(self, subject: str, data: bytes, *, reply: str = "", headers: Headers | None = None) -> None:
        """Into a bounded outbox that drops its oldest; raises PayloadTooLarge."""
        ...

    def hasten(self) -> None:
        """What was published goes out now, not at the end of the turn of the loop: somebody waits for it."""
        ...

    async def subscribe(self, subject: str, handler: Handler, *, queue: str = "") -> Subscription: ...

    async def flush(self) -> None:
        """Until all that was published has reached the server. Raises ConnectionError if the bus is closed before."""
        ...

    async def close(self) -> None: ...
