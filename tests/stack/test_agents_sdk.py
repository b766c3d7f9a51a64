"""The guide's program for the Agents SDK, on a real call: real speech, real processes, no line changed."""

from pathlib import Path

import pytest

from support.running_stack import RunningStack

pytestmark = pytest.mark.stack

DATA = Path(__file__).parents[1] / "data"


def test_the_guides_assistant_tells_the_weather(tmp_path: Path) -> None:
    running = RunningStack(tmp_path / "run", "--agent", str(DATA / "agents_sdk" / "voice_quickstart.py")).start()
    try:
        done = running.run("call", str(DATA / "callers" / "weather_tokyo.wav"))
    finally:
        running.stop()

    assert done.returncode == 0, done.stderr
    assert "get_weather {'city': 'Tokyo'} -> The weather in Tokyo is " in done.stdout
    assert "agent   final_answer  The weather in Tokyo is " in done.stdout
