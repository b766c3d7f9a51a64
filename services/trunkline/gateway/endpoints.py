"""Everything that this gateway serves over HTTP and WebSocket, joined to what it is made of; nothing else."""

from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple, Protocol

from aiohttp import web

from trunkline.bus.exchange import Exchange
from trunkline.gateway.apis.files import FilesEndpoint
from trunkline.gateway.apis.models import ModelsEndpoint, TextModels
from trunkline.gateway.apis.responses.endpoint import ResponsesEndpoint
from trunkline.gateway.apis.responses.kept import Shelf
from trunkline.gateway.apis.speech import SpeechEndpoint
from trunkline.gateway.apis.transcriptions import TranscriptionsEndpoint
from trunkline.gateway.approvals import Approvals
from trunkline.gateway.auth import Keys
from trunkline.gateway.calls import Calls
from trunkline.gateway.deciding import Deciding
from trunkline.gateway.dialects.realtime.client_secrets import ClientSecretsEndpoint
from trunkline.gateway.dialects.realtime.endpoint import RealtimeEndpoint
from trunkline.gateway.dialects.realtime.limits import Limits
from trunkline.gateway.dialects.realtime.opening import Opening
from trunkline.gateway.dialects.realtime.transcription_endpoint import TranscriptionSessions
from trunkline.gateway.dialects.webrtc.forwarding import Forwarding
from trunkline.gateway.ephemeral_keys import EphemeralKeys
from trunkline.gateway.hanging_up import HangingUp
from trunkline.gateway.http import Http
from trunkline.gateway.model_names import LIVE_TRANSCRIPTION_MODELS, SPEECH_MODELS, TRANSCRIPTION_MODELS, with_aliases
from trunkline.gateway.page.serving import Page
from trunkline.gateway.picture_checks import PictureChecks
from trunkline.gateway.picture_urls import PictureUrls
from trunkline.gateway.pictures import Pictures
from trunkline.gateway.resume_token import ResumeTokens
from trunkline.gateway.resuming import Resumption
from trunkline.gateway.settings import GatewaySettings, aliases_of, keys_of, picture_hosts_of, webrtc_urls_of
from trunkline.gateway.sockets import Sockets
from trunkline.gateway.stores import Stores
from trunkline.placement.roster import Roster


class Endpoint(Protocol):
    def add_routes(self, app: web.Application) -> None: ...


MakeEndpoint = Callable[[Calls, Keys, Opening, Pictures, GatewaySettings], Endpoint]


class Parts(NamedTuple):
    """What the endpoints have in common. wall_s: seconds since 1970."""

    exchange: Exchange
    settings: GatewaySettings
    stores: Stores
    roster: Roster
    calls: Calls
    sockets: Sockets
    resumption: Resumption
    wall_s: Callable[[], float]


def endpoints(parts: Parts, webrtc: MakeEndpoint | None) -> Iterator[Endpoint]:
    """webrtc: see GatewayService."""
    calls, settings, stores = parts.calls, parts.settings, parts.stores
    aliases = aliases_of(settings)
    ephemeral = EphemeralKeys(settings.resume_secret, keys_of(settings), stores.sessions, parts.wall_s)
    keys = Keys(keys_of(settings), ephemeral, calls.key_use)
    opening = Opening(calls, aliases)
    limit_bytes = settings.file_limit_bytes
    urls = PictureUrls(picture_hosts_of(settings), limit_bytes)
    pictures = Pictures(stores.files, PictureChecks(limit_bytes), urls, wall_s=parts.wall_s)
    yield Page()
    yield from _calls(parts, keys, opening, pictures)
    if webrtc is None:
        yield Forwarding(keys, parts.roster, webrtc_urls_of(settings))
    else:
        yield webrtc(calls, keys, opening, pictures, settings)
    yield ClientSecretsEndpoint(keys, ephemeral, aliases, parts.roster, _session_models(aliases))
    yield from _requests(parts, keys, pictures)


def _calls(parts: Parts, keys: Keys, opening: Opening, pictures: Pictures) -> Iterator[Endpoint]:
    calls, settings, record = parts.calls, parts.settings, parts.stores.record
    limits = Limits(settings.message_limit_bytes, settings.picture_event_limit_bytes)
    yield RealtimeEndpoint(
        calls,
        parts.sockets,
        parts.resumption,
        keys,
        ResumeTokens(settings.resume_secret, keys_of(settings)),
        opening,
        pictures,
        limits,
        TranscriptionSessions(calls.requests, _session_models(aliases_of(settings)), limits.event),
    )
    yield HangingUp(parts.exchange, calls, parts.resumption, keys)
    yield Http(keys, record, parts.roster)
    deciding = Deciding(parts.exchange)
    calls.on_answered = deciding.hear
    yield Approvals(keys, record, deciding)


def _requests(parts: Parts, keys: Keys, pictures: Pictures) -> Iterator[Endpoint]:
    aliases, requests, now_s = aliases_of(parts.settings), parts.calls.requests, parts.exchange.now_s
    yield FilesEndpoint(keys, parts.stores.files, pictures, parts.settings.file_limit_bytes, parts.wall_s)
    yield TranscriptionsEndpoint(keys, requests, with_aliases(TRANSCRIPTION_MODELS, aliases))
    yield SpeechEndpoint(keys, requests, aliases, now_s)
    models = TextModels(aliases, parts.settings.model_name, parts.roster)
    names = (*models.names, *TRANSCRIPTION_MODELS, *SPEECH_MODELS)
    yield ModelsEndpoint(keys, parts.roster, aliases, names, int(parts.wall_s()))
    shelf = Shelf(parts.stores.responses)
    yield ResponsesEndpoint(keys, requests, models, shelf, pictures, wall_s=parts.wall_s, now_s=now_s)


def _session_models(aliases: Mapping[str, str]) -> tuple[str, ...]:
    """Of transcription sessions."""
    return with_aliases((*TRANSCRIPTION_MODELS, *LIVE_TRANSCRIPTION_MODELS), aliases)
