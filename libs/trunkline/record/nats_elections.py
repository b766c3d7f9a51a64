"""Streams that have just elected a leader, by the cluster's own advisories: what waits for one is tried again at once.

Rule: an owner that waits comes before whoever takes its call over, or what it has said since is in no record. So it
doesn't find out by and by that there is a leader, and for OWNERS_FIRST_S a taker's write is kept back, whichever way it
comes. Who has only begun to listen, at first or by another connection, may have missed an election. A server alone
elects nothing, and nothing comes.
"""

import asyncio
import contextlib
import math
from collections.abc import Awaitable, Callable
from typing import TypeVar

from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from nats.errors import Error as NatsError

from trunkline.bus.nats_client import NatsClient

ELECTED = "$JS.EVENT.ADVISORY.STREAM.LEADER_ELECTED"  # and the stream; source: nats-server, jetstream_api.go
LISTENS_S = 0.05  # the advisory goes out just before the leader begins to listen
OWNERS_FIRST_S = 0.5  # from then on: time for all that an owner has waiting, entry by entry

T = TypeVar("T")


class Elections:
    """on_elected: given each stream. client: connected; it stays the caller's."""

    def __init__(self, client: Client, on_elected: Callable[[str], None]) -> None:
        self._client = client
        self._on_elected = on_elected
        self._awaited: dict[str, asyncio.Future[None]] = {}
        self._heard_s: dict[str, float] = {}  # of each stream that elected a leader, when it was last heard
        self._missed_s = -math.inf  # until when one may have been that wasn't heard
        self._subscription: Subscription | None = None

    async def start(self) -> None:
        if self._subscription is None:
            self._subscription = await self._client.subscribe(f"{ELECTED}.*", cb=self._hear)
            self._may_have_missed()
            if isinstance(self._client, NatsClient):
                self._client.on_anew.append(self._may_have_missed)

    async def stop(self) -> None:
        if isinstance(self._client, NatsClient) and self._may_have_missed in self._client.on_anew:
            self._client.on_anew.remove(self._may_have_missed)
        subscription, self._subscription = self._subscription, None
        if subscription is not None:
            with contextlib.suppress(NatsError):  # the connection may be gone, and with it the subscription
                await subscription.unsubscribe()

    def next(self, stream: str) -> asyncio.Future[None]:
        """Done once it has elected a leader; shared: not to be cancelled."""
        awaited = self._awaited.get(stream)
        if awaited is None or awaited.done():
            awaited = self._awaited[stream] = asyncio.get_running_loop().create_future()
        return awaited

    def owners_first_s(self, stream: str) -> float:
        """For how long yet only owners may write to it; 0 where it hasn't elected a leader lately."""
        elected_s = max(self._missed_s, self._heard_s.get(stream, -math.inf))
        return max(0.0, elected_s + LISTENS_S + OWNERS_FIRST_S - asyncio.get_running_loop().time())

    def _may_have_missed(self) -> None:
        """Before now, when it begins to listen: a node that takes the connection with it takes leaders, too."""
        if isinstance(self._client, NatsClient) and self._client.clustered:
            self._missed_s = asyncio.get_running_loop().time()

    async def _hear(self, message: Msg) -> None:
        loop, stream = asyncio.get_running_loop(), message.subject.removeprefix(f"{ELECTED}.")
        self._heard_s[stream] = loop.time()
        loop.call_later(LISTENS_S, self._tell, stream)

    def _tell(self, stream: str) -> None:
        awaited = self._awaited.pop(stream, None)
        if awaited is not None and not awaited.done():
            awaited.set_result(None)
        self._on_elected(stream)


async def unless_elected(elected: asyncio.Future[None], asked: Awaitable[T], limit_s: float | None = None) -> T | None:
    """None once there is another leader, as whoever was asked before won't answer, and after limit_s, if any."""
    asking = asyncio.ensure_future(asked)
    try:
        either: list[asyncio.Future[T] | asyncio.Future[None]] = [asking, elected]
        await asyncio.wait(either, timeout=limit_s, return_when=asyncio.FIRST_COMPLETED)
        return asking.result() if asking.done() else None
    finally:
        asking.cancel()
