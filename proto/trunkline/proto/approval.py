"""Approvals: a person decides over a tool call or an answer. Whoever decides asks all agents; only the call's owner
answers, and only once the decision is in the record, so of two people who decide at once one is told of the other.
"""

from typing import Literal

import msgspec

ApprovalKind = Literal["tool", "answer"]
Decision = Literal["approved", "denied", "withdrawn"]
Choice = Literal["approve", "deny"]


class OpenApproval(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One that waits for a person, as the index has it.

    name: of the tool, empty for an answer. text: the exact arguments (JSON) or the exact answer.
    deadline_us: wall time at which `default` is decided.
    """

    approval: str
    kind: ApprovalKind
    name: str
    text: str
    asked_us: int
    deadline_us: int
    default: Choice


class DecideApproval(msgspec.Struct, frozen=True, array_like=True, gc=False, tag="decide_approval"):
    """Gateway -> all agents, on the approvals subject: a person's decision. Said again it changes nothing.

    by: who decides. text: what is said instead of the answer that was shown, None for that itself; of a tool call the
    arguments can't be changed. note: for the record. order: names this decision of this person, the same when it is
    said again; it comes back with the answer.
    """

    approval: str
    choice: Choice
    by: str
    text: str | None = None
    note: str = ""
    order: str = ""


class ApprovalAnswered(msgspec.Struct, frozen=True, array_like=True, gc=False, tag="approval_answered"):
    """Agent -> gateway: what stands in the record now.

    outcome: `decided` by this order, or before it by the same person in the same way; `decided_before` otherwise, by
    whom and how is told; `unknown`, the call has no such approval; `refused`, see detail. order: of DecideApproval.
    """

    approval: str
    outcome: Literal["decided", "decided_before", "unknown", "refused"]
    decision: Decision = "withdrawn"
    by: str = ""
    detail: str = ""
    order: str = ""
