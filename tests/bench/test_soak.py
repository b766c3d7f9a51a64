"""A leak is told from noise and from warming up; and a soak finds one that is really there."""

import asyncio
import math
import random
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from bench.soak.__main__ import Soak, sampled
from bench.soak.callers import Callers
from bench.soak.report import Taken, series
from bench.soak.samples import Sample, Sampler
from bench.soak.slopes import Point, Verdict, judged, slope
from support.virtual import run_virtual
from trunkline.cli.errors import ProcessEnded
from trunkline.cli.load.services import Target

BOUND = 1_000.0
MINUTES = 20


def points(of_x: Callable[[float], float], *, noise: float = 50.0, seed: int = 1) -> list[Point]:
    """One each five seconds, over two thousand calls; noise that lasts for some samples, as that of memory does."""
    rng, drift, found = random.Random(seed), 0.0, []
    for at in range(MINUTES * 12):
        drift = 0.8 * drift + rng.gauss(0.0, noise)
        x = 2.0 * at / (MINUTES * 12)
        found.append(Point(x, 60_000 + of_x(x) + drift))
    return found


def warming(x: float) -> float:
    """As an allocator does: 20 MB, of which most come soon."""
    return 20_000 * (1 - math.exp(-x / 0.4))


CASES: list[tuple[str, Callable[[float], float], Verdict]] = [
    ("nothing grows", lambda x: 0.0, "flat"),
    ("less than the bound", lambda x: 300 * x, "flat"),
    ("a leak of 3 kB per call", lambda x: 3_000 * x, "leaks"),
    ("a leak behind a warming up", lambda x: 8_000 * x + warming(x), "leaks"),
    ("warming up alone", warming, "slowing"),
    ("grown at once, and flat since", lambda x: 20_000.0 if x > 0.2 else 0.0, "flat"),
    ("what shrinks", lambda x: -3_000 * x, "flat"),
]


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(("of_x", "verdict"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_a_leak_is_told_from_noise_and_from_warming_up(
    of_x: Callable[[float], float], verdict: Verdict, seed: int
) -> None:
    assert judged(points(of_x, seed=seed), BOUND).verdict == verdict


def test_what_the_noise_hides_is_unclear() -> None:
    assert judged(points(lambda x: 0.0, noise=5_000.0), BOUND).verdict == "unclear"


def test_too_few_points_are_unclear() -> None:
    assert judged([Point(0.0, 1.0), Point(1.0, 1.0)], BOUND).verdict == "unclear"


def test_a_slope_holds_what_it_was_made_of() -> None:
    found = slope([Point(x / 100, 7 * x / 100) for x in range(100)])

    assert found is not None
    assert found.per_x == pytest.approx(7.0)
    assert found.uncertainty == pytest.approx(0.0, abs=1e-9)


def test_most_intervals_hold_the_true_slope() -> None:
    held = 0
    for seed in range(100):
        found = slope(points(lambda x: 2_000 * x, seed=seed)[MINUTES * 6 :])
        assert found is not None
        held += abs(found.per_x - 2_000) <= found.uncertainty

    assert held >= 88  # 95 are meant; the noise isn't quite independent from block to block


def taken(after: float) -> list[Taken]:
    """Links that a gateway holds: some while calls go on, and `after` once they are over."""
    rests = [Taken(5.0 * at, "rest", 0, {"gateway holds": 0.0}) for at in range(6)]
    busy = [Taken(30 + 5.0 * at, "calls", 10 * at, {"gateway holds": 20.0 + at % 3}) for at in range(40)]
    over = [Taken(300 + 5.0 * at, "rest", 400, {"gateway holds": 20.0 if at < 3 else after}) for at in range(9)]
    return [*rests, *busy, *over]


def test_what_is_back_after_the_calls_is_no_leak() -> None:
    (holds,) = series(taken(after=0.0))

    assert (holds.before, holds.after_calls, holds.leaks) == (0.0, 0.0, False)


def test_what_isnt_back_after_the_calls_leaks_whatever_its_slope() -> None:
    (holds,) = series(taken(after=1.0))

    assert (holds.off, holds.leaks) == (1.0, True)


class Looks:
    """At a gateway that is replaced after some looks."""

    def __init__(self, looks: int) -> None:
        self._left = looks

    async def look(self) -> Sample:
        if not self._left:
            raise ProcessEnded("gateway", 4711)
        self._left -= 1
        return {"gateway holds": 0.0}


def test_a_process_that_is_replaced_ends_the_soak_at_once() -> None:
    async def soaked() -> None:
        callers = cast(Callers, SimpleNamespace(ended=0))
        soak = Soak(Target("", "", {}, []), cast(Sampler, Looks(3)), callers, Path())
        with pytest.RaisesGroup(ProcessEnded):
            async with asyncio.timeout(60.0), sampled(soak):
                await asyncio.sleep(3_600.0)

        assert len(soak.taken) == 3

    run_virtual(soaked())
