"""`trunkline chaos`: runs, or judges a dump; prints what was found. Exit status 1 on a violation."""

import argparse
import asyncio
import shutil
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import msgspec

from trunkline.cli.chaos import evidence, gaps, scene
from trunkline.cli.chaos.checker import check
from trunkline.cli.chaos.evidence import Evidence, FaultKind, Target
from trunkline.cli.chaos.facts import Violation
from trunkline.cli.chaos.plan import plan
from trunkline.cli.listing import table
from trunkline.proto.errors import BadInput

CALLS_LIMIT = 100  # each number that a caller says names him
SECONDS = (10.0, 3600.0)
NOTHING = "nothing"  # what is done to an undisturbed run
LINES = 20  # of violations that are printed for people


class FaultCount(msgspec.Struct, frozen=True):
    """mid_turn: how many of them hit a process that held a call in mid-turn; waiting: an agent in whose calls something
    waited for a person."""

    done: int
    mid_turn: int
    waiting: int = 0


class Report(msgspec.Struct, frozen=True):
    """violations: by invariant, each with its call. gap_ms: by kind of fault. undisturbed: the same measure of turns
    that no fault touched. valid: the machine kept up, so that gaps tell of Trunkline; null for a dump.
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


def chaos(parsed: argparse.Namespace) -> int:
    if parsed.check:
        found = evidence.load(Path(parsed.check))
        return _tell(report(found, check(found)), as_json=parsed.json)
    calls, seconds, seed = _calls(parsed.calls), _seconds(parsed.seconds), _seed(parsed.seed)
    faults = _faults(parsed.only)
    dump = _folder(parsed.dump) if parsed.dump else None
    from trunkline.cli.chaos.run import Asked, hold

    directory = Path(tempfile.mkdtemp(prefix="trunkline-chaos-"))
    try:
        asked = Asked(calls, seconds, seed, plan(seed, seconds, faults), directory)
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
    )


def _tell(made: Report, *, as_json: bool) -> int:
    if as_json:
        print(msgspec.json.format(msgspec.json.encode(made)).decode())
    else:
        print("\n".join(_text(made)))
    return 1 if made.violations else 0


def _text(made: Report) -> list[str]:
    lines = [f"{made.calls} calls, {made.turns} turns, {made.faults} faults, tools {made.tools or 'none'}"]
    lines += [f"approvals {made.approvals}"] if made.approvals else []
    if made.valid is False:
        lines.append(f"the machine was too slow for the gaps to count: callers {made.lateness_p99_ms} ms late (p99)")
    named = {**made.gap_ms, "undisturbed": made.undisturbed_ms, "client back": made.resume_ms}
    rows = [
        [name, str(each.turns), f"{each.p50:.0f}", f"{each.p99:.0f}", f"{each.worst:.0f}"]
        for name, each in named.items()
        if each is not None
    ]
    lines += ["", *table(["gap, ms", "turns", "p50", "p99", "worst"], rows), ""]
    if not made.violations:
        return [*lines, "no violation"]
    for name, details in made.violations.items():
        lines += [f"{name}: {len(details)} times", *(f"  {detail}" for detail in details[:LINES])]
    return lines


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


def _faults(text: str) -> list[tuple[FaultKind, Target]]:
    """text: `kill stt,stop agent`, or `nothing`; empty for all but the rare ones."""
    if text == NOTHING:
        return []
    known = {f"{kind} {stage}": (kind, stage) for kind, stage in (*scene.FAULTS, *scene.RARE)}
    names = [" ".join(part.split()) for part in text.split(",") if part.strip()]
    for name in names:
        if name not in known:
            raise BadInput("--only", f"there is no fault {name!r}", ", ".join((*known, NOTHING)))
    return [known[name] for name in names] or list(scene.FAULTS)


def _folder(text: str) -> Path:
    path = Path(text)
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise BadInput("--dump", f"{text} is not empty", "a directory that is new or empty")
    return path
