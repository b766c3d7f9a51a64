"""`trunkline load`: callers against a stack of its own or one that runs; exit status 1 for a run that doesn't count,
or that lost calls."""

import argparse
import asyncio
import contextlib
import shutil
import sys
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec

from trunkline.cli import line, options, stack
from trunkline.cli.load import asked as options_of
from trunkline.cli.load import plot, run, search, services
from trunkline.cli.load.asked import CALLS_LIMIT, NULL_ENGINES, Asked, Goal
from trunkline.cli.load.own import own_stack
from trunkline.cli.load.plot import Panel
from trunkline.cli.load.report import Found, Machine, Report, Tried, machine, report, text
from trunkline.cli.load.services import Target
from trunkline.cli.own_stack import OwnStack
from trunkline.proto.errors import BadInput


def load(parsed: argparse.Namespace) -> int:
    asked, goal = options_of.asked(parsed), options_of.goal(parsed)
    out, picture = options_of.file("--out", parsed.out, ".json"), options_of.file("--plot", parsed.plot, ".svg")
    for wav in asked.wavs:
        line.read(wav)
    directory = Path(tempfile.mkdtemp(prefix="trunkline-load-"))
    try:
        made, panels = asyncio.run(_load(parsed, asked, goal, directory))
    finally:
        shutil.rmtree(directory, ignore_errors=True)
    if out is not None:
        out.write_bytes(_json(made))
    if picture is not None:
        picture.write_text(plot.svg(panels))
    print(_json(made).decode().rstrip() if parsed.json else "\n".join(text(made)))
    return 0 if made.valid and not made.failed_calls else 1


async def _load(
    parsed: argparse.Namespace, asked: Asked, goal: Goal | None, directory: Path
) -> tuple[Report, list[Panel]]:
    where = machine()
    async with _target(parsed, asked, directory) as target:
        await run.warm(asked, target, directory / "warm")
        if goal is not None:
            return await _find(asked, goal, target, directory, where)
        held = await run.hold(asked, target, directory / "callers")
        points = [(at_s, first_ms) for at_s, first_ms, _ in run.of_window(held)]
        return report(asked, held, where), [Panel("first audio, ms", "seconds", points)]


async def _find(
    asked: Asked, goal: Goal, target: Target, directory: Path, where: Machine
) -> tuple[Report, list[Panel]]:
    made: dict[int, Report] = {}
    tried: list[Tried] = []

    async def keeps(calls: int) -> bool:
        these = msgspec.structs.replace(asked, calls=calls)
        made[calls] = report(these, await run.hold(these, target, directory / "callers"), where)
        tried.append(judged(made[calls], goal))
        print(f"trunkline: {calls} calls: {tried[-1].why_not or 'kept'}", file=sys.stderr, flush=True)
        return tried[-1].kept

    highest = await search.highest(keeps, asked.calls, CALLS_LIMIT)
    # What a process took for one run it holds for the next: a later one's growth says nothing of a call.
    best = msgspec.structs.replace(made[highest or min(made)], rss_kb_per_call=None, rss_kb_per_call_by_service=None)
    found = Found(highest, goal.percentile, goal.limit_ms, tried)
    latency = [(one.calls, one.latency_ms) for one in tried if one.latency_ms is not None]
    cpu = [(one.calls, one.cpu_ms_per_call_second) for one in tried if one.cpu_ms_per_call_second is not None]
    panels = [Panel(f"first audio p{goal.percentile}, ms", "calls", latency, True, goal.limit_ms)]
    panels += [Panel("CPU ms per call-second", "calls", cpu, True)] if cpu else []
    return msgspec.structs.replace(best, find=found), panels


def judged(made: Report, goal: Goal) -> Tried:
    figures = made.first_audio_ms
    latency_ms = None if figures is None else figures.p95 if goal.percentile == 95 else figures.p99
    why_not = ""
    if made.failed_calls:
        why_not = f"{made.failed_calls} calls failed: {next(iter(made.failures))}"
    elif not made.valid:
        why_not = f"the generator was {made.lateness_p99_ms:g} ms late (p99)"
    elif latency_ms is None:
        why_not = "no turn was answered"
    elif latency_ms > goal.limit_ms:
        why_not = f"p{goal.percentile} {latency_ms:.0f} ms"
    cpu = made.cpu_ms_per_call_second
    return Tried(made.calls, not why_not, why_not, latency_ms, cpu["total"] if cpu else None, made.lateness_p99_ms)


@contextlib.asynccontextmanager
async def _target(parsed: argparse.Namespace, asked: Asked, directory: Path) -> AsyncIterator[Target]:
    """A stack that runs, where one was named, else one of our own."""
    if parsed.url:
        _refuse_for_running(parsed)
        address = stack.find(parsed)
        yield Target(address.base, address.key)
        return
    run_dir = _run_dir(parsed, directory)
    if parsed.dir and _runs(run_dir):
        _refuse_for_running(parsed)
        found = stack.read(run_dir)
        assert found is not None
        yield await services.of_directory(run_dir, found)
        return
    async with _own(parsed, asked, run_dir, directory) as own:
        yield await services.of_directory(run_dir, own.file)


def _own(parsed: argparse.Namespace, asked: Asked, run_dir: Path, directory: Path) -> OwnStack:
    engines, capacity = options_of.engines(parsed), 0
    options.workers(parsed.workers)
    if engines == NULL_ENGINES:  # others say themselves how many calls they take
        capacity = CALLS_LIMIT if parsed.find else 2 * asked.calls + 2 * run.WARM_CALLS
    script = directory / "reply.json"
    return own_stack(run_dir, script, engines, capacity=capacity, workers=parsed.workers, agent=parsed.agent)


def _run_dir(parsed: argparse.Namespace, directory: Path) -> Path:
    return Path(parsed.dir).absolute() if parsed.dir else directory / "run"


def _runs(run_dir: Path) -> bool:
    """Whether a stack holds this directory now."""
    found = stack.read(run_dir)
    return found is not None and Path(f"/proc/{found.pid}").exists()


def _refuse_for_running(parsed: argparse.Namespace) -> None:
    """Raises BadInput for what only a stack of its own can be told."""
    for option, given in (("--engine", parsed.engine), ("--workers", parsed.workers), ("--agent", parsed.agent)):
        if given:
            raise BadInput(option, "the stack runs already", "only without --url, and with no stack running in --dir")


def _json(made: Report) -> bytes:
    return msgspec.json.format(msgspec.json.encode(made)) + b"\n"
