"""`python -m bench.requests OUT`: what transcriptions and speech over HTTP take, with the real engines.

Prints the tables of docs/performance.md. The machine should be idle; the load before says whether it is.
"""

import asyncio
import os
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from statistics import median

import aiohttp
import numpy as np

from support.running_stack import RunningStack
from trunkline.audio import wav
from trunkline.audio.pcm import Samples
from trunkline.audio.resample import resample
from trunkline.cli.listing import table
from trunkline.cli.load import processes
from trunkline.proto.audio import CALLER_RATE_HZ

CALLERS = Path(__file__).parents[1] / "data" / "callers"
MINUTE_SAMPLES = 60 * CALLER_RATE_HZ
LONG_SAMPLES = 9 * MINUTE_SAMPLES
TEXT = "One moment please, I am looking that up for you. It is sunny in Oslo today. Is there anything else?"
FORMATS = ("pcm", "wav", "mp3", "opus", "flac")
TIMES = 20
AT_ONCE = (1, 4, 20)
LOOK_S = 0.02


def line(path: Path) -> Samples:
    clip = wav.read_file(path)
    return resample(clip.samples, clip.rate_hz, CALLER_RATE_HZ)


def files() -> dict[str, Samples]:
    """Name -> sound at CALLER_RATE_HZ."""
    pause = np.zeros(CALLER_RATE_HZ, dtype=np.int16)
    lines = np.concatenate([part for path in sorted(CALLERS.glob("*.wav")) for part in (line(path), pause)])
    story = line(CALLERS / "long_story.wav")
    return {
        "60 s: callers' lines, a second of silence between": np.resize(lines, MINUTE_SAMPLES),
        "60 s: one caller who never pauses": np.resize(story, MINUTE_SAMPLES),
        "60 s of silence": np.zeros(MINUTE_SAMPLES, dtype=np.int16),
        "9 minutes: callers' lines": np.resize(lines, LONG_SAMPLES),
    }


class Highest:
    """Resident kB of the stack's processes, by stage, at their highest while the block lasts."""

    def __init__(self, pids: processes.Pids) -> None:
        self._pids = pids
        self.kb: Mapping[str, int] = {}

    async def __aenter__(self) -> "Highest":
        self.before_kb = self.kb = processes.rss_kb(self._pids)
        self._looking = asyncio.create_task(self._look())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._looking.cancel()

    def grown_mb(self, stage: str) -> float:
        return (self.kb[stage] - self.before_kb[stage]) / 1024

    async def _look(self) -> None:
        while True:
            await asyncio.sleep(LOOK_S)
            self.kb = {stage: max(self.kb[stage], kb) for stage, kb in processes.rss_kb(self._pids).items()}


async def transcribe(http: aiohttp.ClientSession, sound: Samples) -> None:
    form = aiohttp.FormData({"model": "whisper-1"})
    form.add_field("file", wav.write_bytes(sound, CALLER_RATE_HZ), filename="said.wav")
    async with http.post("/v1/audio/transcriptions", data=form) as answer:
        answer.raise_for_status()
        await answer.read()


async def transcriptions(http: aiohttp.ClientSession, stack: RunningStack) -> list[list[str]]:
    await transcribe(http, line(CALLERS / "weather_tokyo.wav"))
    rows = []
    for name, sound in files().items():
        before_s, began_s = processes.cpu_s(stack.pids()), time.monotonic()
        async with Highest(stack.pids()) as highest:
            await transcribe(http, sound)
        took_s = time.monotonic() - began_s
        used_s = sum(processes.cpu_s(stack.pids()).values()) - sum(before_s.values())
        grown = [f"{highest.grown_mb(stage):.0f}" for stage in ("gateway", "stt")]
        rows.append([name, f"{took_s:.1f}", f"{used_s:.1f}", *grown])
    return rows


async def speak(http: aiohttp.ClientSession, text: str, form: str) -> tuple[float, float]:
    """Seconds to the first byte and to the last."""
    body = {"model": "gpt-4o-mini-tts", "voice": "ash", "input": text, "response_format": form}
    began_s = time.monotonic()
    async with http.post("/v1/audio/speech", json=body) as answer:
        answer.raise_for_status()
        await answer.content.readany()
        first_s = time.monotonic() - began_s
        await answer.read()
    return first_s, time.monotonic() - began_s


async def speech(http: aiohttp.ClientSession) -> list[list[str]]:
    await speak(http, TEXT, "pcm")
    rows = [spoken(form, [await speak(http, TEXT, form) for _ in range(TIMES)]) for form in FORMATS]
    for count in AT_ONCE:
        texts = [f"This is sentence number {number} of the answer." for number in range(count)]
        rows.append(spoken(f"{count} at once", await asyncio.gather(*(speak(http, text, "pcm") for text in texts))))
    return rows


def spoken(name: str, delays: list[tuple[float, float]]) -> list[str]:
    first, whole = ([round(one * 1000) for one in sorted(column)] for column in zip(*delays, strict=True))
    return [name, f"{median(first):.0f}", str(first[-1]), f"{median(whole):.0f}", str(whole[-1])]


async def measure(stack: RunningStack) -> None:
    address = stack.address
    async with aiohttp.ClientSession(address.base, headers={"Authorization": f"Bearer {address.key}"}) as http:
        heard = await transcriptions(http, stack)
        said = await speech(http)
    columns = ["file", "answered s", "CPU s", "gateway +MB", "stt +MB"]
    print("\n".join(["", *table(columns, heard)]))
    print("\n".join(["", *table(["ms", "first byte p50", "max", "last byte p50", "max"], said)]))


def main() -> None:
    print(f"load before: {os.getloadavg()[0]:.1f}")
    stack = RunningStack(Path(sys.argv[1]).absolute() / "requests").start()
    try:
        asyncio.run(measure(stack))
    finally:
        stack.stop()


if __name__ == "__main__":
    main()
