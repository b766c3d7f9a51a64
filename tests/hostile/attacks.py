"""What hostile and broken clients do, each on many lines at once, until its standard input ends.

`python -m hostile.attacks NAME HOST PORT KEY LINES` prints a line once all of it is under way, and what it came to at
the end: how often a line was opened, and what the gateway last said.
"""

import asyncio
import base64
import contextlib
import gzip
import json
import os
import sys
import threading
from collections.abc import Awaitable, Callable
from typing import cast

import uvloop

from gateway.client_frames import frame
from trunkline.gateway.frames import BINARY, CONTINUATION, FIN, PING, TEXT

AT_ONCE = 200  # lines that are dialled at a time
SLOW_S = 0.5  # between two bytes
FLOOD_BYTES = 64 * 1024


class Line(asyncio.Protocol):
    """reads: what the gateway says is taken."""

    def __init__(self, *, reads: bool = True) -> None:
        self._reads = reads
        self._room = asyncio.Event()
        self._room.set()
        self.over = asyncio.Event()
        self.upgraded = asyncio.Event()
        self.answered = asyncio.Event()  # a body of JSON came
        self.said = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self.said = (self.said + data)[-2_000:]
        if b"}" in data:
            self.answered.set()
        if b"session.created" in data:
            self.upgraded.set()
            if not self._reads:
                self.transport.pause_reading()

    def pause_writing(self) -> None:
        self._room.clear()

    def resume_writing(self) -> None:
        self._room.set()

    def connection_lost(self, error: Exception | None) -> None:
        self._room.set()
        self.upgraded.set()
        self.answered.set()
        self.over.set()

    async def send(self, data: bytes) -> None:
        """Returns once it is on its way. Raises ConnectionError."""
        if self.over.is_set():
            raise ConnectionResetError
        self.transport.write(data)
        await asyncio.sleep(0)  # what happened to the line is known then
        await self._room.wait()


class Target:
    """under_way: so many lines have been opened."""

    def __init__(self, host: str, port: int, key: str, lines: int) -> None:
        self._lines = lines
        self.under_way = asyncio.Event()
        self._host, self._port = host, port
        self.authorized = f"Authorization: Bearer {key}\r\n"
        self._dialling = asyncio.Semaphore(AT_ONCE)
        self.opened = 0
        self.said = b""

    async def line(self, *, reads: bool = True) -> Line:
        async with self._dialling:
            loop = asyncio.get_running_loop()
            _, line = await loop.create_connection(lambda: Line(reads=reads), self._host, self._port)
        self.opened += 1
        if self.opened >= self._lines:
            self.under_way.set()
        return line

    async def call(self, headers: str = "", *, reads: bool = True) -> Line:
        """Once it is upgraded. Raises ConnectionError."""
        line = await self.line(reads=reads)
        key = base64.b64encode(os.urandom(16)).decode()
        await line.send(
            f"GET /v1/realtime HTTP/1.1\r\nHost: gateway\r\n{self.authorized}Upgrade: websocket\r\n"
            "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
            f"Sec-WebSocket-Key: {key}\r\n{headers}\r\n".encode()
        )
        await line.upgraded.wait()
        return line

    def post(self, path: str, headers: str, *, authorized: bool = True) -> bytes:
        key = self.authorized if authorized else "Authorization: Bearer sk-stranger\r\n"
        return f"POST {path} HTTP/1.1\r\nHost: gateway\r\n{key}{headers}\r\n".encode()


Attack = Callable[[Target], Awaitable[Line]]
"""On one line; it comes back once the gateway is done with it, and is begun anew then. Raises ConnectionError."""


async def nothing(target: Target) -> Line:
    return await target.line()


async def half_a_request(target: Target) -> Line:
    line = await target.line()
    await line.send(b"GET /v1/calls HTTP/1.1\r\nHost: gateway\r\nX-")
    return line


async def slow_heads(target: Target) -> Line:
    line = await target.line()
    await line.send(b"GET / HTTP/1.1\r\nX: ")
    while not line.over.is_set():
        await line.send(b"x")
        await asyncio.sleep(SLOW_S)
    return line


async def slow_bodies(target: Target) -> Line:
    line = await target.line()
    await line.send(
        target.post("/v1/realtime/client_secrets", "Content-Type: application/json\r\nContent-Length: 100000\r\n")
    )
    while not line.over.is_set():
        await line.send(b" ")
        await asyncio.sleep(SLOW_S)
    return line


async def silent_calls(target: Target) -> Line:
    return await target.call()


async def long_heads(target: Target) -> Line:
    line = await target.line()
    await line.send(b"GET /" + b"x" * 20_000 + b" HTTP/1.1\r\nHost: gateway\r\n\r\n")
    await line.over.wait()
    line = await target.line()
    while not line.over.is_set():
        await line.send(b"GET / HTTP/1.1\r\nX: " + b"x" * FLOOD_BYTES)
    return line


