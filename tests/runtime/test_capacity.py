"""Calls per worker, from what an engine costs."""

from pathlib import Path

import pytest

from trunkline.runtime.capacity import (
    LEAST_PER_CORE,
    MOST_PER_CORE,
    SHARE,
    TRIED_S,
    TRIES,
    calls_that_fit,
    cores_at_hand,
    cpu_cost,
)


class Machine:
    """Work takes so much CPU at each try, and lasts so much longer as the machine is busy."""

    def __init__(self, *costs_s: float, busy: float = 1.0) -> None:
        self.now_s = self.cpu_s = 0.0
        self.tries = 0
        self._costs_s, self._busy = costs_s, busy

    def work(self) -> None:
        cost_s = self._costs_s[self.tries % len(self._costs_s)]
        self.tries += 1
        self.cpu_s += cost_s
        self.now_s += cost_s * self._busy

    def cost(self) -> float:
        return cpu_cost(self.work, cpu_s=lambda: self.cpu_s, now_s=lambda: self.now_s)


def test_the_cheapest_of_a_few_tries_counts() -> None:
    machine = Machine(0.3, 0.1, 0.2)

    assert machine.cost() == pytest.approx(0.1)
    assert machine.tries == TRIES


def test_a_busy_machine_tries_less_often_and_comes_to_the_same() -> None:
    machine = Machine(0.2, busy=20.0)

    assert machine.cost() == pytest.approx(0.2)
    assert machine.tries == 1
    assert machine.now_s > TRIED_S


def test_calls_take_a_share_of_the_cores() -> None:
    assert calls_that_fit(0.025, 2.0) == SHARE * 2 / 0.025


@pytest.mark.parametrize(
    ("call_cost", "cores", "calls"),
    [(0.0, 2.0, 2 * MOST_PER_CORE), (1e-6, 2.0, 2 * MOST_PER_CORE), (9.0, 2.0, 2 * LEAST_PER_CORE), (9.0, 0.25, 1)],
)
def test_nonsense_is_brought_within_bounds(call_cost: float, cores: float, calls: int) -> None:
    assert calls_that_fit(call_cost, cores) == calls


@pytest.mark.parametrize(("limit", "cores"), [("50000 100000", 0.5), ("max 100000", None), ("", None)])
def test_a_quota_of_the_control_group_counts_as_fewer_cores(limit: str, cores: float | None, tmp_path: Path) -> None:
    file = tmp_path / "cpu.max"
    file.write_text(limit)

    assert cores_at_hand(file) == (cores or cores_at_hand(tmp_path / "none"))
