"""The line between simulated callers and gateways: what aiohttp gives either end of a WebSocket, on virtual time.

A shared address leads to any gateway that listens, whether it runs or is stopped. Frames arrive in order, later now and
then. Of a process that ends, its peers learn at once, or, where nothing shows at connections, never.
"""

import asyncio
import random
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, NamedTuple

import aiohttp
from aiohttp import WSMessage, WSMsgType, hdrs, web

from sim.loop import Life, SimLoop, State, living
from sim.network import AFTER, Trouble
from trunkline.gateway.lobby import Limits

PATH = "/v1/realtime"
LINE_S = 0.002  # one way
JITTER_S = 0.001
STALL_S = (0.3, 1.0)
LAG_SHARE = 0.25  # a line lags less often than the network between processes, which has many more messages
CLIENT_CLOSE_S = 10.0  # for the other end to answer a closing handshake
GONE = WSMessage(WSMsgType.CLOSED, None, None)
KEY_HEADER = {"Authorization": "Bearer sk-sim"}
EPOCH_S = 1_700_000_000  # wall time at which every history begins
ANSWER_LOOK_S = 0.2
ANSWER_LIMIT_S = 12.0  # of a request: more than a gateway takes to give a decision up
LEAVING = WSMessage(WSMsgType.CLOSING, None, None)


class GatewayLost(Exception):
    """A request that nobody answered."""


class Answer(NamedTuple):
    """To an upgrade."""

    status: int
    protocol: str = ""


class End:
    """One end of a connection, in the process of `life`. peer: set once, before anything is said."""

    peer: "End"

    def __init__(self, front: "Front", life: Life) -> None:
        self.life = life
        self.loop = front.loop
        self.closed = False  # a closing handshake was begun or answered here
        self.close_code = 1006  # of the other end, or that it has said none
        self.is_shut = False  # nothing goes out any more
        self.broken = False  # the other end is shut, and this one knows
        self._front = front
        self._arrived: deque[Any] = deque()
        self._waiter: asyncio.Future[None] | None = None
        self._last_s = 0.0  # when the last that was said here arrives

    def say(self, what: WSMessage | Answer) -> None:
        """Raises ConnectionResetError, as aiohttp does, for a connection that is known to be over."""
        if self.is_shut or self.broken:
            raise ConnectionResetError("Cannot write to closing transport")
        self._carry(what)

    def shut(self) -> None:
        """The connection is over for this end; the other reads what was said before, and then that it is over."""
        if not self.is_shut:
            self.is_shut = True
            self._carry(GONE)

    def _carry(self, what: WSMessage | Answer) -> None:
        loop = self._front.loop
        self._last_s = max(self._last_s + AFTER, loop.now_s + self._front.way_s())
        loop.call_at(self._last_s, self.peer.arrive, what, context=self.peer.life.context)

    def arrive(self, what: Any) -> None:
        self.broken = self.broken or what is GONE
        self._arrived.append(what)
        self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    async def next(self) -> Any:
        if not self._arrived:
            self._waiter = self._front.loop.create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        return self._arrived.popleft()

    async def receive(self) -> WSMessage:
        while not self.closed:
            message: WSMessage = await self.next()
            match message.type:
                case WSMsgType.CLOSE:
                    if not self.closed:
                        self.closed, self.close_code = True, message.data
                        with suppress(ConnectionResetError):
                            self.say(WSMessage(WSMsgType.CLOSE, 1000, None))
                        self.shut()
                case WSMsgType.CLOSED:
                    self.closed = True
                    self.shut()
            return message
        return GONE

    async def close(self, *, code: int = 1000, message: bytes = b"") -> bool:
        if self.closed:
            return False
        self.closed = True
        try:
            self.say(WSMessage(WSMsgType.CLOSE, code, message.decode()))
            if self._waiter is not None:
                self._arrived.appendleft(LEAVING)
                self._wake()
                await asyncio.sleep(0)  # who reads here stops reading
            async with asyncio.timeout(CLIENT_CLOSE_S):
                while (answer := await self.next()).type not in (WSMsgType.CLOSE, WSMsgType.CLOSED):
                    """Came too late."""
                if answer.type is WSMsgType.CLOSE:
                    self.close_code = answer.data
        except (TimeoutError, ConnectionResetError):
            """It is over all the same."""
        finally:
            self.shut()
        return True


