"""What a WebSocket server costs per frame and per idle client: aiohttp's, the gateway's own, picows where it is there.

`python -m bench.sockets`: clients in this process, each server in one of its own, in turns; the least of all rounds is
printed. Only the server's CPU counts.
"""

import argparse
import asyncio
import base64
import importlib.util
import json
import sys
import time
from typing import Any, NamedTuple, cast

import uvloop

from bench.socket_servers import KINDS, PAYLOAD, TICK_S
from trunkline.cli.load.processes import rss_kb

HANDSHAKE = (
    b"GET / HTTP/1.1\r\nHost: bench\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: " + base64.b64encode(bytes(16)) + b"\r\n\r\n"
)
MASK = b"\x12\x34\x56\x78"
TEXT = b'{"type":"input_audio_buffer.append","audio":"' + b"A" * 1280 + b'"}'
MASKED = bytes(byte ^ MASK[at % 4] for at, byte in enumerate(TEXT))
FRAME = b"\x81\xfe" + len(TEXT).to_bytes(2, "big") + MASK + MASKED
CLIENTS, FLOODING, IDLE = 50, 8, 400
UNTIL_LOOKS = 1_000
FLOOD_FRAMES = 4_000  # of each flooding client
BURST_FRAMES = 20  # to each client per tick, when the server floods


class Cost(NamedTuple):
    """CPU us per frame, kB per idle client."""

    in_paced_us: float
    in_flood_us: float
    out_paced_us: float
    out_flood_us: float
    idle_kb: float


class Client(asyncio.Protocol):
    def __init__(self) -> None:
        self.received_bytes = 0
        self.room = asyncio.Event()
        self.room.set()
        self.open = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)  # uvloop's is none by name
        self.transport.write(HANDSHAKE)

    def data_received(self, data: bytes) -> None:
        self.received_bytes += len(data)
        self.open.set()

    def pause_writing(self) -> None:
        self.room.clear()

    def resume_writing(self) -> None:
        self.room.set()


class Server:
    """`async with Server(kind) as server`"""

    def __init__(self, kind: str) -> None:
        self._kind = kind
        self.clients: list[Client] = []

    async def __aenter__(self) -> "Server":
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "bench.socket_servers",
            self._kind,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._in, self._out = self._process.stdin, self._process.stdout
        self._port = int(await self._out.readline())
        return self

    async def __aexit__(self, *error: object) -> None:
        self._in.close()
        await self._process.wait()

    async def ask(self, order: str = "") -> dict[str, Any]:
        self._in.write(order.encode() + b"\n")
        told: dict[str, Any] = json.loads(await self._out.readline())
        return told

    async def until(self, frames: int) -> dict[str, Any]:
        for _ in range(UNTIL_LOOKS):
            if (told := await self.ask())["in"] >= frames:
                return told
            await asyncio.sleep(TICK_S)
        raise TimeoutError(f"{self._kind}: {told['in']} of {frames} frames came")

    async def connect(self, count: int) -> None:
        loop = asyncio.get_running_loop()
        for _ in range(count):
            _, client = await loop.create_connection(Client, "127.0.0.1", self._port)
            await client.open.wait()
            self.clients.append(client)

    def rss_kb(self) -> int:
        return rss_kb({"": [self._process.pid]})[""]


async def paced(server: Server, seconds: float) -> float:
    """Each client 50 frames a second, its phase its own."""
    before = await server.ask()
    frames, began_s = round(seconds / TICK_S) * CLIENTS, time.monotonic()
    for number in range(frames):
        due_s = began_s + number * TICK_S / CLIENTS
        if (wait_s := due_s - time.monotonic()) > 0:
            await asyncio.sleep(wait_s)
        server.clients[number % CLIENTS].transport.write(FRAME)
    after = await server.until(before["in"] + frames)
    return 1e6 * (after["cpu_s"] - before["cpu_s"]) / frames


async def flooded(server: Server) -> float:
    async def flood(client: Client) -> None:
        for _ in range(FLOOD_FRAMES):
            await client.room.wait()
            client.transport.write(FRAME)

    before = await server.ask()
    await asyncio.gather(*map(flood, server.clients[:FLOODING]))
    after = await server.until(before["in"] + FLOOD_FRAMES * FLOODING)
    return 1e6 * (after["cpu_s"] - before["cpu_s"]) / (FLOOD_FRAMES * FLOODING)


async def sends(server: Server, frames: int, seconds: float) -> float:
    before = await server.ask()
    after = await server.ask(f"{frames} {round(seconds / TICK_S)}")
    return 1e6 * (after["cpu_s"] - before["cpu_s"]) / (after["out"] - before["out"])


async def measure(kind: str, seconds: float) -> Cost:
    async with Server(kind) as server:
        await server.connect(CLIENTS)
        rss_before_kb = server.rss_kb()
        await server.connect(IDLE)
        idle_kb = (server.rss_kb() - rss_before_kb) / IDLE
    async with Server(kind) as server:
        await server.connect(CLIENTS)
        return Cost(
            await paced(server, seconds),
            await flooded(server),
            await sends(server, 1, seconds),
            await sends(server, BURST_FRAMES, seconds / 2),
            idle_kb,
        )


async def run(rounds: int, seconds: float) -> None:
    kinds = [kind for kind in KINDS if kind != "picows" or importlib.util.find_spec("picows")]
    costs: dict[str, list[Cost]] = {kind: [] for kind in kinds}
    for _ in range(rounds):
        for kind in kinds:
            costs[kind].append(await measure(kind, seconds))
    print(f"frames of {len(TEXT)} bytes in, {len(PAYLOAD)} out; {CLIENTS} clients; least of {rounds} rounds\n")
    print("| server | in, paced us | in, flooded us | out, paced us | out, flooded us | idle client kB |")
    print("|---|---|---|---|---|---|")
    for kind, measured in costs.items():
        print(f"| {kind} | {' | '.join(f'{min(one):.1f}' for one in zip(*measured, strict=True))} |")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=4.0)
    given = parser.parse_args()
    uvloop.run(run(given.rounds, given.seconds))
