"""People's decisions as they reach an agent: all agents hear all of them, and only a call's owner answers.

No queue group: it would hand a decision to an agent that has not the call.
"""

from collections.abc import Callable

import msgspec

from trunkline.bus.dead import decoded
from trunkline.bus.exchange import Exchange
from trunkline.bus.port import Headers, Subscription
from trunkline.proto import subjects
from trunkline.proto.approval import ApprovalAnswered, DecideApproval
from trunkline.proto.envelope import Envelope

Answer = Callable[[ApprovalAnswered], None]


class DecisionsIn:
    """on_decision: (call, what was decided, how it is answered once that is durable)."""

    def __init__(self, exchange: Exchange, on_decision: Callable[[str, DecideApproval, Answer], None]) -> None:
        self._exchange = exchange
        self._on_decision = on_decision
        self._heard: Subscription | None = None

    async def start(self) -> None:
        bus = self._exchange.bus
        self._heard = await bus.subscribe(subjects.ALL_APPROVALS, decoded(bus, "agent", self._receive))
        await bus.flush()

    async def stop(self) -> None:
        heard, self._heard = self._heard, None
        if heard is not None:
            await heard.stop()

    def _receive(self, envelope: Envelope, headers: Headers | None) -> None:
        decided = envelope.message
        if not isinstance(decided, DecideApproval):
            return

        def answer(answered: ApprovalAnswered) -> None:
            subject = subjects.inbox_of(envelope.sender, envelope.call)
            answered = msgspec.structs.replace(answered, order=decided.order)
            self._exchange.post(subject, envelope.call, answered, peer=envelope.sender)

        self._on_decision(envelope.call, decided, answer)
