"""`trunkline chaos`: runs, or judges a dump; prints what was found. Exit status 1 on a violation."""

import argparse
import asyncio
import shutil
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from trunkline.cli import options
from trunkline.cli.chaos import elections, evidence, gaps, scene
from trunkline.cli.chaos.checker import check
from trunkline.cli.chaos.elections import SetUp, ToolsWaited
from trunkline.cli.chaos.evidence import Evidence, FaultKind, Target
from trunkline.cli.chaos.facts import Violation
from trunkline.cli.chaos.plan import node_plan, plan
from trunkline.cli.listing import table
from trunkline.proto.errors import BadInput

CALLS_LIMIT = 100  # each number that a caller says names him
SECONDS = (10.0, 3600.0)
ROLLING_NODES = "3"  # the fewest of which one can be replaced under calls
NOTHING = "nothing"  # what is done to an undisturbed run
LINES = 20  # of violations that are printed for people


class FaultCount(msgspec.Struct, frozen=True):
    """mid_turn: how many of them hit a process that held a call in mid-turn; waiting: an agent in whose calls something
    waited for a person."""

    done: int
    mid_turn: int
    waiting: int = 0


class Replaced(msgspec.Struct, frozen=True):
    """By stage, of a rolling restart: until a process had ended, and until what came after it was ready."""

    ended_ms: gaps.Figures
    ready_ms: gaps.Figures


class Report(msgspec.Struct, frozen=True):
    """violations: by invariant, each with its call. gap_ms: by kind of fault. undisturbed: the same measure of turns
    that no fault touched. valid: the machine kept up, so that gaps tell of Trunkline; null for a dump.

    Of a cluster: appends_back_ms: by kind of fault, for how long calls' records took nothing; node_left_ms: by kind,
    until the processes that used the node used another; set_up_ms: of calls and visits dialled in elections, together
    and by kind, and of the others; slowest_set_ups: by kind, those to look into. visits: calls in which nothing is
    said, which count nowhere else; visits_refused: how often visitors weren't let in.
    """

    calls: int
    turns: int
    faults: int
    violations: dict[str, list[str]]
    gap_ms: dict[str, gaps.Figures]
    undisturbed_ms: gaps.Figures | None
    resume_ms: gaps.Figures | None
    fault_kinds: dict[str, FaultCount]
    tools: dict[str, int]
    approvals: dict[str, int]
    refused: int
    seed: int | None = None
    valid: bool | None = None
    lateness_p99_ms: float | None = None
    cpu_s: float | None = None
    missed: int = 0
    appends_back_ms: dict[str, gaps.Figures] = {}
    node_left_ms: dict[str, gaps.Figures] = {}
    visits: int = 0
    visits_refused: int = 0
    set_up_ms: dict[str, gaps.Figures] = {}
    slowest_set_ups: dict[str, list[SetUp]] = {}
    tools_waited: ToolsWaited | None = None
    replaced: dict[str, Replaced] = {}


def chaos(parsed: argparse.Namespace) -> int:
    if parsed.check:
        found = evidence.load(Path(parsed.check))
        return _tell(report(found, check(found)), as_json=parsed.json)
    calls, seconds, seed = _calls(parsed.calls), _seconds(parsed.seconds), _seed(parsed.seed)
    nodes = _nodes(parsed.nats_nodes, rolling=parsed.rolling)
    faults = _faults(parsed.only, nodes, rolling=parsed.rolling)
    of_nodes = [fault for fault in faults if nodes > 1 and fault[1] == "nats"]
    dump = _folder(parsed.dump) if parsed.dump else None
    from trunkline.cli.chaos.run import Asked, hold

    directory = Path(tempfile.mkdtemp(prefix="trunkline-chaos-"))
    try:
        planned = plan(seed, seconds, [fault for fault in faults if fault not in of_nodes])
        planned_nodes = node_plan(seed, seconds, of_nodes)
        asked = Asked(calls, seconds, seed, planned, directory, nodes, planned_nodes, parsed.rolling)
        held = asyncio.run(hold(asked))
        violations = check(held.evidence)
        if dump is not None:
            evidence.dump(held.evidence, dump)
            shutil.copytree(directory / "run/logs", dump / "logs", dirs_exist_ok=True)
    finally:
        shutil.rmtree(directory, ignore_errors=True)
    machine = {"lateness_p99_ms": held.lateness_p99_ms, "cpu_s": held.cpu_s}
    made = report(held.evidence, violations)
    made = msgspec.structs.replace(made, seed=seed, valid=held.valid, missed=held.missed, **machine)
    return _tell(made, as_json=parsed.json)


def report(found: Evidence, violations: Sequence[Violation]) -> Report:
    by_invariant: dict[str, list[str]] = {}
    for violation in violations:
        where = f"{violation.call}: " if violation.call else ""
        by_invariant.setdefault(violation.invariant, []).append(f"{where}{violation.detail}")
    gap_ms, undisturbed_ms = gaps.measure(found)
    faults = found.run.faults
    done = Counter(fault.name for fault in faults)
    mid_turn = Counter(fault.name for fault in faults if fault.mid_turn)
    waiting = Counter(fault.name for fault in faults if fault.waiting)
    return Report(
        calls=len(found.calls),
        turns=sum(len(call.account.said) for call in found.calls),
        faults=len(faults),
        violations=by_invariant,
        gap_ms=gap_ms,
        undisturbed_ms=undisturbed_ms,
        resume_ms=gaps.resumes(found),
        fault_kinds={name: FaultCount(count, mid_turn[name], waiting[name]) for name, count in sorted(done.items())},
        tools=gaps.outcomes(found),
        approvals=gaps.decisions(found),
        refused=len(found.run.refused),
        appends_back_ms=elections.appends_back(found),
        node_left_ms=elections.moves(found),
        visits=len(found.visits),
        visits_refused=len(found.run.visits_refused),
        set_up_ms=elections.set_ups(found),
        slowest_set_ups=elections.slowest(found),
        tools_waited=elections.tools_waited(found),
        replaced=_replaced(found),
    )


