"""`python -m bench.speech OUT`: how soon speech begins that is asked for over HTTP, with the real voice.

Prints tables. The machine should be idle.
"""

import asyncio
import sys
import time
from pathlib import Path
from statistics import median

import aiohttp

from support.running_stack import RunningStack
from trunkline.cli.listing import table

TEXT = "One moment please, I am looking that up for you. It is sunny in Oslo today. Is there anything else?"
FORMATS = ("pcm", "wav", "mp3", "opus", "flac")
TIMES = 20
AT_ONCE = (1, 4, 20)


async def ask(http: aiohttp.ClientSession, text: str, form: str) -> tuple[float, float]:
    """Seconds to the first byte and to the last."""
    body = {"model": "gpt-4o-mini-tts", "voice": "ash", "input": text, "response_format": form}
    began_s = time.monotonic()
    async with http.post("/v1/audio/speech", json=body) as answer:
        answer.raise_for_status()
        await answer.content.readany()
        first_s = time.monotonic() - began_s
        await answer.read()
    return first_s, time.monotonic() - began_s


def row(name: str, delays: list[tuple[float, float]]) -> list[str]:
    first, whole = ([round(one * 1000) for one in sorted(column)] for column in zip(*delays, strict=True))
    return [name, f"{median(first):.0f}", str(first[-1]), f"{median(whole):.0f}", str(whole[-1])]


async def measure(stack: RunningStack) -> None:
    address = stack.address
    async with aiohttp.ClientSession(address.base, headers={"Authorization": f"Bearer {address.key}"}) as http:
        await ask(http, TEXT, "pcm")
        rows = [row(form, [await ask(http, TEXT, form) for _ in range(TIMES)]) for form in FORMATS]
        for count in AT_ONCE:
            texts = [f"This is sentence number {number} of the answer." for number in range(count)]
            rows.append(row(f"{count} at once", await asyncio.gather(*(ask(http, text, "pcm") for text in texts))))
    print("\n".join(["", "milliseconds", *table(["request", "first p50", "first max", "last p50", "last max"], rows)]))


def main() -> None:
    stack = RunningStack(Path(sys.argv[1]).absolute() / "speech").start()
    try:
        asyncio.run(measure(stack))
    finally:
        stack.stop()


if __name__ == "__main__":
    main()
