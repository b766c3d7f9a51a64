"""The caller hears that a tool runs: by the model's own words, or else by those of the tool's definition."""

import asyncio
from collections.abc import Sequence

import msgspec
import pytest

from agent.scene import Scene
from support.virtual import run_virtual
from trunkline.agent.models.scripted import Call, Step, Words
from trunkline.agent.models.seam import MessageItem
from trunkline.agents import Agent, Approval, Check, Verdict, block, guardrail, tool
from trunkline.proto.response import ItemFinished, ItemStarted

ORDER = {"order": msgspec.Raw(b'"4712"')}
SILENT: Sequence[Sequence[Step]] = [[Call("lookup", ORDER)], [Words("Tomorrow.", "final_answer")]]
WORDY: Sequence[Sequence[Step]] = [[Words("Sure, one second.", "commentary"), *SILENT[0]], SILENT[1]]
TWO: Sequence[Sequence[Step]] = [[Call("lookup", ORDER), Call("stock", {})], SILENT[1]]


@tool(commentary="Let me look up {order}.")
async def lookup(order: str) -> str:
    """Where is my order."""
    return order


@tool(commentary="I am counting.")
async def stock() -> str:
    """How many are there."""
    return "3"


@tool(name="lookup", commentary="Let me look up {order}.", approval=Approval(commentary="I have to ask."))
async def guarded(order: str) -> str:
    """Where is my order."""
    return order


@pytest.mark.parametrize(
    ("script", "said"),
    [
        (SILENT, ["Let me look up 4712.", "Tomorrow."]),
        (WORDY, ["Sure, one second.", "Tomorrow."]),
        (TWO, ["Let me look up 4712.", "Tomorrow."]),
    ],
    ids=["a silent model", "a model that speaks", "two at once"],
)
def test_a_tool_is_told_of_once_while_it_runs(script: Sequence[Sequence[Step]], said: list[str]) -> None:
    async def scenario() -> None:
        async with Scene([script], agent=Agent("desk", tools=[lookup, stock])) as scene:
            scene.runner.took_s = 2.0
            await scene.place()
            scene.says("Where is it?")
            await asyncio.sleep(1)
            assert scene.said == said[:1]
            await asyncio.sleep(2)

            assert scene.said == said
            assert [m.phase for m in scene.told if isinstance(m, ItemFinished)] == ["commentary", "final_answer"]

    run_virtual(scenario())


def test_the_words_of_a_tool_are_a_filler_and_go_back_to_the_model_with_their_phase() -> None:
    async def scenario() -> None:
        async with Scene([SILENT], agent=Agent("desk", tools=[lookup])) as scene:
            await scene.place()
            scene.says("Where is it?")
            await asyncio.sleep(1)

            assert [m.source for m in scene.told if isinstance(m, ItemStarted)] == ["filler", "model"]
            assert MessageItem("assistant", "commentary", "Let me look up 4712.") in scene.model.requests[-1].items

    run_virtual(scenario())


def test_policy_sees_what_a_model_put_into_the_words_of_a_tool() -> None:
    @guardrail
    def no_numbers(check: Check) -> Verdict | None:
        return block() if "4712" in check.text else None

    async def scenario() -> None:
        async with Scene([SILENT], agent=Agent("desk", tools=[lookup], guardrails=[no_numbers])) as scene:
            await scene.place()
            scene.says("Where is it?")
            await asyncio.sleep(1)

            assert scene.said == ["Tomorrow."]

    run_virtual(scenario())


def test_a_tool_that_waits_for_a_person_is_told_of_by_the_words_of_the_approval() -> None:
    async def scenario() -> None:
        async with Scene([SILENT], agent=Agent("desk", tools=[guarded])) as scene:
            await scene.place()
            scene.says("Where is it?")
            await asyncio.sleep(1)

            assert scene.said == ["I have to ask."]

    run_virtual(scenario())
