"""What a run is reported as: the services' histograms, the kernel's clocks, the report's keys, the plot."""

import asyncio
import os
import subprocess
import sys
import threading
import time
import xml.etree.ElementTree as ET
from functools import partial
from pathlib import Path

import msgspec
import pytest

from support.hungry import HungryRecogniser
from trunkline.cli.errors import ProcessEnded
from trunkline.cli.load import command, plot, processes, report, services, stages
from trunkline.cli.load.asked import Asked, Goal
from trunkline.cli.load.caller import Tally, Turn
from trunkline.cli.load.command import judged
from trunkline.cli.load.crowd import processes_for
from trunkline.cli.load.plot import Panel
from trunkline.cli.load.process import Outcome
from trunkline.cli.load.report import Machine, Report
from trunkline.cli.load.run import GENERATOR, Held
from trunkline.cli.load.services import Target
from trunkline.cli.load.stages import Histogram
from trunkline.runtime.apart import Apart
from trunkline.stt.engines.apart import answering

DESIGN_KEYS = {
    "calls",
    "seconds",
    "valid",
    "lateness_p99_ms",
    "cpu_ms_per_call_second",
    "rss_kb_per_call",
    "first_audio_ms",
}
SERVICES = {"total", "gateway", "stt", "agent", "tts", "tool_runner", "nats"}
INFINITE = float("inf")


def histogram(*counts: float, sum_s: float = 0.0) -> Histogram:
    return Histogram((0.01, 0.02, INFINITE), counts, sum_s)


def test_a_stages_figures_are_what_came_between_two_looks() -> None:
    name = stages.STAGES["stt: final words"]
    before = {name: histogram(100, 100, 100, sum_s=1.0)}
    after = {name: histogram(100, 200, 200, sum_s=2.5)}

    found = stages.between(before, after)

    assert found == {"stt: final words": stages.StageMs(100, 15.0, 15.0, 19.0, 19.9)}


def test_beyond_the_last_bound_a_percentile_is_that_bound() -> None:
    found = stages.between({}, {stages.STAGES["tts: first audio"]: histogram(0, 0, 4, sum_s=4.0)})

    assert found["tts: first audio"] == stages.StageMs(4, 1000.0, 20.0, 20.0, 20.0)


def test_a_stage_of_which_nothing_was_observed_is_left_out() -> None:
    look = {stages.STAGES["record: append"]: histogram(5, 5, 5)}

    assert stages.between(look, look) == {}


def test_workers_of_a_stage_are_taken_together_and_one_that_observed_nothing_changes_nothing() -> None:
    name = stages.STAGES["stt: final words"]

    whole = stages.summed([{name: histogram(1, 2, 3, sum_s=1)}, {}, {name: histogram(4, 5, 6, sum_s=2)}])

    assert whole == {name: histogram(5, 7, 9, sum_s=3)}


def test_the_kernels_clock_of_a_process_is_the_cpu_that_it_used() -> None:
    pids = {"me": [os.getpid()]}
    before = processes.cpu_s(pids)["me"]
    until_s = time.process_time() + 0.05
    while time.process_time() < until_s:
        pass

    assert processes.cpu_s(pids)["me"] - before == pytest.approx(0.05, abs=0.02)


def test_the_memory_of_this_process_is_more_than_that_of_an_empty_interpreter() -> None:
    assert processes.rss_kb({"me": [os.getpid()]})["me"] > 10_000


@pytest.mark.parametrize("measure", [processes.cpu_s, processes.rss_kb])
def test_a_process_that_is_gone_is_told_with_its_service(measure: object) -> None:
    gone = os.fork()
    if not gone:
        os._exit(0)
    os.waitpid(gone, 0)

    with pytest.raises(ProcessEnded, match=f"of stt .pid {gone}."):
        measure({"stt": [gone]})  # type: ignore[operator]  # one of the two above


