"""What every bus does, the real one and the one in memory."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from support.nats_server import start
from trunkline.bus.memory import MemoryBroker, MemoryBus, matches
from trunkline.bus.nats import NatsBus
from trunkline.bus.port import Bus, PayloadTooLarge, Received

Body = Callable[[Bus, Bus], Awaitable[None]]


@asynccontextmanager
async def memory_pair() -> AsyncIterator[tuple[Bus, Bus]]:
    broker = MemoryBroker()
    a, b = MemoryBus(broker), MemoryBus(broker)
    yield a, b
    await a.close()
    await b.close()


@asynccontextmanager
async def nats_pair(url: str) -> AsyncIterator[tuple[Bus, Bus]]:
    a, b = NatsBus(), NatsBus()
    await a.open([url], "a")
    await b.open([url], "b")
    yield a, b
    await a.close()
    await b.close()


class FarBus(NatsBus):
    """One of a pair at two nodes of a cluster: flush returns when the other's node, too, knows what it subscribes to.

    What a node hears of another's subscribers, and their messages, come over one connection, in order.
    """

    def __init__(self) -> None:
        super().__init__()
        self._heard = asyncio.Event()
        self._own = f"flushed.{id(self)}"

    async def meet(self, other: "FarBus") -> None:
        self._other = other
        await self.subscribe(self._own, lambda message: self._heard.set())

    async def flush(self) -> None:
        await super().flush()
        self._other._heard.clear()
        while not self._other._heard.is_set():
            self.publish(self._other._own, b"")
            with contextlib.suppress(TimeoutError):  # the other's own subscription may not have come through yet
                await asyncio.wait_for(self._other._heard.wait(), 0.1)


@asynccontextmanager
async def far_pair(urls: list[str]) -> AsyncIterator[tuple[Bus, Bus]]:
    a, b = FarBus(), FarBus()
    await a.open(urls[:1], "a")
    await b.open(urls[1:2], "b")
    await a.meet(b)
    await b.meet(a)
    yield a, b
    for each in (a, b):
        each.flush = NatsBus.flush.__get__(each)  # type: ignore[method-assign]  # the other may be gone
        await each.close()


@pytest.fixture(params=["memory", *(pytest.param(where, marks=pytest.mark.nats) for where in ("nats", "cluster"))])
def on_a_bus(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[[Body], None]]:
    def run(body: Body) -> None:
        async def main() -> None:
            if request.param == "memory":
                async with memory_pair() as pair:
                    await body(*pair)
            elif request.param == "cluster":
                async with far_pair(request.getfixturevalue("nats_cluster").urls) as pair:
                    await body(*pair)
            else:
                async with nats_pair(server.url) as pair:
                    await body(*pair)

        asyncio.run(asyncio.wait_for(main(), 20))

    if request.param == "nats":
        server = start(tmp_path)
        yield run
        server.stop()
    else:
        yield run


class Heard:
    """Collects messages and lets a test wait for the n-th."""

    def __init__(self) -> None:
        self.messages: list[Received] = []
        self._arrived = asyncio.Event()

    def __call__(self, message: Received) -> None:
        self.messages.append(message)
        self._arrived.set()

    async def wait_for(self, count: int) -> list[bytes]:
        while len(self.messages) < count:
            self._arrived.clear()
            await asyncio.wait_for(self._arrived.wait(), 5)
        return [message.data for message in self.messages]


def test_messages_of_one_publisher_arrive_in_order(on_a_bus: Callable[[Body], None]) -> None:
    async def body(a: Bus, b: Bus) -> None:
        heard = Heard()
        await b.subscribe("x.*", heard)
        await b.flush()
        for i in range(500):
            a.publish(f"x.{i % 3}", str(i).encode())
        assert await heard.wait_for(500) == [str(i).encode() for i in range(500)]

    on_a_bus(body)


def test_headers_and_reply_arrive(on_a_bus: Callable[[Body], None]) -> None:
    async def body(a: Bus, b: Bus) -> None:
        heard = Heard()
        await b.subscribe("x", heard)
        await b.flush()
        a.publish("x", b"1", reply="y.z", headers={"traceparent": "00-1"})
        await heard.wait_for(1)
        (message,) = heard.messages
        assert (message.subject, message.reply, message.no_responders) == ("x", "y.z", False)
        assert message.headers is not None
        assert message.headers["traceparent"] == "00-1"

    on_a_bus(body)


def test_a_queue_group_shares_and_a_plain_subscription_hears_all(on_a_bus: Callable[[Body], None]) -> None:
    async def body(a: Bus, b: Bus) -> None:
        one, two, all_ = Heard(), Heard(), Heard()
        await a.subscribe("q.>", one, queue="g")
        await b.subscribe("q.>", two, queue="g")
        await b.subscribe("q.*", all_)
        await a.flush()
        await b.flush()
        for i in range(40):
            a.publish(f"q.{i}", b"")
        await all_.wait_for(40)
        await a.flush()
        await b.flush()
        assert len(one.messages) + len(two.messages) == 40

    on_a_bus(body)


def test_nobody_listening_is_told_on_the_reply_subject(on_a_bus: Callable[[Body], None]) -> None:
    async def body(a: Bus, b: Bus) -> None:
        heard = Heard()
        await a.subscribe("inbox.a.*", heard)
        await a.flush()
        a.publish("nobody.there", b"?", reply="inbox.a.rtc_1")
        await heard.wait_for(1)
        assert (heard.messages[0].no_responders, heard.messages[0].subject) == (True, "inbox.a.rtc_1")

    on_a_bus(body)


def test_a_handler_that_raises_keeps_its_subscription(on_a_bus: Callable[[Body], None]) -> None:
    async def body(a: Bus, b: Bus) -> None:
        heard = Heard()

        def handler(message: Received) -> None:
            heard(message)
            if message.data == b"bad":
                raise RuntimeError("bad message")

        await b.subscribe("x", handler)
        await b.flush()
        a.publish("x", b"bad")
        a.publish("x", b"good")
        assert await heard.wait_for(2) == [b"bad", b"good"]

    on_a_bus(body)


def test_a_stopped_subscription_hears_nothing_more(on_a_bus: Callable[[Body], None]) -> None:
    async def body(a: Bus, b: Bus) -> None:
        heard, still = Heard(), Heard()
        subscription = await b.subscribe("x", heard)
        await b.subscribe("x", still)
        await b.flush()
        await subscription.stop()
        await b.flush()
        a.publish("x", b"1")
        await still.wait_for(1)
        assert heard.messages == []

    on_a_bus(body)


def test_what_reached_a_subscription_before_it_was_stopped_is_handled(on_a_bus: Callable[[Body], None]) -> None:
    async def body(a: Bus, b: Bus) -> None:
        heard = Heard()
        subscription = await b.subscribe("x", heard, queue="g")
        await b.flush()
        for i in range(2000):
            a.publish("x", str(i).encode() + b" " * 1000)
        await a.flush()
        await subscription.stop()
        assert len(heard.messages) == 2000

    on_a_bus(body)


def test_a_message_that_can_not_be_written_keeps_nothing_else_back(on_a_bus: Callable[[Body], None]) -> None:
    async def body(a: Bus, b: Bus) -> None:
        heard = Heard()
        await b.subscribe("x", heard)
        await b.flush()
        a.publish("y", b"half a pair", headers={"word": "\ud83d"})
        a.publish("x", b"whole")
        assert await heard.wait_for(1) == [b"whole"]

    on_a_bus(body)


def test_a_message_over_the_limit_is_refused_with_both_sizes(on_a_bus: Callable[[Body], None]) -> None:
    async def body(a: Bus, b: Bus) -> None:
        size = a.max_payload + 1
        with pytest.raises(PayloadTooLarge) as refused:
            a.publish("x", b"0" * size)
        assert (refused.value.size_bytes, refused.value.limit_bytes) == (size, a.max_payload)

    on_a_bus(body)


@pytest.mark.parametrize(
    ("pattern", "subject", "expected"),
    [
        ("a.*", "a.b", True),
        ("a.*", "a.b.c", False),
        ("a.>", "a.b.c", True),
        ("a.>", "a", False),
        ("a.b", "a.b", True),
        ("*.b", "a.b", True),
        ("a.b", "a.b.c", False),
    ],
)
def test_wildcards_match_as_on_nats(pattern: str, subject: str, expected: bool) -> None:
    assert matches(pattern, subject) is expected
