"""Requests of the HTTP APIs at the stage that serves them: short sessions, placed, watched and moved like calls.

A request has one stage, no agent that owns it and no record: it lives as long as the client waits for its answer.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterator
from itertools import count
from types import TracebackType
from typing import TypeVar

from trunkline.bus.exchange import Link
from trunkline.bus.link import PeerTakesNothing
from trunkline.gateway import metrics
from trunkline.gateway.audibility import Audibility
from trunkline.gateway.shared import Shared
from trunkline.gateway.staffing import Post, Staffing
from trunkline.proto.errors import StageUnavailable
from trunkline.proto.ids import new_request_id
from trunkline.proto.subjects import Stage
from trunkline.telemetry import logs, tracing

HUB = 1  # a request never goes on at another gateway
REQUESTS = 256  # at a time at one gateway; a stage has its own limit
ANY_REQUEST = new_request_id()  # of which there is none

T = TypeVar("T")
log = logs.get(__name__)


class Request:
    """`async with requests.open(stage, name, post) as request`: placed from there on, released at the end.

    Entering raises StageUnavailable; so does `wait`, when nobody serves it any more.
    """

    def __init__(self, requests: "Requests", shared: Shared, handle: int, stage: Stage, name: str) -> None:
        self.id = new_request_id()
        self.handle = handle
        self._requests = requests
        self._shared = shared
        self._stage: Stage = stage
        self._name = name
        self._failure: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._staffing: Staffing

    def serve(self, post: Post) -> None:
        """post: what its worker is to it; before it is placed."""
        self._staffing = Staffing(
            self.id,
            HUB,
            self._shared,
            {self._stage: post},
            on_given_up=lambda stage, reason: self.fail(StageUnavailable(stage, reason)),
            on_superseded=lambda: self.fail(StageUnavailable(self._stage, "superseded")),
            on_failure=self.fail,
            on_record=False,
        )

    async def __aenter__(self) -> "Request":
        try:
            await self._staffing.place(self._stage)
        except BaseException:
            self._end()
            raise
        tracing.start_call(self.id, self._name)
        metrics.requests.labels(self._name).inc()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()

    async def wait(self, what: Awaitable[T]) -> T:
        """Its outcome. Raises what the request failed of."""
        task = asyncio.ensure_future(what)
        try:
            await asyncio.wait((task, self._failure), return_when=asyncio.FIRST_COMPLETED)
            if not task.done():
                self._failure.result()
            return task.result()
        finally:
            task.cancel()

    # what Calls watches over

    def look(self, sound: Collection[str]) -> None:
        self._staffing.look(sound)

    def gone(self, stage: Stage, worker: str, reason: str) -> None:
        self._staffing.gone(stage, worker, reason)

    def contain(self, link: Link, error: Exception) -> None:
        if isinstance(error, PeerTakesNothing):
            self._staffing.takes_nothing(link.attach, str(error))
        else:
            self.fail(error)

    def fail(self, error: Exception) -> None:
        """Whoever waits learns it; once."""
        if not self._failure.done():
            if not isinstance(error, StageUnavailable):
                log.error("request failed", call_id=self.id, error=repr(error), exc_info=error)
            self._failure.set_exception(error)
            self._failure.exception()  # nobody may be waiting

    def _end(self) -> None:
        self._staffing.release("answered")
        del self._staffing  # which refers to this: what was worked on is to go at once
        self._requests.forget(self)


class Requests:
    """handles: of audio on the bus, shared with the calls. on_empty: the last one has ended."""

    def __init__(self, shared: Shared, handles: "count[int]", on_empty: Callable[[], None]) -> None:
        self.draining = False
        self.now_s = shared.exchange.now_s
        self.audibility = Audibility(self.now_s)
        self._shared = shared
        self._handles = handles
        self._on_empty = on_empty
        self._requests: dict[str, Request] = {}

    def __len__(self) -> int:
        return len(self._requests)

    def __iter__(self) -> Iterator[Request]:
        return iter(list(self._requests.values()))

    def find(self, request_id: str) -> Request | None:
        return self._requests.get(request_id)

    def require_place(self, stage: Stage) -> None:
        """For a new one, here and at its stage, by what beats say. Raises StageUnavailable."""
        if self.draining:
            raise StageUnavailable("gateway", "it is draining", why="draining")
        if len(self) >= REQUESTS:
            raise StageUnavailable("gateway", f"it has its {REQUESTS} requests", why="full")
        self._shared.roster.require_room(stage, ANY_REQUEST)

    def open(self, stage: Stage, name: str, post: Callable[[Request], Post]) -> Request:
        """name: of its span. post: made for it. Raises StageUnavailable where there is no room for it."""
        self.require_place(stage)
        request = Request(self, self._shared, next(self._handles), stage, name)
        request.serve(post(request))
        self._requests[request.id] = request
        return request

    def forget(self, request: Request) -> None:
        self._requests.pop(request.id, None)
        if not self._requests:
            self._on_empty()
