"""What an operator sees: processes, records after a restart, workers that die or join, one line when it can't be."""

import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest
from prometheus_client.parser import text_string_to_metric_families

from stack import lines, placing
from support.running_stack import COMMAND, RunningStack
from trunkline.cli import api

AGENT = f"{Path(__file__).parent / 'agents.py'}:quick"
NULL_ENGINES = ("--engine", "stt=scripted", "--engine", "tts=tone", "--engine", "model=scripted")
STAGES = ["agent", "gateway", "stt", "tool_runner", "tts"]
LISTED = sorted([*STAGES, "gateway"])  # with the one for WebRTC


@pytest.fixture
def light(tmp_path: Path) -> Iterator[RunningStack]:
    """A stack of its own with null engines, for tests that break it."""
    running = RunningStack(tmp_path / "run", "--agent", AGENT, *NULL_ENGINES).start()
    yield running
    running.stop()


def until(holds: Callable[[], bool], limit_s: float = 15.0) -> None:
    end_s = time.monotonic() + limit_s
    while not holds():
        assert time.monotonic() < end_s, "it didn't come about"
        time.sleep(0.05)


def workers(stack: RunningStack, stage: str) -> list[int]:
    return [worker["pid"] for worker in stack.json("ps") if worker["stage"] == stage]


def test_five_stages_and_webrtc_are_six_processes(stack: RunningStack) -> None:
    listed = stack.json("ps")

    assert sorted(worker["stage"] for worker in listed) == LISTED
    assert sorted(worker["pid"] for worker in listed) == sorted(
        pid for stage, pids in stack.pids().items() if stage != "nats" for pid in pids
    )
    assert all(
        {"stage", "worker", "pid", "calls", "capacity", "draining", "version", "digest"} <= set(worker)
        for worker in listed
    )


def test_a_finished_call_can_be_read_after_a_restart_of_everything(tmp_path: Path) -> None:
    running = RunningStack(tmp_path / "run", "--agent", AGENT).start()
    try:
        report, _, _ = placing.place(running, [lines.spoken("weather_tokyo.wav")])
        before, key = running.json("show", report.call_id), running.address.key
        assert running.stop(signal.SIGINT) == 0
        running.start()

        assert running.json("show", report.call_id) == before
        assert running.address.key == key
        assert [tool["name"] for tool in before["tools"]] == ["get_weather"]
        assert [item["phase"] for item in before["items"]] == [None, "commentary", "final_answer"]
        (listed,) = running.json("calls")
        assert (listed["call_id"], listed["turns"], listed["agent"]) == (report.call_id, 1, "quick")
        assert listed["ended_at"] is not None
    finally:
        assert running.stop() == 0


def test_call_writes_what_it_heard_and_prints_its_turns(stack: RunningStack, tmp_path: Path) -> None:
    out = tmp_path / "reply.wav"

    said = stack.json("call", str(lines.CALLERS / "weather_tokyo.wav"), "--out", str(out), "--agent", "quick")

    (turn,) = said["turns"]
    assert turn["tools"][0]["arguments"] == {"city": "Tokyo"}
    assert turn["answer"] == turn["tools"][0]["result"]
    assert len(turn["commentary"]) == 1
    assert 0.5 < turn["first_audio_s"] <= turn["commentary_audio_s"] < turn["answer_audio_s"]
    assert out.stat().st_size > 100_000


def test_metrics_of_every_service_parse_and_name_no_call(stack: RunningStack) -> None:
    placing.tools_asked(stack, [lines.spoken("weather_tokyo.wav")])
    workers = msgspec.json.decode(api.get(stack.address, "/v1/workers"))

    pages = {worker["stage"]: _page(worker["admin_port"], "/metrics") for worker in workers}

    assert sorted(pages) == STAGES
    for stage, page in pages.items():
        samples = [sample for family in text_string_to_metric_families(page) for sample in family.samples]
        assert any(sample.name.startswith(f"trunkline_{stage.partition('_')[0]}") for sample in samples), stage
        assert not [sample for sample in samples if any("rtc_" in value for value in sample.labels.values())]
    assert {_page(worker["admin_port"], "/readyz").strip() != "" for worker in workers} == {True}


def test_a_service_that_dies_is_started_again_and_that_is_said(light: RunningStack) -> None:
    (old,) = workers(light, "tool_runner")

    os.kill(old, signal.SIGKILL)
    until(lambda: (now := workers(light, "tool_runner")) != [] and old not in now)

    assert f"trunkline: tool_runner (pid {old}) was ended by SIGKILL: starting it again" in light.said