class ClientSocket:
    """In place of aiohttp.ClientWebSocketResponse."""

    def __init__(self, end: End, protocol: str) -> None:
        self.protocol = protocol
        self.receive, self.close = end.receive, end.close
        self._end = end

    @property
    def close_code(self) -> int | None:
        return self._end.close_code if self._end.closed else None

    async def send_str(self, text: str) -> None:
        self._end.say(WSMessage(WSMsgType.TEXT, text, None))

    async def send_bytes(self, data: bytes) -> None:
        self._end.say(WSMessage(WSMsgType.BINARY, data, None))

    async def ping(self) -> None:
        self._end.say(WSMessage(WSMsgType.PING, b"", None))

    async def pong(self, data: bytes) -> None:
        self._end.say(WSMessage(WSMsgType.PONG, data, None))


class Line(asyncio.Transport):
    """A gateway's end of a connection: frames go to the other end as messages, and come as frames."""

    def __init__(self, end: End) -> None:
        super().__init__()
        self._end = end
        self._reads = True
        self._over = False
        self._waiting: deque[Any] = deque()
        self._protocol: asyncio.Protocol | None = None
        end.arrive = self._arrive  # type: ignore[method-assign]

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        assert isinstance(protocol, asyncio.Protocol)
        self._protocol = protocol

    def pause_reading(self) -> None:
        self._reads = False

    def resume_reading(self) -> None:
        self._reads = True
        self._go_on()

    def is_closing(self) -> bool:
        return self._end.broken or self._end.is_shut

    def can_write_eof(self) -> bool:
        return False

    def get_write_buffer_size(self) -> int:
        return 0

    def write(self, data: bytes | bytearray | memoryview) -> None:
        data = bytes(data)
        while data and not self.is_closing():
            wide = {126: 2, 127: 8}.get(data[1], 0)
            begin = 2 + wide
            end = begin + (int.from_bytes(data[2:begin], "big") if wide else data[1])
            kind, payload, data = WSMsgType(data[0] & 0x0F), data[begin:end], data[end:]
            if kind is WSMsgType.CLOSE:
                self._end.say(WSMessage(kind, int.from_bytes(payload[:2], "big"), payload[2:].decode()))
            else:
                self._end.say(WSMessage(kind, payload.decode() if kind is WSMsgType.TEXT else payload, None))

    def close(self) -> None:
        self._end.shut()
        self._end.loop.call_soon(self._lost)

    abort = close

    def _arrive(self, what: Any) -> None:
        self._end.broken = self._end.broken or what is GONE
        self._waiting.append(what)
        self._go_on()

    def _go_on(self) -> None:
        while self._waiting and self._protocol is not None and (self._reads or self._waiting[0] is GONE):
            what = self._waiting.popleft()
            if what is GONE:
                self.close()
            else:
                self._protocol.data_received(_frame(what))

    def _lost(self) -> None:
        if not self._over and self._protocol is not None:
            self._over = True
            self._protocol.connection_lost(None)


def _frame(message: WSMessage) -> bytes:
    """As a client sends it, with a mask that changes nothing."""
    match message.type:
        case WSMsgType.TEXT:
            payload = message.data.encode()
        case WSMsgType.CLOSE:
            payload = message.data.to_bytes(2, "big")
        case _:
            payload = message.data
    size = len(payload)
    length = bytes([0x80 | size]) if size < 126 else b"\xff" + size.to_bytes(8, "big")
    return bytes([0x80 | message.type]) + length + bytes(4) + payload


