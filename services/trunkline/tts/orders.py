"""What one call has yet to be told: orders in the order they came, up to a limit, and what was hushed. Pure."""

import math
from collections import deque
from typing import NamedTuple

from trunkline.bus.port import Headers
from trunkline.proto.speaking import Synthesise

LIMIT_SEGMENTS = 64  # waiting, per call; some minutes of speech
LIMIT_CHARS = 4096  # of one segment
SLOWEST, FASTEST = 0.25, 4.0


class Order(NamedTuple):
    """at_s: monotonic time at which it came."""

    message: Synthesise
    headers: Headers | None
    at_s: float


class Orders:
    def __init__(self) -> None:
        self._waiting: deque[Order] = deque()
        self._hushed = 0

    def add(self, order: Order) -> str:
        """Why it is refused; empty when it is taken."""
        message = order.message
        if message.segment <= self._hushed:
            return f"segment: {message.segment} was hushed; allowed: above {self._hushed}"
        if len(message.text) > LIMIT_CHARS:
            return f"text: {len(message.text)} characters; allowed: up to {LIMIT_CHARS}"
        if not (math.isfinite(message.speed) and SLOWEST <= message.speed <= FASTEST):
            return f"speed: {message.speed}; allowed: {SLOWEST} to {FASTEST}"
        if message.from_sample < 0:
            return f"from_sample: {message.from_sample}; allowed: 0 or more"
        if len(self._waiting) >= LIMIT_SEGMENTS:
            return f"queue full: {LIMIT_SEGMENTS} segments wait"
        self._waiting.append(order)
        return ""

    def hush(self, to_segment: int) -> list[Order]:
        """Those that were waiting up to and including to_segment, which are forgotten."""
        self._hushed = max(self._hushed, to_segment)
        dropped = [order for order in self._waiting if order.message.segment <= to_segment]
        self._waiting = deque(order for order in self._waiting if order.message.segment > to_segment)
        return dropped

    def next(self) -> Order | None:
        return self._waiting.popleft() if self._waiting else None
