"""The bus on core NATS.

publish is synchronous: it appends to an outbox that one task writes, so that timers and callbacks can publish.
A subscription's callback never works and never raises: a CancelledError leaving it would end the subscription.
"""

import asyncio
import contextlib
from collections import deque
from typing import NamedTuple

from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription as NatsSubscription
from nats.errors import Error as NatsError
from prometheus_client import Counter

from trunkline.bus.port import Handler, Headers, PayloadTooLarge, Received
from trunkline.telemetry import logs

OUTBOX_MESSAGES = 8192  # about 5 s of 50 calls' audio, while the connection is down
PENDING_MESSAGES = 65_536
PENDING_BYTES = 32 * 1024 * 1024
CONNECT_PATIENCE_S = 15.0
DRAIN_LIMIT_S = 2.0  # for what a stopped subscription has yet to handle
RECONNECT_WAIT_S = 0.05
LOG_EVERY_S = 5.0  # of errors that the client reports

log = logs.get(__name__)
_dropped = Counter("trunkline_bus_outbox_dropped_total", "Messages dropped from a full outbox, oldest first")
_failed = Counter("trunkline_bus_handler_errors_total", "Exceptions out of subscription handlers")
_client_errors = Counter("trunkline_bus_client_errors_total", "Errors that the NATS client reported")


class _Outgoing(NamedTuple):
    subject: str
    data: bytes
    reply: str
    headers: dict[str, str] | None


class _NatsSubscription:
    def __init__(self, client: Client, subscription: NatsSubscription) -> None:
        self._client = client
        self._subscription = subscription

    async def stop(self) -> None:
        with contextlib.suppress(NatsError, TimeoutError):  # the connection may go, and the subscription with it
            if self._client.is_connected:
                await asyncio.wait_for(self._subscription.drain(), DRAIN_LIMIT_S)  # type: ignore[no-untyped-call]
            else:
                await self._subscription.unsubscribe()


class NatsBus:
    """client: for JetStream; closed by close. What is published before open goes out once it is connected."""

    def __init__(self) -> None:
        self.client = Client()
        self._opened = False
        self._connected_at_s: float | None = None
        self._outbox: deque[_Outgoing] = deque()
        self._wake = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self._writer = asyncio.create_task(self._write(), name="bus-writer")

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
                    ping_interval=0.5,  # type: ignore[arg-type]  # likewise
                    max_outstanding_pings=2,
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
        if len(data) > self.client.max_payload:
            raise PayloadTooLarge(subject, len(data), self.client.max_payload)
        if len(self._outbox) >= OUTBOX_MESSAGES:
            self._outbox.popleft()
            _dropped.inc()
        self._outbox.append(_Outgoing(subject, data, reply, dict(headers) if headers else None))
        self._idle.clear()
        self._wake.set()

    async def subscribe(self, subject: str, handler: Handler, *, queue: str = "") -> _NatsSubscription:
        async def deliver(message: Msg) -> None:
            headers = message.headers
            unheard = headers is not None and headers.get("Status") == "503"
            try:
                handler(Received(message.subject, message.data, message.reply, headers, no_responders=unheard))
            except Exception as error:  # the rim of every handler: one message, not the subscription
                _failed.inc()
                log.error("handler failed", subject=subject, error=repr(error), exc_info=True)

        subscription = await self.client.subscribe(
            subject,
            queue=queue,
            cb=deliver,
            pending_msgs_limit=PENDING_MESSAGES,
            pending_bytes_limit=PENDING_BYTES,
        )
        return _NatsSubscription(self.client, subscription)

    async def flush(self) -> None:
        await self._idle.wait()
        await self.client.flush()  # its PING overtakes what the client still holds; by the PONG that is written,
        await self.client.flush()  # so a second round trip is behind it

    async def close(self) -> None:
        """What was published goes out first, if the connection is up."""
        if self.client.is_connected:
            with contextlib.suppress(NatsError, TimeoutError):
                await asyncio.wait_for(self.flush(), 2.0)
        self._writer.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._writer
        if self._opened:
            with contextlib.suppress(ConnectionError):  # the server may be gone
                await self.client.close()

    async def _note_connected(self) -> None:
        self._connected_at_s = asyncio.get_running_loop().time()

    async def _note_disconnected(self) -> None:
        self._connected_at_s = None

    async def _write(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._outbox:
                if not self.client.is_connected:  # keep it here, where the oldest goes first
                    await asyncio.sleep(RECONNECT_WAIT_S)
                    continue
                outgoing = self._outbox.popleft()
                try:
                    await self.client.publish(*outgoing)
                except Exception as error:  # a rim: one message that can't be written, not all that follow
                    _client_errors.inc()
                    log.warning("publish failed", subject=outgoing.subject, error=repr(error))
            self._idle.set()


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
