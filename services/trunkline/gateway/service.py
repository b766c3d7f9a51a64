"""The gateway as a service: its HTTP server, its calls and its view of the workers."""

import time
from collections.abc import Callable
from typing import Protocol

from aiohttp import web

from trunkline.gateway.adoption import Adoption
from trunkline.gateway.apis.models import ModelsEndpoint, TextModels
from trunkline.gateway.apis.responses.endpoint import ResponsesEndpoint
from trunkline.gateway.apis.responses.kept import Shelf
from trunkline.gateway.apis.speech import SpeechApi
from trunkline.gateway.apis.transcriptions import TranscriptionApi
from trunkline.gateway.approvals import Approvals
from trunkline.gateway.auth import Keys
from trunkline.gateway.calls import Calls
from trunkline.gateway.cors import cors
from trunkline.gateway.deciding import Deciding
from trunkline.gateway.dialects.realtime.client_secrets import ClientSecretsEndpoint
from trunkline.gateway.dialects.realtime.endpoint import RealtimeEndpoint
from trunkline.gateway.dialects.realtime.opening import Opening
from trunkline.gateway.dialects.realtime.peer import Limits
from trunkline.gateway.dialects.realtime.transcription_endpoint import TranscriptionSessions
from trunkline.gateway.dialects.realtime.transcription_session import MODELS
from trunkline.gateway.dialects.webrtc.forwarding import Forwarding
from trunkline.gateway.ephemeral_keys import EphemeralKeys
from trunkline.gateway.hanging_up import HangingUp
from trunkline.gateway.http import Http, vendor_errors
from trunkline.gateway.page.serving import Page
from trunkline.gateway.picture_checks import PictureChecks
from trunkline.gateway.picture_urls import PictureUrls
from trunkline.gateway.pictures import Pictures
from trunkline.gateway.resume_token import ResumeTokens
from trunkline.gateway.resuming import Resumption
from trunkline.gateway.settings import (
    GatewaySettings,
    aliases_of,
    keys_of,
    origins_of,
    picture_hosts_of,
    webrtc_urls_of,
)
from trunkline.gateway.stores import Stores
from trunkline.placement.roster import Roster
from trunkline.runtime.process import Context

REQUEST_LIMIT_BYTES = 160 * 1024  # of a request's body: a session with all its tools; events come over the socket


class Endpoint(Protocol):
    def add_routes(self, app: web.Application) -> None: ...


MakeEndpoint = Callable[[Calls, Keys, Opening, Pictures, GatewaySettings], Endpoint]


class GatewayService:
    """wall_s: seconds since 1970. webrtc: makes what serves callers over
    WebRTC; None hands their offers on to gateways that have it."""

    digest = ""
    agents: tuple[str, ...] = ()

    def __init__(
        self,
        context: Context,
        settings: GatewaySettings,
        stores: Stores,
        wall_s: Callable[[], float] = time.time,
        webrtc: MakeEndpoint | None = None,
    ) -> None:
        self._bus = context.bus
        self._settings = settings
        self._stores = stores
        store = stores.record
        self._roster = Roster(context.exchange.now_s)
        self._calls = Calls(context.exchange, self._roster, settings.capacity, settings.resume_window_s)
        ephemeral = EphemeralKeys(settings.resume_secret, keys_of(settings), stores.sessions, wall_s)
        keys = Keys(keys_of(settings), ephemeral)
        tokens = ResumeTokens(settings.resume_secret, keys_of(settings))
        resumption = Resumption(self._calls, store)
        self._adoption = Adoption(
            context.worker,
            self._calls,
            resumption,
            self._roster,
            store,
            settings.resume_window_s,
            context.exchange.now_s,
        )
        middlewares = [cors(origins_of(settings)), vendor_errors]
        app = web.Application(client_max_size=REQUEST_LIMIT_BYTES, middlewares=middlewares)
        aliases = aliases_of(settings)
        opening = Opening(self._calls, aliases)
        limit_bytes = settings.file_limit_bytes
        urls = PictureUrls(picture_hosts_of(settings), limit_bytes)
        self._pictures = Pictures(stores.files, PictureChecks(limit_bytes), urls, wall_s=wall_s)
        limits = Limits(settings.message_limit_bytes, settings.picture_event_limit_bytes)
        transcriptions = TranscriptionSessions(self._calls.requests, MODELS, limits.event)
        realtime = RealtimeEndpoint(
            self._calls, resumption, keys, tokens, opening, self._pictures, limits, transcriptions
        )
        ClientSecretsEndpoint(keys, ephemeral, aliases, self._roster).add_routes(app)
        app.router.add_get("/v1/realtime", realtime.handle)
        offers: Endpoint = (
            webrtc(self._calls, keys, opening, self._pictures, settings)
            if webrtc
            else Forwarding(keys, webrtc_urls_of(settings))
        )
        offers.add_routes(app)
        HangingUp(context.exchange, self._calls, resumption, keys).add_routes(app)
        Http(keys, store, self._roster).add_routes(app)
        TranscriptionApi(keys, self._calls.requests, aliases).add_routes(app)
        SpeechApi(keys, self._calls.requests, aliases, context.exchange.now_s).add_routes(app)
        models = TextModels(aliases, settings.model_name, self._roster)
        ModelsEndpoint(keys, self._roster, aliases, models.names, int(wall_s())).add_routes(app)
        ResponsesEndpoint(
            keys,
            self._calls.requests,
            models,
            Shelf(stores.responses),
            self._pictures,
            wall_s=wall_s,
            now_s=context.exchange.now_s,
        ).add_routes(app)
        Page().add_routes(app)
        deciding = Deciding(context.exchange)
        self._calls.on_answered = deciding.hear
        Approvals(keys, store, deciding).add_routes(app)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
        self._site: web.TCPSite | None = None
        self.port = 0

    async def start(self) -> None:
        """Raises OSError when the port is taken."""
        await self._stores.ensure()
        await self._roster.start(self._bus)
        self._calls.start()
        self._adoption.start()
        await self._runner.setup()
        self._site = web.TCPSite(
            self._runner, self._settings.host, self._settings.port, reuse_port=self._settings.share_port or None
        )
        await self._site.start()
        self.port = self._runner.addresses[0][1]

    def load(self) -> tuple[int, int]:
        return len(self._calls), self._settings.capacity

    async def drain(self, grace_s: float) -> None:
        site, self._site = self._site, None
        if site is not None:
            await site.stop()  # where the port is shared, callers come to another gateway from now on
        await self._calls.drain(grace_s)

    async def stop(self) -> None:
        await self._adoption.stop()
        await self._runner.cleanup()
        self._calls.stop()
        await self._roster.stop()
        await self._stores.close()
