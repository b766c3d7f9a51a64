"""What a soak comes to: for each series its slopes, whether it came back to where it was, and what that means. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from statistics import median
from typing import Literal, NamedTuple

import msgspec

from bench.soak.samples import Sample
from bench.soak.slopes import Judged, Point, judged
from trunkline.cli.listing import table
from trunkline.cli.load.plot import Panel
from trunkline.cli.load.report import SERVICES, Machine

Part = Literal["rest", "calls", "load"]


class Limits(NamedTuple):
    """per_1000_calls, per_hour: growth that isn't called a leak. off_rest: by how much a series may be off, at rest,
    from where it was; None where it isn't asked (an allocator keeps what it had)."""

    per_1000_calls: float
    per_hour: float
    off_rest: float | None = None


LIMITS: Mapping[str, Limits] = {
    "rss_kb": Limits(1_000, 4_000),
    "objects": Limits(6_000, 15_000),  # garbage that waits for the collector comes and goes by thousands
    "tasks": Limits(2, 4, off_rest=2),
    "calls": Limits(2, 4, off_rest=0),
    "holds": Limits(4, 8, off_rest=0),
    "subscriptions": Limits(1, 1, off_rest=0),
    "descriptors": Limits(2, 4, off_rest=4),
    "threads": Limits(1, 2, off_rest=4),
    "temporary": Limits(1, 1, off_rest=0),
    "messages": Limits(1_500, 8_000, off_rest=60),  # of a minute's calls, which come and go with their rate
    "kb": Limits(500, 2_000, off_rest=100),
}
GROWS = ("files logs_kb",)  # by design
NATS_RSS = Limits(15_000, 20_000)  # Go gives memory back when it likes to, and ids of messages are kept for 2 minutes


class Taken(NamedTuple):
    """at_s: since the beginning. calls: that have ended by then."""

    at_s: float
    part: Part
    calls: int
    sample: Sample


class Series(msgspec.Struct, frozen=True):
    """calls: growth per 1,000 calls. load: per hour. before, after_calls, after_load: at rest, None where there was
    none. off: by how much more than may be it is off, at rest, from before."""

    name: str
    calls: Judged | None
    load: Judged | None
    before: float | None
    after_calls: float | None
    after_load: float | None
    off: float = 0.0

    @property
    def leaks(self) -> bool:
        return self.off > 0 or any(one is not None and one.verdict == "leaks" for one in (self.calls, self.load))


class Report(msgspec.Struct, frozen=True):
    """failed: calls, by reason. loads: turns and failed calls of every piece of the load."""

    calls: int
    at_once: int
    load_calls: int
    load_minutes: float
    machine: Machine
    failed: dict[str, int]
    loads: list[tuple[int, int]]
    series: list[Series]

    @property
    def leaks(self) -> list[str]:
        return [one.name for one in self.series if one.leaks]


def series(taken: Sequence[Taken]) -> list[Series]:
    """In the order of a table."""
    names = {name for one in taken for name in one.sample}
    return [_series(name, taken) for name in sorted(names, key=_place)]


def _place(name: str) -> tuple[int, str]:
    owner = name.partition(" ")[0]
    return (SERVICES.index(owner) if owner in SERVICES else len(SERVICES), name)


def _series(name: str, taken: Sequence[Taken]) -> Series:
    limits = limits_of(name)
    calls = [Point(one.calls / 1000, one.sample.get(name, 0.0)) for one in taken if one.part == "calls"]
    load = [Point(one.at_s / 3600, one.sample.get(name, 0.0)) for one in taken if one.part == "load"]
    rests = [at_rest(name, rest) for rest in _rests(taken)]
    before, after_calls, after_load = (*rests, None, None, None)[:3]
    off = 0.0
    if limits.off_rest is not None and before is not None:
        off = max([0.0, *(after - before - limits.off_rest for after in rests[1:])])
    return Series(
        name,
        judged(calls, limits.per_1000_calls) if calls else None,
        judged(load, limits.per_hour) if load else None,
        *(before, after_calls, after_load, round(off, 1)),
    )


def limits_of(name: str) -> Limits:
    if name in GROWS:
        return Limits(float("inf"), float("inf"))
    return NATS_RSS if name == "nats rss_kb" else LIMITS[name.split()[-1]]


def _rests(taken: Iterable[Taken]) -> list[list[Taken]]:
    """One behind the other, as they were."""
    rests: list[list[Taken]] = []
    before: Part | None = None
    for one in taken:
        if one.part == "rest":
            if before != "rest":
                rests.append([])
            rests[-1].append(one)
        before = one.part
    return rests


def at_rest(name: str, rest: Sequence[Taken]) -> float:
    """Its last third: what is on its way out has gone by then."""
    return median(one.sample.get(name, 0.0) for one in rest[-max(1, len(rest) // 3) :])


def text(made: Report) -> list[str]:
    """For people."""
    head = (
        f"{made.calls} calls, {made.at_once} at a time, then {made.load_calls} calls at a time for "
        f"{made.load_minutes:g} minutes, on {made.machine.cores} cores, load before {made.machine.load_before:g}"
    )
    rows = [
        [
            one.name,
            *map(_told, (one.calls, one.load)),
            *map(_number, (one.before, one.after_calls, one.after_load)),
            _verdict(one),
        ]
        for one in made.series
    ]
    columns = ["series", "per 1,000 calls", "per hour of load", "at rest", "after calls", "after load", ""]
    failed = [f"  {count} calls failed: {reason}" for reason, count in made.failed.items()]
    return [head, *failed, "", *table(columns, rows), "", f"leaks: {', '.join(made.leaks) or 'none'}"]


def _told(one: Judged | None) -> str:
    if one is None or one.slope is None:
        return "-"
    return f"{one.slope.per_x:.4g} ± {one.slope.uncertainty:.2g} ({one.verdict})"


def _verdict(one: Series) -> str:
    if one.name in GROWS:
        return "grows by design"
    if one.off:
        return f"NOT BACK: off by {one.off:g} too many"
    return "LEAKS" if one.leaks else ""


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.0f}"


def panels(taken: Sequence[Taken], names: Sequence[str]) -> list[Panel]:
    """Each series over the whole run."""
    return [
        Panel(name, "minutes", [(one.at_s / 60, one.sample.get(name, 0.0)) for one in taken], joined=True)
        for name in names
    ]
