"""Who waits until all is sent is told when the bus is closed under it."""

import asyncio
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.nats_server import NatsServer
from trunkline.bus.nats import NatsBus

pytestmark = pytest.mark.nats
LIMIT_S = 8.0  # nats-py's own is 10 s, of a PONG alone


@pytest.fixture
def server(tmp_path: Path) -> Iterator[NatsServer]:
    server = NatsServer(tmp_path)
    server.start()
    yield server
    server.kill()


async def closed_while_it_flushes(bus: NatsBus, published: int) -> None:
    for _ in range(published):
        bus.publish("somebody", b"something")
    flushing = asyncio.create_task(bus.flush())
    await asyncio.sleep(0)
    await bus.close()
    with pytest.raises(ConnectionError, match="closed"):
        await asyncio.wait_for(flushing, LIMIT_S)


@pytest.mark.parametrize("published", [0, 1])
def test_a_flush_ends_with_a_bus_that_was_never_opened(published: int) -> None:
    async def main() -> None:
        await closed_while_it_flushes(NatsBus(), published)

    asyncio.run(main())


@pytest.mark.parametrize("published", [0, 1])
def test_a_flush_ends_with_a_bus_whose_server_is_gone(server: NatsServer, published: int) -> None:
    async def main() -> None:
        bus = NatsBus()
        await bus.open([server.url], "a")
        server.kill()
        while bus.connected:  # noqa: ASYNC110  # what is waited for is another program's
            await asyncio.sleep(0.005)
        await closed_while_it_flushes(bus, published)

    asyncio.run(main())


def test_a_flush_ends_with_a_bus_whose_server_does_not_answer(server: NatsServer) -> None:
    async def main() -> None:
        bus = NatsBus()
        await bus.open([server.url], "a")
        server.signal(signal.SIGSTOP)
        await closed_while_it_flushes(bus, 1)

    asyncio.run(main())


def test_a_bus_that_is_closed_already_has_nothing_flushed(server: NatsServer) -> None:
    async def main() -> None:
        bus = NatsBus()
        await bus.open([server.url], "a")
        await bus.close()
        with pytest.raises(ConnectionError, match="closed"):
            await bus.flush()

    asyncio.run(main())
