"""What an agent may do, with one guard of it taken away at a time, in tests alone; see `mutations`."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from unittest import mock

from trunkline.agent import rounds
from trunkline.agent.approvals import Approvals
from trunkline.agent.clearance import Clearance
from trunkline.agent.conversation import Conversation
from trunkline.agent.errands import Errand
from trunkline.agent.held_answer import HeldAnswer
from trunkline.agent.rulings import Bench, Ruled
from trunkline.agent.speech import Speech
from trunkline.agent.tool_desk import ToolDesk
from trunkline.gateway.script import End, Reason
from trunkline.gateway.speaking import Speaking
from trunkline.proto.approval import DecideApproval
from trunkline.proto.response import Phase
from trunkline.record import ApprovalView
from trunkline.record.standing import DECISIONS, standing


@contextmanager
def tools_dont_wait_for_people() -> Iterator[None]:
    commit = ToolDesk._commit

    def hasty(desk: ToolDesk, response: str, errands: Sequence[Errand]) -> None:
        for errand in errands:
            desk._errands.begin(errand, desk._conversation.view.tools[errand.tool_call])
        commit(desk, response, [])

    with mock.patch.object(ToolDesk, "_commit", hasty):
        yield


@contextmanager
def a_denial_is_no_obstacle() -> Iterator[None]:
    def deaf(desk: ToolDesk, approval: ApprovalView, *, adopted: bool = False) -> None:
        errand = desk._errands.get(approval.asked.subject)
        if errand is not None and errand.pursuit is None:
            desk._errands.begin(errand, desk._conversation.view.tools[errand.tool_call], adopted=adopted)

    with mock.patch.object(ToolDesk, "_decided", deaf):
        yield


@contextmanager
def people_are_told_at_once() -> Iterator[None]:
    """And not once their decision is durable."""

    async def hasty(approvals: Approvals, order: DecideApproval, answer: object) -> None:
        view = approvals._conversation.view
        if (stands := standing(view, order)) is not None:
            answer(stands)  # type: ignore[operator]

    with mock.patch.object(Approvals, "_answer", hasty):
        yield


@contextmanager
def what_a_person_decided_may_be_decided_again() -> Iterator[None]:
    """Of two people who decide at once, each is obeyed."""

    def obliging(approvals: Approvals, order: DecideApproval, answer: object) -> None:
        approval = approvals._conversation.view.approvals.get(order.approval)
        if approval is not None:
            approvals._decide(approval, DECISIONS[order.choice], order.by)
        approvals._keep(approvals._answer(order, answer))  # type: ignore[arg-type]

    with mock.patch.object(Approvals, "decide", obliging):
        yield


@contextmanager
def approvals_are_forgotten_with_their_agent() -> Iterator[None]:
    with mock.patch.object(Approvals, "adopt", return_value=None):
        yield


@contextmanager
def answers_dont_wait_for_people() -> Iterator[None]:
    approve = HeldAnswer.approve

    async def hasty(held: HeldAnswer, text: str) -> object:
        with mock.patch.object(HeldAnswer, "_wait", _at_once), mock.patch.object(HeldAnswer, "_decided", _as_asked):
            return await approve(held, text)

    with mock.patch.object(HeldAnswer, "approve", hasty):
        yield


async def _at_once(held: HeldAnswer, *asked: object) -> None:
    """Nobody is waited for."""


def _as_asked(held: HeldAnswer, *asked: object) -> tuple[str, str]:
    return asked[0].text, "model"  # type: ignore[attr-defined]


@contextmanager
def segments_skip_policy() -> Iterator[None]:
    async def blind(speech: Speech, text: str, phase: Phase | None, before: str) -> str:
        return text

    with mock.patch.object(Speech, "_judged", blind):
        yield


@contextmanager
def the_model_answers_whatever_is_said() -> Iterator[None]:
    """Policy's word on the caller's is only written down."""
    clear = rounds.clear

    async def careless(
        conversation: Conversation, bench: Bench, response: str, *, answers: bool = True
    ) -> Clearance | None:
        try:
            return await clear(conversation, bench, response, answers=answers)
        except Ruled as ruled:
            conversation.append(*ruled.events)
            return None

    with mock.patch.object(rounds, "clear", careless):
        yield


@contextmanager
def messages_are_the_first_agents() -> Iterator[None]:
    with mock.patch.object(Conversation, "handed_off", False):
        yield


@contextmanager
def an_interruption_leaves_the_end_of_the_call() -> Iterator[None]:
    interrupt = Speaking.interrupt

    def stubborn(speaking: Speaking, reason: Reason) -> None:
        ends = [line for line in speaking._script if isinstance(line, End)]
        interrupt(speaking, reason)
        speaking._script.extend(ends)

    with mock.patch.object(Speaking, "interrupt", stubborn):
        yield
