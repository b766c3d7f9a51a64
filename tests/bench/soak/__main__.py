"""`python -m bench.soak OUT`: 2,000 short calls, then 40 minutes of load, and what grows meanwhile.

A stack of its own with null engines, which forgets calls a minute after their end, so that its streams may come back to
where they were too. Prints a table, writes OUT/soak.json and plots; exit status 1 where something leaks.
"""

import argparse
import asyncio
import shutil
import sys
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import msgspec
import nats
import uvloop

from bench.soak import desk
from bench.soak.callers import SCRIPT, SEGMENT_MS, Callers
from bench.soak.report import Part, Report, Taken, panels, series, text
from bench.soak.samples import Sampler
from bench.turns import NULL_OPTIONS
from support.running_stack import RunningStack
from trunkline.cli.load import plot, run, services
from trunkline.cli.load.asked import Asked
from trunkline.cli.load.dialect import Turns, spec_of
from trunkline.cli.load.report import SERVICES, machine
from trunkline.cli.load.services import Target

WARM_CALLS = 60
SAMPLE_S: Mapping[Part, float] = {"rest": 5.0, "calls": 2.0, "load": 5.0}
KEPT_S = 60  # that the stack keeps calls which have ended
REST_S = 100.0  # for that, and for lost lines to be given up
RESUME_WINDOW_S = 2.0
HOLD_S = 120.0  # a piece of the load: its calls end, and others begin
BARGE_IN = 0.2
TURNS: tuple[Turns, ...] = ("commit", "vad")  # of the pieces, in turns
LEAKING = Path(__file__).parent / "leaking"
MEMORY = [f"{service} rss_kb" for service in SERVICES]
COUNTS = ["gateway objects", "agent objects", "gateway tasks", "gateway descriptors", "gateway holds"]
COUNTS += ["stream CALLS messages", "stream KV_CALLS_INDEX messages"]


class Soak:
    """taken: all samples, in order."""

    def __init__(self, target: Target, sampler: Sampler, callers: Callers, out: Path) -> None:
        self.taken: list[Taken] = []
        self.loads: list[tuple[int, int]] = []
        self.callers = callers
        self._target = target
        self._sampler = sampler
        self._out = out
        self._begun_s = time.monotonic()
        self._part: Part = "rest"

    async def sample(self) -> None:
        """Until it is cancelled."""
        while True:
            at_s, part, ended = time.monotonic() - self._begun_s, self._part, self.callers.ended
            self.taken.append(Taken(at_s, part, ended, await self._sampler.look()))
            await asyncio.sleep(SAMPLE_S[part])

    async def rest(self) -> None:
        self._part = "rest"
        await asyncio.sleep(REST_S)

    async def calls(self, calls: int, at_once: int) -> None:
        self._part = "calls"
        await self.callers.run(calls, at_once)

    async def load(self, calls: int, minutes: float) -> None:
        self._part = "load"
        until_s, piece = time.monotonic() + 60 * minutes, 0
        while (left_s := until_s - time.monotonic()) > 1:
            turns = TURNS[piece % len(TURNS)]
            asked = Asked(
                calls, min(HOLD_S, max(left_s, 10.0)), spec_of("realtime"), turns, barge_in=BARGE_IN, seed=piece
            )
            held = await run.hold(asked, self._target, self._out / "callers")
            tallies = [outcome.tally for outcome in held.outcomes]
            self.loads.append((sum(len(one.turns) for one in tallies), sum(len(one.failures) for one in tallies)))
            print(f"  {calls} calls for {asked.seconds:.0f} s: {self.loads[-1][0]} turns", flush=True)
            piece += 1


