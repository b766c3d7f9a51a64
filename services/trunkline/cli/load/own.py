"""A measurement's own stack: engines that cost nothing unless others are asked for; record and telemetry are on."""

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from trunkline.cli.load import agent as null_agent
from trunkline.cli.load.asked import NULL_ENGINES
from trunkline.cli.own_stack import OwnStack

REPLY = b'[[[{"type": "say", "text": "Here you are.", "phase": "final_answer"}]]]'  # one segment
SEGMENT_MS = 2_000  # of tone, and so of a reply


def own_stack(
    run: Path,
    script: Path,
    engines: Mapping[str, str] = MappingProxyType(NULL_ENGINES),
    *,
    capacity: int = 0,
    workers: str = "",
    agent: str = "",
    environ: Mapping[str, str] = MappingProxyType({}),
) -> OwnStack:
    """script: is written here, for the null model. capacity: of each worker, 0 for what it says itself. workers: as
    `trunkline up` takes them; of webrtc none, unless it is named. environ: on top."""
    script.parent.mkdir(parents=True, exist_ok=True)
    script.write_bytes(REPLY)
    needed = {"TRUNKLINE_MODEL_SCRIPT": str(script), "TRUNKLINE_TONE_SEGMENT_MS": str(SEGMENT_MS)}
    if capacity:
        needed["TRUNKLINE_CAPACITY"] = str(capacity)
    choices = [word for seam, name in engines.items() for word in ("--engine", f"{seam}={name}")]
    workers = workers if "webrtc=" in workers else ",".join(filter(None, (workers, "webrtc=0")))
    agent = agent or f"{null_agent.__file__}:load"
    return OwnStack(run, (*choices, "--workers", workers, "--agent", agent), {**needed, **environ})
