"""One process after the other is replaced under a call, by SIGTERM and within the grace of the manifests."""

import asyncio
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import pytest
import yaml  # type: ignore[import-untyped]  # it brings no types

from stack import placing
from support.running_stack import RunningStack
from system.whole import hum
from trunkline.cli import api
from trunkline.cli.caller import Caller
from trunkline.cli.listener import HeardTurn

ROOT = Path(__file__).parents[2]
BASE = ROOT / "k8s" / "base"
DESK = ROOT / "tests" / "system" / "weather_desk.py"
WEATHER = "What is the weather in Tokyo?"
STAGES = ("stt", "agent", "tts", "gateway")
SAID = ["One moment, let me check the weather in Tokyo.", "It is sunny in Tokyo."]


def setting(name: str) -> str:
    """As the manifests give it to every service."""
    lines = (BASE / "settings.env").read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))[name]


def pod() -> dict[str, Any]:
    patch = yaml.safe_load((BASE / "every-service.yaml").read_text())
    found: dict[str, Any] = patch["spec"]["template"]["spec"]
    return found


@pytest.fixture(scope="module")
def twos(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningStack]:
    environ = {
        "TRUNKLINE_STT_SCRIPT": "|".join([WEATHER] * 5),
        "TRUNKLINE_DRAIN_GRACE_S": setting("TRUNKLINE_DRAIN_GRACE_S"),
    }
    workers = "stt=2,agent=2,tts=2,tool_runner=2,gateway=2,webrtc=0"
    options = ("--agent", str(DESK), "--workers", workers, "--engine", "stt=scripted", "--engine", "tts=tone")
    running = RunningStack(tmp_path_factory.mktemp("twos"), *options, environ=environ).start()
    yield running
    assert running.stop() == 0


async def workers(stack: RunningStack, stage: str) -> list[dict[str, Any]]:
    listed: list[dict[str, Any]] = msgspec.json.decode(await api.fetch(stack.address, "/v1/workers"))
    return [one for one in listed if one["stage"] == stage and not one["draining"]]


async def two_of(stack: RunningStack, stage: str) -> None:
    async with asyncio.timeout(30.0):
        while True:
            if len(await workers(stack, stage)) >= 2:
                return
            await asyncio.sleep(0.1)


async def serving(stack: RunningStack, stage: str) -> dict[str, Any]:
    """Who has the only call, once his beat has told."""
    async with asyncio.timeout(30.0):
        while True:
            have = [one for one in await workers(stack, stage) if one["calls"]]
            if len(have) == 1:
                return have[0]
            await asyncio.sleep(0.05)


async def answers_until_unready(session: aiohttp.ClientSession, port: int) -> tuple[float, str]:
    """Seconds until /readyz no longer says that it is ready, and what it says then; empty where it is gone already."""
    began_s = time.monotonic()
    while True:
        try:
            async with session.get(f"http://127.0.0.1:{port}/readyz") as answer:
                if answer.status == 503:
                    return time.monotonic() - began_s, (await answer.text()).strip()
        except aiohttp.ClientError:
            return time.monotonic() - began_s, ""


async def ended(stack: RunningStack, pid: int) -> str:
    """What `trunkline up` says of its end."""
    while True:
        if said := [line for line in stack.said.splitlines() if f"(pid {pid})" in line]:
            return said[0]
        await asyncio.sleep(0.05)


async def replaced(stack: RunningStack, caller: Caller, turn: HeardTurn, stage: str) -> float:
    """Asks the process that serves the call to end, while the reply to a turn sounds. Seconds until it has ended."""
    async with aiohttp.ClientSession() as session:
        worker = await serving(stack, stage)
        asked_s = time.monotonic()
        os.kill(worker["pid"], signal.SIGTERM)
        unready_s, why = await answers_until_unready(session, worker["admin_port"])
    await caller.reply(turn)
    async with asyncio.timeout(float(setting("TRUNKLINE_DRAIN_GRACE_S"))):
        told = await ended(stack, worker["pid"])
    assert unready_s < pod()["containers"][0]["readinessProbe"]["periodSeconds"]
    assert why in ("draining", "")
    assert "ended with status 0" in told
    return time.monotonic() - asked_s


def test_every_process_of_a_call_is_replaced_in_turn_and_the_call_goes_on(twos: RunningStack) -> None:
    async def main() -> None:
        turns, took_s = [], []
        async with Caller(twos.address) as caller:
            await caller.greeting()
            for stage in STAGES:
                await two_of(twos, stage)
                turns.append(await caller.say(hum()))
                await caller.reply_heard(turns[-1], 0.1)
                took_s.append(await replaced(twos, caller, turns[-1], stage))
            turns.append(await caller.say(hum()))
            await caller.reply(turns[-1])
        record = await placing.record_of(twos, caller)

        assert max(took_s) < float(setting("TRUNKLINE_DRAIN_GRACE_S"))
        assert [[item.text for item in turn.items] for turn in turns] == [SAID] * 5
        assert [tool.status for tool in record.tools] == ["ok"] * 5
        assert [event["reason"] for event in record.events if event["type"] == "ended"] == ["caller_hung_up"]

    asyncio.run(main())


def test_a_gateway_waits_within_its_grace_for_a_caller_who_can_t_come_back(twos: RunningStack) -> None:
    async def main() -> None:
        await two_of(twos, "gateway")
        url, headers = f"{twos.address.realtime}", {"Authorization": f"Bearer {twos.address.key}"}
        async with aiohttp.ClientSession() as session:
            async with session.ws_connect(url, headers=headers) as socket:
                await socket.receive_json()
                gateway = await serving(twos, "gateway")
                os.kill(gateway["pid"], signal.SIGTERM)
                _, why = await answers_until_unready(session, gateway["admin_port"])
                await socket.send_json(
                    {"type": "session.update", "session": {"type": "realtime", "instructions": "Be brief."}}
                )
                while (said := await socket.receive_json())["type"] != "session.updated":
                    assert said["type"] != "error"
            async with asyncio.timeout(30.0):
                told = await ended(twos, gateway["pid"])

        assert why == "draining"
        assert "ended with status 0" in told

    asyncio.run(main())
