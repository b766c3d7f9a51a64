"""GET /v1/realtime: who may call, whom, and whether there is room, all before the upgrade is answered."""

from aiohttp import web

from trunkline.gateway import metrics
from trunkline.gateway.auth import Keys, refuse
from trunkline.gateway.calls import Calls
from trunkline.gateway.dialects.realtime.connection import Connection
from trunkline.gateway.dialects.realtime.outbox import Outbox
from trunkline.proto.errors import BadInput, StageUnavailable

HEARTBEAT_S = 15.0  # a client that answers no ping for half as long again is gone
HARD_LIMIT_FACTOR = 4  # above the limit that gets an error event, aiohttp closes with 1009 without one


class RealtimeEndpoint:
    """aliases: model name -> agent name, empty for the default. message_limit_bytes: of one client event."""

    def __init__(self, calls: Calls, keys: Keys, aliases: dict[str, str], message_limit_bytes: int) -> None:
        self._calls = calls
        self._keys = keys
        self._aliases = aliases
        self._limit_bytes = message_limit_bytes

    async def handle(self, request: web.Request) -> web.StreamResponse:
        if not self._keys.allow(request):
            metrics.refused.labels("key").inc()
            return refuse(401, "invalid_api_key", "the API key is missing or wrong; send `Authorization: Bearer KEY`")
        websocket = web.WebSocketResponse(
            protocols=("realtime",),
            heartbeat=HEARTBEAT_S,
            max_msg_size=self._limit_bytes * HARD_LIMIT_FACTOR,
            compress=False,
            timeout=2.0,
        )
        if not websocket.can_prepare(request):
            return refuse(426, "upgrade_required", "this address is a WebSocket")
        model = request.query.get("model", "")
        try:
            call = await self._calls.place(self._aliases.get(model, model))
        except StageUnavailable as unavailable:
            metrics.refused.labels(unavailable.stage).inc()
            return refuse(503, "overloaded", str(unavailable), retry_after_s=unavailable.retry_after_s)
        except BadInput as error:
            metrics.refused.labels(error.code).inc()
            return refuse(404, error.code, f"the model {model[:80]!r} does not exist: {error.problem}", param="model")
        try:
            await websocket.prepare(request)
            outbox = Outbox(websocket, request.transport)
            connection = Connection(call, outbox, model=model, message_limit_bytes=self._limit_bytes)
            await connection.run(websocket)
        finally:
            call.end("caller_hung_up")
        return websocket
