"""`python -m bench.overload OUT`: callers at capacity, with and without a crowd that finds no place, in turns.

Each pair has one run of as many callers as the stack takes, and one with twice as many again who dial, are refused and
come back when they are told to; which comes first changes. Prints a table and writes OUT/overload.json.
"""

import argparse
import asyncio
import json
import shutil
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median

import msgspec
import numpy as np

from bench.storm import Storm, quantiles_ms, statuses
from trunkline.cli import api
from trunkline.cli.listing import WorkerLine, table
from trunkline.cli.load import processes, run, services
from trunkline.cli.load.asked import Asked
from trunkline.cli.load.dialect import spec_of
from trunkline.cli.load.own import own_stack
from trunkline.cli.load.report import Machine, Report, machine, report
from trunkline.cli.load.services import Target
from trunkline.cli.stack import Address

WORKERS = "gateway=2"  # each takes as many as a stage's worker, so what refuses is what beats tell of the stages
RAMP_S = 3.0
CROWD = 2  # times as many as there is room for, beside those who are in
GOAL_RATIO, GOAL_REFUSAL_MS = 1.5, 10.0
IN_LIMIT_S = 60.0  # for all callers to be in, or gone
LOOK_S = 0.2
_workers = msgspec.json.Decoder(list[WorkerLine])


class Alone(msgspec.Struct, frozen=True):
    report: Report


class Crowded(msgspec.Struct, frozen=True):
    """refusal_ms, burst_ms: of those who dial on, and of a burst at once. gateway_rss_kb: once a second, of all
    gateways. gateway_kb_per_minute: its slope in the second half, when what a process takes once is taken."""

    report: Report
    statuses: dict[str, int]
    refusal_ms: dict[str, float]
    burst_statuses: dict[str, int]
    burst_ms: dict[str, float]
    gateway_rss_kb: list[int]
    gateway_kb_per_minute: float


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


class Results(msgspec.Struct, frozen=True):
    machine: Machine
    capacity: int
    workers: str
    ratio: float
    pairs: list[Pair]


async def alone(asked: Asked, target: Target, files: Path) -> Alone:
    await until_there(target, 0)
    return Alone(report(asked, await run.hold(asked, target, files), machine()))


