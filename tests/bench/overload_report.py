"""What overloaded runs come to: which pairs count, their ratio, what the crowd was told, and whether memory grew. Pure.

Rule: a pair counts only when all who were let in were served, and all of the crowd were refused.
"""

from collections.abc import Mapping, Sequence
from statistics import median

import msgspec
import numpy as np

from bench.deaf import Told
from bench.soak.report import LIMITS
from bench.soak.slopes import Judged, Point, judged
from bench.storm import ADMITTED, Stormed, quantiles_ms, statuses
from trunkline.cli.listing import table
from trunkline.cli.load.report import Machine, Quantiles, Report, quantiles

GOAL_RATIO = 1.5
BOUND_KB_PER_MINUTE = LIMITS["rss_kb"].per_hour / 60
LEAVING_S = 0.5  # before callers hang up and make room
SLOPE_FROM_S = 120.0  # of looks: a slope of fewer tells of what warms up
LATE_MS = 5.0  # from which on dialers tell of themselves
HEADER = ["p99 alone", "crowded", "ratio", "refused", "p50 ms", "p99 ms", "burst", "dialers late", "deaf cut / back"]


class Weighed(msgspec.Struct, frozen=True, array_like=True):
    """at_s: since the first look. kb: resident, by service."""

    at_s: float
    kb: dict[str, int]


class Alone(msgspec.Struct, frozen=True):
    report: Report


class Crowded(msgspec.Struct, frozen=True):
    """refusal_ms, burst_ms: of those who dial on, and of a burst at once. late_ms: of the dialers, behind when they
    meant to dial. kb_per_minute: of each service, in the second half, when what a process takes once is taken."""

    report: Report
    statuses: dict[str, int]
    refusal_ms: dict[str, float]
    burst_statuses: dict[str, int]
    burst_ms: dict[str, float]
    late_ms: Quantiles | None
    deaf_ones: int
    deaf: Told
    weighed: list[Weighed]
    kb_per_minute: dict[str, Judged]


class Pair(msgspec.Struct, frozen=True):
    alone: Alone
    crowded: Crowded

    @property
    def ratio(self) -> float:
        """Of the p99 of admitted callers' first audio."""
        alone, crowded = self.alone.report.first_audio_ms, self.crowded.report.first_audio_ms
        assert alone is not None
        assert crowded is not None
        return crowded.p99 / alone.p99


class Measured(msgspec.Struct, frozen=True):
    """capacity: calls for which there is room, without the deaf. why_not: why it ended before all pairs were there."""

    capacity: int
    ratio: float | None
    pairs: list[Pair]
    why_not: str = ""


class Results(msgspec.Struct, frozen=True):
    """found: what `trunkline load --find` found, 0 where it wasn't asked."""

    machine: Machine
    workers: str
    found: int
    measured: list[Measured]


def crowded(
    report: Report, stormed: Stormed, deaf_ones: int, deaf: Told, weighed: Sequence[Weighed], end_s: float
) -> Crowded:
    """end_s: when the callers hung up, on the monotonic clock: from then on there was room."""
    before_s = end_s - LEAVING_S
    tried, burst = (
        [one for one in some if one.at_s + one.took_ms / 1000 <= before_s] for some in (stormed.tried, stormed.burst)
    )
    return Crowded(
        report,
        statuses(tried),
        quantiles_ms(tried),
        statuses(burst),
        quantiles_ms(burst),
        quantiles(stormed.late_ms),
        deaf_ones,
        deaf,
        list(weighed),
        slopes(weighed),
    )


def slopes(weighed: Sequence[Weighed]) -> dict[str, Judged]:
    """By service, in kB per minute; none of a short run."""
    if not weighed or weighed[-1].at_s < SLOPE_FROM_S:
        return {}
    return {
        service: judged([Point(one.at_s / 60, one.kb[service]) for one in weighed], BOUND_KB_PER_MINUTE)
        for service in weighed[0].kb
    }


def measured(capacity: int, pairs: Sequence[Pair], why_not: str = "") -> Measured:
    ratio = round(median(pair.ratio for pair in pairs), 3) if pairs else None
    return Measured(capacity, ratio, list(pairs), why_not)


