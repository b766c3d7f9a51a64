"""Notices at a stage worker that a gateway is gone, and that the worker itself was, so that calls free their places.

Silence counts only while this process is connected: when the bus is away, everybody falls silent and nobody is gone.
"""

import asyncio

from trunkline.bus.exchange import Exchange
from trunkline.bus.port import SETTLED_S, Received, Subscription
from trunkline.bus.pulse import PULSE_S, next_pulse_s
from trunkline.proto import subjects
from trunkline.telemetry import logs

HUB_LIMIT_S = 3.0  # of silence; and of standing still, after which hubs have moved their calls to other workers
LOOK_S = PULSE_S

log = logs.get(__name__)


class HubWatch:
    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self._silent_s: dict[str, float] = {}  # of each gateway that has calls here, by address
        self._away = False  # lately, without a connection
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._subscription: Subscription | None = None

    async def start(self) -> None:
        self._subscription = await self._exchange.bus.subscribe(subjects.GATEWAY_BEATS, self._hear)
        self._look_later()

    async def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if self._subscription is not None:
            await self._subscription.stop()

    def _hear(self, received: Received) -> None:
        hub = f"gateway.{subjects.last_token(received.subject)}"
        if self._silent_s.pop(hub, 0.0) > HUB_LIMIT_S:
            log.info("gateway heard again", hub=hub)

    def _look_later(self) -> None:
        due_s = next_pulse_s(self._loop.time())
        self._timer = self._loop.call_at(due_s, self._look, due_s)

    def _look(self, due_s: float) -> None:
        late_s = self._loop.time() - due_s
        if late_s > HUB_LIMIT_S:
            log.warning("this process stood still", for_s=round(late_s, 1))
            self._silent_s.clear()  # what hubs said meanwhile is still to be read
            self._exchange.stood_still()
        elif self._exchange.bus.connected:
            self._count_silence()
            if self._away and self._exchange.bus.connected_s >= SETTLED_S:
                self._away = False
                self._exchange.ask()  # a Release may have been said in vain meanwhile
        else:
            self._away = True
        self._look_later()

    def _count_silence(self) -> None:
        self._silent_s = {peer: self._silent_s.get(peer, 0.0) + LOOK_S for peer in self._exchange.peers()}
        for hub, silent_s in self._silent_s.items():
            beyond_s = silent_s - HUB_LIMIT_S
            if beyond_s > 0:
                if beyond_s <= LOOK_S:
                    log.warning("gateway is silent", hub=hub)
                self._exchange.lose(hub, beyond_s)
