"""Health, readiness and metrics of one process, on a port of its own.

Liveness never depends on the bus: a restart would not bring it back, and would lose the calls.
"""

from collections.abc import Callable

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest


class Admin:
    """unready: why the process takes no call, empty when it does."""

    def __init__(self, host: str, port: int, unready: Callable[[], str]) -> None:
        self._host, self._wanted_port, self._unready = host, port, unready
        self._runner: web.AppRunner | None = None
        self.port = 0

    async def start(self) -> None:
        """Raises OSError when the port is taken."""
        app = web.Application()
        app.router.add_get("/healthz", self._health)
        app.router.add_get("/readyz", self._ready)
        app.router.add_get("/metrics", self._metrics)
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        site = web.TCPSite(self._runner, self._host, self._wanted_port)
        await site.start()
        self.port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    async def _health(self, request: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def _ready(self, request: web.Request) -> web.Response:
        reason = self._unready()
        return web.Response(text=(reason or "ready") + "\n", status=503 if reason else 200)

    async def _metrics(self, request: web.Request) -> web.Response:
        return web.Response(body=generate_latest(), headers={"Content-Type": CONTENT_TYPE_LATEST})