def require_counted(pair: Pair) -> None:
    """A pair in which callers were lost, or nobody or not everybody of the crowd was refused, or who reads nothing was
    never cut off, measures something else. Raises SystemExit."""
    for name, one in (("alone", pair.alone.report), ("crowded", pair.crowded.report)):
        if one.failed_calls:
            raise SystemExit(f"{name}: {one.failed_calls} calls failed: {next(iter(one.failures))}")
        if one.first_audio_ms is None:
            raise SystemExit(f"{name}: no turn was answered")
    beside = pair.crowded
    if "503" not in beside.statuses:
        raise SystemExit(f"nobody was refused: {beside.statuses}")
    let_in = sum(some.get(str(ADMITTED), 0) for some in (beside.statuses, beside.burst_statuses))
    if let_in:
        raise SystemExit(f"{let_in} of the crowd were let in: {beside.statuses}, {beside.burst_statuses}")
    if beside.deaf_ones and not (beside.deaf.cut and beside.deaf.came_back):
        raise SystemExit(f"no client that reads nothing was cut off and came back: {beside.deaf}")


def text(one: Measured) -> list[str]:
    lines = table(HEADER, [_row(pair) for pair in one.pairs]) if one.pairs else []
    for number, pair in enumerate(one.pairs, 1):
        lines += _beside(number, pair.crowded)
    if one.why_not:
        lines += [f"NOT COUNTED: {one.why_not}"]
    if one.ratio is not None:
        lines += ["", f"median ratio {one.ratio:.2f} (goal {GOAL_RATIO:g})"]
    return lines


def _row(pair: Pair) -> list[str]:
    crowded = pair.crowded
    late = "" if pair.alone.report.valid and crowded.report.valid else " (callers were late)"
    first, second = pair.alone.report.first_audio_ms, crowded.report.first_audio_ms
    assert first is not None
    assert second is not None
    return [
        f"{first.p99:.0f}",
        f"{second.p99:.0f}",
        f"{pair.ratio:.2f}{late}",
        str(crowded.statuses.get("503", 0)),
        *(f"{crowded.refusal_ms.get(name, 0):.1f}" for name in ("p50", "p99")),
        f"{crowded.burst_ms.get('p50', 0):.0f} / {crowded.burst_ms.get('p99', 0):.0f}",
        _lateness(crowded.late_ms),
        f"{crowded.deaf.cut} / {crowded.deaf.came_back}",
    ]


def _lateness(late_ms: Quantiles | None) -> str:
    if late_ms is None:
        return "-"
    return f"{late_ms.p99:.1f}" + (" (slow themselves)" if late_ms.p99 > LATE_MS else "")


def _beside(number: int, crowded: Crowded) -> list[str]:
    """What has no column: memory, and answers that are no refusals."""
    lines = []
    for service in crowded.weighed[0].kb if crowded.weighed else ():
        slope = _slope(crowded.kb_per_minute.get(service))
        lines.append(f"pair {number}: {service} {_megabytes(crowded.weighed, service)} MB, {slope}")
    for name, told in (("the crowd", crowded.statuses), ("the burst", crowded.burst_statuses)):
        if unanswered := told.get("0", 0):
            lines.append(f"pair {number}: {unanswered} of {name} had no answer")
    if crowded.deaf.refused:
        lines.append(f"pair {number}: who reads nothing was refused: {_counted(crowded.deaf.refused)}")
    return lines


def _megabytes(weighed: Sequence[Weighed], service: str) -> str:
    """At the beginning, in the middle and at the end, each a tenth's mean."""
    kb = [one.kb[service] for one in weighed]
    tenth = max(1, len(kb) // 10)
    middle = len(kb) // 2
    parts = (kb[:tenth], kb[middle : middle + tenth], kb[-tenth:])
    return " > ".join(f"{np.mean(part) / 1024:.1f}" for part in parts)


def _slope(told: Judged | None) -> str:
    if told is None or told.slope is None:
        return "too short for a slope"
    slope = f"{told.slope.per_x:.0f} ± {told.slope.uncertainty:.0f} kB/min in the second half"
    return f"{slope}: {told.verdict} (bound {told.bound:.0f})"


def _counted(reasons: Mapping[str, int]) -> str:
    return ", ".join(f"{count} times {reason}" for reason, count in reasons.items())
