"""Notices at a stage worker that a gateway is gone, so that the calls it placed free their places.

Its own beats prove that the bus carries; while they don't come back, nobody counts as gone.
"""

import asyncio

from trunkline.bus.exchange import Exchange
from trunkline.bus.port import Bus
from trunkline.placement.roster import Roster
from trunkline.proto import subjects

HUB_LIMIT_S = 3.0  # of silence; a gateway that hung and goes on finds its calls ended
LOOK_S = 0.5


class HubWatch:
    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self._roster = Roster(exchange.now_s)
        self._first_asked_s: dict[str, float] = {}  # of hubs that were never heard
        self._timer: asyncio.TimerHandle | None = None

    async def start(self, bus: Bus) -> None:
        own = subjects.beat(self._exchange.stage, self._exchange.worker)
        await self._roster.start(bus, subjects.GATEWAY_BEATS, own)
        self._look()

    async def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        await self._roster.stop()

    def _look(self) -> None:
        peers = self._exchange.peers()
        self._first_asked_s = {peer: at_s for peer, at_s in self._first_asked_s.items() if peer in peers}
        for peer in peers:
            if self._silent_s(peer) > HUB_LIMIT_S:
                self._exchange.lose(peer)
        self._timer = asyncio.get_running_loop().call_later(LOOK_S, self._look)

    def _silent_s(self, peer: str) -> float:
        stage, _, worker = peer.partition(".")
        silent_s = self._roster.silent_s(stage, worker)
        if silent_s < float("inf"):
            return silent_s
        now_s = self._exchange.now_s()
        return now_s - self._first_asked_s.setdefault(peer, now_s)
