"""The caller's side of the call: what a gateway does for one, without audio. What is said is heard at once."""

import asyncio
from collections.abc import Callable

from trunkline.agents.testing import RehearsalFailed
from trunkline.bus.exchange import Exchange, Link
from trunkline.bus.port import Headers
from trunkline.proto import subjects
from trunkline.proto.approval import ApprovalAnswered, Choice, DecideApproval
from trunkline.proto.envelope import Envelope, Message, attach_number
from trunkline.proto.ids import new_item_id, new_order_id, new_response_id
from trunkline.proto.placement import CallFailed, Declined, Release
from trunkline.proto.response import (
    Attached,
    CallerAway,
    Converse,
    HangUp,
    Interrupt,
    Played,
    ResponseFinished,
    ResponseStarted,
    Say,
    SegmentHeard,
    Turn,
)

SAMPLES = 1000  # a character is as long as any other: what was heard can be told exactly


class Line:
    """changed: something was said. attached: the agent has the call. failed: why it can't go on, "" for it can."""

    def __init__(self, exchange: Exchange, agent: str, call: str, changed: Callable[[], None]) -> None:
        self.call = call
        self.attached: Attached | None = None
        self.failed = ""
        self.hanging_up = ""
        self._exchange = exchange
        self._changed = changed
        self._loop = asyncio.get_running_loop()
        self._link: Link = exchange.link(call, agent, attach_number(1, 1), self._hear)
        self._turns = 0
        self._said: list[Say] = []
        self._heard = 0  # how many of them to their end, as far as the agent was told
        self._away = 0
        self._silence: asyncio.TimerHandle | None = None
        self._answers: dict[str, asyncio.Future[ApprovalAnswered]] = {}
        exchange.on_loose = self._hear_loose

    def place(self) -> None:
        self._link.send(Converse(hub=1, gateway=self._exchange.worker, modality="text"))

    def asks(self, text: str) -> str:
        """The response that answers it."""
        self._somebody_speaks()
        self._away = 0
        self._played()
        self._turns += 1
        response = new_response_id()
        self._link.send(Turn(self._turns, new_item_id(), text, "text", response=response))
        return response

    def interrupts(self, response: str, heard: str | None) -> None:
        """heard: see AsyncCall.interrupts. Raises RehearsalFailed for what wasn't said."""
        said = [say for say in self._said if say.response == response]
        self._link.send(Interrupt(response, "turn_detected", tuple(_extents(said, heard))))
        self._heard = len(self._said)

    async def decides(self, approval: str, choice: Choice, text: str | None, by: str, note: str) -> ApprovalAnswered:
        """What the agent that has the call says to it."""
        order = new_order_id()
        answer: asyncio.Future[ApprovalAnswered] = self._loop.create_future()
        self._answers[order] = answer
        decision = DecideApproval(approval, choice, by, text, note, order)
        self._exchange.post(subjects.approvals(self.call), self.call, decision)
        try:
            return await answer
        finally:
            del self._answers[order]

    def hangs_up(self, reason: str = "caller_hung_up") -> None:
        self._somebody_speaks()
        if not self.hanging_up:
            self.hanging_up = reason
            self._played()
            self._link.send(Release(reason))

    async def close(self) -> None:
        self._somebody_speaks()
        self._link.close()

    # what is heard

    def _hear(self, message: Message, headers: Headers | None) -> None:
        match message:
            case Attached():
                self.attached = message
                self._wait_for_somebody()
            case ResponseStarted():
                self._somebody_speaks()
            case Say():
                self._said.append(message)
            case ResponseFinished():
                self._wait_for_somebody()
            case HangUp(reason=reason):
                self.hangs_up(reason)
            case CallFailed(reason=reason):
                self.failed = reason
            case Declined(reason=reason, detail=detail):
                self.failed = f"{reason}: {detail}"
            case _:
                pass
        self._changed()

    def _hear_loose(self, envelope: Envelope, headers: Headers | None) -> None:
        answered = envelope.message
        if isinstance(answered, ApprovalAnswered) and answered.order in self._answers:
            self._answers[answered.order].set_result(answered)

    def _played(self) -> None:
        for say in self._said[self._heard :]:
            samples = len(say.text) * SAMPLES
            self._link.send(Played(SegmentHeard(say.item, say.index, samples, samples)))
        self._heard = len(self._said)

    # silence

    def _somebody_speaks(self) -> None:
        if self._silence is not None:
            self._silence.cancel()
            self._silence = None

    def _wait_for_somebody(self) -> None:
        self._somebody_speaks()
        if self.attached is not None and self.attached.idle_s and not self.hanging_up:
            self._silence = self._loop.call_later(self.attached.idle_s, self._nobody_spoke)

    def _nobody_spoke(self) -> None:
        self._played()
        self._away += 1
        self._link.send(CallerAway(self._away, new_response_id()))


def _extents(said: list[Say], heard: str | None) -> list[SegmentHeard]:
    """Of a response's segments, in order."""
    words = " ".join(say.text.strip() for say in said)
    left = heard.strip() if heard is not None else words
    extents: list[SegmentHeard] = []
    for say in said:
        text = say.text.strip()
        total = len(say.text) * SAMPLES
        if left.startswith(text):
            left = left.removeprefix(text).strip()
            extents.append(SegmentHeard(say.item, say.index, total, total))
        elif text.startswith(left):
            characters = len(say.text) - len(say.text.lstrip()) + len(left) if left else 0
            left = ""
            extents.append(SegmentHeard(say.item, say.index, characters * SAMPLES, total))
        else:
            break
    if left:
        raise RehearsalFailed(f"the caller can't have heard {heard!r}: the agent said {words!r}")
    return extents
