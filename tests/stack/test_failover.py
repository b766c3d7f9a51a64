"""Real engines, two of each: a worker is killed at the worst moment, and the call is what it would have been."""

import asyncio
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest

from stack import lines, placing
from support import judge
from support.running_stack import RunningStack
from trunkline.cli import api
from trunkline.cli.caller import Caller
from trunkline.cli.listing import WorkerLine
from trunkline.cli.record_json import CallRecord
from trunkline.proto.audio import SPEECH_RATE_HZ

AGENTS = Path(__file__).parent / "agents.py"
TWO_OF_EACH = "stt=2,agent=2,tts=2,tool_runner=2,gateway=2,webrtc=0"
NEAR = 0.2  # word error rate between two recognitions of undisturbed calls: "is 18", "was aching"; "rain", "grain"
REPLY_LIMIT_S = 40.0


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningStack]:
    directory = tmp_path_factory.mktemp("pairs")
    running = RunningStack(directory, "--agent", f"{AGENTS}:quick", "--workers", TWO_OF_EACH).start()
    yield running
    assert running.stop() == 0


async def serving(stack: RunningStack, stage: str) -> WorkerLine:
    """The worker of this stage that has the only call."""
    body = await api.fetch(stack.address, "/v1/workers")
    (found,) = (one for one in msgspec.json.decode(body, type=list[WorkerLine]) if one.stage == stage and one.calls)
    return found


def kill(worker: WorkerLine) -> None:
    os.kill(worker.pid, signal.SIGKILL)


async def whole_again(stack: RunningStack) -> None:
    """Until the killed worker has been started again."""
    wanted = dict.fromkeys(("stt", "agent", "tts", "tool_runner", "gateway"), 2)
    async with asyncio.timeout(30.0):
        while wanted:
            await asyncio.sleep(0.1)
            try:
                body = await api.fetch(stack.address, "/v1/workers")
            except api.CommandFailed:
                continue
            heard = [one.stage for one in msgspec.json.decode(body, type=list[WorkerLine])]
            wanted = {stage: count for stage, count in wanted.items() if heard.count(stage) != count}


def asked(
    stack: RunningStack, agent: str, strike: Callable[[Caller, "asyncio.Task[object]"], "asyncio.Future[None]"] | None
) -> tuple[Caller, CallRecord]:
    """One call that asks for the weather in Tokyo; strike: what is done to the stack while it goes on."""

    async def ask() -> tuple[Caller, CallRecord]:
        await whole_again(stack)
        async with Caller(stack.address, agent=agent) as caller:
            await caller.greeting()
            saying = asyncio.ensure_future(caller.say(lines.spoken("weather_tokyo.wav")))
            striking = strike(caller, saying) if strike is not None else None
            turn = await saying
            await caller.reply(turn, REPLY_LIMIT_S)
            if striking is not None:
                await striking
            await asyncio.sleep(0.5)  # or the gateway can't know that the last word was heard
        return caller, await placing.record_of(stack, caller)

    return asyncio.run(ask())


def killed_when(
    stack: RunningStack, stage: str, due: Callable[[Caller], bool]
) -> Callable[..., "asyncio.Future[None]"]:
    async def watch(caller: Caller) -> None:
        async with asyncio.timeout(REPLY_LIMIT_S):
            while True:
                if due(caller):
                    break
                await asyncio.sleep(0.01)
        kill(await serving(stack, stage))

    return lambda caller, saying: asyncio.ensure_future(watch(caller))


def heard(caller: Caller) -> str:
    return judge.hear(caller.sound(), SPEECH_RATE_HZ)


def answer_sounds(caller: Caller) -> bool:
    items = caller.listener.turns[-1].items
    return any(i.phase == "final_answer" and 0 <= i.first_sample < caller.now - SPEECH_RATE_HZ // 2 for i in items)


def commentary_sounds(caller: Caller) -> bool:
    items = caller.listener.turns[-1].items
    return any(i.phase == "commentary" and 0 <= i.first_sample < caller.now - SPEECH_RATE_HZ // 2 for i in items)


def second_of_the_line(at_s: float) -> Callable[[Caller], bool]:
    begun: list[int] = []

    def due(caller: Caller) -> bool:
        begun.append(caller.now)
        return caller.now - begun[0] > at_s * SPEECH_RATE_HZ

    return due


def said_of(record: CallRecord) -> list[tuple[str, str | None, str]]:
    return [(item.role, item.phase, item.text) for item in record.items]


def owners(record: CallRecord) -> list[str]:
    return [str(event["worker"]) for event in record.events if event["type"] == "owner"]


@pytest.fixture(scope="module")
def undisturbed(pairs: RunningStack) -> tuple[str, CallRecord]:
    caller, record = asked(pairs, "slow", None)
    return heard(caller), record


@pytest.mark.parametrize("at_s", [0.7, 1.5])
def test_stt_is_killed_in_mid_sentence(pairs: RunningStack, undisturbed: tuple[str, CallRecord], at_s: float) -> None:
    caller, record = asked(pairs, "slow", killed_when(pairs, "stt", second_of_the_line(at_s)))

    assert said_of(record) == said_of(undisturbed[1])
    assert judge.word_error_rate(undisturbed[0], heard(caller)) < NEAR
    assert [event["stage"] for event in record.events if event["type"] == "moved"] == ["stt"]


def test_the_agent_is_killed_while_its_tool_runs(pairs: RunningStack, undisturbed: tuple[str, CallRecord]) -> None:
    caller, record = asked(pairs, "slow", killed_when(pairs, "agent", commentary_sounds))

    assert said_of(record) == said_of(undisturbed[1])
    assert judge.word_error_rate(undisturbed[0], heard(caller)) < NEAR
    assert [(tool.name, tool.status) for tool in record.tools] == [("ask_weather_station", "ok")]
    assert len(set(owners(record))) == 2


def test_tts_is_killed_in_the_answer(pairs: RunningStack, undisturbed: tuple[str, CallRecord]) -> None:
    caller, record = asked(pairs, "slow", killed_when(pairs, "tts", answer_sounds))

    assert said_of(record) == said_of(undisturbed[1])
    assert judge.word_error_rate(undisturbed[0], heard(caller)) < NEAR


def test_the_gateway_is_killed_in_the_answer(pairs: RunningStack, undisturbed: tuple[str, CallRecord]) -> None:
    caller, record = asked(pairs, "slow", killed_when(pairs, "gateway", answer_sounds))

    assert said_of(record) == said_of(undisturbed[1])
    assert judge.word_error_rate(undisturbed[0], heard(caller)) < NEAR


def test_the_runner_is_killed_in_the_tool_and_nobody_claims_to_know(pairs: RunningStack) -> None:
    _, record = asked(pairs, "slow", killed_when(pairs, "tool_runner", commentary_sounds))

    assert [(tool.name, tool.status) for tool in record.tools] == [("ask_weather_station", "unknown")]
    assert [item.status for item in record.items] == ["completed"] * len(record.items)
