"""Calls whose gateway is killed again and again, each time in mid-utterance or mid-answer; what came of each turn.

`python -m stack.resuming KILLS` measures the gaps.
"""

import asyncio
import os
import random
import signal
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np

from support.running_stack import RunningStack
from trunkline.audio import dtmf
from trunkline.audio.pcm import Samples
from trunkline.cli import api, line, record_json
from trunkline.cli.caller import Caller
from trunkline.cli.line import Line
from trunkline.cli.listing import WorkerLine
from trunkline.cli.record_json import CallRecord
from trunkline.proto.audio import SPEECH_RATE_HZ

ANSWER = ("You said {words}. ", "This is the second sentence. ", "This is the third one. ", "And here is the last.")
SEGMENT_MS = 600
SETTLED_S = 1.5  # for a killed gateway to be started again


class Killed(NamedTuple):
    """One turn, and the kill in it. moment: "utterance" or "answer". answered: the item's text and samples."""

    moment: str
    said: str
    understood: str
    answered: list[tuple[str, int]]
    gap_s: float
    underruns: int


def started(directory: Path, *options: str) -> RunningStack:
    """Two gateways on one port, engines that cost nothing and hear what is keyed."""
    script = directory / "model.json"
    directory.mkdir(parents=True, exist_ok=True)
    script.write_bytes(msgspec.json.encode([[[{"type": "say", "text": "".join(ANSWER), "phase": "final_answer"}]]]))
    environ = {"TRUNKLINE_MODEL_SCRIPT": str(script), "TRUNKLINE_TONE_SEGMENT_MS": str(SEGMENT_MS)}
    engines = ("--engine", "stt=digits", "--engine", "tts=tone", "--engine", "model=scripted")
    return RunningStack(
        directory / "run", "--workers", "gateway=2,webrtc=0", *engines, *options, environ=environ
    ).start()


def keyed(digits: str) -> Line:
    samples: Samples = dtmf.tones(digits, SPEECH_RATE_HZ, tone_ms=100, gap_ms=50)
    return line.make(samples, SPEECH_RATE_HZ)


async def killed(stack: RunningStack, moments: list[str], seed: int = 1) -> tuple[list[Killed], CallRecord]:
    """One call with a turn, and a kill of its gateway, for each of the moments; it has hung up."""
    rng = random.Random(seed)
    turns: list[Killed] = []
    async with Caller(stack.address) as caller:
        await caller.greeting()
        for number, moment in enumerate(moments):
            await asyncio.sleep(SETTLED_S)
            said = f"{number:03d}{rng.randrange(1000):03d}"
            underruns = caller.listener.player.underruns
            pid = await _gateway_of(stack, caller.call_id)
            saying = asyncio.create_task(caller.say(keyed(said)))
            if moment == "utterance":
                await asyncio.sleep(rng.uniform(0.2, 0.7))
                os.kill(pid, signal.SIGKILL)
            turn = await saying
            if moment == "answer":
                await caller.reply_heard(turn, rng.uniform(0.1, 1.5))
                os.kill(pid, signal.SIGKILL)
            await caller.reply(turn)
            heard = caller.listener.player.heard
            answered = [(item.text, heard(item.item, sys.maxsize)) for item in turn.items]
            understood = " ".join(turn.transcripts.values())
            underruns = caller.listener.player.underruns - underruns
            turns.append(Killed(moment, said, understood, answered, caller.gaps_s[-1], underruns))
        await asyncio.sleep(0.5)
    return turns, await _finished(stack, caller.call_id)


async def _finished(stack: RunningStack, call: str) -> CallRecord:
    async with asyncio.timeout(20):
        while True:
            record = await record_json.fetch(stack.address, call)
            if record.ended:
                return record
            await asyncio.sleep(0.1)


async def _gateway_of(stack: RunningStack, call: str) -> int:
    """Its pid, once all gateways are up."""
    async with asyncio.timeout(20):
        while True:
            record = await record_json.fetch(stack.address, call)
            holder = [str(event["gateway"]) for event in record.events if event["type"] == "attached"][-1]
            found = msgspec.json.decode(await api.fetch(stack.address, "/v1/workers"), type=list[WorkerLine])
            gateways = {worker.worker: worker.pid for worker in found if worker.stage == "gateway"}
            if len(gateways) == 2 and holder in gateways:
                return gateways[holder]
            await asyncio.sleep(0.1)


def main() -> None:
    kills = int(sys.argv[1])
    with tempfile.TemporaryDirectory() as directory:
        stack = started(Path(directory))
        try:
            moments = ["answer", "utterance"] * (kills // 2)
            turns, _ = asyncio.run(killed(stack, moments))
        finally:
            stack.stop()
    for moment in ("answer", "utterance"):
        gaps_ms = [1000 * turn.gap_s for turn in turns if turn.moment == moment]
        p50, p99 = np.percentile(gaps_ms, (50, 99))
        holes = sum(turn.underruns for turn in turns if turn.moment == moment)
        wrong = [turn for turn in turns if turn.moment == moment and turn.said != turn.understood]
        print(f"{moment}: {len(gaps_ms)} kills, gap p50 {p50:.0f} ms, p99 {p99:.0f} ms, {holes} holes, wrong: {wrong}")


if __name__ == "__main__":
    main()
