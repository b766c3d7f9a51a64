"""What a desk does next for one tool call, and what it says in the end. No event loop."""

import msgspec
import pytest

from trunkline.agent.pursuit import ASK_S, ATTEMPTS, NO_RUNNER_S, OVERDUE_S, RETRY_LIMIT_S, Pursuit, Step
from trunkline.proto.record import Claim
from trunkline.proto.tool import RunTool, ToolResult

ORDER = RunTool("call_1", "book_table", "{}", key="call_1", deadline_us=1, digest="d1")
OVERDUE_AT_S = 10.0
STARTED = Claim(1, "tr-1", 1)
VOID = Claim(1, "", 1, void=True)


def a_pursuit(*, retry: bool = False, adopted: bool = False) -> Pursuit:
    return Pursuit(ORDER, retry=retry, now_s=0.0, overdue_s=OVERDUE_AT_S, adopted=adopted)


def step(pursuit: Pursuit, now_s: float = 0.0) -> Step:
    return pursuit.step(now_s, wanted=True)


def look(pursuit: Pursuit, claim: Claim | None, now_s: float) -> ToolResult | Step:
    return pursuit.looked(claim, now_s, wanted=True)


def status(answer: ToolResult | Step) -> str:
    assert isinstance(answer, ToolResult)
    return answer.status


def unheard(pursuit: Pursuit, runner: str = "tr-1", times: int = 2) -> None:
    for _ in range(times):
        pursuit.asked(pursuit.due_s())
        pursuit.unheard(runner, pursuit.due_s())


def test_a_new_call_is_asked_for_and_one_of_an_earlier_owner_looked_up() -> None:
    assert (step(a_pursuit()), step(a_pursuit(adopted=True))) == (Step.ASK, Step.LOOK)


def test_it_is_asked_for_again_while_nobody_says_a_word() -> None:
    pursuit = a_pursuit()
    pursuit.asked(0.0)

    assert (pursuit.due_s(), step(pursuit, ASK_S)) == (ASK_S, Step.ASK)


def test_refusals_are_followed_by_longer_and_longer_waits() -> None:
    pursuit, waits = a_pursuit(), []
    for _ in range(6):
        pursuit.asked(0.0)
        pursuit.declined("busy", "tr-1", 0.0)
        waits.append(pursuit.due_s())

    assert waits == [0.05, 0.1, 0.2, 0.4, RETRY_LIMIT_S, RETRY_LIMIT_S]


def test_a_refusal_of_another_runner_than_the_one_that_has_it_means_nothing() -> None:
    pursuit = a_pursuit()
    pursuit.asked(0.0)
    pursuit.started("tr-1")
    pursuit.declined("busy", "tr-2", 0.1)

    assert (pursuit.runner, pursuit.due_s()) == ("tr-1", ASK_S)


def test_two_askings_in_a_row_that_reach_nobody_make_it_look() -> None:
    pursuit = a_pursuit()
    pursuit.started("tr-1")
    unheard(pursuit, times=1)
    pursuit.unheard("tr-1", 0.3)  # of another call's asking
    assert step(pursuit) is Step.ASK

    unheard(pursuit, times=1)

    assert step(pursuit) is Step.LOOK
    assert status(look(pursuit, STARTED, 1.0)) == "unknown"


def test_a_word_between_two_askings_that_reach_nobody_is_life() -> None:
    pursuit = a_pursuit()
    pursuit.started("tr-1")
    unheard(pursuit, times=1)
    pursuit.asked(0.3)
    pursuit.started("tr-1")
    unheard(pursuit, times=1)

    assert step(pursuit) is Step.ASK


def test_without_any_runner_for_a_second_the_claim_is_made_void() -> None:
    pursuit = a_pursuit()
    for tenths in range(11):
        pursuit.asked(tenths / 10)
        pursuit.nobody(tenths / 10)
    assert step(pursuit, NO_RUNNER_S) is Step.LOOK

    assert look(pursuit, None, NO_RUNNER_S) is Step.VOID
    answer = look(pursuit, VOID, NO_RUNNER_S)
    assert isinstance(answer, ToolResult)
    assert (answer.status, answer.output) == ("error", "book_table was not run: no tool runner is available.")


