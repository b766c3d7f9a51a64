"""The bus on core NATS: nats-py connects and speaks JetStream; our own messages pass by its queues and tasks.

publish is synchronous, so that timers and callbacks can publish: all that a turn of the loop publishes is one write at
its end, but for what a caller waits for (`hasten`). What arrives is handled in the turn that read it from the socket
(`wire`).
"""

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable

from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription as NatsSubscription
from nats.errors import Error as NatsError
from prometheus_client import Counter

from trunkline.bus.nats_client import TRY_LIMIT_S, NatsClient
from trunkline.bus.nodes import RETRY_S
from trunkline.bus.port import Handler, Headers, PayloadTooLarge, Received
from trunkline.bus.wire import Wire, payload_bytes, publication
from trunkline.telemetry import logs

OUTBOX_MESSAGES = 8192  # about 5 s of 50 calls' audio, while the connection is down
CONNECT_PATIENCE_S = 15.0
DRAIN_LIMIT_S = 2.0  # for what a stopped subscription has yet to handle
LONE_TRY_LIMIT_S = 2.0  # for a server to answer, where there is no other to try
HEARD_ON_S = 0.1  # that a node which was left is still listened to: the others learn meanwhile where we are now
RUMOUR_S = 0.02  # until it is believed that nobody listens: a node that is lost shows first by the loss of its clients
LOG_EVERY_S = 5.0  # of errors that the client reports

log = logs.get(__name__)
_dropped = Counter("trunkline_bus_outbox_dropped_total", "Messages dropped from a full outbox, oldest first")
_failed = Counter("trunkline_bus_handler_errors_total", "Exceptions out of subscription handlers")
_client_errors = Counter("trunkline_bus_client_errors_total", "Errors that the NATS client reported")


class _NatsSubscription:
    def __init__(self, client: Client, wire: Wire, subscription: NatsSubscription, number: bytes) -> None:
        self._client = client
        self._wire = wire
        self._subscription = subscription
        self._number = number

    async def stop(self) -> None:
        with contextlib.suppress(NatsError, TimeoutError):  # the connection may go, and the subscription with it
            if self._client.is_connected:
                async with asyncio.timeout(DRAIN_LIMIT_S):
                    await self._subscription.drain()  # type: ignore[no-untyped-call]
                    await self._client.flush()  # drain's PING overtakes its UNSUB, see NatsBus.flush
            else:
                await self._subscription.unsubscribe()
        self._wire.handlers.pop(self._number, None)


