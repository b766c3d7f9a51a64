"""The bus on core NATS: nats-py connects and speaks JetStream; our own messages pass by its queues and tasks.

publish is synchronous, so that timers and callbacks can publish: all that a turn of the loop publishes is one write at
its end, but for what a caller waits for (`hasten`). What arrives is handled in the turn that read it from the socket
(`wire`).
"""

import asyncio
import contextlib
from collections import deque

from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription as NatsSubscription
from nats.errors import Error as NatsError
from nats.errors import StaleConnectionError
from prometheus_client import Counter

from trunkline.bus.port import Handler, Headers, PayloadTooLarge, Received
from trunkline.bus.pulse import next_pulse_s
from trunkline.bus.wire import Wire, payload_bytes, publication
from trunkline.telemetry import logs

OUTBOX_MESSAGES = 8192  # about 5 s of 50 calls' audio, while the connection is down
CONNECT_PATIENCE_S = 15.0
DRAIN_LIMIT_S = 2.0  # for what a stopped subscription has yet to handle
RECONNECT_WAIT_S = 0.05
SILENT_PULSES = 2  # pings that a server may leave unanswered: it is gone after 1.2 to 1.6 s of silence
LOG_EVERY_S = 5.0  # of errors that the client reports
_PING = b"PING\r\n"

log = logs.get(__name__)
_dropped = Counter("trunkline_bus_outbox_dropped_total", "Messages dropped from a full outbox, oldest first")
_failed = Counter("trunkline_bus_handler_errors_total", "Exceptions out of subscription handlers")
_client_errors = Counter("trunkline_bus_client_errors_total", "Errors that the NATS client reported")


class _Client(Client):
    """Asks the server for a sign of life only when it has said nothing since the last pulse, and shares that wakeup.

    With each pulse it looks too whether nats-py still reads: it stops at what it can't take (a PONG for a flush that
    was given up), and our own messages come all the same, but no answer of JetStream.
    """

    def __init__(self, wire: Wire) -> None:
        super().__init__()
        self._transport = wire
        self._wire = wire

    async def _ping_interval(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            now_s = loop.time()
            await asyncio.sleep(next_pulse_s(now_s) - now_s)
            if not self.is_connected:
                continue
            silent = not self._wire.heard()
            self._pings_outstanding = self._pings_outstanding + 1 if silent else 0
            if self._pings_outstanding > SILENT_PULSES or self._reading_task is None or self._reading_task.done():
                await self._process_op_err(StaleConnectionError())
                return
            if silent:
                self._wire.write(_PING)
                self._pongs.append(loop.create_future())


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
        self.client: Client = _Client(self._wire)
        self._opened = False
        self._connected_at_s: float | None = None
        self._outbox: deque[bytes] = deque()
        self._writing: asyncio.Handle | None = None
        self._empty = asyncio.Event()
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
                    reconnect_time_wait=RECONNECT_WAIT_S,  # type: ignore[arg-type]  # sleeps on it: fractions work
                    max_reconnect_attempts=-1,
                    allow_reconnect=True,
                    connect_timeout=2,
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
        while self._outbox:
            self._empty.clear()
            await self._empty.wait()
        await self.client.flush()  # its PING overtakes what the client still holds; by the PONG that is written,
        await self.client.flush()  # so a second round trip is behind it

    async def close(self) -> None:
        """What was published goes out first, if the connection is up."""
        if self.client.is_connected:
            with contextlib.suppress(NatsError, TimeoutError):
                await asyncio.wait_for(self.flush(), 2.0)
        if self._writing is not None:
            self._writing.cancel()
        if self._opened:
            with contextlib.suppress(ConnectionError):  # the server may be gone
                await self.client.close()

    async def _note_connected(self) -> None:
        self._connected_at_s = asyncio.get_running_loop().time()
        self._write()

    async def _note_disconnected(self) -> None:
        self._connected_at_s = None

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
    """What the client reports; a server that is away is tried again every RECONNECT_WAIT_S, and said once a while."""

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
