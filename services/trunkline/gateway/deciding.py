"""A person's decision on its way to the agent that owns the call, until that answers.

It is said again and again, to all agents: what makes that harmless is the record, from which the owner answers.
"""

import asyncio

from trunkline.bus.exchange import Exchange
from trunkline.proto import subjects
from trunkline.proto.approval import ApprovalAnswered, DecideApproval
from trunkline.proto.errors import StageUnavailable

ASK_AGAIN_S = 0.5
ASKS = 20  # 10 s in all: an owner that is lost is followed by another in that time
WAITING = 256  # decisions at a time at one gateway


class Deciding:
    """Each decision waits in the task of whoever brought it; there is no other state."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self._waiting: dict[str, asyncio.Future[ApprovalAnswered]] = {}  # by order

    def __len__(self) -> int:
        return len(self._waiting)

    async def decide(self, call: str, order: DecideApproval) -> ApprovalAnswered | None:
        """None if nobody answered: it may have been decided. Raises StageUnavailable when too many wait."""
        if len(self._waiting) >= WAITING:
            raise StageUnavailable("agent", f"{WAITING} decisions wait for an answer already")
        answered: asyncio.Future[ApprovalAnswered] = asyncio.get_running_loop().create_future()
        self._waiting[order.order] = answered
        try:
            for _ in range(ASKS):
                self._exchange.post(subjects.approvals(call), call, order)
                await asyncio.wait((answered,), timeout=ASK_AGAIN_S)
                if answered.done():
                    return answered.result()
        finally:
            del self._waiting[order.order]
        return None

    def hear(self, answer: ApprovalAnswered) -> None:
        """Late ones, and further ones to what was asked again, are dropped."""
        waiting = self._waiting.get(answer.order)
        if waiting is not None and not waiting.done():
            waiting.set_result(answer)