async def crowded(asked: Asked, target: Target, files: Path, burst: int) -> Crowded:
    await until_there(target, 0)
    storm = Storm(target.url, target.key, CROWD * asked.calls)
    seconds = run.SETTLE_S + asked.seconds
    rss_kb: list[int] = []

    async def come() -> None:
        await until_there(target, asked.calls)
        now_s = time.monotonic()
        async with asyncio.TaskGroup() as group:
            weighing = group.create_task(weigh(target, rss_kb))
            try:
                await storm.run(now_s + seconds, burst, now_s + seconds / 2)
            finally:
                weighing.cancel()

    crowd = asyncio.create_task(come())
    try:
        held = await run.hold(asked, target, files)
        await crowd
    finally:
        crowd.cancel()
    return Crowded(
        report(asked, held, machine()),
        statuses(storm.tried),
        quantiles_ms(storm.tried),
        statuses(storm.burst),
        quantiles_ms(storm.burst),
        rss_kb,
        slope_per_minute(rss_kb[len(rss_kb) // 2 :]),
    )


async def until_there(target: Target, calls: int) -> None:
    """Until so many calls are at the gateways; with 0, none at any worker. Raises SystemExit."""
    address = Address(target.url, target.key)
    for _ in range(round(IN_LIMIT_S / LOOK_S)):
        workers = _workers.decode(await api.fetch(address, "/v1/workers"))
        here = sum(worker.calls for worker in workers if worker.stage == "gateway" or not calls)
        if here >= calls if calls else not here:
            return
        await asyncio.sleep(LOOK_S)  # nothing tells when callers are in, or gone
    raise SystemExit(f"{calls} calls were not there within {IN_LIMIT_S:g} s")


async def weigh(target: Target, rss_kb: list[int]) -> None:
    """Once a second."""
    gateways = {"gateway": target.pids["gateway"]}
    while True:
        rss_kb.append(processes.rss_kb(gateways)["gateway"])
        await asyncio.sleep(1.0)


def slope_per_minute(values: Sequence[int]) -> float:
    """By least squares, of values that are a second apart."""
    if len(values) < 2:
        return 0.0
    return round(60 * float(np.polyfit(range(len(values)), values, 1)[0]), 1)


async def measure(asked: Asked, pairs: int, burst: int, out: Path) -> list[Pair]:
    made: list[Pair] = []
    async with own_stack(out / "run", out / "reply.json", capacity=asked.calls, workers=WORKERS) as own:
        target = await services.of_directory(out / "run", own.file)
        await run.warm(asked, target, out / "warm")
        for number in range(pairs):
            files = out / f"pair-{number}"
            if number % 2:
                second = await crowded(asked, target, files / "crowded", burst)
                made.append(Pair(await alone(asked, target, files / "alone"), second))
            else:
                first = await alone(asked, target, files / "alone")
                made.append(Pair(first, await crowded(asked, target, files / "crowded", burst)))
            require_counted(made[-1])
            print(f"pair {number + 1}: ratio {made[-1].ratio:.2f}", flush=True)
    return made


def require_counted(pair: Pair) -> None:
    """A pair in which callers were lost, or nobody was refused, measures something else. Raises SystemExit."""
    for name, one in (("alone", pair.alone.report), ("crowded", pair.crowded.report)):
        if one.failed_calls:
            raise SystemExit(f"{name}: {one.failed_calls} calls failed: {next(iter(one.failures))}")
        if one.first_audio_ms is None:
            raise SystemExit(f"{name}: no turn was answered")
    if "503" not in pair.crowded.statuses:
        raise SystemExit(f"nobody was refused: {pair.crowded.statuses}")


def text(pairs: Sequence[Pair]) -> list[str]:
    rows = []
    for pair in pairs:
        crowded = pair.crowded
        late = "" if pair.alone.report.valid and crowded.report.valid else " (callers were late)"
        first, second = pair.alone.report.first_audio_ms, crowded.report.first_audio_ms
        assert first is not None
        assert second is not None
        rows.append(
            [
                f"{first.p99:.0f}",
                f"{second.p99:.0f}",
                f"{pair.ratio:.2f}{late}",
                str(crowded.statuses.get("503", 0)),
                *(f"{crowded.refusal_ms.get(name, 0):.1f}" for name in ("p50", "p99")),
                f"{crowded.burst_ms.get('p50', 0):.0f} / {crowded.burst_ms.get('p99', 0):.0f}",
                f"{crowded.gateway_rss_kb[0] / 1024:.1f} > {crowded.gateway_rss_kb[-1] / 1024:.1f}",
                f"{crowded.gateway_kb_per_minute:.0f}",
            ]
        )
    header = ["p99 alone", "crowded", "ratio", "refused", "p50 ms", "p99 ms", "burst", "gateways MB", "kB/min"]
    return [*table(header, rows), "", f"median ratio {median(pair.ratio for pair in pairs):.2f} (goal {GOAL_RATIO:g})"]


async def found(seconds: float) -> int:
    """What `trunkline load --find` finds on this machine. Raises SystemExit."""
    command = (sys.executable, "-m", "trunkline.cli.main", "load", "--find", "--json", "--calls", "20")
    process = await asyncio.create_subprocess_exec(
        *command, "--seconds", f"{seconds:g}", "--workers", WORKERS, stdout=asyncio.subprocess.PIPE
    )
    told, _ = await process.communicate()
    highest = int(json.loads(told)["find"]["highest"]) if told else 0
    if highest <= run.WARM_CALLS:
        raise SystemExit(f"no number of calls was found that this machine carries: {highest}")
    return highest


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.overload", description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--capacity", type=int, default=20, help="calls that every worker takes")
    parser.add_argument("--find", action="store_true", help="as many as `trunkline load --find` finds, instead")
    parser.add_argument("--seconds", type=float, default=30.0, help="of each run, up to 600")
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--burst", type=int, default=200, help="who dial at once, in the middle of a crowded run")
    parsed = parser.parse_args()
    if not (run.WARM_CALLS < parsed.capacity <= 1000 and 2 <= parsed.seconds <= 600 and parsed.pairs >= 1):
        parser.error(f"--capacity {run.WARM_CALLS + 1} to 1000, --seconds 2 to 600, --pairs 1 or more")
    out: Path = parsed.out.absolute()
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    where = machine()
    calls = asyncio.run(found(parsed.seconds)) if parsed.find else parsed.capacity
    asked = Asked(calls=calls, seconds=parsed.seconds, dialect=spec_of("realtime"), ramp_s=RAMP_S)
    pairs = asyncio.run(measure(asked, parsed.pairs, parsed.burst, out))
    results = Results(where, calls, WORKERS, round(median(pair.ratio for pair in pairs), 3), pairs)
    (out / "overload.json").write_bytes(msgspec.json.format(msgspec.json.encode(results)) + b"\n")
    print("\n".join(["", f"{calls} callers, {CROWD * calls} more who find no place", "", *text(pairs)]))


if __name__ == "__main__":
    main()
