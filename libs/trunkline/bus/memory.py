"""The bus in memory, for tests and for virtual time: one broker, a MemoryBus per simulated process."""

import asyncio
from collections.abc import Callable, Iterator

from trunkline.bus.port import Handler, Headers, PayloadTooLarge, Received
from trunkline.telemetry import logs

MAX_PAYLOAD_BYTES = 1024 * 1024

log = logs.get(__name__)


def matches(pattern: str, subject: str) -> bool:
    """NATS wildcards: `*` is one token, a closing `>` is one or more."""
    want, have = pattern.split("."), subject.split(".")
    for i, wanted in enumerate(want):
        if wanted == ">":
            return len(have) > i
        if i >= len(have) or wanted not in ("*", have[i]):
            return False
    return len(want) == len(have)


class _MemorySubscription:
    def __init__(self, broker: "MemoryBroker", pattern: str, queue: str, handler: Handler) -> None:
        self.broker, self.pattern, self.queue, self.handler = broker, pattern, queue, handler
        self._stopped = False

    async def stop(self) -> None:
        self.broker.remove(self)
        await asyncio.sleep(0)  # what was on its way is delivered
        self._stopped = True

    def deliver(self, message: Received) -> None:
        if self._stopped:
            return
        try:
            self.handler(message)
        except Exception as error:  # the rim of every handler: one message, not the subscription
            log.error("handler failed", subject=self.pattern, error=repr(error), exc_info=True)


class MemoryBroker:
    def __init__(self) -> None:
        self.subscriptions: list[_MemorySubscription] = []
        self._turn = 0

    def remove(self, subscription: _MemorySubscription) -> None:
        if subscription in self.subscriptions:
            self.subscriptions.remove(subscription)

    def publish(self, message: Received) -> None:
        loop = asyncio.get_running_loop()
        heard = False
        for subscription in self._receivers(message.subject):
            heard = True
            loop.call_soon(subscription.deliver, message)
        if not heard and message.reply:
            for subscription in self._receivers(message.reply):
                loop.call_soon(subscription.deliver, Received(message.reply, b"", no_responders=True))

    def _receivers(self, subject: str) -> Iterator[_MemorySubscription]:
        groups: dict[tuple[str, str], list[_MemorySubscription]] = {}
        for subscription in self.subscriptions:
            if matches(subscription.pattern, subject):
                if subscription.queue:
                    groups.setdefault((subscription.pattern, subscription.queue), []).append(subscription)
                else:
                    yield subscription
        for members in groups.values():
            self._turn += 1
            yield members[self._turn % len(members)]


class MemoryBus:
    def __init__(self, broker: MemoryBroker | None = None) -> None:
        """broker: shared by the processes of one simulation; a bus of its own without one."""
        self.broker = broker or MemoryBroker()
        self._own: list[_MemorySubscription] = []
        self._closed = False

    @property
    def max_payload(self) -> int:
        return MAX_PAYLOAD_BYTES

    @property
    def connected(self) -> bool:
        return not self._closed

    @property
    def connected_s(self) -> float:
        return float("inf") if self.connected else 0.0

    @property
    def node(self) -> str:
        return ""

    def watch(self, on_change: Callable[[], object]) -> None:
        """Nothing changes here."""

    @property
    def subscriptions(self) -> int:
        return sum(one in self.broker.subscriptions for one in self._own)

    def publish(self, subject: str, data: bytes, *, reply: str = "", headers: Headers | None = None) -> None:
        if len(data) > MAX_PAYLOAD_BYTES:
            raise PayloadTooLarge(subject, len(data), MAX_PAYLOAD_BYTES)
        if not self._closed:
            self.broker.publish(Received(subject, bytes(data), reply, dict(headers) if headers else None))

    def hasten(self) -> None:
        """Nothing waits here."""

    async def subscribe(self, subject: str, handler: Handler, *, queue: str = "") -> _MemorySubscription:
        subscription = _MemorySubscription(self.broker, subject, queue, handler)
        self.broker.subscriptions.append(subscription)
        self._own.append(subscription)
        return subscription

    async def flush(self) -> None:
        await asyncio.sleep(0)

    async def close(self) -> None:
        self._closed = True
        for subscription in self._own:
            await subscription.stop()
