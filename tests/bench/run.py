"""`python -m bench.run OUT`: latency with the real engines, then CPU per call-second with null engines.

Prints tables and writes OUT/bench.json. A run whose callers were late says so: its figures are the machine's.
"""

import json
import shutil
import subprocess
import sys
import time
from pathlib import Path
from statistics import median

import msgspec
import numpy as np

from bench.callers import RAMP_S, Outcome
from support.running_stack import RunningStack
from trunkline.cli.listing import table
from trunkline.cli.load import processes

ROOT = Path(__file__).parents[2]
REAL_CALLS = 10
WAVS = [str(ROOT / "tests/data/callers" / name) for name in ("weather_tokyo.wav", "order_status.wav")]
NULL_CALLS = (10, 50)
SETTLE_S, MEASURE_S, TAIL_S = 3.0, 20.0, 2.0
CALLERS_PER_PROCESS = 25
LATE_MS = 25.0  # 99th percentile of the callers' own lateness, from which on a run says little
NULL_OPTIONS = ("--engine", "stt=scripted", "--engine", "tts=tone", "--engine", "model=scripted")
REPLY = [[[{"type": "say", "text": "Here you are.", "phase": "final_answer"}]]]  # one segment: two seconds of tone

Figures = dict[str, object]


def main() -> None:
    out = Path(sys.argv[1]).absolute()
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    figures: Figures = {"real_engines": real_engines(out), "null_engines": null_engines(out)}
    (out / "bench.json").write_text(json.dumps(figures, indent=2) + "\n")
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


def null_engines(out: Path) -> list[Figures]:
    script = out / "reply.json"
    script.write_text(json.dumps(REPLY))
    environ = {
        "TRUNKLINE_MODEL_SCRIPT": str(script),
        "TRUNKLINE_TONE_SEGMENT_MS": "2000",
        "TRUNKLINE_CAPACITY": str(2 * max(NULL_CALLS)),
        "TRUNKLINE_LOG_LEVEL": "warning",
    }
    agent = str(ROOT / "tests/stack/agents.py") + ":quick"
    runs = []
    for calls in NULL_CALLS:
        print(f"\n{calls} calls at a time with null engines, {MEASURE_S:g} s …", flush=True)
        stack = RunningStack(out / f"null-{calls}", "--agent", agent, *NULL_OPTIONS, environ=environ).start()
        try:
            runs.append(_load(stack, calls))
        finally:
            stack.stop()
    return runs


def _load(stack: RunningStack, calls: int) -> Figures:
    idle_kb = processes.rss_kb(stack.pids())
    callers = [_Callers(stack, count, number) for number, count in enumerate(_shares(calls))]
    time.sleep(RAMP_S + SETTLE_S)
    before_s, began_s = processes.cpu_s(stack.pids()), time.monotonic()
    time.sleep(MEASURE_S)
    seconds, after_s, busy_kb = (
        time.monotonic() - began_s,
        processes.cpu_s(stack.pids()),
        processes.rss_kb(stack.pids()),
    )
    outcomes = [process.outcome() for process in callers]
    cost_ms = {stage: 1000 * (after_s[stage] - before_s[stage]) / (calls * seconds) for stage in after_s}
    late_ms = 1000 * float(np.percentile([late for outcome in outcomes for late in outcome.lateness_s], 99))
    first_ms = [1000 * delay for outcome in outcomes for delay in outcome.first_audio_s]
    failures = [failure for outcome in outcomes for failure in outcome.failures]
    figures: Figures = {
        "calls": calls,
        "seconds": round(seconds, 1),
        "turns": sum(outcome.turns for outcome in outcomes),
        "failures": failures,
        "valid": late_ms <= LATE_MS and not failures,
        "lateness_p99_ms": round(late_ms, 1),
        "cpu_ms_per_call_second": {"total": sum(cost_ms.values()), **cost_ms},
        "rss_kb_per_call": (sum(busy_kb.values()) - sum(idle_kb.values())) / calls,
        "first_audio_ms": {"p50": float(np.percentile(first_ms, 50)), "p99": float(np.percentile(first_ms, 99))},
    }
    _print_load(figures, cost_ms, first_ms)
    return figures


def _print_load(figures: Figures, cost_ms: dict[str, float], first_ms: list[float]) -> None:
    rows = [[stage, f"{cost:.2f}"] for stage, cost in sorted(cost_ms.items())]
    rows.append(["total", f"{sum(cost_ms.values()):.2f}"])
    print("\n".join(table(["service", "CPU ms per call-second"], rows)))
    print(
        f"turns {figures['turns']}, failed calls {len(figures['failures'])}, "  # type: ignore[arg-type]  # a list
        f"first audio p50 {np.percentile(first_ms, 50):.0f} ms, p99 {np.percentile(first_ms, 99):.0f} ms "
        f"(500 ms of it the silence that ends a turn), {figures['rss_kb_per_call']:.0f} kB per call, "
        f"callers' lateness p99 {figures['lateness_p99_ms']} ms{'' if figures['valid'] else ': NOT VALID'}",
        flush=True,
    )


class _Callers:
    """A process of callers. They answer by a file: it may be a megabyte, and nobody reads a pipe meanwhile."""

    def __init__(self, stack: RunningStack, calls: int, number: int) -> None:
        self._out = stack.directory / f"callers-{number}.json"
        seconds = RAMP_S + SETTLE_S + MEASURE_S + TAIL_S
        address = stack.address
        arguments = [address.base, address.key, str(calls), str(seconds), str(self._out)]
        self._process = subprocess.Popen([sys.executable, "-m", "bench.callers", *arguments])

    def outcome(self) -> Outcome:
        if status := self._process.wait(timeout=90):
            raise SystemExit(f"bench: a process of callers ended with status {status}")
        return msgspec.json.decode(self._out.read_bytes(), type=Outcome)


def _shares(calls: int) -> list[int]:
    whole, rest = divmod(calls, CALLERS_PER_PROCESS)
    return [CALLERS_PER_PROCESS] * whole + ([rest] if rest else [])


def _totals_mb(*figures_kb: dict[str, int]) -> list[str]:
    return [f"{sum(figures.values()) / 1024:.0f}" for figures in figures_kb]


if __name__ == "__main__":
    main()
