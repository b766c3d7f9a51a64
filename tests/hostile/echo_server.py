"""The gateway's own WebSocket server (lobby, sockets, frames) with a listener that says back what it is told.

`python -m hostile.echo_server` prints its port and serves until its standard input ends. Two limits are not the
product's: a message may be as long as the longest of the cases, and as much may wait for a client, since its echo does.
"""

import asyncio
import sys
import threading

import uvloop
from aiohttp import web

from trunkline.gateway import socket as socket_module
from trunkline.gateway.http import server_log
from trunkline.gateway.lobby import Limits, Lobby
from trunkline.gateway.socket import Socket
from trunkline.gateway.sockets import Sockets

LIMIT_BYTES = 64 * 1024 * 1024


class Echo:
    def __init__(self, socket: Socket) -> None:
        self._socket = socket

    def on_text(self, data: bytes | bytearray) -> bool:
        self._socket.put(bytes(data))
        return False

    def on_binary(self, data: bytes | bytearray) -> bool:
        self._socket.put_binary(data)
        return False

    def on_gone(self, code: int | None) -> None:
        """Nothing is left to do."""


async def main() -> None:
    socket_module.LIMIT_BYTES = LIMIT_BYTES
    sockets = Sockets()
    loop, over = asyncio.get_running_loop(), asyncio.Event()

    async def handle(request: web.Request) -> web.StreamResponse:
        async with sockets.upgrade(request, LIMIT_BYTES, None) as (socket, response):
            socket.listen(Echo(socket))
            return response

    app = web.Application()
    app.router.add_get("/", handle)
    runner = web.AppRunner(app, access_log=None, logger=server_log())
    await runner.setup()
    assert runner.server is not None
    lobby = Lobby(runner.server, Limits(1_000, 0, head_s=10.0), loop.time)
    door = await loop.create_server(lobby, "127.0.0.1", 0)
    print(door.sockets[0].getsockname()[1], flush=True)
    threading.Thread(
        target=lambda: (sys.stdin.read(), loop.call_soon_threadsafe(over.set)), daemon=True, name="until the end"
    ).start()
    await over.wait()
    door.close()
    sockets.abort()
    await runner.cleanup()


if __name__ == "__main__":
    uvloop.run(main())
