"""A model at an endpoint: asks, asks again or elsewhere, and streams what it says.

Nothing is asked twice once a token has come: what was streamed may have been heard.
"""

import asyncio
import contextlib
import dataclasses
from collections.abc import AsyncGenerator, Iterable, Sequence
from typing import Protocol

import msgspec
from prometheus_client import Counter

from trunkline.agent.models.endpoint.errors import EndpointFailed
from trunkline.agent.models.endpoint.options import OPENING_S, Endpoint, Options
from trunkline.agent.models.endpoint.retrying import wait_s
from trunkline.agent.models.endpoint.transport import Patience, Transport
from trunkline.agent.models.pictures import Pictures, Shown, pictures_of, unseen
from trunkline.agent.models.seam import ModelEvent, ModelRequest, RoundDone
from trunkline.images.detail import family_of
from trunkline.proto.image import Detail
from trunkline.runtime.breaker import Breakers
from trunkline.telemetry import logs

LEFT_ALONE = "left_alone"  # the code of an endpoint that was not asked
LAST_ATTEMPT_S = 1.0  # less than that isn't worth an attempt
LEFTOVERS_S = 0.25  # for the end of a stream behind its last event
RESTING_S = 30.0  # an endpoint that failed is asked last
LEARNT_ENDPOINTS = 100  # beyond, all is learnt anew: a client may name a model
OTHER = "other"  # model than those of the settings, in metrics
WISHES = ("effort", "reasoning", "verbosity")  # that a client asks for by default, and not every endpoint knows

log = logs.get(__name__)
_failures = Counter(
    "trunkline_agent_endpoint_failures_total", "Attempts at a model's endpoint that failed", ["model", "reason"]
)


class Reader(Protocol):
    """From the events of one answer to those of a round. Both raise EndpointFailed."""

    over: bool

    def read(self, data: bytes) -> Iterable[ModelEvent]: ...

    def end(self) -> Iterable[ModelEvent]:
        """The stream ended before it was over."""
        ...


class Wire(Protocol):
    """How an endpoint is spoken to. path: behind its URL. model: its name there. shown: what becomes of each picture.

    detail: that is asked for in its words, where a client asks for this one.
    """

    name: str
    path: str

    def detail(self, asked: Detail) -> Detail: ...

    def body(self, request: ModelRequest, model: str, shown: Shown) -> dict[str, object]: ...

    def reader(self, endpoint: Endpoint) -> Reader: ...


