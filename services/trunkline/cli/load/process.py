"""A process full of callers: `python -m trunkline.cli.load.process ORDER.json`; leaves an Outcome.

It says `ready` once all that will be said is framed and masked; the time to begin at comes as a line on stdin.
"""

import asyncio
import random
import secrets
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlsplit

import msgspec
import uvloop

from trunkline.cli.load import dialect as dialects
from trunkline.cli.load.caller import Caller, Habits, Tally, voice
from trunkline.cli.load.dialect import Turns
from trunkline.cli.load.frames import masked
from trunkline.cli.load.link import Link
from trunkline.cli.load.wheel import SLOT_S, Wheel

SET_UP_LIMIT_S = 10.0
CLOSE_LIMIT_S = 2.0
READY = b"ready\n"


class Order(msgspec.Struct, frozen=True):
    """url: http(s)://host:port. dialect: module:NAME. numbers: of these callers, among `calls` in all. at: of `of`
    processes. lines: files of PCM at the dialect's rate. stop_s: of speaking, from the beginning."""

    url: str
    key: str
    dialect: str
    numbers: list[int]
    calls: int
    at: int
    of: int
    seed: int
    turns: Turns
    ramp_s: float
    think_s: float
    barge_in: float
    lines: list[str]
    stop_s: float
    out: str


class Outcome(msgspec.Struct):
    """lateness: a histogram of every frame's, see `lateness`. cpu_s: of the process, since it was told to begin."""

    tally: Tally
    lateness: list[int]
    lateness_worst_ms: float
    frames: int
    cpu_s: float


class Crowd:
    def __init__(self, order: Order) -> None:
        self._order = order
        self._dialect = dialects.load(order.dialect)
        self._tally = Tally()
        habits = Habits(order.turns, order.think_s, order.barge_in)
        frame_bytes = 2 * self._dialect.rate_hz // 50
        lines = [_cut(Path(path).read_bytes(), frame_bytes) for path in order.lines]
        self._masks = {number: secrets.token_bytes(4) for number in order.numbers}
        self._voices = {n: voice(self._dialect, _from(lines, n), order.turns, mask) for n, mask in self._masks.items()}
        self._habits = habits
        self._callers: list[Caller] = []

    async def run(self, begin_s: float) -> Outcome:
        """begin_s: on the monotonic clock, which all processes of a machine share."""
        loop = asyncio.get_running_loop()
        order, before_s = self._order, time.process_time()
        wheel = Wheel(time.monotonic, begin_s + SLOT_S * order.at / order.of)
        closing = loop.call_later(begin_s + order.stop_s - time.monotonic(), self._last_orders)
        try:
            async with asyncio.TaskGroup() as group:
                for number in order.numbers:
                    group.create_task(self._call(number, wheel, begin_s), name=f"caller-{number}")
        finally:
            closing.cancel()
            wheel.stop()
        counts = wheel.lateness.counts
        used = next((at for at in range(len(counts), 0, -1) if counts[at - 1]), 0)
        cpu_s = time.process_time() - before_s
        return Outcome(self._tally, counts[:used], wheel.lateness.worst_ms, wheel.frames, cpu_s)

    async def _call(self, number: int, wheel: Wheel, begin_s: float) -> None:
        order, mask = self._order, self._masks[number]
        share = number / order.calls
        await asyncio.sleep(max(0.0, begin_s + order.ramp_s * share - time.monotonic()))
        over: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        parts = urlsplit(order.url)
        link = Link(self._dialect, parts.netloc, self._dialect.headers(order.key), mask, self._tally)
        rng = random.Random(f"caller {order.seed} {number}")

        def on_over(reason: str) -> None:
            if not over.done():
                over.set_result(reason)

        caller = Caller(
            self._habits,
            self._voices[number],
            rng,
            self._tally,
            time.monotonic,
            link,
            lambda: wheel.join(caller, share),
            on_over,
        )
        link.serve(caller, b"".join(masked(message, mask) for message in self._dialect.opening(order.turns)))
        self._callers.append(caller)
        try:
            await self._hold(link, caller, over)
        finally:
            wheel.leave(caller)
        await self._leave(link)
        if reason := over.result():
            self._tally.failures.append(reason)

    async def _hold(self, link: Link, caller: Caller, over: "asyncio.Future[str]") -> None:
        loop, parts = asyncio.get_running_loop(), urlsplit(self._order.url)
        secure = parts.scheme == "https"
        alarm = loop.call_later(SET_UP_LIMIT_S, caller.not_set_up, SET_UP_LIMIT_S)
        try:
            host, port = parts.hostname or "", parts.port or (443 if secure else 80)
            await loop.create_connection(lambda: link, host, port, ssl=secure or None)
        except OSError as error:
            caller.failed(f"no connection: {error.strerror or error}")
            link.over.set_result(None)
        await over
        alarm.cancel()

    async def _leave(self, link: Link) -> None:
        link.hang_up()
        try:
            await asyncio.wait_for(asyncio.shield(link.over), CLOSE_LIMIT_S)
        except TimeoutError:
            link.abort()

    def _last_orders(self) -> None:
        for caller in self._callers:
            caller.last_orders()


def _cut(pcm: bytes, frame_bytes: int) -> list[bytes]:
    return [pcm[at : at + frame_bytes].ljust(frame_bytes, b"\0") for at in range(0, len(pcm), frame_bytes)]


def _from(lines: Sequence[list[bytes]], number: int) -> list[list[bytes]]:
    """Every caller begins with another line."""
    at = number % len(lines)
    return [*lines[at:], *lines[:at]]


def main() -> None:
    order = msgspec.json.decode(Path(sys.argv[1]).read_bytes(), type=Order)
    crowd = Crowd(order)
    sys.stdout.buffer.write(READY)
    sys.stdout.buffer.flush()
    line = sys.stdin.readline()
    if not line:
        return  # who ordered is gone
    outcome = uvloop.run(crowd.run(float(line)))
    Path(order.out).write_bytes(msgspec.json.encode(outcome))
    sys.stdin.read()  # who measures this process says when that is done: calls that all failed are over early


if __name__ == "__main__":
    main()