def test_a_worker_that_is_started_later_takes_new_calls(light: RunningStack) -> None:
    environ = {**os.environ, "TRUNKLINE_NATS_URL": light.file.nats_url, "TRUNKLINE_ENGINE_STT": "scripted"}
    (first,) = workers(light, "stt")
    late = subprocess.Popen([sys.executable, "-m", "trunkline.stt.main"], env=environ, stderr=subprocess.DEVNULL)
    try:
        until(lambda: late.pid in workers(light, "stt"))
        os.kill(light.pid, signal.SIGSTOP)  # so that the first worker stays dead
        os.kill(first, signal.SIGKILL)
        until(lambda: workers(light, "stt") == [late.pid])

        report, _, _ = placing.place(light, [lines.spoken("weather_tokyo.wav")])

        assert report.turns[0].answer
    finally:
        os.kill(light.pid, signal.SIGCONT)
        late.terminate()
        assert late.wait(30) == 0


def test_two_workers_of_a_stage_both_serve_and_two_gateways_share_the_port(tmp_path: Path) -> None:
    options = ("--workers", "stt=2,tts=2,gateway=2")
    running = RunningStack(tmp_path / "run", "--agent", AGENT, *NULL_ENGINES, *options).start()
    try:
        counts = {stage: len(pids) for stage, pids in running.pids().items()}
        asked = placing.tools_asked(running, [lines.spoken("weather_tokyo.wav")] * 3)
    finally:
        assert running.stop() == 0

    assert counts == {"nats": 1, "gateway": 2, "stt": 2, "agent": 1, "tool_runner": 1, "tts": 2, "webrtc": 1}
    assert len(asked) == 3


def test_nothing_outlives_a_supervisor_that_is_killed(light: RunningStack) -> None:
    pids = [pid for of_stage in light.pids().values() for pid in of_stage]

    os.kill(light.pid, signal.SIGKILL)

    assert len(pids) == 7
    until(lambda: not any(_alive(pid) for pid in pids), limit_s=5.0)


def test_a_second_start_on_a_busy_port_or_directory_fails_with_one_line(light: RunningStack, tmp_path: Path) -> None:
    port = light.address.base.rpartition(":")[2]

    busy_port = _up("--dir", str(tmp_path / "other"), "--port", port)
    busy_directory = _up("--dir", str(light.directory), "--port", "0")

    assert (busy_port.returncode, busy_directory.returncode) == (1, 1)
    assert busy_port.stderr == (
        f"trunkline: can't listen on 127.0.0.1:{port}: Address already in use; give another one with --port\n"
    )
    assert f"is in use by another trunkline up (pid {light.pid})" in busy_directory.stderr
    assert busy_directory.stderr.count("\n") == 1


def test_a_service_that_cannot_start_ends_up_with_one_line(tmp_path: Path) -> None:
    environ = {**os.environ, "TRUNKLINE_CAPACITY": "plenty"}

    done = _up("--dir", str(tmp_path), "--port", "0", environ=environ)

    assert done.returncode == 1
    assert "TRUNKLINE_CAPACITY" in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_wrong_key_is_refused(light: RunningStack) -> None:
    wrong = subprocess.run(
        [*COMMAND, "ps", "--url", light.address.base, "--key", "sk-wrong"], capture_output=True, text=True, check=False
    )

    assert wrong.returncode == 1
    assert "refused with status 401" in wrong.stderr


def test_an_unknown_call_is_refused_by_name(light: RunningStack) -> None:
    done = light.run("show", "rtc_00_nosuchcall")

    assert done.returncode == 1
    assert "no call 'rtc_00_nosuchcall'" in done.stderr


def test_an_unknown_agent_is_refused_before_the_call(light: RunningStack) -> None:
    done = light.run("call", str(lines.CALLERS / "mhm.wav"), "--agent", "nobody")

    assert done.returncode == 1
    assert "nobody" in done.stderr


def _page(admin_port: int, path: str) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{admin_port}{path}", timeout=10) as answer:
        return str(answer.read().decode())


def _up(*options: str, environ: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    command = [*COMMAND, "up", *options]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, env=environ)


def _alive(pid: int) -> bool:
    """A zombie is dead: only its parent, who is gone, could have collected it."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
