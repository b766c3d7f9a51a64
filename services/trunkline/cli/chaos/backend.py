"""The world outside: an HTTP service at which tools have their effect, and which counts what really happened."""

import asyncio
import random
import time
from collections.abc import Callable

import msgspec
from aiohttp import web

from trunkline.cli.chaos.evidence import Effect

SLOWEST_S, FASTEST_S = 0.8, 0.2


class _Order(msgspec.Struct):
    key: str
    arguments: str
    call: str = ""
    pid: int = 0


class Backend:
    """Carries out every order that reaches it, also for a client that went away meanwhile, as real ones do.

    on_running, on_run: an order of a runner (its pid) for a call begins, and is done.
    """

    def __init__(self, seed: int) -> None:
        self.effects: list[Effect] = []
        self.url = ""
        self.on_running: Callable[[str, int, str], None] = lambda key, pid, call: None
        self.on_run: Callable[[str], None] = lambda key: None
        self._random = random.Random(f"backend {seed}")
        self._runner: web.AppRunner | None = None

    async def start(self) -> None:
        app = web.Application()
        app.router.add_post("/", self._carry_out)
        self._runner = web.AppRunner(app, access_log=None, handler_cancellation=False)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        host, port = self._runner.addresses[0]
        self.url = f"http://{host}:{port}/"

    async def stop(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    async def _carry_out(self, request: web.Request) -> web.Response:
        order = msgspec.json.decode(await request.read(), type=_Order)
        self.on_running(order.key, order.pid, order.call)
        try:
            return await self._after_a_while(order)
        finally:
            self.on_run(order.key)

    async def _after_a_while(self, order: _Order) -> web.Response:
        before_s = self._random.uniform(0.0, SLOWEST_S - FASTEST_S)  # the effect is at no fixed point of the wait
        await asyncio.sleep(before_s)
        self.effects.append(Effect(order.key, order.arguments, time.time()))
        await asyncio.sleep(self._random.uniform(max(0.0, FASTEST_S - before_s), FASTEST_S))
        return web.Response(text=f"noted {order.arguments}")
