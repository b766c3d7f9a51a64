"""Settings of the gateway, read once, in main."""

from collections.abc import Mapping
from typing import Literal

from yarl import URL

from trunkline.gateway.model_names import CALL_MODELS
from trunkline.gateway.picture_urls import PORTS, PictureHosts
from trunkline.proto.errors import BadSettings
from trunkline.runtime.settings import CoreSettings, variable

RANGES: Mapping[str, tuple[float, float]] = {
    "connection_limit": (1, 1_000_000),
    "address_connection_limit": (0, 1_000_000),
    "head_limit_s": (0.1, 3600),
    "first_event_limit_s": (0, 86_400),
    "key_calls": (0, 1_000_000),
}


class GatewaySettings(CoreSettings, frozen=True, kw_only=True):
    """host, port: where callers come. share_port: several gateways on one port (SO_REUSEPORT).

    api_keys: comma-separated; without any nobody is let in. model_aliases: `name=agent` or `voice=voice` pairs,
    comma-separated, nothing behind the `=` for the default agent or its voice; they add to the vendor's names.
    model_name: of the agents' model at its endpoint (`AgentSettings`), which requests may ask for by that name.
    connection_limit: of all clients, WebSockets and idle ones among them; address_connection_limit: of those from one
    address, 0 for any number, since a carrier's calls, and all that come by way of a proxy, have one. head_limit_s:
    from a connection to the end of its first request's head. first_event_limit_s: from a WebSocket's opening to its
    client's first event, audio too; 0 for any time.
    message_limit_bytes: of one client event; picture_event_limit_bytes: of one that shows pictures.
    file_limit_bytes: of one file, and of one picture.
    record_replicas: of the record's streams where this process is the first to make them, and so with
    record_store_bytes: of all calls, file_store_bytes: of all files, and response_store_bytes: of all responses that
    are kept; 0 for no limit, but of files. record_kept_s: for which calls are kept since their end, 0 for ever.
    nats_sync: what the NATS servers are expected to do, `always` or a time; nats_monitor_url: comma-separated, where
    they tell what they do. image_urls: `off`, `on`, or comma-separated hosts
    (`host` or `host:port`) that pictures are fetched from. resume_secret: signs the
    tokens of callers who come back, and ephemeral keys, the same at all gateways; derived from the API keys when empty.
    headroom: `n+1`: what the largest worker of a stage takes is kept free for calls that lose theirs, where it has
    several; `off`: new calls get all.
    key_calls: calls and requests at a time for one API key at this gateway, 0 for no limit.
    cors_origins: comma-separated, of the pages that may call from a browser; `*` for all, empty for none but our own.
    webrtc_urls: comma-separated, of the gateways that serve WebRTC, for those that don't.
    Of a gateway that serves WebRTC: webrtc_host: address on which its audio arrives, empty for host; webrtc_public_ips:
    comma-separated, told to callers instead, behind a NAT that maps one to one; webrtc_ports: UDP, such as
    50000-50999, empty for any.
    """

    host: str = "127.0.0.1"
    port: int = 8080
    share_port: bool = False
    api_keys: str = ""
    model_aliases: str = ""
    model_name: str = ""
    connection_limit: int = 10_000
    address_connection_limit: int = 0
    head_limit_s: float = 10.0
    first_event_limit_s: float = 300.0
    message_limit_bytes: int = 1_048_576
    picture_event_limit_bytes: int = 16_777_216
    file_limit_bytes: int = 20_971_520
    file_store_bytes: int = 2_147_483_648
    response_store_bytes: int = 1_073_741_824
    image_urls: str = "off"
    record_replicas: Literal[1, 3] = 1
    nats_sync: str = ""
    nats_monitor_url: str = ""
    record_store_bytes: int = 0
    record_kept_s: float = 0.0
    resume_secret: str = ""
    key_calls: int = 0
    headroom: Literal["n+1", "off"] = "n+1"
    cors_origins: str = "*"
    webrtc_urls: str = ""
    webrtc_host: str = ""
    webrtc_public_ips: str = ""
    webrtc_ports: str = ""


def keys_of(settings: GatewaySettings) -> list[str]:
    return [key for key in (part.strip() for part in settings.api_keys.split(",")) if key]


def origins_of(settings: GatewaySettings) -> list[str]:
    """Raises BadSettings."""
    origins = [origin.strip().rstrip("/") for origin in settings.cors_origins.split(",") if origin.strip()]
    for origin in origins:
        scheme, _, host = origin.partition("://")
        if origin != "*" and (scheme not in ("http", "https") or not host or "/" in host or "*" in host):
            raise BadSettings(variable("cors_origins"), f"{origin!r}", "*, or origins like https://desk.example:8443")
    return origins


def picture_hosts_of(settings: GatewaySettings) -> PictureHosts:
    """Raises BadSettings."""
    told = settings.image_urls.strip().lower()
    if told in ("", "off", "on"):
        return PictureHosts(any=told == "on")
    named: set[tuple[str, int]] = set()
    for part in filter(None, (part.strip() for part in told.split(","))):
        host, colon, port = part.rpartition(":") if ":" in part else (part, "", "")
        if not host or "/" in part or "*" in part or "@" in part or (colon and not port.isdigit()):
            raise BadSettings(
                variable("image_urls"), f"{part!r}", "off, on, or hosts like cdn.example or cdn.example:8443"
            )
        named |= {(host, int(port))} if colon else {(host, usual) for usual in PORTS}
    return PictureHosts(named=frozenset(named))


def webrtc_urls_of(settings: GatewaySettings) -> list[URL]:
    """Raises BadSettings."""
    return [_address(text) for text in (part.strip() for part in settings.webrtc_urls.split(",")) if text]


def _address(text: str) -> URL:
    try:
        url = URL(text)
        if url.scheme in ("http", "https") and url.host and url == url.origin() / "":
            return url
    except ValueError:
        pass
    raise BadSettings(variable("webrtc_urls"), f"{text!r}", "addresses like http://10.0.0.7:8080, comma-separated")


def aliases_of(settings: GatewaySettings) -> dict[str, str]:
    """Names of models and voices -> of agents and voices. Raises BadSettings."""
    aliases = dict.fromkeys(("", *CALL_MODELS), "")
    for part in filter(None, (part.strip() for part in settings.model_aliases.split(","))):
        name, equals, agent = part.partition("=")
        if not equals or not name.strip():
            raise BadSettings(variable("model_aliases"), f"{part!r}", "pairs like name=agent, comma-separated")
        aliases[name.strip()] = agent.strip()
    return aliases
