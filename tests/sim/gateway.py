"""The gateway as a service, without its HTTP server: its calls and its view of the workers."""

import random

from trunkline.gateway.calls import Calls
from trunkline.placement.roster import Roster
from trunkline.record import RecordStore
from trunkline.runtime.process import Context


class SimGateway:
    digest = ""

    def __init__(self, context: Context, store: RecordStore, rng: random.Random) -> None:
        self._bus = context.bus
        self._store = store
        self.roster = Roster(context.exchange.now_s, rng)
        self.calls = Calls(context.exchange, self.roster, 0)

    async def start(self) -> None:
        await self._store.ensure()
        await self.roster.start(self._bus)
        self.calls.start()

    def load(self) -> tuple[int, int]:
        return len(self.calls), 0

    async def drain(self, grace_s: float) -> None:
        await self.calls.drain(grace_s)

    async def stop(self) -> None:
        self.calls.stop()
        await self.roster.stop()
        await self._store.close()
