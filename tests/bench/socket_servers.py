"""One WebSocket server in a process of its own, as each library does it best: it counts what comes, and sends on order.

`python -m bench.socket_servers KIND` prints its port, then answers each line on stdin with what it has done so far.
"""

import asyncio
import contextlib
import json
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any

import uvloop
from aiohttp import WSMsgType, web

from trunkline.gateway.sockets import Sockets

PAYLOAD = b'{"type":"response.output_audio.delta","delta":"' + b"A" * 1280 + b'"}'
TICK_S = 0.02
HEARTBEAT_S = 15.0
LIMIT_BYTES = 1 << 20


class Done:
    """frames: that came. send: one function per connection."""

    def __init__(self) -> None:
        self.frames = 0
        self.sent = 0
        self.send: list[Callable[[bytes], object]] = []

    def told(self) -> str:
        return json.dumps({"cpu_s": time.process_time(), "in": self.frames, "out": self.sent, "open": len(self.send)})


class Counting:
    """Listens to one of our sockets."""

    def __init__(self, done: Done) -> None:
        self._done = done

    def on_text(self, data: bytes | bytearray) -> bool:
        self._done.frames += 1
        return True

    def on_binary(self, data: bytes | bytearray) -> bool:
        self._done.frames += 1
        return True

    def on_gone(self, code: int | None) -> None:
        """The bench is over."""


async def ours(done: Done) -> int:
    sockets = Sockets()

    async def handle(request: web.Request) -> web.StreamResponse:
        async with sockets.upgrade(request, LIMIT_BYTES, None) as (socket, response):
            socket.listen(Counting(done))
            done.send.append(socket.put)
            return response

    return await _serve_app(handle)


async def aiohttp(done: Done) -> int:
    """As the gateway did it before: a task that awaits messages, another that sends what waits."""

    async def handle(request: web.Request) -> web.StreamResponse:
        socket = web.WebSocketResponse(heartbeat=HEARTBEAT_S, compress=False, max_msg_size=LIMIT_BYTES)
        await socket.prepare(request)
        waiting, wake = deque[bytes](), asyncio.Event()

        async def write() -> None:
            while True:
                while waiting:
                    await socket.send_frame(waiting.popleft(), WSMsgType.TEXT)
                wake.clear()
                await wake.wait()

        def put(data: bytes) -> None:
            waiting.append(data)
            wake.set()

        done.send.append(put)
        writer = asyncio.create_task(write())
        with contextlib.suppress(asyncio.CancelledError):
            while (await socket.receive()).type is WSMsgType.TEXT:
                done.frames += 1
        writer.cancel()
        return socket

    return await _serve_app(handle)


async def _serve_app(handle: Callable[[web.Request], Any]) -> int:
    app = web.Application()
    app.router.add_get("/", handle)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    return int(runner.addresses[0][1])


async def picows(done: Done) -> int:
    """It does its own handshake, so it can't share a port with an HTTP server."""
    import picows as library  # type: ignore[import-not-found]  # only measured; not a dependency

    class Listener(library.WSListener):  # type: ignore[misc]
        def on_ws_connected(self, transport: Any) -> None:
            done.send.append(lambda data: transport.send(library.WSMsgType.TEXT, data))

        def on_ws_frame(self, transport: Any, frame: Any) -> None:
            if frame.msg_type == library.WSMsgType.TEXT:
                frame.get_payload_as_memoryview()
                done.frames += 1

    server = await library.ws_create_server(lambda _: Listener(), "127.0.0.1", 0)
    return int(server.sockets[0].getsockname()[1])


KINDS = {"aiohttp": aiohttp, "ours": ours, "picows": picows}


async def serve(kind: str) -> None:
    done, orders = Done(), asyncio.Queue[str]()
    loop = asyncio.get_running_loop()

    def read() -> None:
        for line in sys.stdin:
            loop.call_soon_threadsafe(orders.put_nowait, line.strip())
        loop.call_soon_threadsafe(orders.put_nowait, "end")

    print(await KINDS[kind](done), flush=True)
    threading.Thread(target=read, daemon=True).start()
    while (order := await orders.get()) != "end":
        if order:  # how many frames to each client per tick, and in how many ticks
            await _send(done, *map(int, order.split()))
        print(done.told(), flush=True)


async def _send(done: Done, frames: int, ticks: int) -> None:
    loop = asyncio.get_running_loop()
    began_s = loop.time()
    for tick in range(ticks):
        for send in done.send:
            for _ in range(frames):
                send(PAYLOAD)
        done.sent += frames * len(done.send)
        await asyncio.sleep(max(0.0, began_s + (tick + 1) * TICK_S - loop.time()))


if __name__ == "__main__":
    uvloop.run(serve(sys.argv[1]))
