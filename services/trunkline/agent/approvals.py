"""What waits for a person in one call: asked, decided once, told to whoever waits. All of it stands in the record.

Rule: a decision has an effect, and is answered, only once it is durable.
"""

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from typing import Any

from prometheus_client import Counter

from trunkline.agent.conversation import Conversation
from trunkline.agent.decisions_in import Answer
from trunkline.agents import Approval
from trunkline.proto.approval import ApprovalKind, DecideApproval, Decision
from trunkline.proto.errors import TrunklineError
from trunkline.proto.ids import new_approval_id
from trunkline.proto.record import ApprovalAsked, ApprovalDecided
from trunkline.record import ApprovalView, StoreUnavailable, standing
from trunkline.telemetry import logs

NOTE_CHARACTERS = 2000

log = logs.get(__name__)
_asked = Counter("trunkline_agent_approvals_asked_total", "Approvals asked of people", ["kind"])
_decided = Counter("trunkline_agent_approvals_decided_total", "Approvals that were decided", ["kind", "decision", "by"])

Keep = Callable[[Coroutine[None, None, None]], asyncio.Task[None]]


def is_needed(approval: Approval | None, conversation: Conversation, arguments: Mapping[str, Any]) -> bool:
    """A condition that raises asks: whoever wrote it wanted a person somewhere."""
    if approval is None or approval.when is None:
        return approval is not None
    try:
        return bool(approval.when(conversation.context(), arguments))
    except Exception as error:  # a rim: the condition is a function of the agent file
        log.warning("condition of an approval failed", call_id=conversation.log.call, error=repr(error))
        return True


class Approvals:
    """run_us: how long an approved tool of this name may take. on_failure: a decision could not be recorded."""

    def __init__(
        self,
        conversation: Conversation,
        keep: Keep,
        on_failure: Callable[[Exception], None],
        run_us: Callable[[str], int],
    ) -> None:
        self.on_decided: Callable[[ApprovalView], None] = lambda approval: None
        self._conversation = conversation
        self._keep = keep
        self._on_failure = on_failure
        self._run_us = run_us
        self._loop = asyncio.get_running_loop()
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._waiters: dict[str, asyncio.Future[None]] = {}  # until it is decided, durably

    # asking

    def asking(
        self, approval: Approval, kind: ApprovalKind, subject: str, response: str, *, name: str, text: str
    ) -> ApprovalAsked:
        """The event; whoever appends it calls watch."""
        now_us = self._conversation.wall_us()
        deadline_us = now_us + round(approval.timeout_s * 1e6)
        key = new_approval_id(self._conversation.log.call)
        _asked.labels(kind).inc()
        return ApprovalAsked(
            now_us,
            key,
            kind,
            subject,
            response,
            name,
            text,
            deadline_us,
            approval.default,
        )

    def watch(self, asked: ApprovalAsked) -> "asyncio.Future[None]":
        """Done once it is decided and that is durable; the default is decided at its deadline."""
        waiter = self._waiters.get(asked.approval)
        if waiter is None:
            waiter = self._waiters[asked.approval] = self._loop.create_future()
            left_s = max(0.0, (asked.deadline_us - self._conversation.wall_us()) / 1e6)
            self._timers[asked.approval] = self._loop.call_later(left_s, self._expire, asked.approval)
        return waiter

    def adopt(self) -> None:
        """What an earlier owner asked is waited for, and what was decided then has its effect now."""
        for approval in self._conversation.view.waiting_approvals():
            self.watch(approval.asked)

    # deciding

    def decide(self, order: DecideApproval, answer: Answer) -> None:
        """answer: is given what stands in the record, once it does."""
        view = self._conversation.view
        approval = view.approvals.get(order.approval)
        if standing(view, order) is None and approval is not None:
            decision: Decision = "approved" if order.choice == "approve" else "denied"
            self._decide(approval, decision, order.by, order.text, order.note[:NOTE_CHARACTERS])
        self._keep(self._answer(order, answer))

    def withdraw(self, subject: str) -> None:
        """Nobody needs it any more: of a tool call, or of a response's answer."""
        for approval in self._conversation.view.waiting_approvals():
            if approval.asked.subject == subject:
                self._decide(approval, "withdrawn", "")

    def close(self, *, ended: bool) -> None:
        for approval in self._conversation.view.waiting_approvals() if ended else ():
            self._decide(approval, "withdrawn", "")
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()

    def _expire(self, key: str) -> None:
        approval = self._conversation.view.approvals.get(key)
        if approval is None or approval.decided is not None:
            return
        try:
            self._decide(approval, "approved" if approval.asked.default == "approve" else "denied", "")
        except TrunklineError as error:
            self._on_failure(error)

    def _decide(
        self, approval: ApprovalView, decision: Decision, by: str, text: str | None = None, note: str = ""
    ) -> None:
        asked = approval.asked
        now_us = self._conversation.wall_us()
        deadline_us = now_us + self._run_us(asked.name) if asked.kind == "tool" and decision == "approved" else 0
        edited = text if text != asked.text else None
        self._conversation.append(ApprovalDecided(now_us, asked.approval, decision, by, edited, note, deadline_us))
        _decided.labels(asked.kind, decision, "person" if by else "nobody").inc()
        log.info("approval decided", approval=asked.approval, decision=decision, by=by, waited_us=now_us - asked.at_us)
        if timer := self._timers.pop(asked.approval, None):
            timer.cancel()
        self._keep(self._take_effect(approval))

    async def _take_effect(self, approval: ApprovalView) -> None:
        try:
            await self._recorded()
        except TrunklineError as error:
            self._on_failure(error)
            return
        if (waiter := self._waiters.pop(approval.asked.approval, None)) is not None and not waiter.done():
            waiter.set_result(None)
        self.on_decided(approval)

    async def _recorded(self) -> None:
        """However long the store is away; the call goes on meanwhile. Raises Fenced."""
        while True:
            try:
                await self._conversation.log.durable()
                return
            except StoreUnavailable:
                log.info("a decision waits for the record", call_id=self._conversation.log.call)

    async def _answer(self, order: DecideApproval, answer: Answer) -> None:
        try:
            await self._conversation.log.durable()
        except TrunklineError:  # whoever owns the call now will be asked
            return
        if (stands := standing(self._conversation.view, order)) is not None:
            answer(stands)
