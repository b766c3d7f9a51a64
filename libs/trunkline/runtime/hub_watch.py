"""Notices at a stage worker that a gateway is gone, so that the calls it placed free their places.

Silence counts only while this process is connected: when the bus is away, everybody falls silent and nobody is gone.
"""

import asyncio

from trunkline.bus.exchange import Exchange
from trunkline.bus.port import Received, Subscription
from trunkline.proto import subjects

HUB_LIMIT_S = 3.0  # of silence; a gateway that hung and goes on finds its calls ended
LOOK_S = 0.5


class HubWatch:
    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self._silent_s: dict[str, float] = {}  # of each gateway that has calls here, by address
        self._timer: asyncio.TimerHandle | None = None
        self._subscription: Subscription | None = None

    async def start(self) -> None:
        self._subscription = await self._exchange.bus.subscribe(subjects.GATEWAY_BEATS, self._hear)
        self._look()

    async def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if self._subscription is not None:
            await self._subscription.stop()

    def _hear(self, received: Received) -> None:
        self._silent_s.pop(f"gateway.{subjects.last_token(received.subject)}", None)

    def _look(self) -> None:
        if self._exchange.bus.connected:
            peers = self._exchange.peers()
            self._silent_s = {peer: self._silent_s.get(peer, 0.0) + LOOK_S for peer in peers}
            for peer in [peer for peer, silent_s in self._silent_s.items() if silent_s > HUB_LIMIT_S]:
                self._exchange.lose(peer)
        self._timer = asyncio.get_running_loop().call_later(LOOK_S, self._look)