def _replaced(found: Evidence) -> dict[str, Replaced]:
    names = set(found.run.to_replace)
    took: dict[str, tuple[list[float], list[float]]] = {}
    for fault in found.run.faults:
        if fault.worker in names and fault.kind == "term" and fault.ready_s:
            ended_s, ready_s = took.setdefault(fault.stage, ([], []))
            ended_s.append(fault.ended_s - fault.at_s)
            ready_s.append(fault.ready_s - fault.at_s)
    return {stage: Replaced(gaps.figures(ended_s), gaps.figures(ready_s)) for stage, (ended_s, ready_s) in took.items()}


def _tell(made: Report, *, as_json: bool) -> int:
    if as_json:
        print(msgspec.json.format(msgspec.json.encode(made)).decode())
    else:
        print("\n".join(_text(made)))
    return 1 if made.violations else 0


def _text(made: Report) -> list[str]:
    lines = [f"{made.calls} calls, {made.turns} turns, {made.faults} faults, tools {made.tools or 'none'}"]
    lines += [f"approvals {made.approvals}"] if made.approvals else []
    lines += [f"{made.visits} visits, refused {made.visits_refused} times"] if made.visits else []
    if made.valid is False:
        lines.append(f"the machine was too slow for the gaps to count: callers {made.lateness_p99_ms} ms late (p99)")
    gap_ms = {**made.gap_ms, "undisturbed": made.undisturbed_ms, "client back": made.resume_ms}
    lines += ["", *_table("gap, ms", "turns", gap_ms)]
    lines += _table("record takes nothing, ms", "calls", made.appends_back_ms)
    lines += _table("node left, ms", "users", made.node_left_ms)
    lines += _set_ups(made)
    lines += _table("replaced: ended, ms", "processes", {stage: one.ended_ms for stage, one in made.replaced.items()})
    lines += _table("replaced: ready, ms", "processes", {stage: one.ready_ms for stage, one in made.replaced.items()})
    if (tools := made.tools_waited) is not None:
        longest = f", {tools.longest_ms:.0f} ms at most" if tools.waited else ""
        lines += [f"tools that waited for the record: {tools.waited}{longest}; the caller was told of {tools.told}", ""]
    if not made.violations:
        return [*lines, "no violation"]
    for name, details in made.violations.items():
        lines += [f"{name}: {len(details)} times", *(f"  {detail}" for detail in details[:LINES])]
    return lines


def _set_ups(made: Report) -> list[str]:
    """Where there were elections to tell of."""
    if len(made.set_up_ms) < 2:
        return []
    lines = _table("set-up, ms", "calls", made.set_up_ms)
    rows = [
        [name, one.call, f"{one.took_ms:.0f}", f"{one.after_s:.1f}"]
        for name, found in made.slowest_set_ups.items()
        for one in found
    ]
    return [*lines, *table(["slowest set-ups", "call", "ms", "dialled, s after"], rows), ""]


def _table(what: str, of: str, named: Mapping[str, gaps.Figures | None]) -> list[str]:
    rows = [
        [name, str(each.turns), f"{each.p50:.0f}", f"{each.p99:.0f}", f"{each.worst:.0f}"]
        for name, each in named.items()
        if each is not None
    ]
    return [*table([what, of, "p50", "p99", "worst"], rows), ""] if rows else []


def _calls(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= CALLS_LIMIT:
        raise BadInput("--calls", f"{text!r} is no usable number", f"1 to {CALLS_LIMIT}")
    return int(text)


def _seconds(text: str) -> float:
    least, most = SECONDS
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not least <= seconds <= most:
        raise BadInput("--seconds", f"{text!r} is no usable time", f"{least:g} to {most:g}")
    return seconds


def _seed(text: str) -> int:
    if not text.isdecimal():
        raise BadInput("--seed", f"{text!r} is no seed", "a whole number")
    return int(text)


def _nodes(text: str, *, rolling: bool) -> int:
    nodes = options.nats_nodes(text or (ROLLING_NODES if rolling else "1"))
    if rolling and nodes == 1:
        raise BadInput(
            "--nats-nodes", "the only server can't be replaced under calls", f"{ROLLING_NODES} with --rolling"
        )
    return nodes


def _faults(text: str, nodes: int, *, rolling: bool) -> list[tuple[FaultKind, Target]]:
    """text: `kill stt,stop agent`, or `nothing`; empty for all but the rare ones."""
    if rolling and text:
        raise BadInput("--only", "a rolling restart has no other faults", "one of --only and --rolling")
    if rolling or text == NOTHING:
        return []
    default = (*scene.FAULTS, *(scene.OF_NODES if nodes > 1 else ()))
    known = {f"{kind} {stage}": (kind, stage) for kind, stage in (*default, *scene.RARE)}
    names = [" ".join(part.split()) for part in text.split(",") if part.strip()]
    for name in names:
        if name not in known:
            raise BadInput("--only", f"there is no fault {name!r}", ", ".join((*known, NOTHING)))
    return [known[name] for name in names] or list(default)


def _folder(text: str) -> Path:
    path = Path(text)
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise BadInput("--dump", f"{text} is not empty", "a directory that is new or empty")
    return path
