"""What a run was worth and what runs amount to: whether a server kept up, medians, ratios. Pure."""

from collections.abc import Callable, Iterable, Sequence
from statistics import median

import msgspec

from trunkline.cli.load.lateness import LIMIT_MS

CYCLE_S = 1.5 + 2.0 + 1.0  # a burst, its reply, a rest: a turn takes so long when nothing is late
TURNS_SHARE = 0.85  # of those that the clock allows; callers' rests are random
GROWTH, GROWN_MS = 2.0, 100.0  # the first audio of the second half against the first's
FULL_CORE = 0.95
FOREIGN_LIMIT = 0.1  # of all cores: then it isn't the same machine for every stack


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """One stack with so many calls for `seconds`. added_ms: from commit to first audio of each turn, in their order.

    core_share: of its busiest process. foreign_share: of all cores, what other programs of the machine took meanwhile.
    trouble: how it failed to keep up, "" when it did."""

    stack: str
    calls: int
    repeat: int
    seconds: float
    cpu_ms: dict[str, float]
    added_ms: list[float]
    rss_kb_per_call: float
    setup_p50_ms: float
    lateness_p99_ms: float
    core_share: float
    foreign_share: float
    trouble: str = ""

    @property
    def cpu_ms_total(self) -> float:
        """Per call and second."""
        return sum(self.cpu_ms.values())

    @property
    def invalid(self) -> str:
        """Why it tells of something else than the server; "" when it doesn't."""
        if self.lateness_p99_ms > LIMIT_MS:
            return f"the callers were {self.lateness_p99_ms:.0f} ms late (p99)"
        if self.foreign_share > FOREIGN_LIMIT:
            return f"other programs took {self.foreign_share:.0%} of the machine"
        return ""


class Spread(msgspec.Struct, frozen=True):
    median: float
    least: float
    most: float


def trouble(
    *, added_ms: Sequence[float], calls: int, seconds: float, core_share: float, failures: Sequence[str], heard: float
) -> str:
    """heard: seconds of sound that came, as a share of what the replies of all turns have."""
    if failures:
        return f"{len(failures)} calls failed: {failures[0]}"
    due = calls * seconds / CYCLE_S
    if len(added_ms) < TURNS_SHARE * due:
        return f"{len(added_ms)} turns where the clock allows {due:.0f}"
    half = len(added_ms) // 2
    early_ms, late_ms = median(added_ms[:half] or [0.0]), median(added_ms[half:] or [0.0])
    if late_ms > max(GROWN_MS, GROWTH * early_ms):
        return f"its first audio grew from {early_ms:.0f} to {late_ms:.0f} ms"
    if heard < 1.0:
        return f"{heard:.0%} of its replies' sound came"
    return f"its process fills a core ({core_share:.0%})" if core_share >= FULL_CORE else ""


def percentile(values: Sequence[float], percent: float) -> float:
    """By the nearest rank; 0 of nothing."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))] if ordered else 0.0


def spread(values: Iterable[float]) -> Spread | None:
    """None of nothing."""
    known = list(values)
    return Spread(median(known), min(known), max(known)) if known else None


def ratio(runs: Sequence[Run], stack: str, over: str, calls: int) -> Spread | None:
    """CPU of `stack` over that of `over`, of the two runs of each repeat: noise of the machine is in both."""
    cost = {(run.stack, run.repeat): run.cpu_ms_total for run in runs if run.calls == calls and counts(run)}
    repeats = sorted({run.repeat for run in runs})
    return spread(cost[stack, at] / cost[over, at] for at in repeats if (stack, at) in cost and (over, at) in cost)


def counts(run: Run) -> bool:
    return not run.invalid and not run.trouble


def of(runs: Sequence[Run], stack: str, calls: int, figure: Callable[[Run], float]) -> Spread | None:
    """Over the repeats."""
    return spread(figure(run) for run in runs if run.stack == stack and run.calls == calls and counts(run))
