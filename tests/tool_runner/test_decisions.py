"""The runner's pure parts: admission and the bounded memory of results."""

import pytest

from tool_runner.desk import DIGEST, NOW_US, ORDER, an_order
from trunkline.agents import tool
from trunkline.proto.tool import RunTool, ToolResult
from trunkline.record import Attempt
from trunkline.tool_runner.admission import Limits, Occupation, reason_to_decline
from trunkline.tool_runner.ledger import Ledger


@tool(concurrency=2)
async def greet() -> str:
    """Greet."""
    return "hello"


FREE = Occupation(runs=0, lost=0, of_tool=0)


@pytest.mark.parametrize(
    ("order", "known", "draining", "occupied", "reason"),
    [
        (ORDER, True, False, FREE, None),
        (ORDER, True, False, Occupation(runs=3, lost=1, of_tool=1), None),
        (an_order("greet", digest="d2"), True, False, FREE, "digest"),
        (ORDER, False, False, FREE, "unknown_tool"),
        (an_order("greet", deadline_us=NOW_US), True, False, FREE, "expired"),
        (an_order("greet", deadline_us=NOW_US), True, True, FREE, "expired"),
        (ORDER, True, True, FREE, "draining"),
        (ORDER, True, False, Occupation(runs=4, lost=0, of_tool=0), "busy"),
        (ORDER, True, False, Occupation(runs=0, lost=2, of_tool=0), "busy"),
        (ORDER, True, False, Occupation(runs=2, lost=0, of_tool=2), "busy"),
    ],
)
def test_an_order_is_declined_for_the_first_reason_that_holds(
    order: RunTool, known: bool, draining: bool, occupied: Occupation, reason: str | None
) -> None:
    answer = reason_to_decline(
        order,
        greet if known else None,
        digest=DIGEST,
        draining=draining,
        now_us=NOW_US,
        occupied=occupied,
        limits=Limits(runs=4, lost_runs=2),
    )

    assert answer == reason


def a_result(n: int, size: int = 0) -> ToolResult:
    return ToolResult(f"call_{n}", "ok", "x" * size, "runner-1", state_patch="")


def remembered(ledger: Ledger[str], count: int) -> list[int]:
    return [n for n in range(count) if ledger.result_of(Attempt("rtc_00_a", str(n))) is not None]


def filled(ledger: Ledger[str], count: int, size: int) -> Ledger[str]:
    for n in range(count):
        ledger.begin(Attempt("rtc_00_a", str(n)), "run")
        ledger.finish(Attempt("rtc_00_a", str(n)), a_result(n, size))
    return ledger


def test_the_oldest_results_are_forgotten_over_the_limit_of_runs() -> None:
    assert remembered(filled(Ledger(limit_runs=3), 5, size=0), 5) == [2, 3, 4]


def test_the_oldest_results_are_forgotten_over_the_limit_of_bytes() -> None:
    assert remembered(filled(Ledger(limit_bytes=250), 5, size=100), 5) == [3, 4]


def test_the_same_key_in_another_call_is_another_run() -> None:
    ledger = filled(Ledger(), 1, size=0)

    assert ledger.result_of(Attempt("rtc_00_b", "0")) is None
