"""`python -m bench.overload OUT`: callers at capacity, with and without a crowd that finds no place, in turns.

Each pair has one run of as many callers as the stack takes, and one with twice as many again who dial, are refused and
come back when they are told to, and with a client that has a place and reads nothing; which comes first changes. Prints
a table and writes OUT/overload.json; exit status 1 where a run doesn't count.
"""

import argparse
import asyncio
import json
import shutil
import sys
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec

from bench.deaf import DeafOnes, Told
from bench.overload_report import Alone, Crowded, Measured, Pair, Results, Weighed, measured, require_counted, text
from bench.overload_report import crowded as told_of
from bench.storm import Stormed
from bench.storming import Storming
from trunkline.cli import api
from trunkline.cli.errors import CommandFailed
from trunkline.cli.listing import WorkerLine
from trunkline.cli.load import processes, run, services
from trunkline.cli.load.asked import Asked
from trunkline.cli.load.dialect import spec_of
from trunkline.cli.load.own import own_stack
from trunkline.cli.load.report import machine, report
from trunkline.cli.load.services import Target
from trunkline.cli.stack import Address

WORKERS = "gateway=2"  # each takes as many as a stage's worker, so what refuses is what beats tell of the stages
RAMP_S = 3.0
CROWD = 2  # times as many as there is room for, beside those who are in
TARGET = "p95=100"  # ms of a search: engines cost nothing, so a caller who waits longer waits for a core
ROOMY = 0.7  # of what was found, as a capacity is set that leaves the machine room (docs/operations/size.md)
FIND_S = 20.0  # of each run of a search, at most
IN_LIMIT_S = 60.0  # for all callers to be in, or gone
LOOK_S = 0.2
WEIGHED = ("gateway", "agent")
WEIGH_S = 1.0
_workers = msgspec.json.Decoder(list[WorkerLine])


class Plan(msgspec.Struct, frozen=True):
    """burst: who dial at once, in the middle of a crowded run. deaf: who are let in and read nothing."""

    asked: Asked
    pairs: int
    burst: int
    deaf: int


async def alone(plan: Plan, target: Target, files: Path) -> Alone:
    await until_there(target, 0)
    async with beside(minutely(lambda: "alone")):
        return Alone(report(plan.asked, await run.hold(plan.asked, target, files), machine()))


async def crowded(plan: Plan, target: Target, files: Path) -> Crowded:
    asked = plan.asked
    await until_there(target, 0)
    weighed: list[Weighed] = []
    async with Storming(target, CROWD * asked.calls, plan.burst) as storming, asyncio.TaskGroup() as group:
        crowd = group.create_task(come(plan, target, storming, weighed))
        held = await run.hold(asked, target, files)
        stormed, told = await crowd
    return told_of(report(asked, held, machine()), stormed, plan.deaf, told, weighed, held.to_s)


async def come(plan: Plan, target: Target, storming: Storming, weighed: list[Weighed]) -> tuple[Stormed, Told]:
    """Once all callers are in: first who reads nothing, then the crowd."""
    await until_there(target, plan.asked.calls)
    async with DeafOnes(target, plan.deaf, IN_LIMIT_S) as deaf:

        def so_far() -> str:
            return f"crowded: {weighed[-1].kb if weighed else ''} kB, cut off {deaf.told.cut} times"

        seconds, now_s = run.SETTLE_S + plan.asked.seconds, time.monotonic()
        async with beside(weigh(target, weighed)), beside(minutely(so_far)):
            stormed = await storming.run(now_s + seconds, now_s + seconds / 2)
    return stormed, deaf.told


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


@asynccontextmanager
async def beside(endless: Coroutine[None, None, None]) -> AsyncIterator[None]:
    """As long as the block lasts, which ends when this fails."""
    async with asyncio.TaskGroup() as group:
        task = group.create_task(endless)
        try:
            yield
        finally:
            task.cancel()


async def weigh(target: Target, weighed: list[Weighed]) -> None:
    pids = {service: target.pids[service] for service in WEIGHED}
    begun_s = time.monotonic()
    while True:
        weighed.append(Weighed(round(time.monotonic() - begun_s, 2), processes.rss_kb(pids)))
        await asyncio.sleep(WEIGH_S)


async def minutely(so_far: Callable[[], str]) -> None:
    minutes = 0
    while True:
        await asyncio.sleep(60.0)
        minutes += 1
        print(f"  {minutes} min {so_far()}", flush=True)


