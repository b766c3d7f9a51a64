"""`python -m bench.bus`: what a message on the bus costs publisher, server and subscriber, and how long one hop takes.

Publisher, nats-server and subscriber are processes of their own. CPU is the kernel's accounting, less what the same
three cost at rest for as long; a flood says what a message costs, a pace what a wakeup costs.
"""

import asyncio
import multiprocessing
import os
import struct
import tempfile
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
import uvloop

from support.nats_server import running
from trunkline.bus.inbox import Inbox
from trunkline.bus.nats import NatsBus
from trunkline.bus.port import Received
from trunkline.cli.listing import table

SUBJECT = "tl.v1.stt.bench.rtc_1"
PAYLOAD_BYTES = 200
FLOOD_MESSAGES, FLOOD_TURN = 50_000, 100  # messages in all, and published in one turn of the loop
PACED_HZ = (100, 500)
PACED_S = 10.0
REST_S = 5.0
_STAMP = struct.Struct("d")
_CONTEXT = multiprocessing.get_context("spawn")


def main() -> None:
    with tempfile.TemporaryDirectory() as directory, running(Path(directory)) as server:
        rows = [_flood(server.url, server.pid), *(_paced(server.url, server.pid, hz) for hz in PACED_HZ)]
    head = ["messages", "publisher us", "server us", "subscriber us", "hop p50 us", "p99 us"]
    print("\n".join(table(head, rows)))


def _flood(url: str, server: int) -> list[str]:
    cost = _measure(url, server, _publish_flood, FLOOD_MESSAGES)
    return ["flooded", *cost[:3], "", ""]  # a hop is as long as the queue


def _paced(url: str, server: int, rate_hz: int) -> list[str]:
    return [f"{rate_hz} per second", *_measure(url, server, _publish_paced, int(rate_hz * PACED_S), rate_hz)]


def _measure(url: str, server: int, publish: Callable[..., None], *order: int) -> list[str]:
    heard, told = _CONTEXT.Pipe()
    go, ready = _CONTEXT.Pipe()
    subscriber = _CONTEXT.Process(target=_subscribe, args=(url, order[0], told))
    subscriber.start()
    told.close()  # so that a child's death is read as an end
    heard.recv()
    publisher = _CONTEXT.Process(target=publish, args=(url, ready, *order))
    publisher.start()
    ready.close()
    go.recv()
    pids = (publisher.pid or 0, server, subscriber.pid or 0)
    rest_s, rest = _during(pids, lambda: time.sleep(REST_S))
    busy_s, busy = _during(pids, lambda: (go.send("go"), heard.recv())[1])
    hops_us = heard.recv()
    go.send("enough")
    publisher.join()
    subscriber.join()
    own_us = [1e6 * (b - r * busy_s / rest_s) / order[0] for b, r in zip(busy, rest, strict=True)]
    return [*(f"{us:.1f}" for us in own_us), *(f"{us:.0f}" for us in np.percentile(hops_us, (50, 99)))]


def _during(pids: tuple[int, ...], work: Callable[[], object]) -> tuple[float, list[float]]:
    """Seconds that it took, and CPU seconds of each process meanwhile."""
    before, began_s = [_cpu_s(pid) for pid in pids], time.monotonic()
    work()
    return time.monotonic() - began_s, [_cpu_s(pid) - was for pid, was in zip(pids, before, strict=True)]


def _cpu_s(pid: int) -> float:
    """Of all threads. Source: proc(5), /proc/PID/task/TID/schedstat, nanoseconds."""
    return sum(int(path.read_text().split()[0]) for path in Path(f"/proc/{pid}/task").glob("*/schedstat")) / 1e9


def _subscribe(url: str, count: int, told: Connection) -> None:
    async def main() -> None:
        hops_us: list[float] = []
        done = asyncio.Event()

        def handle(received: Received) -> None:
            hops_us.append(1e6 * (time.monotonic() - _STAMP.unpack_from(received.data)[0]))
            if len(hops_us) == count:
                done.set()

        bus = NatsBus()
        await bus.open([url], "subscriber")
        await bus.subscribe(SUBJECT, Inbox(handle).put)
        await bus.flush()
        told.send("ready")
        await done.wait()
        told.send("done")
        told.send(hops_us)
        await bus.close()

    uvloop.run(main())


def _publish_flood(url: str, ready: Connection, count: int) -> None:
    async def flood(bus: NatsBus) -> None:
        for sent in range(0, count, FLOOD_TURN):
            for _ in range(FLOOD_TURN):
                bus.publish(SUBJECT, _message())
            await (bus.flush() if sent % (10 * FLOOD_TURN) == 0 else asyncio.sleep(0))

    uvloop.run(_with_bus(url, ready, flood))


def _publish_paced(url: str, ready: Connection, count: int, rate_hz: int) -> None:
    async def pace(bus: NatsBus) -> None:
        began_s = asyncio.get_running_loop().time()
        for sent in range(count):
            await asyncio.sleep(began_s + sent / rate_hz - asyncio.get_running_loop().time())
            bus.publish(SUBJECT, _message())

    uvloop.run(_with_bus(url, ready, pace))


async def _with_bus(url: str, ready: Connection, publish: Callable[[NatsBus], object]) -> None:
    bus = NatsBus()
    await bus.open([url], "publisher")
    ready.send(os.getpid())
    await asyncio.to_thread(ready.recv)
    await publish(bus)  # type: ignore[misc]
    await bus.flush()
    await asyncio.to_thread(ready.recv)
    await bus.close()


def _message() -> bytes:
    return _STAMP.pack(time.monotonic()) + bytes(PAYLOAD_BYTES - _STAMP.size)


if __name__ == "__main__":
    main()
