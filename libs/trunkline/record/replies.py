"""Questions to JetStream whose answers come to one subscription: a token per question, no task, no subscription each.

An unanswered question ends as False; only its asker knows what that means. So does one whose connection was lost: its
answer may have been lost too.
"""

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable, Mapping
from typing import NamedTuple

from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from nats.errors import Error as NatsError

from trunkline.bus.nats_client import NatsClient
from trunkline.telemetry import logs

PENDING_MESSAGES = 65_536
PENDING_BYTES = 64 * 1024 * 1024

log = logs.get(__name__)


class Answer(NamedTuple):
    """status: of the NATS header, empty for a plain message; "503" is nobody there."""

    status: str
    headers: Mapping[str, str]
    data: bytes


class _Question(NamedTuple):
    """sent: on a connection, and isn't kept until there is one."""

    on_answer: Callable[[Answer], bool]
    done: asyncio.Future[bool]
    sent: bool


class Replies:
    def __init__(self, client: Client) -> None:
        self._client = client
        self._inbox = client.new_inbox()
        self._asked = 0
        self._questions: dict[str, _Question] = {}
        self._outbox: deque[tuple[str, bytes, str, dict[str, str] | None]] = deque()  # bounded by its askers
        self._wake = asyncio.Event()
        self._sender: asyncio.Task[None] | None = None
        self._subscription: Subscription | None = None

    async def start(self) -> None:
        if self._sender is None:
            self._sender = asyncio.create_task(self._send(), name="record-sender")
            if isinstance(self._client, NatsClient):
                self._client.on_anew.append(self._give_up_lost)
            self._subscription = await self._client.subscribe(
                f"{self._inbox}.*",
                cb=self._receive,
                pending_msgs_limit=PENDING_MESSAGES,
                pending_bytes_limit=PENDING_BYTES,
            )

    async def stop(self) -> None:
        if isinstance(self._client, NatsClient) and self._give_up_lost in self._client.on_anew:
            self._client.on_anew.remove(self._give_up_lost)
        if self._sender is not None:
            self._sender.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._sender
        if self._subscription is not None:
            with contextlib.suppress(NatsError):  # the connection may be gone, and with it the subscription
                await self._subscription.unsubscribe()
        for question in list(self._questions.values()):
            _settle(question.done, False)

    def ask(
        self,
        subject: str,
        data: bytes,
        on_answer: Callable[[Answer], bool],
        *,
        limit_s: float,
        headers: dict[str, str] | None = None,
    ) -> asyncio.Future[bool]:
        """on_answer: given each answer in order, True when it was the last. The result is False if that never came."""
        loop = asyncio.get_running_loop()
        self._asked += 1
        token = str(self._asked)
        done: asyncio.Future[bool] = loop.create_future()
        self._questions[token] = _Question(on_answer, done, self._client.is_connected)
        timer = loop.call_later(limit_s, _settle, done, False)

        def forget(_: asyncio.Future[bool]) -> None:
            timer.cancel()
            self._questions.pop(token, None)

        done.add_done_callback(forget)
        self._outbox.append((subject, data, f"{self._inbox}.{token}", headers))
        self._wake.set()
        return done

    def _give_up_lost(self) -> None:
        """The client has another connection."""
        for question in list(self._questions.values()):
            if question.sent:
                _settle(question.done, False)

    async def _receive(self, message: Msg) -> None:
        question = self._questions.get(message.subject.rpartition(".")[2])
        if question is None or question.done.done():
            return
        headers = message.headers or {}
        try:
            last = question.on_answer(Answer(headers.get("Status", ""), headers, message.data))
        except Exception as error:  # an answer that can't be read is no answer; the subscription must live on
            log.warning("unreadable answer of JetStream", error=repr(error))
            _settle(question.done, False)
            return
        if last:
            _settle(question.done, True)

    async def _send(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._outbox:
                subject, data, reply, headers = self._outbox.popleft()
                try:
                    await self._client.publish(subject, data, reply=reply, headers=headers)
                except Exception as error:  # a rim; the question stays unanswered, and its asker's limit decides
                    log.warning("publish to JetStream failed", error=repr(error))


def _settle(done: asyncio.Future[bool], answered: bool) -> None:
    if not done.done():
        done.set_result(answered)