async def strangers(target: Target) -> Line:
    line = await target.line()
    ask = b"GET /v1/calls HTTP/1.1\r\nHost: gateway\r\nAuthorization: Bearer sk-stranger\r\n\r\n"
    while not line.over.is_set():
        line.answered.clear()
        await line.send(ask)
        await line.answered.wait()
    return line


async def oversize(target: Target) -> Line:
    line = await target.call()
    await line.send(b"\x82\xff" + (1 << 63).to_bytes(8, "big") + bytes(1_000))
    return line


async def pings(target: Target) -> Line:
    line = await target.call()
    many = frame(FIN | PING, b"") * (FLOOD_BYTES // 6)
    while not line.over.is_set():
        await line.send(many)
    return line


async def fragments(target: Target) -> Line:
    line = await target.call()
    await line.send(frame(TEXT, b"x"))
    many = frame(CONTINUATION, b"") * (FLOOD_BYTES // 6)
    while not line.over.is_set():
        await line.send(many)
    return line


async def large_parts(target: Target) -> Line:
    """All but the end of a message as large as they may be."""
    line = await target.call()
    await line.send(b"\x81\xff" + (16_000_000).to_bytes(8, "big") + bytes(4))
    for _ in range(15_000_000 // FLOOD_BYTES):
        await line.send(b"x" * FLOOD_BYTES)
    return line


async def fast_audio(target: Target) -> Line:
    line = await target.call()
    audio = base64.b64encode(bytes(9_600)).decode()
    said = frame(FIN | TEXT, json.dumps({"type": "input_audio_buffer.append", "audio": audio}).encode()) * 5
    while not line.over.is_set():
        await line.send(said)
    return line


async def deaf_calls(target: Target) -> Line:
    """They read nothing, and ask for more and more."""
    line = await target.call(reads=False)
    asking = {"type": "session.update", "session": {"type": "realtime", "instructions": "x" * 30_000}}
    ask = frame(FIN | TEXT, json.dumps(asking).encode())
    while not line.over.is_set():
        await line.send(ask)
        await asyncio.sleep(0.001)
    return line


async def deaf_requests(target: Target) -> Line:
    """They ask again and again, and read no answer."""
    line = await target.line(reads=False)
    line.transport.pause_reading()
    ask = f"GET /v1/workers HTTP/1.1\r\nHost: gateway\r\n{target.authorized}\r\n".encode()
    while not line.over.is_set():
        await line.send(ask * 20)
        await asyncio.sleep(0.01)
    return line


async def deflated(target: Target) -> Line:
    line = await target.call("Sec-WebSocket-Extensions: permessage-deflate\r\n")
    bomb = gzip.compress(bytes(10_000_000))[10:-8]
    await line.send(frame(FIN | 0x40 | BINARY, bomb))
    return line


BOMB = gzip.compress(bytes(100_000_000))


async def bombs(target: Target) -> Line:
    line = await target.line()
    headers = f"Content-Encoding: gzip\r\nContent-Type: application/json\r\nContent-Length: {len(BOMB)}\r\n"
    authorized = False
    while not line.over.is_set():
        authorized = not authorized
        line.answered.clear()
        await line.send(target.post("/v1/responses", headers, authorized=authorized) + BOMB)
        await line.answered.wait()
    return line


async def huge_parts(target: Target) -> Line:
    line = await target.line()
    await line.send(
        target.post("/v1/files", "Content-Type: multipart/form-data; boundary=b\r\nTransfer-Encoding: chunked\r\n")
    )
    part = b'--b\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n'
    await line.send(f"{len(part):x}\r\n".encode() + part + b"\r\n")
    piece = f"{FLOOD_BYTES:x}\r\n".encode() + bytes(FLOOD_BYTES) + b"\r\n"
    while not line.over.is_set():
        await line.send(piece)
    return line


ATTACKS: dict[str, Attack] = {
    one.__name__: one
    for one in (
        *(nothing, half_a_request, slow_heads, slow_bodies, silent_calls, long_heads, strangers, oversize, pings),
        *(fragments, large_parts, fast_audio, deaf_calls, deaf_requests, deflated, bombs, huge_parts),
    )
}


async def again_and_again(attack: Attack, target: Target) -> None:
    while True:
        with contextlib.suppress(OSError):
            line = await attack(target)
            await line.over.wait()
            target.said = line.said or target.said
        await asyncio.sleep(0.05)


async def main(name: str, host: str, port: int, key: str, lines: int) -> None:
    target, over, loop = Target(host, port, key, lines), asyncio.Event(), asyncio.get_running_loop()
    threading.Thread(target=lambda: (sys.stdin.read(), loop.call_soon_threadsafe(over.set)), daemon=True).start()
    tasks = [asyncio.create_task(again_and_again(ATTACKS[name], target)) for _ in range(lines)]
    await target.under_way.wait()
    print("on", flush=True)
    await over.wait()
    print(json.dumps({"opened": target.opened, "said": target.said.decode("latin-1")}), flush=True)
    for task in tasks:
        task.cancel()


if __name__ == "__main__":
    uvloop.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4], int(sys.argv[5])))
