"""`python -m bench.run OUT`: latency with the real engines, then `trunkline load` with null engines.

Prints tables and writes OUT/bench.json. A run whose callers were late says so: its figures are the machine's.
"""

import shutil
import subprocess
import sys
import time
from pathlib import Path
from statistics import median

import msgspec

from support.running_stack import COMMAND, RunningStack
from trunkline.cli.listing import table
from trunkline.cli.load import processes, report
from trunkline.cli.load.report import Report

ROOT = Path(__file__).parents[2]
REAL_CALLS = 10
WAVS = [str(ROOT / "tests/data/callers" / name) for name in ("weather_tokyo.wav", "order_status.wav")]
NULL_CALLS = (10, 20, 50, 100, 200)
NULL_S = 20

Figures = dict[str, object]


def main() -> None:
    out = Path(sys.argv[1]).absolute()
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    figures: Figures = {"real_engines": real_engines(out), "null_engines": null_engines(out)}
    (out / "bench.json").write_bytes(msgspec.json.format(msgspec.json.encode(figures)) + b"\n")
    print(f"\nwritten to {out / 'bench.json'}")


def real_engines(out: Path) -> Figures:
    print(f"{REAL_CALLS} calls of two turns with the real engines, one after another …", flush=True)
    stack = RunningStack(out / "real", "--agent", str(ROOT / "examples/agents/frontdesk.py")).start()
    try:
        idle_kb, before_s, began_s = processes.rss_kb(stack.pids()), processes.cpu_s(stack.pids()), time.monotonic()
        turns = [turn for _ in range(REAL_CALLS) for turn in stack.json("call", *WAVS)["turns"]]
        seconds = time.monotonic() - began_s
        after_s, after_kb = processes.cpu_s(stack.pids()), processes.rss_kb(stack.pids())
    finally:
        stack.stop()
    delays = {
        name: [turn[f"{name}_audio_s"] for turn in turns if turn[f"{name}_audio_s"] is not None]
        for name in ("first", "commentary", "answer")
    }
    rows = [[name, str(len(values)), f"{median(values):.2f}", f"{max(values):.2f}"] for name, values in delays.items()]
    print("\n".join(["", "seconds from the end of speech", *table(["audio", "turns", "p50", "max"], rows)]))
    per_minute = {stage: (after_s[stage] - before_s[stage]) / seconds * 60 for stage in after_s}
    costs = [
        [stage, f"{per_minute[stage]:.2f}", f"{idle_kb[stage] / 1024:.0f}", f"{after_kb[stage] / 1024:.0f}"]
        for stage in sorted(after_s)
    ]
    costs.append(["total", f"{sum(per_minute.values()):.2f}", *_totals_mb(idle_kb, after_kb)])
    print(
        "\n".join(["", *table(["service", "CPU s per call-minute", "RSS MB idle", "RSS MB after"], costs)]), flush=True
    )
    return {
        "turns": len(turns),
        "audio_s": {name: {"p50": median(values), "max": max(values)} for name, values in delays.items()},
        "cpu_s_per_call_minute": per_minute,
        "rss_kb": {"idle": idle_kb, "after": after_kb},
    }


def null_engines(out: Path) -> list[Report]:
    """A stack of its own for each number of calls."""
    return [load(out / f"load-{calls}.json", calls) for calls in NULL_CALLS]


def load(out: Path, calls: int) -> Report:
    print(f"\nnull engines: {calls} calls for {NULL_S} s …", flush=True)
    options = ("--calls", str(calls), "--seconds", str(NULL_S), "--json", "--out", str(out))
    done = subprocess.run([*COMMAND, "load", *options], capture_output=True, text=True, check=False)
    if not out.exists():
        raise SystemExit(f"bench: {done.stderr}")
    made = msgspec.json.decode(done.stdout, type=Report)
    print("\n".join(report.text(made)), flush=True)
    return made


def _totals_mb(*figures_kb: dict[str, int]) -> list[str]:
    return [f"{sum(figures.values()) / 1024:.0f}" for figures in figures_kb]


if __name__ == "__main__":
    main()
