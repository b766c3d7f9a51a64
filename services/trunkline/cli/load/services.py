"""What is measured: where its callers dial, and which processes on this machine serve them.

A stack's workers tell their pids and where their metrics are in their heartbeats, so a run directory is all it takes.
Without one (another machine's stack), only what callers see is measured.
"""

import asyncio
import contextlib
from pathlib import Path

import msgspec

from trunkline.bus.nats import NatsBus
from trunkline.bus.port import Received
from trunkline.cli import api
from trunkline.cli.errors import StartFailed
from trunkline.cli.listing import WorkerLine
from trunkline.cli.own_stack import nats_pids
from trunkline.cli.stack import Address, Stack
from trunkline.proto import subjects
from trunkline.proto.placement import Beat

HEAR_LIMIT_S = 10.0
_beats = msgspec.msgpack.Decoder(Beat)
_workers = msgspec.json.Decoder(list[WorkerLine])


class Target(msgspec.Struct, frozen=True):
    """url: http(s)://host:port. pids: by service, empty where not known. admin_ports: of metrics, on loopback."""

    url: str
    key: str = ""
    pids: dict[str, list[int]] = {}
    admin_ports: list[int] = []


async def of_directory(run: Path, stack: Stack) -> Target:
    """Of a stack on this machine. Raises GatewaySilent, StartFailed when a worker isn't heard."""
    told = _workers.decode(await api.fetch(Address(stack.url, stack.key), "/v1/workers"))
    beats = await _heard({worker.worker for worker in told}, stack.nats_urls, run)
    pids: dict[str, list[int]] = {}
    here = [beat for beat in beats if is_ours(beat.pid)]
    for beat in here:
        pids.setdefault(beat.stage, []).extend((beat.pid, *engines_of(beat.pid)))
    if servers := nats_pids(run):
        pids["nats"] = servers
    return Target(stack.url, stack.key, pids, [beat.admin_port for beat in here if beat.admin_port])


def is_ours(pid: int) -> bool:
    """Whether it is a process of Trunkline's on this machine: a worker elsewhere tells a number that is its own."""
    try:
        return b"trunkline" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False


def engines_of(pid: int) -> list[int]:
    """Processes of its own that a worker keeps for an engine which holds the GIL: what they use, the stage costs."""
    found = []
    for of_thread in Path(f"/proc/{pid}/task").glob("*/children"):
        with contextlib.suppress(OSError):  # a thread or a child that ended meanwhile
            for child in map(int, of_thread.read_text().split()):
                if b"multiprocessing.spawn" in Path(f"/proc/{child}/cmdline").read_bytes():
                    found.append(child)
    return found


async def _heard(workers: set[str], nats_urls: list[str], run: Path) -> list[Beat]:
    """The last beat of each."""
    beats: dict[str, Beat] = {}
    complete = asyncio.Event()

    def hear(received: Received) -> None:
        with contextlib.suppress(msgspec.MsgspecError):
            beat = _beats.decode(received.data)
            beats[beat.worker] = beat
            if workers <= beats.keys():
                complete.set()

    bus = NatsBus()
    try:
        await bus.open(nats_urls, "load")
        await bus.subscribe(subjects.ALL_BEATS, hear)
        await asyncio.wait_for(complete.wait(), HEAR_LIMIT_S)
    except TimeoutError:
        missing = ", ".join(sorted(workers - beats.keys()))
        raise StartFailed("the measurement", f"no heartbeat of {missing}", run / "logs") from None
    finally:
        await bus.close()
    return [beats[worker] for worker in sorted(workers)]
