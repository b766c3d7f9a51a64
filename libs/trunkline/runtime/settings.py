"""Settings are frozen structs, read once, in main, from TRUNKLINE_* variables; nothing else reads the environment."""

from collections.abc import Mapping
from typing import Literal, TypeVar, get_args, get_origin
from urllib.parse import urlsplit

import msgspec

from trunkline.bus.adaptive_window import WIDEST_S
from trunkline.proto.errors import BadSettings

PREFIX = "TRUNKLINE_"
RANGES: Mapping[str, tuple[float, float]] = {
    "trace_ratio": (0, 1),
    "admin_port": (0, 65_535),
    "drain_grace_s": (0, 86_400),
    "resume_window_s": (0.1, 3600),
    "audio_window_ms": (0, 40),
}


class CoreSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What every service has. Each field `foo_bar` is read from TRUNKLINE_FOO_BAR.

    nats_url: comma-separated. capacity: calls at a time, 0 for the stage's own default. admin_port: health and
    metrics, 0 for a free one. trace_ratio: share of calls that are traced, once OTEL_EXPORTER_OTLP_ENDPOINT is set.
    resume_window_s: how long a call waits for a caller who lost the connection, or its gateway.
    audio_window_ms: that audio waits for that of other calls under load, at most.
    """

    nats_url: str = "nats://127.0.0.1:4222"
    worker_id: str = ""
    log_level: str = "info"
    admin_host: str = "127.0.0.1"
    admin_port: int = 0
    capacity: int = 0
    drain_grace_s: float = 30.0
    trace_ratio: float = 1.0
    resume_window_s: float = 15.0
    audio_window_ms: float = 1000 * WIDEST_S

    @property
    def nats_urls(self) -> list[str]:
        return [url.strip() for url in self.nats_url.split(",")]


S = TypeVar("S", bound=CoreSettings)


def variable(field: str) -> str:
    return PREFIX + field.upper()


def load(type_: type[S], environ: Mapping[str, str]) -> S:
    """Raises BadSettings with the variable's name and what is allowed."""
    given = {
        field.name: environ[variable(field.name)]
        for field in msgspec.structs.fields(type_)
        if variable(field.name) in environ
    }
    for field in msgspec.structs.fields(type_):
        if field.name in given:
            _check(field, given[field.name])
    settings = msgspec.convert(given, type_, strict=False)
    if settings.log_level.lower() not in ("debug", "info", "warning", "error"):
        raise BadSettings(variable("log_level"), f"{settings.log_level!r}", "debug, info, warning, error")
    check_ranges(settings, RANGES)
    for url in settings.nats_urls:
        _check_url(url)
    if settings.capacity < 0:
        raise BadSettings(variable("capacity"), f"{settings.capacity}", "0 or more")
    return settings


def check_ranges(settings: CoreSettings, ranges: Mapping[str, tuple[float, float]]) -> None:
    """ranges: field -> least, most. Raises BadSettings."""
    for name, (least, most) in ranges.items():
        value = getattr(settings, name)
        if not least <= value <= most:
            raise BadSettings(variable(name), f"{value}", f"{least} to {most}")


def _check(field: msgspec.structs.FieldInfo, text: str) -> None:
    try:
        msgspec.convert(text, field.type, strict=False)
    except msgspec.ValidationError as error:
        choices = get_origin(field.type) is Literal and ", ".join(map(str, get_args(field.type)))
        allowed = choices or f"a value of type {getattr(field.type, '__name__', field.type)}"
        raise BadSettings(variable(field.name), f"{text!r} ({error})", allowed) from None


def _check_url(url: str) -> None:
    try:
        parts = urlsplit(url if "://" in url else f"nats://{url}")
        usable = parts.hostname and parts.port != 0
    except ValueError:  # a port that is no number
        usable = False
    if not usable:
        raise BadSettings(variable("nats_url"), repr(url), "nats://HOST:PORT, several separated by commas")