async def measure(plan: Plan, out: Path, made: list[Pair]) -> None:
    """made: takes each pair that counts. Raises SystemExit for one that doesn't."""
    capacity = plan.asked.calls + plan.deaf
    async with own_stack(out / "run", out / "reply.json", capacity=capacity, workers=WORKERS) as own:
        target = await services.of_directory(out / "run", own.file)
        await run.warm(plan.asked, target, out / "warm")
        for number in range(plan.pairs):
            files = out / f"pair-{number}"
            if number % 2:
                second = await crowded(plan, target, files / "crowded")
                pair = Pair(await alone(plan, target, files / "alone"), second)
            else:
                first = await alone(plan, target, files / "alone")
                pair = Pair(first, await crowded(plan, target, files / "crowded"))
            require_counted(pair)
            made.append(pair)
            print(f"pair {number + 1}: ratio {pair.ratio:.2f}", flush=True)


def of_size(calls: int, parsed: argparse.Namespace, out: Path) -> Measured:
    asked = Asked(calls=calls, seconds=parsed.seconds, dialect=spec_of("realtime"), ramp_s=RAMP_S)
    made: list[Pair] = []
    why_not = ""
    try:
        asyncio.run(measure(Plan(asked, parsed.pairs, parsed.burst, parsed.deaf), out, made))
    except* (SystemExit, CommandFailed, TimeoutError) as failed:  # the next size may still count
        why_not = reason(failed)
    return measured(calls, made, why_not)


def reason(failed: BaseException) -> str:
    """The first of a group's."""
    while isinstance(failed, BaseExceptionGroup):
        failed = failed.exceptions[0]
    return str(failed) or type(failed).__name__


async def found(seconds: float, target_ms: str) -> int:
    """What `trunkline load --find --target-ms` finds on this machine. Raises SystemExit."""
    command = (sys.executable, "-m", "trunkline.cli.main", "load", "--find", "--target-ms", target_ms, "--json")
    options = ("--calls", "20", "--seconds", f"{min(seconds, FIND_S):g}", "--workers", WORKERS)
    process = await asyncio.create_subprocess_exec(*command, *options, stdout=asyncio.subprocess.PIPE)
    told, _ = await process.communicate()
    highest = int(json.loads(told)["find"]["highest"]) if told else 0
    if ROOMY * highest <= run.WARM_CALLS:
        raise SystemExit(f"no number of calls was found that this machine carries: {highest}")
    return highest


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.overload", description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--capacity", type=int, default=20, help="callers for whom every worker has room")
    parser.add_argument(
        "--find", action="store_true", help=f"as many as `trunkline load --find` finds, and {ROOMY:g} of that, instead"
    )
    parser.add_argument("--target-ms", default=TARGET, help=f"of that search (default: {TARGET})")
    parser.add_argument("--seconds", type=float, default=30.0, help="of each run, up to 600")
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--burst", type=int, default=200, help="who dial at once, in the middle of a crowded run")
    parser.add_argument("--deaf", type=int, default=1, help="who are let in beside the callers and read nothing")
    parsed = parser.parse_args()
    if not (run.WARM_CALLS < parsed.capacity <= 1000 and 2 <= parsed.seconds <= 600 and parsed.pairs >= 1):
        parser.error(f"--capacity {run.WARM_CALLS + 1} to 1000, --seconds 2 to 600, --pairs 1 or more")
    if not (0 <= parsed.burst <= 1000 and 0 <= parsed.deaf <= 100):
        parser.error("--burst 0 to 1000, --deaf 0 to 100")
    out: Path = parsed.out.absolute()
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    where = machine()
    highest = asyncio.run(found(parsed.seconds, parsed.target_ms)) if parsed.find else 0
    sizes = (highest, round(ROOMY * highest)) if highest else (parsed.capacity,)
    made = [of_size(calls, parsed, out / f"{calls}-calls") for calls in sizes]
    results = Results(where, WORKERS, highest, made)
    (out / "overload.json").write_bytes(msgspec.json.format(msgspec.json.encode(results)) + b"\n")
    for one in made:
        print("\n".join(["", f"{one.capacity} callers, {CROWD * one.capacity} more who find no place", "", *text(one)]))
    if any(one.why_not for one in made):
        sys.exit(1)


if __name__ == "__main__":
    main()
