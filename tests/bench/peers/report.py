"""What the runs are told as: a line each while they happen, then the section of docs/performance.md. Pure."""

from collections.abc import Sequence

from bench.peers import verdict
from bench.peers.verdict import Run, Spread

OURS = "trunkline"
ABSENT = "–"


def line(run: Run) -> str:
    state = f"  CAN'T KEEP UP: {run.trouble}" if run.trouble else ""
    state += f"  NOT VALID: {run.invalid}" if run.invalid else ""
    return (
        f"{run.stack:>20}  {run.calls:>3} calls  {run.cpu_ms_total:7.2f} ms/call-s  first audio "
        f"{verdict.percentile(run.added_ms, 50):6.1f} / {verdict.percentile(run.added_ms, 99):6.1f} ms  "
        f"{run.rss_kb_per_call:5.0f} kB/call  late {run.lateness_p99_ms:4.1f} ms{state}"
    )


def section(method: str, runs: Sequence[Run]) -> str:
    """method: how it was measured, with the heading."""
    stacks = list(dict.fromkeys(run.stack for run in sorted(runs, key=lambda run: not run.stack.startswith(OURS))))
    counts = sorted({run.calls for run in runs})
    repeats, seconds = len({run.repeat for run in runs}), max((run.seconds for run in runs), default=0.0)
    head = (
        f"Median of {repeats} repeats of {seconds:.0f} s (least to most); the stacks take turns within each repeat "
        "and number of calls. CPU of all of a stack's processes, by the kernel."
    )
    parts = [
        method,
        head,
        *_costs(runs, stacks, counts),
        *_ratios(runs, stacks, counts),
        *_latencies(runs, stacks, counts),
    ]
    return "\n".join([*parts, *_memory(runs, stacks, counts), *_remarks(runs)]) + "\n"


def _costs(runs: Sequence[Run], stacks: Sequence[str], calls: Sequence[int]) -> list[str]:
    cells = {
        (stack, at): _cell(runs, stack, at, verdict.of(runs, stack, at, lambda run: run.cpu_ms_total))
        for stack in stacks
        for at in calls
    }
    return _table("CPU-ms per call-second", stacks, calls, cells)


def _ratios(runs: Sequence[Run], stacks: Sequence[str], calls: Sequence[int]) -> list[str]:
    lines = []
    for over in (stack for stack in stacks if stack.startswith(OURS)):
        others = [stack for stack in stacks if not stack.startswith(OURS)]
        cells = {
            (stack, at): _cell(runs, stack, at, verdict.ratio(runs, stack, over, at), "x")
            for stack in others
            for at in calls
        }
        lines += _table(f"CPU, as multiples of {over}'s", others, calls, cells)
    return lines


def _latencies(runs: Sequence[Run], stacks: Sequence[str], calls: Sequence[int]) -> list[str]:
    def cell(stack: str, at: int) -> str:
        p50 = verdict.of(runs, stack, at, lambda run: verdict.percentile(run.added_ms, 50))
        p99 = verdict.of(runs, stack, at, lambda run: verdict.percentile(run.added_ms, 99))
        return f"{p50.median:.1f} / {p99.median:.1f}" if p50 and p99 else _cell(runs, stack, at, None)

    cells = {(stack, at): cell(stack, at) for stack in stacks for at in calls}
    return _table("commit to first audio, ms, p50 / p99", stacks, calls, cells)


def _memory(runs: Sequence[Run], stacks: Sequence[str], calls: Sequence[int]) -> list[str]:
    def cell(stack: str, at: int) -> str:
        kb = verdict.of(runs, stack, at, lambda run: run.rss_kb_per_call)
        return f"{kb.median:.0f}" if kb else _cell(runs, stack, at, None)

    cells = {(stack, at): cell(stack, at) for stack in stacks for at in calls}
    return _table("kB per call, grown since a few calls", stacks, calls, cells)


def _remarks(runs: Sequence[Run]) -> list[str]:
    """Why a run isn't in the tables."""
    told = []
    for run in runs:
        which = f"* {run.stack}, {run.calls} calls, repeat {run.repeat + 1}"
        if run.invalid:
            told.append(f"{which}: not counted, twice: {run.invalid}.")
        elif run.trouble:
            told.append(f"{which}: can't keep up: {run.trouble}.")
    return ["", *told] if told else []


def _cell(runs: Sequence[Run], stack: str, calls: int, found: Spread | None, unit: str = "") -> str:
    """Nothing but what most repeats say: a stack keeps up with so many calls when it did in more than half of them."""
    made = [run for run in runs if run.stack == stack and run.calls == calls and not run.invalid]
    if made and sum(bool(run.trouble) for run in made) * 2 >= len(made):
        return "can't keep up"
    if found is None:
        return ABSENT
    digits = 1 if found.median >= 10 else 2
    if found.least == found.most:
        return f"{found.median:.{digits}f}{unit}"
    return f"{found.median:.{digits}f}{unit} ({found.least:.{digits}f}–{found.most:.{digits}f})"


def _table(title: str, stacks: Sequence[str], calls: Sequence[int], cells: dict[tuple[str, int], str]) -> list[str]:
    head = f"| {title} | " + " | ".join(f"{at} calls" for at in calls) + " |"
    rule = "|---" * (len(calls) + 1) + "|"
    rows = [f"| {stack} | " + " | ".join(cells[stack, at] for at in calls) + " |" for stack in stacks]
    return ["", head, rule, *rows]
