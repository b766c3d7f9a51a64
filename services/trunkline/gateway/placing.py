"""One worker is asked to take one call: what goes out, and what it answers."""

import asyncio
from collections.abc import Callable
from itertools import count

from trunkline.bus.exchange import Exchange, Link
from trunkline.bus.port import Headers
from trunkline.proto.envelope import Message, attach_number, hub_of
from trunkline.proto.placement import Declined, Release
from trunkline.proto.subjects import Stage

READY_LIMIT_S = 2.0  # for one worker to take the call
LAST_WORD_S = 30.0  # carried for so long to a worker that may only be stopped
NO_ANSWER = Declined("unready", "no answer")

Hear = Callable[["Placement", Message, Headers | None], None]


class Placement:
    """One stage's worker for one call. reason: why it was asked, empty for the call's first."""

    def __init__(self, stage: Stage, worker: str, reason: str, link: Link) -> None:
        self.stage = stage
        self.worker = worker
        self.reason = reason
        self.link = link
        self._answer: asyncio.Future[Declined | None] = asyncio.get_running_loop().create_future()

    @property
    def asked(self) -> bool:
        """It may still take the call or decline."""
        return not self._answer.done()

    def accept(self) -> None:
        self.link.epoch = self.link.peer_epoch
        self._answer.set_result(None)

    def decline(self, answer: Declined) -> None:
        """The worker's word, or what is known of it; nothing once it has answered."""
        if self.asked:
            self._answer.set_result(answer)

    async def outcome(self) -> Declined | None:
        """None once the worker took the call."""
        try:
            async with asyncio.timeout(READY_LIMIT_S):  # wait_for would swallow a cancellation after the answer
                return await self._answer
        except TimeoutError:
            return NO_ANSWER

    def release(self, reason: str) -> None:
        """The worker forgets the call; what was sent before still arrives."""
        self.link.send(Release(reason))
        self.link.close(LAST_WORD_S)


class Placer:
    """Places the stages of one call; its placements are numbered across them, in the name of this hub number."""

    def __init__(self, exchange: Exchange, call: str, hub: int) -> None:
        self._exchange = exchange
        self._call = call
        self._hub = hub
        self._numbers = count(1)

    def outranked_by(self, attach: int) -> bool:
        """Whether that placement is another gateway's, which has the call now."""
        return hub_of(attach) > self._hub

    def ask(self, stage: Stage, worker: str, order: Message, hear: Hear, reason: str = "") -> Placement:
        """hear: gets everything that the worker says, its answer too."""

        def receive(message: Message, headers: Headers | None) -> None:
            hear(placement, message, headers)

        attach = attach_number(self._hub, next(self._numbers))
        link = self._exchange.link(self._call, f"{stage}.{worker}", attach, receive)
        placement = Placement(stage, worker, reason, link)
        link.send(order)
        return placement