@asynccontextmanager
async def soaking(stack: RunningStack, out: Path, temporary: Path) -> AsyncIterator[Soak]:
    target = await services.of_directory(stack.directory, stack.file)
    client = await nats.connect(stack.file.nats_url)
    try:
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as http:
            sampler = Sampler(target, stack.directory, temporary, http, client)
            async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0, force_close=True)) as lines:
                callers = Callers(stack, lines)
                await callers.run(WARM_CALLS, 8)
                callers.ended = 0
                soak = Soak(target, sampler, callers, out)
                async with sampled(soak):
                    yield soak
    finally:
        await client.close()


@asynccontextmanager
async def sampled(soak: Soak) -> AsyncIterator[None]:
    """Takes samples meanwhile. A look that fails ends the block: of what nobody looked at no slope is told."""
    async with asyncio.TaskGroup() as group:
        sampling = group.create_task(soak.sample(), name="soak-sample")
        try:
            yield
        finally:
            sampling.cancel()


async def measure(stack: RunningStack, parsed: argparse.Namespace, out: Path, temporary: Path) -> Report:
    where = machine()
    async with soaking(stack, out, temporary) as soak:
        print(f"resting for {REST_S:g} s …", flush=True)
        await soak.rest()
        if parsed.calls:
            print(f"{parsed.calls} calls, {parsed.at_once} at a time …", flush=True)
            await soak.calls(parsed.calls, parsed.at_once)
            await soak.rest()
        if parsed.minutes:
            print(f"{parsed.load_calls} calls at a time for {parsed.minutes:g} minutes …", flush=True)
            await soak.load(parsed.load_calls, parsed.minutes)
            await soak.rest()
    (out / "samples.json").write_bytes(msgspec.json.encode(soak.taken))
    for name, series_names in (("memory", MEMORY), ("counts", COUNTS)):
        (out / f"soak-{name}.svg").write_text(plot.svg(panels(soak.taken, series_names)))
    return Report(
        soak.callers.ended,
        parsed.at_once,
        parsed.load_calls,
        parsed.minutes,
        where,
        dict(soak.callers.failures),
        soak.loads,
        series(soak.taken),
    )


def stack_of(out: Path, temporary: Path, *, leaking: bool) -> RunningStack:
    script = out / "script.json"
    script.write_bytes(SCRIPT)
    environ = {
        "TRUNKLINE_MODEL_SCRIPT": str(script),
        "TRUNKLINE_TONE_SEGMENT_MS": str(SEGMENT_MS),
        "TRUNKLINE_CAPACITY": "500",
        "TRUNKLINE_RESUME_WINDOW_S": str(RESUME_WINDOW_S),
        "TRUNKLINE_RECORD_KEPT_S": str(KEPT_S),
        "TMPDIR": str(temporary),
    }
    if leaking:
        environ["PYTHONPATH"] = f"{LEAKING}:{':'.join(sys.path)}"
    return RunningStack(
        out / "stack", "--agent", f"{desk.__file__}:desk", "--workers", "webrtc=0", *NULL_OPTIONS, environ=environ
    )


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.soak", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--calls", type=int, default=2_000, help="short ones, one after another")
    parser.add_argument("--at-once", type=int, default=2, help="of those")
    parser.add_argument("--minutes", type=float, default=40.0, help="of load, behind them")
    parser.add_argument("--load-calls", type=int, default=10, help="at a time, of the load")
    parser.add_argument("--leaking", action="store_true", help="a gateway that leaks on purpose: it must be found")
    parsed = parser.parse_args()
    out = parsed.out.absolute()
    shutil.rmtree(out, ignore_errors=True)
    temporary = out / "tmp"
    temporary.mkdir(parents=True)
    stack = stack_of(out, temporary, leaking=parsed.leaking).start()
    try:
        made = uvloop.run(measure(stack, parsed, out, temporary))
    finally:
        stack.stop()
    (out / "soak.json").write_bytes(msgspec.json.format(msgspec.json.encode(made)) + b"\n")
    print("\n".join(["", *text(made)]))
    print(f"written to {out}")
    return 1 if made.leaks else 0


if __name__ == "__main__":
    sys.exit(main())
