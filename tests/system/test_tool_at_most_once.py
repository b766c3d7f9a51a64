"""Whoever dies between a tool's intent and its outcome: it takes effect at most once, and its outcome is true."""

import asyncio
import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.virtual import run_virtual
from system.toolshop import CALL, TIMEOUT_S, Outcome, Process, Shop

LONG_S = TIMEOUT_S + 3.0


def judge(outcome: Outcome | None, effects: int, *, at_most: int = 1) -> str:
    """The recorded status, once it is found to be honest; "" where there never was an intent."""
    if outcome is None:
        assert effects == 0
        return ""
    status = outcome.tool.status
    assert status is not None, "an intent without outcome"
    assert outcome.effects <= at_most
    if status == "ok":
        assert outcome.effects >= 1
    elif "was not run" in outcome.tool.output:
        assert outcome.effects == 0
    else:
        assert status in ("unknown", "timeout")  # the last attempt had too little time
    return status


async def play(shop: Shop, owner_at: int, runner_at: int, *, runners: int = 2) -> tuple[str, Process, Process]:
    """The first order comes to the runner that dies at its runner_at-th point."""
    for _ in range(runners - 1):
        await shop.runner()
    runner = await shop.runner(runner_at)
    owner = await shop.owner(owner_at, first=True)
    await asyncio.sleep(LONG_S)
    outcome = await shop.close()
    return judge(outcome, len(shop.effects)), owner, runner


def test_undisturbed_it_is_done_once() -> None:
    async def scenario() -> None:
        shop = Shop()
        status, _, _ = await play(shop, 0, 0)

        assert (status, len(shop.effects), len(shop.claims.claims)) == ("ok", 1, 1)

    run_virtual(scenario())


def test_wherever_the_owner_dies_the_next_one_gets_the_result() -> None:
    died: list[str] = []

    async def scenario(at: int) -> bool:
        shop = Shop()
        status, owner, _ = await play(shop, at, 0)
        if owner.dead:
            died.append(owner.points[-1])
            assert (status, len(shop.effects)) in (("ok", 1), ("", 0))
        return owner.dead

    for at in itertools.count(1):
        if not run_virtual(scenario(at)):
            break
    assert {"before append", "after append", "says RunTool", "hears ToolStarted", "hears ToolResult"} <= set(died)


@pytest.mark.parametrize("runners", [1, 2])
@pytest.mark.parametrize("same_name", [False, True])
def test_wherever_the_runner_dies_the_outcome_is_true(runners: int, same_name: bool) -> None:
    fates: dict[str, str] = {}

    async def scenario(at: int) -> bool:
        shop = Shop(same_name=same_name)
        status, _, runner = await play(shop, 0, at, runners=runners)
        if runner.dead:
            fates[runner.points[-1]] = status
        return runner.dead

    for at in itertools.count(1):
        if not run_virtual(scenario(at)):
            break
    assert fates["before claiming"] == "ok"
    assert fates["after claiming"] == fates["before the effect"] == fates["after the effect"] == "unknown"
    assert fates["after settling"] == fates["says ToolResult"] == "ok"


def test_wherever_owner_and_runner_die_the_outcome_is_true() -> None:
    async def scenario(owner_at: int, runner_at: int) -> None:
        await play(Shop(same_name=runner_at % 2 == 0), owner_at, runner_at)

    for owner_at, runner_at in itertools.product(range(1, 14), range(1, 14)):
        run_virtual(scenario(owner_at, runner_at))


def test_a_tool_that_may_be_run_again_is_after_its_runner_died() -> None:
    async def scenario(at: int) -> bool:
        shop = Shop(retry=True)
        await shop.runner()
        first = await shop.runner(at)
        await shop.owner(first=True)
        await asyncio.sleep(LONG_S)
        outcome = await shop.close()

        assert judge(outcome, len(shop.effects), at_most=2) == "ok"
        return first.dead

    for at in itertools.count(1):
        if not run_virtual(scenario(at)):
            break


def test_an_owner_that_does_not_know_that_it_was_replaced_takes_nothing_away() -> None:
    async def scenario(after_s: float) -> None:
        shop = Shop()
        await shop.runner()
        await shop.runner()
        await shop.owner(first=True)
        await asyncio.sleep(after_s)
        await shop.owner()
        await asyncio.sleep(LONG_S)
        outcome = await shop.close()

        assert judge(outcome, len(shop.effects)) == "ok"

    for hundredths in range(2, 60, 3):
        run_virtual(scenario(hundredths / 100))


POINTS = st.lists(st.integers(1, 14), max_size=3)


@given(POINTS, POINTS, st.lists(st.integers(1, 40), max_size=3), st.booleans(), st.booleans())
def test_owners_and_runners_may_die_and_be_replaced_at_any_time(
    owners: list[int], runners: list[int], replaced_after: list[int], same_name: bool, retry: bool
) -> None:
    """replaced_after: twentieths of a second until one more owner takes the call from one that lives."""

    async def scenario() -> None:
        shop = Shop(retry=retry, same_name=same_name, fates=(owners[1:], runners[1:]))
        await shop.runner()
        await shop.runner(next(iter(runners), 0))
        await shop.owner(next(iter(owners), 0), first=True)
        for twentieths in replaced_after:
            await asyncio.sleep(twentieths / 20)
            if await shop.records.read(CALL):
                await shop.owner()
        await asyncio.sleep(2 * LONG_S)
        outcome = await shop.close()

        judge(outcome, len(shop.effects), at_most=3 if retry else 1)

    run_virtual(scenario())


def test_with_no_runner_ever_it_was_not_run() -> None:
    async def scenario() -> None:
        shop = Shop()
        await shop.owner(first=True)
        await asyncio.sleep(LONG_S)
        outcome = await shop.close()

        assert outcome is not None
        assert (outcome.tool.status, outcome.tool.output) == (
            "error",
            "act was not run: no tool runner is available.",
        )
        assert [stored.claim.void for stored in outcome.claims.values()] == [True]

    run_virtual(scenario())


def test_what_was_not_run_is_not_run_later_by_a_runner_that_slept_and_whose_clock_is_late() -> None:
    async def scenario() -> None:
        shop = Shop()
        runner = await shop.runner(behind_s=60)
        runner.awake.clear()
        await shop.owner(first=True)
        await asyncio.sleep(LONG_S)
        runner.awake.set()
        await asyncio.sleep(LONG_S)
        outcome = await shop.close()

        assert outcome is not None
        assert (outcome.tool.output, outcome.effects) == ("act was not run: its time was over.", 0)

    run_virtual(scenario())
