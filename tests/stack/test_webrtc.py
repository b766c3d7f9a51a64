"""WebRTC in `trunkline up`: offers come to the one port, a process of its own serves them, and its death is its own."""

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import numpy as np
import pytest

from gateway.webrtc_scene import Browser
from support.running_stack import RunningStack
from trunkline.cli import record_json
from trunkline.cli.record_json import CallRecord

AGENT = f"{Path(__file__).parent / 'agents.py'}:quick"
NULL_ENGINES = ("--engine", "stt=scripted", "--engine", "tts=tone", "--engine", "model=local")
QUESTION = "What is the weather in Tokyo?"
LIMIT_S = 20.0
LOUD = 1_000  # of samples up to 32,767


@pytest.fixture(scope="module")
def light(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningStack]:
    directory, soon = tmp_path_factory.mktemp("webrtc"), {"TRUNKLINE_RESUME_WINDOW_S": "2"}
    running = RunningStack(directory, "--agent", AGENT, *NULL_ENGINES, environ=soon).start()
    yield running
    assert running.stop() == 0


class Door:
    """Where a stack is called. client: of its one address."""

    def __init__(self, stack: RunningStack, client: aiohttp.ClientSession) -> None:
        self._stack = stack
        self.client = client

    @asynccontextmanager
    async def browser(self) -> AsyncIterator[Browser]:
        async with Browser(self, key=self._stack.address.key) as browser:
            yield browser

    async def offered(self) -> int:
        """The status of something that is no offer: 400 where it is read."""
        headers = {"Authorization": f"Bearer {self._stack.address.key}", "Content-Type": "application/sdp"}
        async with self.client.post("/v1/realtime/calls", data=b"no offer", headers=headers) as answer:
            return answer.status

    async def opens(self) -> None:
        """Returns once offers are read."""
        async with asyncio.timeout(LIMIT_S):
            while True:
                with contextlib.suppress(aiohttp.ClientError):  # no gateway listens, yet
                    if await self.offered() == 400:
                        return
                await asyncio.sleep(0.1)

    @asynccontextmanager
    async def socket(self) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
        headers = {"Authorization": f"Bearer {self._stack.address.key}"}
        async with self.client.ws_connect("/v1/realtime", headers=headers, protocols=("realtime",)) as socket:
            yield socket


def visit(stack: RunningStack, scenario: Callable[[Door], Awaitable[None]]) -> None:
    async def main() -> None:
        async with aiohttp.ClientSession(stack.address.base) as client:
            await scenario(Door(stack, client))

    asyncio.run(main())


def question() -> list[dict[str, Any]]:
    content = [{"type": "input_text", "text": QUESTION}]
    item = {"type": "message", "role": "user", "content": content}
    return [{"type": "conversation.item.create", "item": item}, {"type": "response.create"}]


async def asked(browser: Browser) -> None:
    for event in question():
        browser.send(**event)
    await browser.until("response.done")
    await until(lambda: sounds(browser))


async def asked_over(socket: aiohttp.ClientWebSocketResponse) -> None:
    for event in question():
        await socket.send_json(event)
    async with asyncio.timeout(LIMIT_S):
        while (await socket.receive_json())["type"] != "response.done":
            pass


async def ended(stack: RunningStack, browser: Browser) -> CallRecord:
    """Its record, which has its end."""
    async with asyncio.timeout(LIMIT_S):
        while True:
            record = await record_json.fetch(stack.address, browser.call_id)
            if record.ended:
                return record
            await asyncio.sleep(0.1)


def sounds(browser: Browser) -> bool:
    return bool(np.abs(browser.sound()).max(initial=0) > LOUD)


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(LIMIT_S):
        while True:
            if holds():
                return
            await asyncio.sleep(0.05)


def test_a_browser_calls_the_one_port_and_is_heard_by_the_process_for_webrtc(light: RunningStack) -> None:
    async def scenario(door: Door) -> None:
        async with door.browser() as browser:
            await browser.until("session.created")
            await asked(browser)
        record = await ended(light, browser)
        holders = [str(event["gateway"]) for event in record.events if event["type"] == "attached"]

        assert [tool.name for tool in record.tools] == ["get_weather"]
        assert [holder.partition("-")[0] for holder in holders] == ["webrtc"]

    visit(light, scenario)


def test_its_death_ends_no_call_over_a_socket_and_later_browsers_get_through(light: RunningStack) -> None:
    async def scenario(door: Door) -> None:
        async with door.socket() as socket, door.browser() as lost:
            (dead,) = light.pids()["webrtc"]
            os.kill(dead, signal.SIGKILL)
            await asked_over(socket)
            refused = await door.offered()
            await door.opens()
            async with door.browser() as browser:
                await asked(browser)
            await asked_over(socket)
        record = await ended(light, lost)
        (alive,) = light.pids()["webrtc"]

        assert refused in (400, 503)  # it may be there again already
        assert alive != dead
        assert [event["reason"] for event in record.events if event["type"] == "ended"] == ["lost"]
        assert f"trunkline: webrtc (pid {dead}) was ended by SIGKILL: starting it again" in light.said

    visit(light, scenario)


def test_the_death_of_an_ordinary_gateway_is_not_noticed_by_a_browser_s_call(light: RunningStack) -> None:
    async def scenario(door: Door) -> None:
        async with door.browser() as browser:
            (dead,) = light.pids()["gateway"]
            os.kill(dead, signal.SIGKILL)
            await asked(browser)
            await door.opens()
        record = await ended(light, browser)

        assert [tool.name for tool in record.tools] == ["get_weather"]
        assert len([event for event in record.events if event["type"] == "attached"]) == 1  # to the same as before

    visit(light, scenario)


def test_a_browser_s_call_may_be_hung_up_at_the_one_port(light: RunningStack) -> None:
    async def scenario(door: Door) -> None:
        async with door.browser() as browser:
            headers = {"Authorization": f"Bearer {light.address.key}"}
            async with door.client.post(f"{browser.location}/hangup", headers=headers) as answer:
                status = answer.status
            await asyncio.wait_for(browser.closed.wait(), LIMIT_S)

        assert status == 200

    visit(light, scenario)


def test_a_stack_may_have_none_or_several(tmp_path: Path) -> None:
    none = RunningStack(tmp_path / "none", "--agent", AGENT, *NULL_ENGINES, "--workers", "webrtc=0").start()
    several = RunningStack(tmp_path / "several", "--agent", AGENT, *NULL_ENGINES, "--workers", "webrtc=2").start()
    statuses: list[int] = []

    async def scenario(door: Door) -> None:
        statuses.append(await door.offered())

    try:
        visit(none, scenario)
        visit(several, scenario)
        counts = [len(stack.pids().get("webrtc", [])) for stack in (none, several)]
    finally:
        assert (none.stop(), several.stop()) == (0, 0)

    assert statuses == [501, 400]
    assert counts == [0, 2]
