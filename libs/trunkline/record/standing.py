"""What a record says to a person's decision: the same for the agent that owns the call and for whoever reads. Pure."""

import msgspec

from trunkline.proto.approval import ApprovalAnswered, Choice, DecideApproval, Decision
from trunkline.record.parts import ApprovalView
from trunkline.record.view import CallView

DECISIONS: dict[Choice, Decision] = {"approve": "approved", "deny": "denied"}


def standing(view: CallView, order: DecideApproval) -> ApprovalAnswered | None:
    """None: it is open, and the order may decide it.

    What the same person decided in the same way before counts as decided by this order, so that it may be sent again.
    """
    approval = view.approvals.get(order.approval)
    if approval is None:
        return ApprovalAnswered(order.approval, "unknown", order=order.order)
    decided = approval.decided
    if decided is not None:
        answered = ApprovalAnswered(order.approval, "decided_before", decided.decision, decided.by, order=order.order)
        return msgspec.structs.replace(answered, outcome="decided") if _same(approval, order) else answered
    if view.ended:
        return ApprovalAnswered(order.approval, "decided_before", detail="the call is over", order=order.order)
    refused = _refusal(approval, order)
    return ApprovalAnswered(order.approval, "refused", detail=refused, order=order.order) if refused else None


def _same(approval: ApprovalView, order: DecideApproval) -> bool:
    shown, decided = approval.asked.text, approval.decided
    if decided is None or decided.by != order.by or decided.decision != DECISIONS[order.choice]:
        return False
    return (shown if decided.text is None else decided.text) == (shown if order.text is None else order.text)


def _refusal(approval: ApprovalView, order: DecideApproval) -> str:
    """Why it can't be taken; empty if it can."""
    if order.text is None:
        return ""
    if approval.asked.kind == "tool":
        return "text: the arguments of a tool call can't be changed; approve exactly what was shown, or deny it"
    return "" if order.choice == "approve" else "text: goes with approve; an answer that is denied isn't said"
