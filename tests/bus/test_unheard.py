"""What is sent to a worker that is gone says so within a round trip, by the server's answer."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from bus.pair import ATTACH, CALL, LISTEN, Pair, scenario
from support.nats_server import running
from trunkline.bus.exchange import Exchange
from trunkline.bus.nats import NatsBus
from trunkline.bus.port import SETTLED_S
from trunkline.proto import subjects
from trunkline.proto.audio import CALLER_STREAM, AudioChunk
from trunkline.proto.ids import WORKER_ID_CHARACTERS
from trunkline.proto.speech import Silent
from trunkline.proto.tool import CancelTool

CHUNK = AudioChunk(1, ATTACH, CALLER_STREAM, 0, b"\0\0")


async def until(condition: Callable[[], bool]) -> None:
    for _ in range(500):
        if condition():
            return
        await asyncio.sleep(0.01)
    raise TimeoutError


async def placed_then_gone(pair: Pair) -> list[str]:
    """The hub's list of peers unheard, once a call is placed and its worker's inbox is gone."""
    unheard: list[str] = []
    pair.hub.on_unheard = unheard.append
    pair.link().send(LISTEN)
    await asyncio.sleep(1)
    await pair.worker.stop()
    assert unheard == []
    return unheard


def test_a_message_to_a_worker_that_is_gone_names_the_worker() -> None:
    async def body(pair: Pair) -> None:
        unheard = await placed_then_gone(pair)
        pair.link(ATTACH + 1).send(LISTEN)
        await asyncio.sleep(0.01)
        assert unheard == ["stt.w"]

    scenario(body)


def test_audio_to_a_worker_that_is_gone_names_the_worker() -> None:
    async def body(pair: Pair) -> None:
        unheard = await placed_then_gone(pair)
        pair.hub.windows.add("stt.w", CHUNK)
        await asyncio.sleep(0.01)
        assert unheard == ["stt.w"]

    scenario(body)


def test_an_acknowledgement_to_a_hub_that_is_gone_names_the_hub() -> None:
    async def body(pair: Pair) -> None:
        unheard: list[str] = []
        pair.worker.on_unheard = unheard.append
        link = pair.link()
        link.send(LISTEN)
        await asyncio.sleep(1)
        link.send(Silent(1))
        await pair.hub.stop()
        await asyncio.sleep(0.2)
        assert unheard == ["gateway.gw"]

    scenario(body)


def test_nobody_is_called_gone_before_the_bus_has_been_there_for_a_while() -> None:
    async def body(pair: Pair) -> None:
        unheard = await placed_then_gone(pair)
        pair.hub_bus.up_s = SETTLED_S - 0.01
        pair.hub.windows.add("stt.w", CHUNK)
        await asyncio.sleep(0.01)
        assert unheard == []
        pair.hub_bus.up_s = SETTLED_S
        pair.hub.windows.add("stt.w", CHUNK)
        await asyncio.sleep(0.01)
        assert unheard == ["stt.w"]

    scenario(body)


def test_an_order_for_a_tool_that_nobody_hears_says_nothing_of_a_peer() -> None:
    async def body(pair: Pair) -> None:
        unheard: list[str] = []
        pair.hub.on_unheard = unheard.append
        pair.hub.post(subjects.tool("get_weather", CALL), CALL, CancelTool("call_1"))
        await asyncio.sleep(0.01)
        assert unheard == []

    scenario(body)


def test_the_longest_worker_id_still_fits_the_reply_subject() -> None:
    longest = "w" * WORKER_ID_CHARACTERS

    reply = subjects.unheard("gateway", longest, f"tool_runner.{longest}")

    assert subjects.peer_unheard(subjects.last_token(reply)) == f"tool_runner.{longest}"


@pytest.mark.nats
def test_on_a_real_server_the_worker_is_named_and_the_first_second_does_not_count(tmp_path: Path) -> None:
    async def main(url: str) -> tuple[list[str], list[str]]:
        bus = NatsBus()
        await bus.open([url], "gw")
        hub = Exchange(bus, "gateway", "gw")
        unheard: list[str] = []
        hub.on_unheard = unheard.append
        await hub.start()
        hub.windows.add("stt.nobody", CHUNK)
        await bus.flush()
        await asyncio.sleep(0.05)
        early = list(unheard)
        await asyncio.sleep(SETTLED_S)
        hub.windows.add("stt.nobody", CHUNK)
        await until(lambda: bool(unheard))
        await hub.stop()
        await bus.close()
        return early, unheard

    with running(tmp_path) as server:
        early, unheard = asyncio.run(asyncio.wait_for(main(server.url), 10))

    assert (early, unheard) == ([], ["stt.nobody"])


@pytest.mark.nats
def test_the_time_connected_begins_again_with_every_reconnection(tmp_path: Path) -> None:
    async def main(bus: NatsBus) -> None:
        await bus.open([server.url], "gw")
        await asyncio.sleep(0.3)
        assert bus.connected_s >= 0.3
        server.kill()
        await until(lambda: not bus.connected)
        assert bus.connected_s == 0
        server.start()
        await until(lambda: bus.connected_s > 0)
        assert bus.connected_s < 0.3
        await bus.close()

    async def run() -> None:
        await asyncio.wait_for(main(NatsBus()), 10)

    with running(tmp_path) as server:
        asyncio.run(run())
