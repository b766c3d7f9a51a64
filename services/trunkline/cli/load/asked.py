"""What `trunkline load` is asked for, checked: pure, and every refusal says what is allowed."""

import argparse
import re
from pathlib import Path
from typing import Literal

import msgspec

from trunkline.cli import options
from trunkline.cli.load.dialect import Turns, spec_of
from trunkline.proto.errors import BadInput

CALLS_LIMIT = 5_000
SECONDS = (2.0, 3600.0)
NULL_ENGINES = {"stt": "scripted", "tts": "tone", "model": "scripted"}
_TURNS: dict[str, Turns] = {"commit": "commit", "vad": "vad"}
_TARGET = re.compile(r"(?:(p95|p99)=)?(\d+(?:\.\d+)?)")


class Goal(msgspec.Struct, frozen=True):
    """Of the first audio, from the end of the burst."""

    percentile: Literal[95, 99]
    limit_ms: float


class Asked(msgspec.Struct, frozen=True):
    """calls: at a time. seconds: measured, after the ramp. dialect: module:NAME. wavs: empty for a tone."""

    calls: int
    seconds: float
    dialect: str
    turns: Turns = "commit"
    ramp_s: float = 3.0
    think_s: float = 1.0
    barge_in: float = 0.0
    seed: int = 1
    wavs: tuple[str, ...] = ()


def asked(parsed: argparse.Namespace) -> Asked:
    """Raises BadInput."""
    return Asked(
        calls=_whole("--calls", parsed.calls, 1, CALLS_LIMIT),
        seconds=_number("--seconds", parsed.seconds, *SECONDS, "seconds"),
        dialect=spec_of(parsed.dialect),
        turns=_turns(parsed.turns),
        ramp_s=_number("--ramp", parsed.ramp, 0.0, 600.0, "seconds"),
        think_s=_number("--think", parsed.think, 0.0, 600.0, "seconds"),
        barge_in=_number("--barge-in", parsed.barge_in, 0.0, 1.0, "a share"),
        seed=_whole("--seed", parsed.seed, 0, 2**32),
        wavs=tuple(parsed.wav),
    )


def goal(parsed: argparse.Namespace) -> Goal | None:
    """None without --find. Raises BadInput."""
    if not parsed.find:
        if parsed.target_ms:
            raise BadInput("--target-ms", "only a search has a target", "--target-ms together with --find")
        return None
    found = _TARGET.fullmatch(parsed.target_ms)
    if found is None or not 0 < float(found[2]) <= 60_000:
        allowed = "p95=MS or p99=MS, or MS alone for p95, up to 60000"
        raise BadInput("--target-ms", f"{parsed.target_ms!r} is no target", allowed)
    return Goal(99 if found[1] == "p99" else 95, float(found[2]))


def engines(parsed: argparse.Namespace) -> dict[str, str]:
    """Of a stack of its own: what isn't named costs nothing. Raises BadInput."""
    return NULL_ENGINES | options.engines(parsed.engine)


def file(option: str, text: str, suffix: str) -> Path | None:
    """Where something is to be written; None when that wasn't asked for. Raises BadInput."""
    if not text:
        return None
    path = Path(text)
    if path.suffix != suffix or not path.absolute().parent.is_dir():
        raise BadInput(
            option, f"{text!r} can't be written", f"a name that ends in {suffix}, in a directory that exists"
        )
    return path


def _turns(text: str) -> Turns:
    if text not in _TURNS:
        raise BadInput("--turns", f"there is no {text!r}", ", ".join(_TURNS))
    return _TURNS[text]


def _whole(option: str, text: str, least: int, most: int) -> int:
    if not text.isdecimal() or not least <= int(text) <= most:
        raise BadInput(option, f"{text!r} is no usable number", f"{least} to {most}")
    return int(text)


def _number(option: str, text: str, least: float, most: float, what: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not least <= value <= most:
        raise BadInput(option, f"{text!r} is unusable", f"{what} from {least:g} to {most:g}")
    return value
