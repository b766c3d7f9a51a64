"""nats-py's client as our bus needs it: which node of a cluster it uses, and when it leaves one.

A node that ends says so (lame duck): it is left at once, for one that answers, and while there is none it is stayed
with. Only Client's private parts let this be done from outside; what is used of them stands here.
"""

import asyncio
import contextlib
import random
from collections.abc import Callable, Iterable
from urllib.parse import ParseResult

from nats.aio.client import Client, Server
from nats.errors import StaleConnectionError

from trunkline.bus.nodes import Nodes
from trunkline.bus.pulse import next_pulse_s
from trunkline.bus.wire import Wire
from trunkline.telemetry import logs

SILENT_PULSES = 2  # pings that a server may leave unanswered: it is gone after 1.2 to 1.6 s of silence
TRY_LIMIT_S = 0.5  # for one node to answer, each time it is asked: the next may be well
SPREAD_S = 0.3  # over which the clients of a node in lame duck leave it
LOOK_AGAIN_S = 0.5  # for another node, if none answered
_PING = b"PING\r\n"

log = logs.get(__name__)


class NatsClient(Client):
    """on_nodes: the set of nodes has changed, by the word of the one that is used.
    connections: that were made so far; who waits for an answer of the server's sees by it that none will come.
    on_anew: called with each further one.

    Asks the server for a sign of life only when it has said nothing since the last pulse, and shares that wakeup. With
    each pulse it looks too whether nats-py still reads: it stops at what it can't take (a PONG for a flush that was
    given up), and our own messages come all the same, but no answer of JetStream.
    """

    def __init__(self, wire: Wire, rng: random.Random | None = None) -> None:
        super().__init__()
        self._transport = wire
        self._wire = wire
        self._rng = rng or random.Random()
        self._nodes = Nodes(self._rng)
        self._named: frozenset[str] = frozenset()  # addresses of the cluster's nodes, as the one that is used says
        self._leaving: asyncio.Task[None] | None = None
        self._ends = 0  # number of the connection whose node has said last that it ends
        self.on_nodes: Callable[[], None] = _nothing
        self.on_anew: list[Callable[[], None]] = []
        self.connections = 0

    @property
    def node(self) -> str:
        """Name of the server that is, or was last, connected to."""
        return str(self._server_info.get("server_name", ""))

    @property
    def clustered(self) -> bool:
        """Whether that server is one of several."""
        return bool(self._server_info.get("cluster"))

    def next_node(self, nodes: list[Server], info: dict[str, object]) -> tuple[Server, float]:
        """As nats-py asks for it: of these one, and the seconds to wait before."""
        by_address = {node.uri.netloc: node for node in nodes}
        address, wait_s = self._nodes.next(list(by_address), asyncio.get_running_loop().time())
        return by_address[address], wait_s

    async def close(self) -> None:
        if self._leaving is not None:
            self._leaving.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._leaving
        await super().close()
        self._wire.hush()

    def let_pongs_go(self) -> None:
        """Who waits for one waits no longer: none will come."""
        unanswered, self._pongs = self._pongs, []
        _let_go(unanswered)

    # what nats-py calls

    async def _attempt_reconnect(self) -> None:
        if self._current_server is not None:
            self._nodes.leave(self._current_server.uri.netloc, asyncio.get_running_loop().time())
        await super()._attempt_reconnect()

    async def _process_connect_init(self) -> None:
        unanswered = self._pongs  # of the connection before, which nats-py forgets
        await super()._process_connect_init()
        if self._current_server is not None:
            self._nodes.connected(self._current_server.uri.netloc)
        self.connections += 1
        _let_go(unanswered)
        if self.connections > 1:
            for tell in self.on_anew:
                tell()

    async def _process_info(self, info: dict[str, object], initial_connection: bool = False) -> None:
        await super()._process_info(info, initial_connection)
        urls = info.get("connect_urls")
        named = frozenset(map(str, urls)) if isinstance(urls, list) else frozenset()
        changed, self._named = named != self._named, named
        self._server_pool = [
            server
            for server in self._server_pool  # who was only heard of, and is named no longer, would be tried for ever
            if not server.discovered or server is self._current_server or server.uri.netloc in named
        ]
        if changed and not initial_connection:
            self.on_nodes()
        if info.get("ldm") and not initial_connection and self._ends != self.connections:
            if self._leaving is not None:
                self._leaving.cancel()  # it may still look for another node than one that is gone
            self._ends = self.connections
            self._leaving = asyncio.create_task(self._leave(self._ends), name="nats-leave")

    async def _ping_interval(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            now_s = loop.time()
            await asyncio.sleep(next_pulse_s(now_s) - now_s)
            if not self.is_connected:
                continue
            silent = not self._wire.heard()
            self._pings_outstanding = self._pings_outstanding + 1 if silent else 0
            hung = self._pings_outstanding > SILENT_PULSES
            if hung or self._reading_task is None or self._reading_task.done():
                if hung:
                    self._wire.abort()  # what it hasn't taken it won't take
                await self._process_op_err(StaleConnectionError())
                return
            if silent:
                self._wire.write(_PING)
                self._pongs.append(loop.create_future())

    # lame duck

    async def _leave(self, connection: int) -> None:
        await asyncio.sleep(self._rng.uniform(0.0, SPREAD_S))
        while self.is_connected and self.connections == connection:
            if await self._another_answers() and self.is_connected and self.connections == connection:
                log.info("leaving a node in lame duck", node=self.node)
                self._wire.hear_on()
                await self.force_reconnect()
                return
            await asyncio.sleep(LOOK_AGAIN_S)

    async def _another_answers(self) -> bool:
        """All are asked at once; who doesn't answer isn't gone to first."""
        used = self._current_server
        others = [server.uri for server in self._server_pool if used is None or server.uri.netloc != used.uri.netloc]
        answers = await asyncio.gather(*(_answers(uri) for uri in others))
        now_s = asyncio.get_running_loop().time()
        for uri, answered in zip(others, answers, strict=True):
            if not answered:
                self._nodes.leave(uri.netloc, now_s)
        return any(answers)


async def _answers(uri: ParseResult) -> bool:
    """A NATS server speaks first: `INFO {json}`. Format: NATS client protocol."""
    try:
        async with asyncio.timeout(TRY_LIMIT_S):
            reader, writer = await asyncio.open_connection(uri.hostname, uri.port)
            try:
                greeting = await reader.readline()
            finally:
                writer.close()
    except (OSError, TimeoutError, ValueError):  # the last: a line that is too long
        return False
    return greeting.startswith(b"INFO ") and b'"ldm":true' not in greeting


def _let_go(unanswered: Iterable[asyncio.Future[bool]]) -> None:
    for pong in unanswered:
        if not pong.done():
            pong.set_result(True)


def _nothing() -> None: ...
