"""What a run is reported as: JSON whose keys stay, and tables for people. Pure."""

import os
import platform
from collections import Counter
from collections.abc import Mapping, Sequence

import msgspec
import numpy as np

from trunkline.cli.listing import table
from trunkline.cli.load import lateness, processes
from trunkline.cli.load.asked import Asked
from trunkline.cli.load.dialect import name_of
from trunkline.cli.load.run import GENERATOR, Held, of_window
from trunkline.cli.load.stages import StageMs

SERVICES = ("gateway", "stt", "agent", "tts", "tool_runner", "nats")  # in the order of a table
REASONS = 5  # of failed calls, that people are told


class Quantiles(msgspec.Struct, frozen=True):
    """ms."""

    p50: float
    p90: float
    p95: float
    p99: float
    max: float


class Machine(msgspec.Struct, frozen=True):
    """load_before: of a minute, before the run. cores: that this program may use."""

    cores: int
    load_before: float
    python: str
    kernel: str


class Tried(msgspec.Struct, frozen=True):
    """A run of a search. kept: it kept the target, counted and lost no call; else why_not says what it was."""

    calls: int
    kept: bool
    why_not: str
    latency_ms: float | None
    cpu_ms_per_call_second: float | None
    lateness_p99_ms: float


class Found(msgspec.Struct, frozen=True):
    """highest: 0 when no run kept the target."""

    highest: int
    percentile: int
    target_ms: float
    tried: list[Tried]


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """cpu and rss: None where the processes aren't known; rss of a search too. added_ms: with --turns commit, from the
    commit to the first audio. silence_ms: of barge-ins. setup_ms: from dialling TCP until the server says that there is
    a call. generator_us_per_message: its CPU over all frames sent and messages received. stages_ms: of the whole run,
    its ramp too."""

    calls: int
    seconds: float
    valid: bool
    lateness_p99_ms: float
    lateness_max_ms: float
    cpu_ms_per_call_second: dict[str, float] | None
    cpu_accounting: str = processes.ACCOUNTING
    generator_cpu_ms_per_call_second: float
    generator_us_per_message: float
    rss_kb_per_call: float | None
    rss_kb_per_call_by_service: dict[str, float] | None
    first_audio_ms: Quantiles | None
    added_ms: Quantiles | None
    stages_ms: dict[str, StageMs]
    setup_ms: Quantiles | None
    failed_calls: int
    failures: dict[str, int]
    turns: int
    turns_per_s: float
    barge_ins: int
    silence_ms: Quantiles | None
    frames_sent: int
    messages_received: int
    audio_s_received: float
    dialect: str
    turns_by: str
    ramp_s: float
    think_s: float
    barge_in: float
    seed: int
    machine: Machine
    find: Found | None = None


def machine() -> Machine:
    return Machine(
        len(os.sched_getaffinity(0)), round(os.getloadavg()[0], 2), platform.python_version(), platform.release()
    )


def report(asked: Asked, held: Held, where: Machine) -> Report:
    seconds = held.to_s - held.from_s
    counts = lateness.joined(outcome.lateness for outcome in held.outcomes)
    late_ms = lateness.percentile_ms(counts, 99)
    tallies = [outcome.tally for outcome in held.outcomes]
    turns = of_window(held)
    failures = Counter(reason for tally in tallies for reason in tally.failures)
    frames, messages = (sum(o.frames for o in held.outcomes), sum(tally.messages for tally in tallies))
    call_s = asked.calls * seconds
    generator_s = held.cpu_s[GENERATOR]
    return Report(
        calls=asked.calls,
        seconds=round(seconds, 2),
        valid=late_ms <= lateness.LIMIT_MS,
        lateness_p99_ms=late_ms,
        lateness_max_ms=round(max(outcome.lateness_worst_ms for outcome in held.outcomes), 1),
        cpu_ms_per_call_second=_with_total({s: 1000 * cpu / call_s for s, cpu in held.cpu_s.items() if s != GENERATOR}),
        generator_cpu_ms_per_call_second=round(1000 * generator_s / call_s, 3),
        generator_us_per_message=round(1e6 * sum(o.cpu_s for o in held.outcomes) / (frames + messages or 1), 1),
        rss_kb_per_call=round(sum(held.rss_kb.values()) / asked.calls, 1) if held.rss_kb else None,
        rss_kb_per_call_by_service={s: round(kb / asked.calls, 1) for s, kb in _ordered(held.rss_kb).items()} or None,
        first_audio_ms=quantiles([first_ms for _, first_ms, _ in turns]),
        added_ms=quantiles([added_ms for *_, added_ms in turns if added_ms >= 0]),
        stages_ms=held.stages,
        setup_ms=quantiles([ms for tally in tallies for ms in tally.setup_ms]),
        failed_calls=failures.total(),
        failures=dict(failures.most_common()),
        turns=len(turns),
        turns_per_s=round(len(turns) / seconds, 2),
        barge_ins=sum(tally.barge_ins for tally in tallies),
        silence_ms=quantiles([ms for tally in tallies for ms in tally.silence_ms]),
        frames_sent=frames,
        messages_received=messages,
        audio_s_received=round(sum(tally.audio_s for tally in tallies), 1),
        dialect=name_of(asked.dialect),
        turns_by=asked.turns,
        ramp_s=asked.ramp_s,
        think_s=asked.think_s,
        barge_in=asked.barge_in,
        seed=asked.seed,
        machine=where,
    )


