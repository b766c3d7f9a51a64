"""A call that one stack had is shown alike by another, that got the backup."""

from pathlib import Path

import pytest

from stack import placing
from support.running_stack import RunningStack
from system.whole import hum

DESK = Path(__file__).parents[1] / "system" / "weather_desk.py"
OPTIONS = ("--agent", str(DESK), "--workers", "webrtc=0", "--engine", "stt=scripted", "--engine", "tts=tone")


@pytest.fixture
def environ() -> dict[str, str]:
    return {"TRUNKLINE_STT_SCRIPT": "What is the weather in Tokyo?"}


def test_a_restored_call_is_shown_as_it_was(tmp_path: Path, environ: dict[str, str]) -> None:
    first = RunningStack(tmp_path / "first", *OPTIONS, environ=environ).start()
    try:
        _, record, _ = placing.place(first, [hum()])
        shown, listed = first.json("show", record.call_id), first.json("calls")
        saved = first.run("backup", str(tmp_path / "copy"))
    finally:
        assert first.stop() == 0
    second = RunningStack(tmp_path / "second", *OPTIONS, environ=environ).start()
    try:
        restored = second.run("restore", str(tmp_path / "copy"))

        assert (saved.returncode, restored.returncode) == (0, 0), saved.stderr + restored.stderr
        assert second.json("show", record.call_id) == shown
        assert second.json("calls") == listed
        again, *_ = placing.place(second, [hum()])
        assert again.turns[0].answer == "It is sunny in Tokyo."
    finally:
        assert second.stop() == 0
