"""A model at an endpoint: asks, asks again or elsewhere, and streams what it says.

Nothing is asked twice once a token has come: what was streamed may have been heard.
"""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Iterable, Sequence
from typing import Protocol

import msgspec
from prometheus_client import Counter

from trunkline.agent.models.endpoint.errors import EndpointFailed
from trunkline.agent.models.endpoint.options import OPENING_S, Endpoint, Options
from trunkline.agent.models.endpoint.retrying import wait_s
from trunkline.agent.models.endpoint.transport import Patience, Transport
from trunkline.agent.models.seam import ModelEvent, ModelRequest, RoundDone
from trunkline.telemetry import logs

LAST_ATTEMPT_S = 1.0  # less than that isn't worth an attempt
LEFTOVERS_S = 0.25  # for the end of a stream behind its last event
RESTING_S = 30.0  # an endpoint that failed is asked last

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
    """How an endpoint is spoken to. path: behind its URL. model: its name there."""

    name: str
    path: str

    def body(self, request: ModelRequest, model: str) -> dict[str, object]: ...

    def reader(self, endpoint: Endpoint) -> Reader: ...


class EndpointModel:
    repeatable = False

    def __init__(self, wire: Wire, options: Options) -> None:
        self.name = wire.name
        self._wire = wire
        self._options = options
        self._transport = Transport(options.limits)
        self._rests_until_s: dict[Endpoint, float] = {}
        if not options.sends_phase:
            log.warning("phases are not sent back to the model", setting="TRUNKLINE_MODEL_PHASE=omit")

    async def respond(self, request: ModelRequest) -> AsyncGenerator[ModelEvent, None]:
        """Raises EndpointFailed."""
        begun = False
        failures: list[EndpointFailed] = []
        async with contextlib.aclosing(self._attempts(request.model, failures, _now_s() + OPENING_S)) as attempts:
            async for endpoint, limit_s in attempts:
                try:
                    async with contextlib.aclosing(self._attempt(endpoint, request, limit_s)) as events:
                        async for event in events:
                            begun = True
                            yield event
                    return
                except EndpointFailed as error:
                    self._failed(endpoint, error)
                    if begun:
                        raise
                    failures.append(error)
        raise failures[-1]

    async def close(self) -> None:
        await self._transport.close()

    async def _attempts(
        self, wish: str, failures: Sequence[EndpointFailed], until_s: float
    ) -> AsyncGenerator[tuple[Endpoint, float], None]:
        """Whom to ask, with the limit for the first token in seconds; waits before an endpoint is asked again.

        wish: the agent's own model. failures: of the attempts so far; whoever asks for another one has added one.
        """
        limits = self._options.limits
        for endpoint in self._in_order(wish):
            for attempt in range(1, limits.retries + 2):
                yield endpoint, min(limits.first_token_s, until_s - _now_s())
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
        self, endpoint: Endpoint, request: ModelRequest, first_token_s: float
    ) -> AsyncGenerator[ModelEvent, None]:
        patience = Patience(endpoint, first_token_s, self._options.limits.idle_s)
        body = msgspec.json.encode(self._wire.body(request, endpoint.model))
        reader, begun = self._wire.reader(endpoint), False
        async with contextlib.aclosing(self._transport.events(endpoint, self._wire.path, body, patience)) as stream:
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

    def _failed(self, endpoint: Endpoint, error: EndpointFailed) -> None:
        _failures.labels(endpoint.model, error.code if error.code in ("connect", "timeout") else "answer").inc()
        log.warning("model endpoint failed", error=str(error), retryable=error.retryable)
        if error.elsewhere:
            self._rests_until_s[endpoint] = _now_s() + RESTING_S


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
