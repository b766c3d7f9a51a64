"""What a record says to a person's decision."""

import pytest

from trunkline.proto.approval import ApprovalAnswered, ApprovalKind, DecideApproval, Decision
from trunkline.proto.record import ApprovalAsked, ApprovalDecided, Ended, Event
from trunkline.record import CallView, standing

ARGUMENTS = '{"order":7}'


def asked(kind: ApprovalKind = "tool") -> ApprovalAsked:
    return ApprovalAsked(1, "appr_a", kind, "call_a", "resp_a", "refund", ARGUMENTS, 99, "deny")


def decided(decision: Decision, by: str, text: str | None = None) -> ApprovalDecided:
    return ApprovalDecided(2, "appr_a", decision, by, text)


def view_of(*events: Event) -> CallView:
    view = CallView("rtc_00_a")
    for event in events:
        view.apply(event)
    return view


APPROVE = DecideApproval("appr_a", "approve", "anna", order="order_1")


def test_what_is_open_may_be_decided() -> None:
    assert standing(view_of(asked()), APPROVE) is None


def test_an_approval_that_the_call_never_asked_for_is_unknown() -> None:
    assert standing(view_of(), APPROVE) == ApprovalAnswered("appr_a", "unknown", order="order_1")


def test_of_two_people_the_second_is_told_of_the_first() -> None:
    stands = standing(view_of(asked(), decided("denied", "bert")), APPROVE)

    assert stands == ApprovalAnswered("appr_a", "decided_before", "denied", "bert", order="order_1")


def test_another_person_who_decides_alike_decided_nothing() -> None:
    stands = standing(view_of(asked(), decided("approved", "bert")), APPROVE)

    assert stands is not None
    assert (stands.outcome, stands.by) == ("decided_before", "bert")


def test_the_same_decision_of_the_same_person_again_is_decided() -> None:
    stands = standing(view_of(asked(), decided("approved", "anna")), APPROVE)

    assert stands == ApprovalAnswered("appr_a", "decided", "approved", "anna", order="order_1")


@pytest.mark.parametrize(
    ("recorded", "sent", "outcome"),
    [
        ("Half of it.", "Half of it.", "decided"),
        ("Half of it.", "All of it.", "decided_before"),
        ("Half of it.", None, "decided_before"),
        (None, ARGUMENTS, "decided"),  # the answer as it was shown, said outright
        (None, "Half of it.", "decided_before"),
    ],
)
def test_another_wording_of_the_same_person_is_another_decision(
    recorded: str | None, sent: str | None, outcome: str
) -> None:
    order = DecideApproval("appr_a", "approve", "anna", sent)

    stands = standing(view_of(asked("answer"), decided("approved", "anna", recorded)), order)

    assert stands is not None
    assert stands.outcome == outcome


def test_a_time_out_or_a_withdrawal_is_nobodys_decision() -> None:
    nobody = DecideApproval("appr_a", "deny", "anna")

    stands = standing(view_of(asked(), decided("denied", "")), nobody)

    assert stands is not None
    assert (stands.outcome, stands.decision, stands.by) == ("decided_before", "denied", "")


def test_nothing_is_decided_once_the_call_is_over() -> None:
    stands = standing(view_of(asked(), Ended(3, "caller_hung_up")), APPROVE)

    assert stands is not None
    assert (stands.outcome, stands.decision, stands.detail) == ("decided_before", "withdrawn", "the call is over")


@pytest.mark.parametrize(
    ("kind", "order", "why"),
    [
        ("tool", DecideApproval("appr_a", "approve", "anna", '{"order":8}'), "can't be changed"),
        ("tool", DecideApproval("appr_a", "deny", "anna", "no"), "can't be changed"),
        ("answer", DecideApproval("appr_a", "deny", "anna", "no"), "goes with approve"),
    ],
)
def test_a_text_that_has_no_place_is_refused(kind: ApprovalKind, order: DecideApproval, why: str) -> None:
    stands = standing(view_of(asked(kind)), order)

    assert stands is not None
    assert stands.outcome == "refused"
    assert why in stands.detail


def test_an_answer_may_be_edited() -> None:
    assert standing(view_of(asked("answer")), DecideApproval("appr_a", "approve", "anna", "Half of it.")) is None