def test_a_pid_that_is_no_process_of_trunklines_here_is_not_measured() -> None:
    program = [sys.executable, "-c", "print(flush=True), input()", "trunkline"]
    here = subprocess.Popen(program, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert here.stdout is not None
    here.stdout.readline()  # before that the kernel may not know its command line yet
    try:
        assert services.is_ours(here.pid)
    finally:
        here.communicate(b"\n")

    assert [services.is_ours(pid) for pid in (1, here.pid)] == [False, False]


@pytest.mark.programs
def test_the_processes_of_an_engine_are_its_workers_and_no_other_child_is() -> None:
    apart = Apart("hungry", partial(answering, HungryRecogniser))
    other = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    loading = threading.Thread(target=apart.load)
    loading.start()
    loading.join()
    try:
        assert apart._process is not None
        assert services.engines_of(os.getpid()) == [apart._process.pid]
    finally:
        apart.close()
        other.communicate(b"\n")
    assert services.engines_of(os.getpid()) == []


def held(*, late: list[int] | None = None, failures: list[str] | None = None) -> Held:
    """Ten seconds of two calls: turns at 1 and 9 s, and one beyond the window."""
    turns = [Turn(101.0, 40.0, 39.0), Turn(109.0, 60.0, 59.0), Turn(111.0, 9_000.0, 9_000.0)]
    tally = Tally(turns, [5.0, 7.0], failures or [], 1, [200.0], messages=400, audio_s=4.0)
    services = dict.fromkeys(("nats", "tts", "gateway", "agent", "stt", "tool_runner"), 0.02)
    return Held(
        [Outcome(tally, late or [0, 1000], 1.5, 1000, 0.014)],
        {**services, GENERATOR: 0.01},
        dict.fromkeys(services, 100),
        {"stt: final words": stages.StageMs(2, 1.0, 1.0, 1.0, 1.0)},
        100.0,
        110.0,
    )


def made(**how: object) -> Report:
    asked = Asked(2, 10.0, "trunkline.cli.load.realtime:REALTIME")
    return report.report(asked, held(**how), Machine(2, 0.1, "3.11", "6"))  # type: ignore[arg-type]  # as held takes it


def test_the_report_has_the_keys_that_are_promised() -> None:
    told = msgspec.json.decode(msgspec.json.encode(made()))

    assert set(told) >= DESIGN_KEYS
    assert set(told["cpu_ms_per_call_second"]) == SERVICES
    assert set(told["first_audio_ms"]) >= {"p50", "p99"}
    assert list(told["cpu_ms_per_call_second"])[:2] == ["total", "gateway"]


def test_figures_are_of_the_window_and_per_call() -> None:
    told = made()

    assert told.turns == 2  # the third came later
    assert told.cpu_ms_per_call_second is not None
    assert told.cpu_ms_per_call_second["total"] == pytest.approx(6.0)  # 120 ms in 20 call-seconds
    assert told.generator_cpu_ms_per_call_second == pytest.approx(0.5)
    assert told.generator_us_per_message == 10.0
    assert told.rss_kb_per_call == 300.0
    assert (told.first_audio_ms and told.first_audio_ms.p50, told.added_ms and told.added_ms.p50) == (50.0, 49.0)


def test_a_late_generator_makes_a_run_invalid_and_says_so() -> None:
    late = made(late=[0] * 300 + [1000])

    assert (late.valid, late.lateness_p99_ms, made().valid) == (False, 30.1, True)
    assert any("NOT VALID" in line for line in report.text(late))


@pytest.mark.parametrize(("load_before", "said"), [(2.0, False), (2.1, True)])
def test_a_machine_that_was_busy_before_is_told_of(load_before: float, said: bool) -> None:
    told = msgspec.structs.replace(made(), machine=Machine(2, load_before, "3.11", "6"))

    assert any("busy before" in line for line in report.text(told)) == said


def test_failed_calls_are_told_with_their_reasons() -> None:
    told = made(failures=["no reply within 15 s", "refused", "refused"])

    assert (told.failed_calls, told.failures) == (3, {"refused": 2, "no reply within 15 s": 1})
    assert "  2 calls failed: refused" in report.text(told)


@pytest.mark.parametrize(
    ("goal", "how", "why_not"),
    [
        (Goal(95, 100.0), {}, ""),
        (Goal(99, 59.0), {}, "p99 60 ms"),
        (Goal(95, 100.0), {"failures": ["refused"]}, "1 calls failed: refused"),
        (Goal(95, 100.0), {"late": [0] * 300 + [1000]}, "the generator was 30.1 ms late (p99)"),
    ],
)
def test_a_number_of_calls_is_kept_within_the_target_with_no_call_lost_and_a_generator_in_time(
    goal: Goal, how: dict[str, object], why_not: str
) -> None:
    tried = judged(made(**how), goal)

    assert (tried.kept, tried.why_not) == (not why_not, why_not)


def test_a_search_tells_no_memory_of_a_call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def hold(*_: object) -> Held:
        return held()

    monkeypatch.setattr(command.run, "hold", hold)
    asked, where = Asked(1, 10.0, "trunkline.cli.load.realtime:REALTIME"), Machine(2, 0.1, "3.11", "6")

    told, _ = asyncio.run(command._find(asked, Goal(95, 100.0), Target("http://x"), tmp_path, where))

    assert (told.rss_kb_per_call, told.rss_kb_per_call_by_service) == (None, None)
    assert [line.split()[2] for line in report.text(told) if line.startswith(("total", "gateway"))] == ["-", "-"]


@pytest.mark.parametrize(("calls", "cores", "count"), [(1, 2, 1), (100, 2, 1), (101, 2, 2), (900, 2, 2), (50, 1, 1)])
def test_a_process_has_up_to_a_hundred_calls_and_a_core_of_its_own(calls: int, cores: int, count: int) -> None:
    assert processes_for(calls, cores) == count


def test_a_plot_is_an_svg_with_a_dot_for_each_point_and_a_line_at_the_target(tmp_path: Path) -> None:
    file = tmp_path / "plot.svg"
    file.write_text(plot.svg([Panel("ms < & >", "calls", [(10, 5.0), (20, 7.5)], True, 10.0), Panel("empty", "s", [])]))

    drawn = ET.parse(file).getroot()
    space = "{http://www.w3.org/2000/svg}"
    dots = [(float(dot.get("cx", "")), float(dot.get("cy", ""))) for dot in drawn.iter(f"{space}circle")]
    assert len(dots) == 2
    assert dots[0][0] < dots[1][0]
    assert dots[0][1] > dots[1][1]  # more is higher
    assert [text.text for text in drawn.iter(f"{space}text")].count("ms < & >") == 1
    assert len(list(drawn.iter(f"{space}polyline"))) == 1


@pytest.mark.parametrize("most", [0.0, 0.3, 1.0, 3.0, 7.0, 10.0, 42.0, 99.0, 1234.0])
def test_an_axis_has_a_few_round_ticks_up_to_its_highest_value(most: float) -> None:
    found = plot.ticks(most)

    assert found[0] == 0
    assert found[-1] >= most
    assert 2 <= len(found) <= 12