class EndpointModel:
    repeatable = False

    def __init__(self, wire: Wire, options: Options, pictures: Pictures | None = None) -> None:
        """pictures: None where there are none to be had."""
        self.name = wire.name
        self._pictures = pictures or Pictures(None)
        self._wire = wire
        self._options = options
        self._transport = Transport(options.limits)
        self._rests_until_s: dict[Endpoint, float] = {}
        self._breakers = Breakers("model", options.breaker, _now_s)
        self._grants_no_wish: set[str] = set()  # endpoints, by their label
        if not options.sends_phase:
            log.warning("phases are not sent back to the model", setting="TRUNKLINE_MODEL_PHASE=omit")

    async def respond(self, request: ModelRequest) -> AsyncGenerator[ModelEvent, None]:
        """Raises EndpointFailed."""
        begun = False
        failures: list[EndpointFailed] = []
        shown: dict[str, Shown] = {}  # by model, so that asking again prepares nothing again
        until_s = _now_s() + OPENING_S
        async with contextlib.aclosing(self._attempts(request, failures, until_s)) as attempts:
            async for endpoint in attempts:
                if not self._breakers.lets_through(endpoint.label):
                    failures.append(EndpointFailed(endpoint, "is left alone", code=LEFT_ALONE, elsewhere=True))
                    continue
                limit_s = 0.0
                try:
                    if endpoint.model not in shown:
                        shown[endpoint.model] = await self._shown(request, endpoint.model)
                    limit_s = max(min(self._options.limits.first_token_s, until_s - _now_s()), LAST_ATTEMPT_S)
                    body = self._wire.body(self._granted(request, endpoint), endpoint.model, shown[endpoint.model])
                    async with contextlib.aclosing(self._attempt(endpoint, body, limit_s)) as events:
                        async for event in events:
                            begun = True
                            yield event
                    self._breakers.succeeded(endpoint.label)
                    return
                except EndpointFailed as error:
                    self._failed(endpoint, error, fair=begun or self._is_fair(limit_s))
                    if begun:
                        raise
                    failures.append(error)
                except BaseException:  # whoever asked has given up, whatever it waited for; or a bug is to blame
                    (self._breakers.succeeded if begun else self._breakers.left)(endpoint.label)
                    raise
        raise next((error for error in reversed(failures) if error.code != LEFT_ALONE), failures[-1])

    async def close(self) -> None:
        await self._transport.close()
        self._pictures.close()

    async def _shown(self, request: ModelRequest, model: str) -> Shown:
        images = pictures_of(request)
        if not self._options.sends_pictures:
            return unseen(images)
        return await self._pictures.prepare(images, family_of(model), self._wire.detail)

    async def _attempts(
        self, request: ModelRequest, failures: Sequence[EndpointFailed], until_s: float
    ) -> AsyncGenerator[Endpoint, None]:
        """Whom to ask; waits before an endpoint is asked again.

        failures: of the attempts so far; whoever asks for another one has added one.
        """
        limits = self._options.limits
        for endpoint in self._in_order(request.model):
            for attempt in range(1, limits.retries + 2):
                yield endpoint
                if self._learns(endpoint, request, failures[-1]):
                    yield endpoint
                last = failures[-1]
                pause_s = wait_s(attempt, last.retry_after_s) if last.retryable and attempt <= limits.retries else None
                if pause_s is None or _now_s() + pause_s + LAST_ATTEMPT_S > until_s:
                    break
                await asyncio.sleep(pause_s)
            if not failures[-1].elsewhere or _now_s() + LAST_ATTEMPT_S > until_s:
                return

    def _in_order(self, wish: str) -> list[Endpoint]:
        """Those that failed lately come last. wish: holds at the first endpoint."""
        first, *others = self._options.endpoints
        endpoints = [msgspec.structs.replace(first, model=wish) if wish else first, *others]
        return sorted(endpoints, key=lambda endpoint: self._rests_until_s.get(endpoint, 0.0) > _now_s())

    async def _attempt(
        self, endpoint: Endpoint, body: dict[str, object], first_token_s: float
    ) -> AsyncGenerator[ModelEvent, None]:
        patience = Patience(endpoint, first_token_s, self._options.limits.idle_s)
        encoded = msgspec.json.encode(body)
        reader, begun = self._wire.reader(endpoint), False
        async with contextlib.aclosing(self._transport.events(endpoint, self._wire.path, encoded, patience)) as stream:
            async for data in stream:
                for event in reader.read(data):
                    begun = True
                    yield _signed(event, endpoint)
                if reader.over:
                    await _read_rest(stream)
                    return
                if begun:
                    patience.heard()
        for event in reader.end():
            yield _signed(event, endpoint)

    def _is_fair(self, limit_s: float) -> bool:
        """To take an endpoint that hasn't begun by then for one that hangs; with less, it may be just slow."""
        return limit_s >= self._options.limits.first_token_s / 2

    def _failed(self, endpoint: Endpoint, error: EndpointFailed, *, fair: bool) -> None:
        """fair: it had the time that it may need."""
        _failures.labels(
            self._known(endpoint.model), error.code if error.code in ("connect", "timeout") else "answer"
        ).inc()
        log.warning("model endpoint failed", error=str(error), retryable=error.retryable)
        unfair = error.code == "timeout" and not fair
        if not unfair and (error.retryable or error.code == "timeout"):
            self._breakers.failed(endpoint.label, str(error))
        else:  # it answers, and the request is at fault, or the key; or it had no time to
            self._breakers.left(endpoint.label)
        if error.elsewhere and not unfair:
            now_s = _now_s()
            resting = {one: until_s for one, until_s in self._rests_until_s.items() if until_s > now_s}
            self._rests_until_s = resting | {endpoint: now_s + RESTING_S}

    def _known(self, model: str) -> str:
        """As a metric names it: a client may have named it, in whatever words."""
        return model if any(model == endpoint.model for endpoint in self._options.endpoints) else OTHER

    def _learns(self, endpoint: Endpoint, request: ModelRequest, error: EndpointFailed) -> bool:
        """That it refuses a wish which it would do without: it is asked again at once, and never so any more."""
        said = f"{error.param} {error.problem}".lower()
        refuses = error.status in (400, 422) and any(wish in said for wish in WISHES)
        if not refuses or self._granted(request, endpoint) == plain(request):
            return False
        log.warning("an endpoint is not asked for effort or verbosity any more", model=endpoint.label)
        if len(self._grants_no_wish) == LEARNT_ENDPOINTS:
            self._grants_no_wish.clear()
        self._grants_no_wish.add(endpoint.label)
        return True

    def _granted(self, request: ModelRequest, endpoint: Endpoint) -> ModelRequest:
        return plain(request) if endpoint.label in self._grants_no_wish else request


def plain(request: ModelRequest) -> ModelRequest:
    """Without wishes."""
    settings = dataclasses.replace(request.settings, reasoning_effort="", verbosity="")
    return msgspec.structs.replace(request, settings=settings)


def _signed(event: ModelEvent, endpoint: Endpoint) -> ModelEvent:
    return msgspec.structs.replace(event, model=endpoint.model) if isinstance(event, RoundDone) else event


def _now_s() -> float:
    return asyncio.get_running_loop().time()


async def _read_rest(stream: AsyncGenerator[bytes, None]) -> None:
    """So that the connection can be used again."""
    with contextlib.suppress(TimeoutError, EndpointFailed):
        async with asyncio.timeout(LEFTOVERS_S):
            async for _ in stream:
                pass
