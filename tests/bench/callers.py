"""A process full of callers in real time: `python -m bench.callers URL KEY CALLS SECONDS OUT`; OUT gets JSON.

Each says a second and a half of tone, hears the reply out, rests, and says it again.
"""

import asyncio
import random
import sys
from pathlib import Path

import msgspec
import numpy as np
import uvloop

from trunkline.cli.caller import Caller
from trunkline.cli.errors import CommandFailed
from trunkline.cli.line import Line
from trunkline.cli.report import report
from trunkline.cli.stack import Address
from trunkline.proto.audio import SPEECH_RATE_HZ

SPEECH_S = 1.5
REST_S = 1.0
RAMP_S = 5.0  # callers don't all speak at the same time


class Outcome(msgspec.Struct):
    """lateness_s: of every frame sent. first_audio_s: of every turn, from the end of speech."""

    turns: int = 0
    failures: list[str] = []
    lateness_s: list[float] = []
    first_audio_s: list[float] = []


def tone() -> Line:
    count = int(SPEECH_S * SPEECH_RATE_HZ)
    samples = (8000 * np.sin(2 * np.pi * 300 * np.arange(count) / SPEECH_RATE_HZ)).astype(np.int16)
    return Line(samples, count)


async def one_call(address: Address, until_s: float, outcome: Outcome) -> None:
    loop = asyncio.get_running_loop()
    await asyncio.sleep(random.uniform(0.0, RAMP_S))
    try:
        async with Caller(address, keep_sound=False) as caller:
            await caller.greeting()
            while loop.time() < until_s:
                await caller.reply(await caller.say(tone()))
                await asyncio.sleep(REST_S)
    except CommandFailed as error:
        outcome.failures.append(str(error))
        return
    turns = report(caller.listener, None).turns
    outcome.turns += len(turns)
    outcome.lateness_s += caller.lateness_s
    outcome.first_audio_s += [turn.first_audio_s for turn in turns if turn.first_audio_s is not None]


async def all_calls(address: Address, calls: int, seconds: float) -> Outcome:
    outcome = Outcome()
    until_s = asyncio.get_running_loop().time() + seconds
    await asyncio.gather(*(one_call(address, until_s, outcome) for _ in range(calls)))
    return outcome


if __name__ == "__main__":
    url, key, calls, seconds, out = sys.argv[1:]
    done = uvloop.run(all_calls(Address(url, key), int(calls), float(seconds)))
    Path(out).write_bytes(msgspec.json.encode(done))
