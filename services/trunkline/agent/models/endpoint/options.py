"""From the settings to the endpoints that are asked, in order, and the limits of asking. A key is never shown."""

from typing import Literal
from urllib.parse import SplitResult, urlsplit

import msgspec

from trunkline.agent.settings import AgentSettings
from trunkline.proto.errors import BadSettings
from trunkline.runtime.breaker import Rules, rules_of
from trunkline.runtime.settings import variable

MaxTokensKey = Literal["max_completion_tokens", "max_tokens"]
OPENING_S = 25.0  # until the first token, over all attempts: the agent waits 30 s for an event of a model
URL_ALLOWED = "http(s)://HOST[:PORT][/PATH], such as http://127.0.0.1:8080/v1"
RETRIES_LIMIT = 5
CALLS_LIMIT = 128  # of tools in a round; more is nonsense


class Endpoint(msgspec.Struct, frozen=True):
    """url: up to and without `/responses`. model: as the endpoint calls it. key: "" for none."""

    url: str
    model: str
    key: str = ""

    @property
    def label(self) -> str:
        """For people; no secret in it."""
        return f"{self.model} at {urlsplit(self.url).netloc}"

    def __repr__(self) -> str:
        return f"Endpoint({self.label})"


class Limits(msgspec.Struct, frozen=True):
    """connect_s: until a connection stands. first_token_s: until the first event of the answer, connecting included.

    idle_s: between two events. retries: at one endpoint, before the first token.
    """

    connect_s: float = 3.0
    first_token_s: float = 10.0
    idle_s: float = 15.0
    retries: int = 2


class Options(msgspec.Struct, frozen=True):
    """endpoints: the first that answers is taken. sends_phase: of messages in the history. sends_pictures: that a
    message shows; a model that sees none is told so in words. breaker: of each endpoint."""

    endpoints: tuple[Endpoint, ...]
    limits: Limits = Limits()
    sends_phase: bool = True
    sends_pictures: bool = True
    max_tokens_key: MaxTokensKey = "max_completion_tokens"
    breaker: Rules = Rules()


def options_of(settings: AgentSettings) -> Options:
    """Raises BadSettings, which names the variable."""
    if not settings.model_url:
        raise BadSettings(variable("model_url"), "is not set", URL_ALLOWED)
    if not settings.model_name:
        raise BadSettings(variable("model_name"), "is not set", "a model's name at the endpoint")
    first = Endpoint(_url("model_url", settings.model_url), settings.model_name, _key("model_key", settings.model_key))
    fallback_key = _key("model_fallback_key", settings.model_fallback_key)
    texts = [text.strip() for text in settings.model_fallbacks.split(",")]
    return Options(
        (first, *(_fallback(text, first, fallback_key) for text in texts if text)),
        _limits(settings),
        settings.model_phase == "send",
        settings.model_pictures == "send",
        settings.model_max_tokens_key,
        rules_of(settings.breaker_failures, settings.breaker_rest_s),
    )


def _fallback(text: str, first: Endpoint, key: str) -> Endpoint:
    """text: NAME or URL|NAME. A key goes to no other origin than the one it was given for."""
    url, bar, model = text.rpartition("|")
    if not model.strip():
        raise BadSettings(variable("model_fallbacks"), f"{text[:80]!r} names no model", "NAME or URL|NAME")
    if not bar:
        return Endpoint(first.url, model.strip(), first.key)
    url = _url("model_fallbacks", url.strip())
    return Endpoint(url, model.strip(), first.key if _origin(url) == _origin(first.url) else key)


def _origin(url: str) -> tuple[str, str]:
    parts = urlsplit(url)
    return parts.scheme, parts.netloc


def _url(field: str, text: str) -> str:
    if (parts := _parts(text)) is None:
        raise BadSettings(variable(field), "is no URL of an endpoint", URL_ALLOWED)
    if parts.username is not None or parts.password is not None or parts.query or parts.fragment:
        # not shown: there may be a secret in it
        raise BadSettings(variable(field), "has a user, a query or a fragment", URL_ALLOWED)
    return text.rstrip("/")


def _parts(text: str) -> SplitResult | None:
    try:
        parts = urlsplit(text)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # a port that is no number
        return None
    return parts if usable and text.isprintable() and " " not in text else None


def _key(field: str, text: str) -> str:
    if not (text.isascii() and text.isprintable() and " " not in text):
        raise BadSettings(variable(field), "can't stand in a header", "printable ASCII without spaces")
    return text


def _limits(settings: AgentSettings) -> Limits:
    for field in ("model_connect_s", "model_first_token_s", "model_idle_s"):
        value: float = getattr(settings, field)
        if not 0.1 <= value <= OPENING_S:
            raise BadSettings(variable(field), f"{value:g}", f"0.1 to {OPENING_S:g}")
    if not 0 <= settings.model_retries <= RETRIES_LIMIT:
        raise BadSettings(variable("model_retries"), f"{settings.model_retries}", f"0 to {RETRIES_LIMIT}")
    return Limits(settings.model_connect_s, settings.model_first_token_s, settings.model_idle_s, settings.model_retries)