class Request:
    """In place of web.Request, and of aiohttp's handler of its connection."""

    def __init__(self, query: dict[str, str], headers: dict[str, str], protocols: tuple[str, ...], end: End) -> None:
        self.query, self.protocols, self.end = query, protocols, end
        self.headers = {**headers, hdrs.SEC_WEBSOCKET_KEY: ""}
        self.transport = Line(end)
        self.protocol = self
        self.upgraded = False

    def set_parser(self, parser: object) -> None:
        self.upgraded = True

    def connection_lost(self, error: Exception | None) -> None:
        """The connection is another's."""


class Post:
    """In place of web.Request, of one that has a body and no upgrade."""

    headers = KEY_HEADER
    path = ""

    def __init__(self, approval: str, body: bytes) -> None:
        self.query: dict[str, str] = {}
        self.match_info = {"approval": approval}
        self._body = body

    async def read(self) -> bytes:
        return self._body


class ServerSocket:
    """In place of web.WebSocketResponse: whether an upgrade can be granted."""

    def __init__(self, *, protocols: tuple[str, ...]) -> None:
        self._protocols = protocols

    def can_prepare(self, request: Request) -> web.WebSocketReady:
        return web.WebSocketReady(True, next(one for one in request.protocols if one in self._protocols))


class ServerAnswer:
    """In place of web.StreamResponse: the answer to an upgrade."""

    def __init__(self, *, status: int, headers: dict[str, str]) -> None:
        self._answer = Answer(status, headers[hdrs.SEC_WEBSOCKET_PROTOCOL])

    def force_close(self) -> None:
        """Nothing else comes over it."""

    async def prepare(self, request: Request) -> None:
        request.end.say(self._answer)


class Runner:
    """In place of web.AppRunner: what is done for the requests of one gateway."""

    def __init__(self, app: web.Application, *, shutdown_timeout: float, **of_sockets: object) -> None:
        self.server = self
        self.handlers: dict[tuple[str, str], Any] = {
            (one.method, one.resource.canonical): one.handler for one in app.router.routes() if one.resource
        }
        self.handle: Callable[[Request], Awaitable[object]] = self.handlers["GET", PATH]
        self._grace_s = shutdown_timeout
        self._at_work: set[asyncio.Task[None]] = set()

    async def setup(self) -> None:
        """Nothing to set up."""

    def begin(self, request: Request) -> None:
        """Runs at the gateway."""
        task = asyncio.get_running_loop().create_task(self._serve(request))
        self._at_work.add(task)
        task.add_done_callback(self._at_work.discard)

    async def _serve(self, request: Request) -> None:
        try:
            answer = await self.handle(request)
            if isinstance(answer, web.Response):
                request.end.say(Answer(answer.status))
        except ConnectionError:
            """The client went away, which is no fault of the gateway's."""
        finally:
            if not request.upgraded:
                request.end.shut()

    async def cleanup(self) -> None:
        if self._at_work:
            await asyncio.wait(self._at_work, timeout=self._grace_s)
        left = sorted(self._at_work, key=asyncio.Task.get_name)
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)


