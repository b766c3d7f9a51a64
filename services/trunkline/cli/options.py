"""Values of options that need more than argparse: pure, and every refusal says what is allowed."""

import importlib.metadata
import ipaddress
from collections.abc import Mapping, Sequence
from typing import Literal

from trunkline.proto.errors import BadInput
from trunkline.proto.subjects import STAGES, Stage

# The services' own engines; a service refuses any other that no plugin brings, and a test compares the two.
BUILT_IN_ENGINES: Mapping[str, tuple[str, ...]] = {
    "stt": ("digits", "moonshine", "scripted"),
    "tts": ("piper", "tone"),
    "model": ("local", "scripted", "responses", "chat"),
}
Program = Stage | Literal["webrtc"]
"""What `up` runs several of: a stage, or the gateway that serves WebRTC, which is a program of its own."""
PROGRAMS: tuple[Program, ...] = (*STAGES, "webrtc")
WORKERS_LIMIT = 64  # of one stage on one machine
PORTS = range(65_536)
NATS_NODES = (1, 3)  # three: the fewest that elect a leader when one is gone


def workers(text: str) -> dict[Program, int]:
    """text: `stt=2,agent=2`; what isn't named has one worker, and only webrtc may have none. Raises BadInput."""
    counts: dict[Program, int] = dict.fromkeys(PROGRAMS, 1)
    for part in filter(None, (part.strip() for part in text.split(","))):
        stage, equals, number = part.partition("=")
        if stage not in PROGRAMS or not equals:
            raise BadInput("--workers", f"{part!r} is unusable", f"STAGE=N with a stage of {', '.join(PROGRAMS)}")
        least = 0 if stage == "webrtc" else 1
        if not number.isdecimal() or not least <= int(number) <= WORKERS_LIMIT:
            raise BadInput("--workers", f"{part!r} has no usable number", f"{least} to {WORKERS_LIMIT}")
        counts[stage] = int(number)
    return counts


def engines(choices: Sequence[str]) -> dict[str, str]:
    """choices: `stt=moonshine`; only what was chosen is in the answer. Raises BadInput."""
    chosen: dict[str, str] = {}
    for choice in choices:
        seam, equals, name = choice.partition("=")
        if seam not in BUILT_IN_ENGINES or not equals:
            raise BadInput("--engine", f"{choice!r} is unusable", f"{'=NAME, '.join(BUILT_IN_ENGINES)}=NAME")
        known = engine_names(seam)
        if name not in known:
            raise BadInput("--engine", f"{seam} has no engine {name!r}", ", ".join(known))
        chosen[seam] = name
    return chosen


def engine_names(seam: str) -> list[str]:
    """Those that come with Trunkline, then those of installed plugins (entry points `trunkline.<seam>_engines`)."""
    plugins = importlib.metadata.entry_points(group=f"trunkline.{seam}_engines")
    return [*BUILT_IN_ENGINES[seam], *sorted(set(plugins.names) - set(BUILT_IN_ENGINES[seam]))]


def port(text: str) -> int:
    """0 asks for any free one. Raises BadInput."""
    if not text.isdecimal() or int(text) not in PORTS:
        raise BadInput("--port", f"{text!r} is no port", f"0 to {PORTS[-1]} (0: any free one)")
    return int(text)


def nats_nodes(text: str) -> int:
    """Raises BadInput."""
    if text not in map(str, NATS_NODES):
        raise BadInput("--nats-nodes", f"{text!r} is no usable number", "1, or 3 for a cluster")
    return int(text)


def seconds(option: str, text: str) -> float:
    """Raises BadInput."""
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0.0 <= value <= 3600.0:
        raise BadInput(option, f"{text!r} is no length of time", "seconds from 0 to 3600")
    return value


def is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