def test_a_claim_found_started_elsewhere_is_asked_for_there() -> None:
    pursuit = a_pursuit(adopted=True)

    assert look(pursuit, STARTED, 1.0) is Step.ASK
    assert (pursuit.runner, pursuit.due_s(), step(pursuit, 1.0)) == ("tr-1", 1.0, Step.ASK)


@pytest.mark.parametrize(
    ("claim", "outcome"),
    [
        (STARTED, "unknown"),
        (VOID, "error"),
        (msgspec.structs.replace(STARTED, result=ToolResult("call_1", "ok", "1", "tr-1")), "ok"),
    ],
)
def test_when_it_is_overdue_the_claim_has_the_last_word(claim: Claim, outcome: str) -> None:
    pursuit = a_pursuit()
    pursuit.asked(0.0)
    pursuit.started("tr-1")

    assert step(pursuit, OVERDUE_AT_S) is Step.LOOK
    assert status(look(pursuit, claim, OVERDUE_AT_S)) == outcome


def test_what_is_not_known_is_said_in_words_for_a_caller() -> None:
    answer = look(a_pursuit(adopted=True), STARTED, OVERDUE_AT_S)

    assert isinstance(answer, ToolResult)
    assert answer.output == "It is not known whether book table was done: no result came in time."


def test_nobody_begins_a_tool_for_a_response_that_is_over() -> None:
    pursuit = a_pursuit()
    pursuit.asked(0.0)
    assert pursuit.step(ASK_S, wanted=False) is Step.LOOK
    assert pursuit.looked(None, ASK_S, wanted=False) is Step.VOID

    assert status(pursuit.looked(VOID, ASK_S, wanted=False)) == "cancelled"


def test_a_tool_that_may_be_run_again_is_tried_three_times_under_one_key() -> None:
    pursuit, orders = a_pursuit(retry=True), []
    while True:
        orders.append((pursuit.order.key, pursuit.order.attempt))
        pursuit.asked(1.0)
        pursuit.started("tr-1")
        unheard(pursuit)
        answer = look(pursuit, STARTED, 2.0)
        if answer is not Step.ASK:
            break

    assert orders == [("call_1", n) for n in range(1, ATTEMPTS + 1)]
    assert status(answer) == "unknown"


def test_no_further_attempt_begins_after_the_deadline() -> None:
    unknown = ToolResult("call_1", "unknown", "?", "tr-1")

    assert a_pursuit(retry=True).concluded(unknown, OVERDUE_AT_S - OVERDUE_S) is unknown


def test_a_further_attempt_that_nobody_ran_leaves_the_first_unknown() -> None:
    pursuit = a_pursuit(retry=True)
    pursuit.concluded(ToolResult("call_1", "unknown", "?", "tr-1"), 1.0)

    assert status(look(pursuit, VOID, OVERDUE_AT_S)) == "unknown"


def test_a_claim_that_cannot_be_read_is_looked_at_again_until_it_is_overdue() -> None:
    pursuit = a_pursuit(adopted=True)
    assert pursuit.not_looked(1.0) is Step.LOOK
    assert (pursuit.due_s(), step(pursuit, 1.5)) == (1.0 + RETRY_LIMIT_S, Step.LOOK)

    assert status(pursuit.not_looked(OVERDUE_AT_S)) == "unknown"


def test_what_an_earlier_owner_gave_a_runner_beyond_the_recorded_deadline_is_its_to_have() -> None:
    pursuit = a_pursuit(adopted=True)
    pursuit.was_given(ORDER.deadline_us + 1, OVERDUE_AT_S + 2.0)

    assert look(pursuit, STARTED, OVERDUE_AT_S) is Step.ASK
    assert pursuit.order.deadline_us == ORDER.deadline_us + 1
    assert status(look(pursuit, STARTED, OVERDUE_AT_S + 2.0)) == "unknown"


@pytest.mark.parametrize(("adopted", "deadline_us"), [(False, ORDER.deadline_us + 1), (True, ORDER.deadline_us)])
def test_no_other_tool_is_given_more_time_than_is_recorded(adopted: bool, deadline_us: int) -> None:
    pursuit = a_pursuit(adopted=adopted)
    pursuit.was_given(deadline_us, OVERDUE_AT_S + 2.0)

    assert status(look(pursuit, STARTED, OVERDUE_AT_S)) == "unknown"
    assert pursuit.order == ORDER