class Front:
    """The address that all gateways share, and the connections that were made there."""

    def __init__(self, loop: SimLoop, rng: random.Random, trouble: Trouble) -> None:
        self.loop = loop
        self._rng = rng
        self._trouble = trouble
        self._listening: list[Site] = []
        self._ends: list[End] = []

    def way_s(self) -> float:
        if self._trouble.stalling and self._rng.random() < self._trouble.stalling:
            return self._rng.uniform(*STALL_S)
        lags = self._rng.random() < self._trouble.lagging * LAG_SHARE
        return LINE_S + (self._trouble.lag_s if lags else JITTER_S) * self._rng.random()

    def lobby(self, runner: Runner, limits: Limits, now_s: Callable[[], float]) -> "Site":
        """In place of a gateway's Lobby."""
        return Site(self._listening, runner, living())

    def lost(self, life: Life) -> None:
        """A process has ended without a word of its own."""
        self._listening[:] = [site for site in self._listening if site.life is not life]
        for end in [end for end in self._ends if end.life is life and not end.is_shut]:
            if self._trouble.advisories:
                end.shut()
            else:  # a gateway learns it by its pings
                end.is_shut = True

    async def connect(self, query: dict[str, str], headers: dict[str, str], protocols: tuple[str, ...]) -> ClientSocket:
        """Raises aiohttp.ClientError."""
        await asyncio.sleep(self.way_s())
        if not self._listening:
            raise aiohttp.ClientConnectionError("nobody listens")
        site = self._rng.choice(self._listening)
        here, there = End(self, living()), End(self, site.life)
        here.peer, there.peer = there, here
        self._ends = [end for end in self._ends if not end.is_shut] + [here, there]
        request = Request(query, headers, protocols, there)
        self.loop.call_at(self.loop.now_s + self.way_s(), site.runner.begin, request, context=site.life.context)
        try:
            answer = await here.next()
            if answer is GONE:
                raise aiohttp.ClientConnectionError("the connection was closed")
            assert isinstance(answer, Answer)
            if answer.status != 101:
                raise aiohttp.WSServerHandshakeError(None, (), status=answer.status, message="refused")  # type: ignore[arg-type]
        except BaseException:
            here.shut()
            raise
        return ClientSocket(here, answer.protocol)

    def wall_s(self) -> float:
        return EPOCH_S + self.loop.now_s

    async def ask(
        self, method: str, path: str, approval: str = "", body: bytes = b"", rng: random.Random | None = None
    ) -> tuple[int, bytes]:
        """Of any gateway: status and body. Raises GatewayLost, soon if the gateway is dead, late if it is stopped."""
        await asyncio.sleep(LINE_S)
        listening = [site for site in self._listening if site.life.state is not State.DEAD]
        if not listening:
            raise GatewayLost
        site = (rng or self._rng).choice(listening)
        handler = site.runner.handlers[method, path]
        at_work: asyncio.Task[web.Response] = self.loop.create_task(
            handler(Post(approval, body)), context=site.life.context
        )
        for _ in range(round(ANSWER_LIMIT_S / ANSWER_LOOK_S)):
            done, _ = await asyncio.wait({at_work}, timeout=ANSWER_LOOK_S)
            if done:
                answer = at_work.result()
                assert isinstance(answer.body, bytes)
                return answer.status, answer.body
            if site.life.state is State.DEAD:
                break
        raise GatewayLost


async def listen(loop: SimLoop, site: "Site", *where: object, **how: object) -> "Site":
    """In place of a loop's create_server."""
    site.open()
    return site


class Site:
    """A server and its lobby in one."""

    def __init__(self, listening: "list[Site]", runner: Runner, life: Life) -> None:
        self.runner = runner
        self.life = life
        self._listening = listening

    @property
    def sockets(self) -> "list[Site]":
        return [self]

    def getsockname(self) -> tuple[str, int]:
        return ("sim", 80)

    def open(self) -> None:
        self._listening.append(self)

    def close(self) -> None:
        if self in self._listening:
            self._listening.remove(self)


class ClientSession:
    """In place of aiohttp.ClientSession, to one address."""

    def __init__(self, front: Front) -> None:
        self._front = front

    async def ws_connect(
        self, url: str, *, headers: dict[str, str], params: dict[str, str], protocols: tuple[str, ...], **rest: object
    ) -> ClientSocket:
        return await self._front.connect(params, headers, protocols)

    def get(self, url: str, **rest: object) -> None:
        """Only asked why an upgrade was refused."""
        raise aiohttp.ClientConnectionError("not served here")

    async def close(self) -> None:
        """Nothing is kept."""
