"""A bus between simulated processes that delays, drops and doubles messages, by seed.

Order is NATS's: kept from one publisher to one subscription, and for nothing else.
"""

import asyncio
import json
import random
import re
import zlib
from collections.abc import Callable

import msgspec

from sim.loop import Life, SimLoop, State
from trunkline.bus.memory import MAX_PAYLOAD_BYTES
from trunkline.bus.port import Handler, Headers, PayloadTooLarge, Received
from trunkline.proto import subjects

WIRE_S = 0.0002  # from one process to another through the server
JITTER_S = 0.0006
DEPARTED_S = 0.004  # from the death of a connection to the server's advisory
AFTER = 1e-9  # the loop's timers are exact, but not in order among equals


class Trouble(msgspec.Struct, frozen=True):
    """How bad the network is: chances per message. lagging: of a delay up to lag_s instead of the usual.

    advisories: a process's end shows at its connections: to the server, which tells of it, and to callers.
    stalling: the chance that a caller's line stands still for longer than his client thinks a gateway lives.
    """

    dropped: float = 0.0
    doubled: float = 0.0
    lagging: float = 0.0
    lag_s: float = 0.05
    advisories: bool = True
    stalling: float = 0.0


class _Subscription:
    def __init__(self, bus: "SimBus", pattern: str, queue: str, handler: Handler) -> None:
        self.bus, self.pattern, self.queue, self.handler = bus, pattern, queue, handler
        self.hears = re.compile(pattern.replace(".", r"\.").replace("*", "[^.]+")).fullmatch
        self.stopped = False

    async def stop(self) -> None:
        self.bus.network.remove(self)
        await asyncio.sleep(WIRE_S + JITTER_S)  # what the server had for it is still handled
        self.stopped = True

    def deliver(self, received: Received) -> None:
        if not self.stopped and not self.bus.closed:
            self.handler(received)


class Network:
    """digest: of every message that was sent, in order: two runs of one seed agree in it."""

    def __init__(self, loop: SimLoop, rng: random.Random, trouble: Trouble) -> None:
        self.loop = loop
        self.trouble = trouble
        self.digest = 0
        self._random = rng.random
        self._rng = rng
        self._subscriptions: list[_Subscription] = []
        self._routes: dict[str, tuple[list[_Subscription], list[list[_Subscription]]]] = {}
        self._last_s: dict[tuple[SimBus, _Subscription], float] = {}
        self.away_until_s = 0.0

    def add(self, subscription: _Subscription) -> None:
        self._subscriptions.append(subscription)
        self._routes.clear()

    def remove(self, subscription: _Subscription) -> None:
        if subscription in self._subscriptions:
            self._subscriptions.remove(subscription)
            self._routes.clear()

    def disconnect(self, bus: "SimBus") -> None:
        """The connection is closed, by whomever: nobody listens there any more, and the server says so."""
        self._subscriptions = [one for one in self._subscriptions if one.bus is not bus]
        self._routes.clear()
        if self.trouble.advisories:
            advisory = json.dumps({"client": {"name": bus.name}, "reason": "Client Closed"}).encode()
            self.loop.call_later(DEPARTED_S, self.publish, bus, Received(subjects.DEPARTED, advisory))

    def publish(self, sender: "SimBus", received: Received) -> None:
        self.digest = zlib.crc32(received.data, self.digest)
        plain, groups = self._route(received.subject)
        for subscription in plain:
            self._send(sender, subscription, received)
        for members in groups:
            self._send(sender, members[int(self._random() * len(members))], received)
        if not plain and not groups and received.reply:
            for subscription in self._route(received.reply)[0]:
                self._send(sender, subscription, Received(received.reply, b"", no_responders=True))

    def _route(self, subject: str) -> tuple[list[_Subscription], list[list[_Subscription]]]:
        route = self._routes.get(subject)
        if route is None:
            heard_by = [one for one in self._subscriptions if one.hears(subject)]
            groups: dict[tuple[str, str], list[_Subscription]] = {}
            for one in heard_by:
                if one.queue:
                    groups.setdefault((one.pattern, one.queue), []).append(one)
            route = self._routes[subject] = [one for one in heard_by if not one.queue], list(groups.values())
        return route

    def _send(self, sender: "SimBus", subscription: _Subscription, received: Received) -> None:
        trouble, chance = self.trouble, self._random
        now_s = self.loop.now_s
        if chance() < trouble.dropped or now_s < self.away_until_s:
            return
        delay_s = trouble.lag_s * chance() if chance() < trouble.lagging else WIRE_S + JITTER_S * chance()
        self._arrive(sender, subscription, received, now_s + delay_s)
        if chance() < trouble.doubled:
            self._arrive(sender, subscription, received, now_s + delay_s + trouble.lag_s * chance())

    def _arrive(self, sender: "SimBus", subscription: _Subscription, received: Received, at_s: float) -> None:
        pair = (sender, subscription)
        at_s = max(at_s, self._last_s.get(pair, 0.0) + AFTER)
        self._last_s[pair] = at_s
        self.loop.call_at(at_s, subscription.deliver, received, context=subscription.bus.life.context)


class SimBus:
    """The bus of one process; its name is the worker's id, as with NatsBus."""

    def __init__(self, network: Network, life: Life, name: str) -> None:
        self.network = network
        self.life = life
        self.name = name
        self.closed = False
        self._since_s = network.loop.now_s

    @property
    def max_payload(self) -> int:
        return MAX_PAYLOAD_BYTES

    @property
    def connected(self) -> bool:
        return not self.closed

    @property
    def connected_s(self) -> float:
        return self.network.loop.now_s - self._since_s + 1.0  # a second passed before the history began

    @property
    def node(self) -> str:
        return ""

    def watch(self, on_change: Callable[[], object]) -> None:
        """The network is one, and stays."""

    @property
    def subscriptions(self) -> int:
        return sum(one.bus is self for one in self.network._subscriptions)

    def publish(self, subject: str, data: bytes, *, reply: str = "", headers: Headers | None = None) -> None:
        if len(data) > MAX_PAYLOAD_BYTES:
            raise PayloadTooLarge(subject, len(data), MAX_PAYLOAD_BYTES)
        if not self.closed:
            self.network.publish(self, Received(subject, data, reply, headers))

    def hasten(self) -> None:
        """Nothing waits here."""

    async def subscribe(self, subject: str, handler: Handler, *, queue: str = "") -> _Subscription:
        subscription = _Subscription(self, subject, queue, handler)
        self.network.add(subscription)
        return subscription

    async def flush(self) -> None:
        await asyncio.sleep(WIRE_S)

    async def close(self) -> None:
        if not self.closed:
            self.closed = True
            self.network.disconnect(self)

    def lost(self) -> None:
        """The process was killed."""
        assert self.life.state is State.DEAD
        self.closed = True
        self.network.disconnect(self)
