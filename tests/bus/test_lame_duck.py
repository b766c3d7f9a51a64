"""When a client leaves nodes that say that they end: each of them, also one right behind another."""

import asyncio
from collections.abc import Awaitable, Callable
from urllib.parse import urlparse

from nats.aio.client import Server

from support.virtual import run_virtual
from trunkline.bus.nats_client import LOOK_AGAIN_S, SPREAD_S, NatsClient
from trunkline.bus.wire import Wire

ENDS: dict[str, object] = {"ldm": True}


class Placed(NatsClient):
    """Connected at once wherever it goes. others: whether another node answers. left: its connections, by number."""

    is_connected = True  # type: ignore[assignment]  # a property there

    def __init__(self) -> None:
        super().__init__(Wire())
        self._current_server = Server(urlparse("nats://127.0.0.1:4222"))
        self.connections = 1
        self.others = True
        self.left: list[int] = []

    async def _another_answers(self) -> bool:
        return self.others

    async def force_reconnect(self) -> None:
        self.left.append(self.connections)
        self.connections += 1


def on(body: Callable[[Placed], Awaitable[None]]) -> None:
    async def main() -> None:
        await body(Placed())

    run_virtual(main())


def test_a_node_that_says_it_twice_is_left_once() -> None:
    async def body(client: Placed) -> None:
        await client._process_info(ENDS)
        await client._process_info(ENDS)
        await asyncio.sleep(SPREAD_S)

        assert client.left == [1]

    on(body)


def test_a_node_that_ends_while_the_one_before_is_still_waited_for_is_left_too() -> None:
    async def body(client: Placed) -> None:
        client.others = False
        await client._process_info(ENDS)
        await asyncio.sleep(SPREAD_S + LOOK_AGAIN_S / 2)
        client.connections = 2  # it cut us off
        client.others = True
        await client._process_info(ENDS)
        await asyncio.sleep(SPREAD_S + LOOK_AGAIN_S)

        assert client.left == [2]

    on(body)
