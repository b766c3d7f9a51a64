"""A stretch of network that can be cut: what is sent over it then stays where it is, until it is mended.

Nobody is told, as with a cable that is pulled: connections stand, and new ones are taken and get no answer.
"""

import asyncio
import contextlib
import threading
from collections.abc import Coroutine
from typing import TypeVar

CHUNK_BYTES = 64 * 1024
HOST = "127.0.0.1"
T = TypeVar("T")


class Network:
    """Runs in a thread of its own. `way` gives an address that leads to another one."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="network")
        self._thread.start()
        self._whole = self._run(self._made())
        self._tasks: set[asyncio.Task[None]] = set()
        self._servers: list[asyncio.Server] = []

    def way(self, port: int) -> int:
        """A port that leads to that one, on loopback."""
        return self._run(self._open(port))

    def cut(self) -> None:
        """Returns when nothing goes through any more."""
        self._run(self._set(whole=False))

    def mend(self) -> None:
        self._run(self._set(whole=True))

    def close(self) -> None:
        self._run(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _run(self, work: Coroutine[None, None, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    async def _made(self) -> asyncio.Event:
        whole = asyncio.Event()
        whole.set()
        return whole

    async def _set(self, *, whole: bool) -> None:
        if whole:
            self._whole.set()
        else:
            self._whole.clear()

    async def _open(self, port: int) -> int:
        async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.current_task()
            assert task is not None
            self._tasks.add(task)
            with contextlib.suppress(OSError, asyncio.CancelledError):
                await self._whole.wait()
                there, back = await asyncio.open_connection(HOST, port)
                await asyncio.gather(self._pump(reader, back), self._pump(there, writer))
            writer.close()
            self._tasks.discard(task)

        server = await asyncio.start_server(carry, HOST, 0)
        self._servers.append(server)
        return int(server.sockets[0].getsockname()[1])

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(CHUNK_BYTES):
                await self._whole.wait()
                writer.write(data)
                await writer.drain()
        except OSError:
            pass  # the other side is told by the close
        finally:
            writer.close()

    async def _close(self) -> None:
        for server in self._servers:
            server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
