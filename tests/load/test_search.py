"""The search for the highest number of calls, over a measure that is made up."""

import asyncio

import pytest

from trunkline.cli.load.search import highest


class Stack:
    """Carries up to `carries` calls. tried: in order."""

    def __init__(self, carries: int) -> None:
        self.carries = carries
        self.tried: list[int] = []

    async def keeps(self, calls: int) -> bool:
        self.tried.append(calls)
        return calls <= self.carries


def found(stack: Stack, first: int = 20, limit: int = 1000) -> int:
    return asyncio.run(highest(stack.keeps, first, limit))


def test_it_doubles_until_a_run_fails_and_then_halves_what_lies_between() -> None:
    stack = Stack(130)

    answer = found(stack)

    assert stack.tried == [20, 40, 80, 160, 120, 140, 130, 135]
    assert answer == 130


@pytest.mark.parametrize("carries", [1, 2, 3, 19, 20, 21, 77, 500, 999])
def test_it_comes_within_a_twentieth_and_never_above_what_is_carried(carries: int) -> None:
    answer = found(Stack(carries))

    assert carries - max(1, carries * 0.06) <= answer <= carries


def test_it_goes_down_when_the_first_run_already_fails() -> None:
    assert found(Stack(3)) == 3


def test_a_stack_that_carries_nothing_is_found_out() -> None:
    stack = Stack(0)

    assert found(stack) == 0
    assert stack.tried[-1] == 1


def test_it_never_asks_for_more_than_the_limit_nor_twice_for_the_same() -> None:
    stack = Stack(10_000)

    assert found(stack, limit=100) == 100
    assert stack.tried == [20, 40, 80, 100]