def quantiles(values: Sequence[float]) -> Quantiles | None:
    if not values:
        return None
    return Quantiles(*(round(float(ms), 2) for ms in np.percentile(values, (50, 90, 95, 99, 100))))


def text(made: Report) -> list[str]:
    """For people."""
    lines = [
        f"{made.calls} calls for {made.seconds:g} s, turns ended by {made.turns_by}: {made.turns} turns, "
        f"{made.barge_ins} barge-ins, {made.failed_calls} failed calls",
        f"on {made.machine.cores} cores, load before {made.machine.load_before:g}; "
        f"generator {made.generator_cpu_ms_per_call_second:.2f} ms of CPU per call-second, "
        f"frames late p99 {made.lateness_p99_ms:g} ms, at most {made.lateness_max_ms:g} ms",
    ]
    if made.machine.load_before > made.machine.cores:
        lines.append("the machine was busy before: latencies are upper bounds")
    if not made.valid:
        lines.append(
            f"NOT VALID: the generator was more than {lateness.LIMIT_MS:g} ms late (p99); its figures are its own"
        )
    lines += [f"  {count} calls failed: {reason}" for reason, count in list(made.failures.items())[:REASONS]]
    lines += ["", *_latencies(made), *_costs(made)]
    return lines + _search(made.find) if made.find is not None else lines


def _latencies(made: Report) -> list[str]:
    named = {
        "first audio, from the burst's last sample": made.first_audio_ms,
        "added: commit to first audio": made.added_ms,
        "barge-in: first voiced sample to silence": made.silence_ms,
        "set-up: dialling to session": made.setup_ms,
    }
    rows = [
        [name, *(f"{ms:.1f}" for ms in (each.p50, each.p90, each.p99, each.max))]
        for name, each in named.items()
        if each is not None
    ]
    rows += [
        [name, *(f"{ms:.1f}" for ms in (each.p50, each.p90, each.p99)), f"mean {each.mean:.1f}"]
        for name, each in made.stages_ms.items()
    ]
    return table(["ms", "p50", "p90", "p99", "max"], rows)


def _costs(made: Report) -> list[str]:
    if made.cpu_ms_per_call_second is None:
        return [
            "",
            "CPU and memory: not known, since the services' processes aren't (give --dir of a stack on this machine)",
        ]
    grown = made.rss_kb_per_call_by_service or {}
    if made.rss_kb_per_call is not None:
        grown = {**grown, "total": made.rss_kb_per_call}
    rows = [
        [name, f"{ms:.2f}", f"{grown[name]:.0f}" if name in grown else "-"]
        for name, ms in made.cpu_ms_per_call_second.items()
    ]
    rows.append(rows.pop(0))  # the total last
    return ["", *table(["service", "CPU ms per call-second", "kB per call"], rows)]


def _search(found: Found) -> list[str]:
    rows = [
        [
            str(one.calls),
            "-" if one.latency_ms is None else f"{one.latency_ms:.1f}",
            "-" if one.cpu_ms_per_call_second is None else f"{one.cpu_ms_per_call_second:.2f}",
            "kept" if one.kept else one.why_not,
        ]
        for one in sorted(found.tried, key=lambda one: one.calls)
    ]
    target = f"p{found.percentile} of first audio <= {found.target_ms:g} ms"
    head = f"highest number of calls with {target}: {found.highest or 'none of those tried'}"
    return ["", *table(["calls", f"p{found.percentile} ms", "CPU ms per call-second", ""], rows), "", head]


def _with_total(by_service: Mapping[str, float]) -> dict[str, float] | None:
    if not by_service:
        return None
    ordered = {service: round(ms, 3) for service, ms in _ordered(by_service).items()}
    return {"total": round(sum(by_service.values()), 3), **ordered}


def _ordered(by_service: Mapping[str, float]) -> dict[str, float]:
    known = [service for service in SERVICES if service in by_service]
    return {service: by_service[service] for service in (*known, *sorted(set(by_service) - set(known)))}
