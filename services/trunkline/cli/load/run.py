"""One run: callers against a target, and what the kernel, the services and the callers say of the same seconds.

Its directory is the run's own. The seconds that count begin once every caller has dialled and settled.
"""

import asyncio
import shutil
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np

from trunkline.audio import pcm
from trunkline.audio.resample import resample
from trunkline.cli import line
from trunkline.cli.errors import CommandFailed
from trunkline.cli.load import dialect, processes, stages
from trunkline.cli.load.asked import Asked
from trunkline.cli.load.crowd import Crowd
from trunkline.cli.load.process import Outcome
from trunkline.cli.load.services import Target
from trunkline.cli.load.stages import StageMs
from trunkline.proto.audio import SPEECH_RATE_HZ

SETTLE_S = 1.5  # after the ramp, before it counts
REST_S = 1.0  # after calls that have ended, for what they held to be let go
WARM_CALLS, WARM_S = 5, 4.0
TONE_S, TONE_HZ, TONE_PEAK = 1.5, 300, 8_000
GENERATOR = "generator"


class Held(NamedTuple):
    """What a run came to. cpu_s: within the window, by service, and of the GENERATOR. rss_kb: grown since before, by
    service. from_s, to_s: the window, on the monotonic clock."""

    outcomes: list[Outcome]
    cpu_s: dict[str, float]
    rss_kb: dict[str, int]
    stages: dict[str, StageMs]
    from_s: float
    to_s: float


async def warm(asked: Asked, target: Target, directory: Path) -> None:
    """A few calls that end before anything counts: what every process allocates once is allocated then.

    Raises CommandFailed, also when none of them is served.
    """
    few = msgspec.structs.replace(asked, calls=WARM_CALLS, seconds=WARM_S, ramp_s=0.5, think_s=0.5)
    held = await hold(few, target, directory)
    failures = [reason for outcome in held.outcomes for reason in outcome.tally.failures]
    if len(failures) == WARM_CALLS:
        raise CommandFailed(f"none of {WARM_CALLS} calls to {target.url} was served: {failures[0]}")


async def hold(asked: Asked, target: Target, directory: Path) -> Held:
    """Raises CommandFailed."""
    lines = _lines(asked, directory)
    lead_s = asked.ramp_s + SETTLE_S
    async with Crowd(asked, target, lines, directory, lead_s + asked.seconds) as crowd:
        pids = {**target.pids, GENERATOR: crowd.pids}
        before_kb, metrics = processes.rss_kb(target.pids), await stages.look(target.admin_ports)
        from_s = crowd.begin() + lead_s
        await _until(from_s)
        cpu_s, from_s = processes.cpu_s(pids), time.monotonic()
        await _until(from_s + asked.seconds)
        used_s, to_s = processes.cpu_s(pids), time.monotonic()
        after_kb = processes.rss_kb(target.pids)
        outcomes = await crowd.outcomes()
    grown = stages.between(metrics, await stages.look(target.admin_ports))
    await asyncio.sleep(REST_S)
    return Held(
        outcomes,
        {service: used_s[service] - before_s for service, before_s in cpu_s.items()},
        {service: after_kb[service] - before for service, before in before_kb.items()},
        grown,
        from_s,
        to_s,
    )


async def _until(at_s: float) -> None:
    """On the monotonic clock."""
    await asyncio.sleep(max(0.0, at_s - time.monotonic()))


def _lines(asked: Asked, directory: Path) -> list[Path]:
    """What callers say as files of PCM at the dialect's rate, each up to its last voiced sample, in a new directory."""
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)
    rate_hz = dialect.load(asked.dialect).rate_hz
    said = [_spoken(wav, rate_hz) for wav in asked.wavs] or [_tone(rate_hz)]
    paths = [directory / f"line-{number}.pcm" for number in range(len(said))]
    for path, samples in zip(paths, said, strict=True):
        path.write_bytes(pcm.to_bytes(samples))
    return paths


def _spoken(wav: str, rate_hz: int) -> pcm.Samples:
    read = line.read(wav)
    return resample(read.samples[: read.voiced_end or None], SPEECH_RATE_HZ, rate_hz)


def _tone(rate_hz: int) -> pcm.Samples:
    at_s = np.arange(int(TONE_S * rate_hz)) / rate_hz
    return (TONE_PEAK * np.sin(2 * np.pi * TONE_HZ * at_s)).astype(np.int16)


def of_window(held: Held) -> Sequence[tuple[float, float, float]]:
    """Turns whose burst ended within the window: seconds since its beginning, first audio, added, both in ms."""
    turns = (turn for outcome in held.outcomes for turn in outcome.tally.turns)
    return sorted(
        (turn.at_s - held.from_s, turn.first_audio_ms, turn.added_ms)
        for turn in turns
        if held.from_s <= turn.at_s <= held.to_s
    )
