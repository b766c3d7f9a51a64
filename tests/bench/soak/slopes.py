"""Whether a series grows: its slope by least squares, how sure that is, and what is said of it. Pure.

Rule: only the second half counts, since whoever is new takes what he then keeps; and a leak goes on at its pace, while
warming up gets slower.
"""

from collections.abc import Sequence
from typing import Literal, NamedTuple

import msgspec
import numpy as np

BLOCKS = 8  # of the second half: samples beside each other aren't independent, the means of blocks nearly are
STUDENT = (12.71, 4.30, 3.18, 2.78, 2.57, 2.45)  # two-sided 95 %, of 1 to 6 degrees of freedom
SLOWING = 0.6  # a last quarter that grows by less than this share of the one before is warming up

Verdict = Literal["flat", "leaks", "slowing", "unclear"]
"""flat: it grows by less than the bound, beyond doubt. leaks: by more, beyond doubt. slowing: by more, but ever less:
it still warms up. unclear: the noise hides as much as the bound; a longer run tells."""


class Point(NamedTuple):
    """x: thousands of calls, or hours."""

    x: float
    y: float


class Slope(msgspec.Struct, frozen=True):
    """per_x: growth per 1,000 calls, or per hour. uncertainty: half of the interval that holds it with 95 %."""

    per_x: float
    uncertainty: float


class Judged(msgspec.Struct, frozen=True):
    """bound: a growth that isn't called a leak, in the slope's unit."""

    slope: Slope | None
    bound: float
    verdict: Verdict


def judged(points: Sequence[Point], bound: float) -> Judged:
    """points: in order."""
    half = points[len(points) // 2 :]
    found = slope(half)
    if found is None:
        return Judged(None, bound, "unclear")
    return Judged(found, bound, _verdict(found, half, bound))


def slope(points: Sequence[Point]) -> Slope | None:
    """By least squares over the means of BLOCKS blocks; None for fewer points than three blocks take."""
    count = min(BLOCKS, len(points))
    if count < 3:
        return None
    x, y = (
        np.array([np.mean(block) for block in np.array_split(column, count)]) for column in zip(*points, strict=True)
    )
    apart = x - x.mean()
    spread = float(apart @ apart)
    if not spread:
        return None
    per_x = float(apart @ y) / spread
    rest = y - y.mean() - per_x * apart
    error = float(np.sqrt(rest @ rest / (count - 2) / spread))
    return Slope(per_x, STUDENT[count - 3] * error)


def _verdict(found: Slope, half: Sequence[Point], bound: float) -> Verdict:
    if found.per_x > bound and _slows(half):  # asked first: of a curve no line is sure
        return "slowing"
    if found.per_x - found.uncertainty > bound:
        return "leaks"
    return "flat" if found.per_x + found.uncertainty <= bound else "unclear"


def _slows(half: Sequence[Point]) -> bool:
    middle = len(half) // 2
    before, after = slope(half[:middle]), slope(half[middle:])
    if before is None or after is None:
        return False
    return before.per_x > before.uncertainty and after.per_x < SLOWING * before.per_x
