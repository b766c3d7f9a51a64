"""Finding a worker for a call: choose by load, ask, and ask another if it declines or says nothing."""

import asyncio
from collections.abc import Callable
from itertools import count

from trunkline.bus.exchange import Exchange, Link
from trunkline.bus.port import Headers
from trunkline.placement.roster import Roster
from trunkline.proto.envelope import Message, attach_number
from trunkline.proto.errors import BadInput, StageUnavailable
from trunkline.proto.placement import Accepted, CallFailed, Declined, Release
from trunkline.proto.response import Attached
from trunkline.proto.subjects import Stage
from trunkline.telemetry import logs

READY_LIMIT_S = 2.0  # for one worker to take the call
ATTEMPTS = 3
HUB = 1  # this gateway's number for the calls that it opened

log = logs.get(__name__)
MessageHandler = Callable[[Message, Headers | None], None]


class Placement:
    """One stage's worker for one call. ready: its answer, once it took the call."""

    def __init__(self, stage: Stage, worker: str, link: Link, ready: "asyncio.Future[Accepted | Attached]") -> None:
        self.stage = stage
        self.worker = worker
        self.link = link
        self.ready = ready

    def release(self, reason: str) -> None:
        """The worker forgets the call; what was sent before still arrives."""
        self.link.send(Release(reason))
        self.link.close()


class Placer:
    """Places the stages of one call; its placements are numbered across them."""

    def __init__(self, exchange: Exchange, roster: Roster, call: str) -> None:
        self._exchange = exchange
        self._roster = roster
        self._call = call
        self._numbers = count(1)

    async def place(self, stage: Stage, order: Message, handler: MessageHandler) -> Placement:
        """handler: gets everything that the worker says after it took the call. Raises StageUnavailable, BadInput."""
        refusals: dict[str, Declined] = {}
        for _ in range(ATTEMPTS):
            try:
                worker = self._roster.choose(stage, exclude=refusals.keys()).worker
            except StageUnavailable as unavailable:
                raise _explained(unavailable, refusals) from unavailable
            placement = self._ask(stage, worker, order, handler)
            try:
                await asyncio.wait_for(placement.ready, READY_LIMIT_S)
            except _DeclinedError as declined:
                refusals[worker] = declined.answer
                placement.link.close()
            except TimeoutError:
                refusals[worker] = Declined("unready", "no answer")
                placement.release("moved")
            except asyncio.CancelledError:
                placement.release("failed: not placed")
                raise
            else:
                return placement
            log.info("worker declined", call_id=self._call, declined_by=worker, reason=refusals[worker].reason)
            if refusals[worker].reason == "unknown_agent":
                allowed = "the name of an agent, or an alias of one"
                raise BadInput("model", refusals[worker].detail or "no such agent", allowed, code="model_not_found")
        raise _explained(StageUnavailable(stage, "none took it"), refusals)

    def _ask(self, stage: Stage, worker: str, order: Message, handler: MessageHandler) -> Placement:
        ready: asyncio.Future[Accepted | Attached] = asyncio.get_running_loop().create_future()

        def receive(message: Message, headers: Headers | None) -> None:
            if ready.done():
                handler(message, headers)
            elif isinstance(message, Accepted | Attached):
                link.epoch = link.peer_epoch
                ready.set_result(message)
            elif isinstance(message, Declined):
                ready.set_exception(_DeclinedError(message))
            elif isinstance(message, CallFailed):
                ready.set_exception(_DeclinedError(Declined("unready", message.reason)))

        attach = attach_number(HUB, next(self._numbers))
        link = self._exchange.link(self._call, f"{stage}.{worker}", attach, receive)
        link.send(order)
        return Placement(stage, worker, link, ready)


class _DeclinedError(Exception):
    def __init__(self, answer: Declined) -> None:
        super().__init__(answer.reason)
        self.answer = answer


def _explained(unavailable: StageUnavailable, refusals: dict[str, Declined]) -> StageUnavailable:
    """With what the last worker that was asked said."""
    if not refusals:
        return unavailable
    last = list(refusals.values())[-1]
    reason = f"{last.reason} {last.detail}".strip()
    return StageUnavailable(unavailable.stage, reason, max(r.retry_after_s for r in refusals.values()))
