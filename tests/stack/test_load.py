"""A short run of `trunkline load` with real processes: every dialect's figures are there, and of this run."""

import subprocess
from pathlib import Path

import msgspec
import pytest

from support.running_stack import COMMAND
from trunkline.cli.load.dialect import KNOWN

pytestmark = pytest.mark.stack


def measured(tmp_path: Path, *options: str) -> dict[str, object]:
    out = tmp_path / "out.json"
    command = [*COMMAND, "load", "--calls", "5", "--seconds", "5", "--ramp", "1", "--json", "--out", str(out), *options]
    done = subprocess.run(command, capture_output=True, text=True, timeout=110, check=False)
    told: dict[str, object] = msgspec.json.decode(done.stdout)
    assert (told["failures"], done.returncode) == ({}, 0 if told["valid"] else 1), done.stderr
    assert msgspec.json.decode(out.read_bytes()) == told
    return told


@pytest.mark.parametrize("dialect", KNOWN)
def test_five_calls_are_answered_and_measured(tmp_path: Path, dialect: str) -> None:
    told = measured(tmp_path, "--dialect", dialect)

    cpu = msgspec.convert(told["cpu_ms_per_call_second"], dict[str, float])
    assert set(cpu) == {"total", "gateway", "stt", "agent", "tts", "tool_runner", "nats"}
    assert cpu["gateway"] > 0.1
    assert cpu["nats"] > 0
    assert sum(ms for service, ms in cpu.items() if service != "total") == pytest.approx(cpu["total"], abs=0.01)
    assert msgspec.convert(told["turns"], int) >= 4
    assert 0 < msgspec.convert(told["added_ms"], dict[str, float])["p50"] < 1_000
    assert set(msgspec.convert(told["stages_ms"], dict[str, object])) >= {"stt: final words", "tts: first audio"}
    assert msgspec.convert(told["frames_sent"], int) >= 5 * 50 * 5


def test_with_vad_a_caller_who_speaks_into_every_reply_silences_it(tmp_path: Path) -> None:
    told = measured(tmp_path, "--turns", "vad", "--barge-in", "1", "--plot", str(tmp_path / "plot.svg"))

    assert told["added_ms"] is None
    assert 300 < msgspec.convert(told["first_audio_ms"], dict[str, float])["p50"] < 2_000  # the rules' silence is in it
    assert msgspec.convert(told["barge_ins"], int) >= 4
    assert 0 < msgspec.convert(told["silence_ms"], dict[str, float])["p50"] < 1_000
    assert "<circle" in (tmp_path / "plot.svg").read_text()