class NatsBus:
    """client: for JetStream; closed by close. What is published before open goes out once it is connected."""

    def __init__(self) -> None:
        self._wire = Wire()
        self._wire.on_writable = self._write
        self._client = NatsClient(self._wire)
        self._client.on_nodes = self._note_nodes
        self.client: Client = self._client
        self._opened = self._closed = False
        self._connected_at_s: float | None = None
        self._outbox: deque[bytes] = deque()
        self._writing: asyncio.Handle | None = None
        self._empty = asyncio.Event()
        self._back = asyncio.Event()  # connected again
        self._on_change: list[Callable[[], object]] = []
        self._changes = 0  # of the connection, and of the nodes
        self._loop = asyncio.get_running_loop()

    async def open(self, urls: list[str], name: str) -> None:
        """name: the worker id, seen in the server's monitoring. Raises ConnectionError after CONNECT_PATIENCE_S."""
        errors = _Errors()
        self._opened = True
        try:
            async with asyncio.timeout(CONNECT_PATIENCE_S):
                await self.client.connect(
                    servers=urls,
                    name=name,
                    error_cb=errors.note,
                    disconnected_cb=self._note_disconnected,
                    reconnected_cb=self._note_connected,
                    closed_cb=self._note_closed,
                    reconnect_to_server_handler=self._client.next_node,
                    reconnect_time_wait=RETRY_S,  # type: ignore[arg-type]  # sleeps on it: fractions work
                    max_reconnect_attempts=-1,
                    allow_reconnect=True,
                    connect_timeout=TRY_LIMIT_S if len(urls) > 1 else LONE_TRY_LIMIT_S,  # type: ignore[arg-type]  # so
                    pending_size=2 * 1024 * 1024,
                )
        except (NatsError, OSError, TimeoutError) as error:
            raise ConnectionError(f"no NATS server answers at {', '.join(urls)} ({errors.last or error})") from error
        await self._note_connected()

    @property
    def max_payload(self) -> int:
        return self.client.max_payload

    @property
    def connected(self) -> bool:
        return self.client.is_connected

    @property
    def connected_s(self) -> float:
        if self._connected_at_s is None or not self.client.is_connected:
            return 0.0
        return asyncio.get_running_loop().time() - self._connected_at_s

    @property
    def node(self) -> str:
        return self._client.node

    def watch(self, on_change: Callable[[], object]) -> None:
        self._on_change.append(on_change)

    @property
    def subscriptions(self) -> int:
        return len(self.client._subs)  # private, as _sid

    def publish(self, subject: str, data: bytes, *, reply: str = "", headers: Headers | None = None) -> None:
        try:
            message = publication(subject, data, reply, headers)
        except ValueError as error:
            _client_errors.inc()
            log.warning("publish failed", subject=repr(subject), error=repr(error))
            return
        if len(message) > self.client.max_payload and (size := payload_bytes(message)) > self.client.max_payload:
            raise PayloadTooLarge(subject, size, self.client.max_payload)
        self._outbox.append(message)
        if len(self._outbox) > OUTBOX_MESSAGES:
            self._outbox.popleft()
            _dropped.inc()
        if self._writing is None:
            self._writing = self._loop.call_soon(self._write)

    def hasten(self) -> None:
        if self._writing is not None:
            self._writing.cancel()
            self._write()

    async def subscribe(self, subject: str, handler: Handler, *, queue: str = "") -> _NatsSubscription:
        def deliver(received: Received) -> None:
            if received.no_responders:
                self._loop.call_later(RUMOUR_S, believe, received, self._changes)
            else:
                handle(received)

        def believe(received: Received, changes: int) -> None:
            if changes == self._changes and number in self._wire.handlers:
                handle(received)

        def handle(received: Received) -> None:
            try:
                handler(received)
            except Exception as error:  # the rim of every handler: one message, not the subscription
                _failed.inc()
                log.error("handler failed", subject=subject, error=repr(error), exc_info=True)

        number = b"%d" % (self.client._sid + 1)  # private, as _id: before the server knows it, and may send
        self._wire.handlers[number] = deliver
        try:
            subscription = await self.client.subscribe(subject, queue=queue, cb=_not_by_the_wire)
        except BaseException:
            del self._wire.handlers[number]
            raise
        return _NatsSubscription(self.client, self._wire, subscription, number)

    async def flush(self) -> None:
        connection = -1
        while connection != self._client.connections:  # what was under way is lost with a connection, and goes again
            while self._outbox:
                await self._wait(self._empty)
            while not self._client.is_connected:
                await self._wait(self._back)
            connection = self._client.connections
            await self._client.flush()  # its PING overtakes what the client still holds; by the PONG that is written,
            self._require_open()
            await self._client.flush()  # so a second round trip is behind it
            self._require_open()

    async def _wait(self, event: asyncio.Event) -> None:
        """Until it is set anew. Raises ConnectionError once the bus is closed: then nobody would set it."""
        self._require_open()
        event.clear()
        await event.wait()
        self._require_open()

    def _require_open(self) -> None:
        if self._closed or self._client.is_closed:
            raise ConnectionError("the bus was closed before all was sent")

    async def close(self) -> None:
        """What was published goes out first, if the connection is up."""
        if self.client.is_connected:
            with contextlib.suppress(NatsError, TimeoutError, ConnectionError):
                await asyncio.wait_for(self.flush(), 2.0)
        if self._writing is not None:
            self._writing.cancel()
        await self._note_closed()
        if self._opened:
            with contextlib.suppress(ConnectionError):  # the server may be gone
                await self.client.close()

    async def _note_connected(self) -> None:
        self._connected_at_s = self._loop.time()
        self._wire.hush_later(HEARD_ON_S)
        self._back.set()
        self._write()
        self._tell_of_change()

    async def _note_disconnected(self) -> None:
        self._connected_at_s = None

    async def _note_closed(self) -> None:
        """Whoever waits to flush is told."""
        self._closed = True
        self._empty.set()
        self._back.set()
        self._client.let_pongs_go()

    def _note_nodes(self) -> None:
        if self._connected_at_s is not None:
            self._connected_at_s = self._loop.time()  # whose node has gone is deaf until it has found another
        self._tell_of_change()

    def _tell_of_change(self) -> None:
        self._changes += 1
        for on_change in self._on_change:
            on_change()

    def _write(self) -> None:
        """All that waits, at once; later if the client isn't connected or the socket takes nothing now."""
        self._writing = None
        if not self._outbox or not self.client.is_connected or self._wire.full:
            return
        self._wire.write(b"".join(self._outbox))
        self._outbox.clear()
        self._empty.set()


async def _not_by_the_wire(message: Msg) -> None:
    raise RuntimeError(f"a message on {message.subject} came by nats-py's own way")


class _Errors:
    """What the client reports; a server that is away is tried again every RETRY_S, and said once a while."""

    def __init__(self) -> None:
        self.last: Exception | None = None
        self._logged_s = float("-inf")

    async def note(self, error: Exception) -> None:
        _client_errors.inc()
        self.last = error
        now_s = asyncio.get_running_loop().time()
        if now_s - self._logged_s >= LOG_EVERY_S:
            self._logged_s = now_s
            log.warning("nats client", error=repr(error))
