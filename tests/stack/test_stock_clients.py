"""`agents.realtime` calls the real stack in speech: it hears, is heard, and what dies behind the gateway is no concern
of its."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from agents import function_tool
from agents.realtime import RealtimeAgent

from clients_py.sdk import Sdk, sdk  # first: it turns the SDK's tracing off
from stack import lines
from stack.test_failover import kill, serving, whole_again
from support import judge
from support.running_stack import RunningStack
from trunkline.cli import record_json
from trunkline.cli.line import Line
from trunkline.cli.record_json import CallRecord
from trunkline.proto.audio import SPEECH_RATE_HZ

AGENTS = Path(__file__).parent / "agents.py"
FRAME_S = 0.02
FRAME_BYTES = 2 * int(FRAME_S * SPEECH_RATE_HZ)
REPLY_S = 40.0
HEARD_S = 1.0  # from the end of a response to that of its sound
NEAR = 0.4  # word error rate of what the judge hears of an answer


@function_tool
async def open_map(city: str) -> str:
    """Open the map of a city.

    Args:
        city: the city
    """
    return f"The map of {city} is open."


CALLER = RealtimeAgent("caller", tools=[open_map])


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningStack]:
    directory = tmp_path_factory.mktemp("stock")
    options = ("--agent", f"{AGENTS}:quick", "--workers", "stt=2,agent=2,tts=2,tool_runner=2,gateway=2,webrtc=0")
    running = RunningStack(directory, *options).start()
    yield running
    assert running.stop() == 0


class Microphone:
    """Silence in real time, and lines where they are said."""

    def __init__(self, mine: Sdk) -> None:
        self._mine = mine
        self._frames: deque[bytes] = deque()

    def say(self, line: Line) -> None:
        audio = line.samples.astype("<i2").tobytes()
        self._frames.extend(audio[at : at + FRAME_BYTES] for at in range(0, len(audio), FRAME_BYTES))

    async def run(self) -> None:
        loop = asyncio.get_running_loop()
        due_s = loop.time()
        while True:
            await self._mine.session.send_audio(self._frames.popleft() if self._frames else bytes(FRAME_BYTES))
            due_s += FRAME_S
            await asyncio.sleep(due_s - loop.time())


@asynccontextmanager
async def calling(stack: RunningStack, model: str = "quick", **settings: Any) -> AsyncIterator[tuple[Sdk, Microphone]]:
    async with sdk(stack.address, CALLER, model_name=model, **settings) as mine:
        microphone = Microphone(mine)
        running = asyncio.create_task(microphone.run())
        try:
            yield mine, microphone
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)


async def record_of(stack: RunningStack, mine: Sdk) -> CallRecord:
    """Once the call is over."""
    async with asyncio.timeout(20.0):
        while True:
            record = await record_json.fetch(stack.address, mine.raw[0]["session"]["id"])
            if record.ended:
                return record
            await asyncio.sleep(0.1)


def recorded(record: CallRecord) -> list[tuple[str, str, str]]:
    return [(item.id, item.role, item.heard_text) for item in record.items]


async def answered(mine: Sdk, count: int = 1) -> None:
    """So many responses have been given, and the last was heard to its end."""
    await mine.when(lambda: len(mine.told("response.done")) >= count, REPLY_S)
    await mine.settle(HEARD_S)


def heard(mine: Sdk, item: str) -> str:
    return judge.hear(np.frombuffer(mine.sound[item], dtype="<i2"), SPEECH_RATE_HZ)


def test_speech_is_answered_in_speech_and_the_history_is_the_record(pairs: RunningStack) -> None:
    async def call() -> tuple[Sdk, CallRecord]:
        await whole_again(pairs)
        async with calling(pairs) as (mine, microphone):
            microphone.say(lines.spoken("weather_tokyo.wav"))
            await answered(mine)
        return mine, await record_of(pairs, mine)

    mine, record = asyncio.run(call())

    item, _, text = mine.messages[-1]
    assert judge.word_error_rate(text, heard(mine, item)) < NEAR
    assert [(tool.name, tool.status) for tool in record.tools] == [("get_weather", "ok")]
    assert mine.messages == recorded(record)
    assert [role for _, role, _ in mine.messages] == ["user", "assistant", "assistant"]


def test_a_client_s_tool_runs_for_what_was_said(pairs: RunningStack) -> None:
    async def call() -> tuple[Sdk, CallRecord]:
        await whole_again(pairs)
        async with calling(pairs) as (mine, microphone):
            microphone.say(lines.spoken("Please open the map of London."))
            await answered(mine, 2)
        return mine, await record_of(pairs, mine)

    mine, record = asyncio.run(call())

    (tool,) = record.tools
    assert isinstance(tool.arguments, dict)
    opened = f"The map of {tool.arguments['city']} is open."
    assert [(ran.tool.name, ran.output) for ran in mine.all("tool_end")] == [("open_map", opened)]
    assert (tool.name, tool.status, tool.result) == ("open_map", "ok", opened)
    assert mine.messages == recorded(record)


def test_speech_over_the_answer_cuts_it_to_what_was_heard(pairs: RunningStack) -> None:
    async def call() -> tuple[Sdk, CallRecord]:
        await whole_again(pairs)
        async with calling(pairs, "talker") as (mine, microphone):
            microphone.say(lines.spoken("Tell me the weather story."))
            await mine.when(lambda: "umbrellas" in mine.history[-1].text if mine.history else False, REPLY_S)
            microphone.say(lines.spoken("wait_stop.wav"))
            await mine.when(lambda: mine.all("audio_interrupted"), REPLY_S)
            await answered(mine, 2)
        return mine, await record_of(pairs, mine)

    mine, record = asyncio.run(call())

    cut = [item for item in record.items if item.status == "interrupted"]
    assert len(cut) == 1
    assert 0 < len(cut[0].heard_text) < len(cut[0].text)
    assert mine.messages == recorded(record)


def test_a_client_stays_connected_while_each_stage_is_killed_and_its_history_is_right(pairs: RunningStack) -> None:
    async def call() -> tuple[Sdk, CallRecord]:
        await whole_again(pairs)
        async with calling(pairs, "slow") as (mine, microphone):
            microphone.say(lines.spoken("weather_tokyo.wav"))
            await asyncio.sleep(1.0)
            kill(await serving(pairs, "stt"))
            await answered(mine)

            microphone.say(lines.spoken("Can you tell me the weather in Berlin, please?"))
            await mine.when(lambda: len(mine.told("response.created")) == 2, REPLY_S)
            kill(await serving(pairs, "agent"))
            await answered(mine, 2)

            sounded = len(mine.sound)
            await mine.session.send_message("What is the weather in London?")
            await mine.when(lambda: len(mine.sound) > sounded, REPLY_S)
            kill(await serving(pairs, "tts"))
            await answered(mine, 3)
            assert not mine.waits
        return mine, await record_of(pairs, mine)

    mine, record = asyncio.run(call())

    moved = [event["stage"] for event in record.events if event["type"] == "moved"]
    assert {"stt", "tts"} <= set(moved)
    assert len({str(event["worker"]) for event in record.events if event["type"] == "owner"}) == 2
    assert mine.messages == recorded(record)
    assert [role for _, role, _ in mine.messages] == ["user", "assistant", "assistant"] * 3
    assert [(tool.name, tool.status) for tool in record.tools] == [("ask_weather_station", "ok")] * 3
    assert len(mine.told("response.created")) == len(mine.told("response.done")) == 3
