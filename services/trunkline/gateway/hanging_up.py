"""POST /v1/realtime/calls/{id}/hangup: ends a call, whatever carries it and at whichever gateway it is.

A call of another gateway is over once its record says so: the order is given again until then.
"""

import asyncio

from aiohttp import web

from trunkline.bus.exchange import Exchange
from trunkline.gateway.auth import Keys, refuse
from trunkline.gateway.calls import Calls
from trunkline.gateway.http import guarded
from trunkline.gateway.resuming import CallIsOver, NoSuchCall, Resumption
from trunkline.proto import subjects
from trunkline.proto.errors import StageUnavailable
from trunkline.proto.ids import is_call_id
from trunkline.proto.placement import HangUpCall

PATH = "/v1/realtime/calls/{call}"
OF_SIP = ("accept", "reject", "refer")
ASK_AGAIN_S = 0.25
ASKS = 12  # 3 s in all: whoever has lost the call is followed by another in that time


class HangingUp:
    def __init__(self, exchange: Exchange, calls: Calls, resumption: Resumption, keys: Keys) -> None:
        self._exchange = exchange
        self._calls = calls
        self._resumption = resumption
        self._keys = keys

    def add_routes(self, app: web.Application) -> None:
        app.router.add_post(f"{PATH}/hangup", guarded(self._keys, self._hang_up))
        for verb in OF_SIP:
            app.router.add_post(f"{PATH}/{verb}", guarded(self._keys, self._refuse))

    async def _hang_up(self, request: web.Request) -> web.StreamResponse:
        call = request.match_info["call"]
        try:
            if not is_call_id(call):
                raise NoSuchCall(call[:80])
            if not self._calls.hang_up(call):
                await self._forward(call)
        except (NoSuchCall, CallIsOver) as error:
            return refuse(404, "call_not_found", str(error), param="call_id")
        return web.Response()

    async def _forward(self, call: str) -> None:
        """Raises NoSuchCall, CallIsOver; StageUnavailable when nobody ends it, and what a record raises."""
        record = await self._resumption.find(call)
        for _ in range(ASKS):
            gateway = record.view.gateway
            if gateway not in ("", self._exchange.worker):
                subject = subjects.inbox("gateway", gateway, call)
                self._exchange.post(subject, call, HangUpCall(), peer=f"gateway.{gateway}")
            await asyncio.sleep(ASK_AGAIN_S)
            try:
                await self._resumption.read_on(record)
            except CallIsOver:
                return
        raise StageUnavailable("gateway", f"the gateway that has {call} doesn't answer")

    async def _refuse(self, request: web.Request) -> web.StreamResponse:
        return refuse(501, "not_supported", f"{request.path.rpartition('/')[2]}: there are no SIP calls here")
