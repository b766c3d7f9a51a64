"""`trunkline load` refuses in one line what it can't use, before it starts anything."""

from pathlib import Path

import pytest

from trunkline.cli import parser
from trunkline.cli.load import asked
from trunkline.cli.main import run


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (["--calls", "0"], ["--calls: '0' is no usable number", "1 to 5000"]),
        (["--calls", "ten"], ["--calls: 'ten'", "1 to 5000"]),
        (["--seconds", "1"], ["--seconds: '1' is unusable", "2 to 3600"]),
        (["--seconds", "nan"], ["--seconds: 'nan'", "2 to 3600"]),
        (["--dialect", "morse"], ["--dialect: there is no 'morse'", "realtime"]),
        (["--turns", "never"], ["--turns: there is no 'never'", "commit, vad"]),
        (["--ramp", "-1"], ["--ramp: '-1' is unusable", "0 to 600"]),
        (["--think", "long"], ["--think: 'long'", "0 to 600"]),
        (["--barge-in", "2"], ["--barge-in: '2' is unusable", "a share from 0 to 1"]),
        (["--seed", "x"], ["--seed: 'x'", "0 to"]),
        (["--find"], ["--target-ms: '' is no target", "p95=MS or p99=MS"]),
        (["--find", "--target-ms", "p50=3"], ["--target-ms: 'p50=3'", "p95=MS or p99=MS"]),
        (["--target-ms", "p95=800"], ["--target-ms", "together with --find"]),
        (["--plot", "plot.png"], ["--plot: 'plot.png'", "ends in .svg"]),
        (["--out", "nowhere/out.json"], ["--out", "a directory that exists"]),
        (["--wav", "missing.wav"], ["missing.wav"]),
        (["--engine", "stt=ears"], ["--engine: stt has no engine 'ears'", "scripted"]),
        (["--workers", "stt=0"], ["--workers: 'stt=0'", "1 to 64"]),
        (["--url", "nonsense"], ["--url: 'nonsense' is no address"]),
        (["--url", "http://127.0.0.1:1", "--engine", "tts=tone"], ["--engine: the stack runs already"]),
    ],
)
def test_what_cannot_be_used_is_named_with_what_is_allowed(
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    parts: list[str],
) -> None:
    monkeypatch.chdir(tmp_path)

    status = run(["load", *arguments])

    told = capsys.readouterr()
    assert (status, told.out, told.err.count("\n")) == (2, "", 1)
    assert [part for part in parts if part not in told.err] == []
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("text", "goal"),
    [("800", asked.Goal(95, 800.0)), ("p95=10.5", asked.Goal(95, 10.5)), ("p99=2000", asked.Goal(99, 2000.0))],
)
def test_a_target_is_of_the_95th_percentile_unless_it_says_otherwise(text: str, goal: asked.Goal) -> None:
    parsed = parser.parse(["load", "--find", "--target-ms", text])

    assert asked.goal(parsed) == goal


def test_engines_that_are_not_named_cost_nothing() -> None:
    parsed = parser.parse(["load", "--engine", "tts=piper"])

    assert asked.engines(parsed) == {"stt": "scripted", "tts": "piper", "model": "scripted"}
