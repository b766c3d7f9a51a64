"""The gateway as a service: its HTTP server, its calls and its view of the workers."""

import asyncio
import time
from collections.abc import Callable

from aiohttp import web

from trunkline.gateway.adoption import Adoption
from trunkline.gateway.calls import Calls
from trunkline.gateway.cors import Cors
from trunkline.gateway.endpoints import MakeEndpoint, Parts, endpoints
from trunkline.gateway.forgetting import Forgetting
from trunkline.gateway.http import Handler, server_log, vendor_errors
from trunkline.gateway.key_use import KeyUse
from trunkline.gateway.lobby import Limits, Lobby, places
from trunkline.gateway.record_room import RecordRoom
from trunkline.gateway.resuming import Resumption
from trunkline.gateway.settings import RANGES, GatewaySettings, origins_of
from trunkline.gateway.sockets import Sockets
from trunkline.gateway.stores import Stores
from trunkline.placement.roster import Roster
from trunkline.record import Durability, checked_kept_s
from trunkline.record.shard_health import ShardHealth
from trunkline.runtime.process import Context
from trunkline.runtime.settings import check_ranges

__all__ = ["GatewayService", "MakeEndpoint"]

REQUEST_LIMIT_BYTES = 160 * 1024  # of a request's body: a session with all its tools; events come over the socket
KEEP_ALIVE_S = 75.0  # longer than proxies keep a connection for its next request
LINGER_S = 2.0  # that a body is read on, and thrown away, so that its sender gets to read why it was refused
BACKLOG = 1024  # connections that the kernel keeps until they are taken


class GatewayService:
    """wall_s: seconds since 1970. webrtc: makes what serves callers over WebRTC; None hands their offers on to gateways
    that have it. durability: told at the start, of a record that can lose something."""

    digest = ""
    agents: tuple[str, ...] = ()

    def __init__(
        self,
        context: Context,
        settings: GatewaySettings,
        stores: Stores,
        wall_s: Callable[[], float] = time.time,
        webrtc: MakeEndpoint | None = None,
        durability: Durability | None = None,
    ) -> None:
        self._bus = context.bus
        check_ranges(settings, RANGES)
        self._settings = settings
        self._stores = stores
        self._durability = durability
        self.sockets = Sockets(settings.first_event_limit_s)
        self._roster = Roster(context.exchange.now_s, spare=settings.headroom != "off")
        self._shards = ShardHealth(stores.record.answers)
        self._roster.on_slow = self._shards.doubt
        key_use, window_s = KeyUse(settings.key_calls), settings.resume_window_s
        self._calls = Calls(context.exchange, self._roster, settings.capacity, window_s, self._shards, key_use)
        resumption = Resumption(self._calls, stores.record)
        self._adoption = Adoption(
            context.worker,
            self._calls,
            resumption,
            self._roster,
            stores.record,
            settings.resume_window_s,
            context.exchange.now_s,
        )
        self._room = RecordRoom(stores.record, self._shards.avoid)
        self._forgetting = Forgetting(
            stores.record, checked_kept_s(settings.record_kept_s), self._adoption.leads, wall_s
        )
        app = web.Application(client_max_size=REQUEST_LIMIT_BYTES)
        app.middlewares.append(self._attended)
        Cors(origins_of(settings)).guard(app)
        app.middlewares.append(vendor_errors)
        parts = Parts(context.exchange, settings, stores, self._roster, self._calls, self.sockets, resumption, wall_s)
        for endpoint in endpoints(parts, webrtc):
            endpoint.add_routes(app)
        self._now_s = context.exchange.now_s
        self._runner = web.AppRunner(
            app,
            access_log=None,
            shutdown_timeout=1.0,
            keepalive_timeout=KEEP_ALIVE_S,
            lingering_time=LINGER_S,
            auto_decompress=False,  # nobody sends a small body that grows
            logger=server_log(),
        )
        self._lobby: Lobby | None = None
        self._door: asyncio.Server | None = None
        self.port = 0

    async def start(self) -> None:
        """Raises OSError when the port is taken."""
        await self._stores.ensure()
        if self._durability is not None:
            await self._durability.tell()
        self._bus.watch(self._shards.doubt_all)
        await self._roster.start(self._bus)
        self._calls.start()
        self._adoption.start()
        self._room.start()
        self._forgetting.start()
        await self._runner.setup()
        await self._roster.listen()  # the first caller isn't told that nobody is there
        settings, http = self._settings, self._runner.server
        assert http is not None, "the runner is set up"
        limits = Limits(
            places(settings.connection_limit), settings.address_connection_limit, head_s=settings.head_limit_s
        )
        self._lobby = Lobby(http, limits, self._now_s)
        self._door = await asyncio.get_running_loop().create_server(
            self._lobby, settings.host, settings.port, backlog=BACKLOG, reuse_port=settings.share_port or None
        )
        self.port = self._door.sockets[0].getsockname()[1]

    def load(self) -> tuple[int, int]:
        return len(self._calls), self._settings.capacity

    @web.middleware
    async def _attended(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """The lobby knows who asks something now; a connection that has become a WebSocket is its own."""
        line = request.transport
        if line is None or self._lobby is None:
            return await handler(request)
        self._lobby.asks(line)
        try:
            return await handler(request)
        finally:
            if request.transport is not None:
                self._lobby.asked(line)

    async def drain(self, grace_s: float) -> None:
        door, self._door = self._door, None
        if door is not None:
            door.close()  # where the port is shared, callers come to another gateway from now on
        await self._calls.drain(grace_s)

    async def stop(self) -> None:
        for kept_up in (self._forgetting, self._room, self._adoption):
            await kept_up.stop()
        if self._door is not None:
            self._door.close()
        if self._lobby is not None:
            self._lobby.close()
        await self.sockets.close()
        await self._runner.cleanup()
        self._calls.stop()
        await self._roster.stop()
        await self._shards.stop()
        await self._stores.close()
