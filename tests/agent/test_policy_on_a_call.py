"""Policy before sound, and before text: what a guardrail blocks leaves the agent in no message, and is not recorded."""

import asyncio
from collections.abc import AsyncGenerator, Sequence

import msgspec
import pytest

from agent.scene import Scene, lookup
from support.virtual import run_virtual
from trunkline.agent.models.history import WITHHELD
from trunkline.agent.models.scripted import Call, Script, Step, Words
from trunkline.agent.models.seam import MessageItem, ModelEvent, ModelRequest, RoundDone, TextDelta
from trunkline.agents import Agent, Check, Guardrail, Verdict, block, end, guardrail, hand_off, rewrite
from trunkline.proto.record import VerdictGiven
from trunkline.proto.response import (
    Converse,
    HangUp,
    ItemFinished,
    ItemStarted,
    ResponseFinished,
    ResponseStarted,
    Say,
    Turn,
)
from trunkline.proto.tool import ToolResult

SECRET = "swordfish"
TELLS: Sequence[Sequence[Step]] = [
    [Words("The sun is out today. ", "final_answer"), Words(f"The word is {SECRET}, by the way. And so on.")]
]
TELLS_LATER: Sequence[Sequence[Step]] = [
    [Words("Let me look.", "commentary"), Call("lookup", {})],
    [Words(f"The word is {SECRET}.", "final_answer")],
]


def secretive(verdict: Verdict) -> Guardrail:
    def judge(check: Check) -> Verdict | None:
        return verdict if SECRET in check.text else None

    return guardrail(on="output", name="secretive")(judge)


async def nothing_of_it_is_anywhere(scene: Scene) -> None:
    assert SECRET not in repr(scene.told)
    assert SECRET not in repr([msgspec.to_builtins(event) for event in await scene.events()])


def other() -> Agent:
    return Agent("other", instructions="You are the other one.", voice="kathleen")


@pytest.mark.parametrize("script", [[TELLS], [TELLS_LATER]])
@pytest.mark.parametrize("approve", ["segment", "answer"])
def test_a_blocked_answer_is_replaced_by_a_safe_reply(script: Script, approve: str) -> None:
    async def scenario() -> None:
        agent = Agent("desk", tools=[lookup], guardrails=[secretive(block("I can't say."))], approve=approve)  # type: ignore[arg-type]  # one of two
        async with Scene(script, agent=agent) as scene:
            await scene.place()
            scene.says("What is the word?")
            await asyncio.sleep(1)

            await nothing_of_it_is_anywhere(scene)
            assert scene.said[-1] == "I can't say."
            assert ("The sun is out today. " in scene.said) == (approve == "segment" and script == [TELLS])
            assert (scene.finished[-1].status, scene.finished[-1].detail) == ("incomplete", "blocked by secretive")
            verdicts = [e for e in await scene.events() if isinstance(e, VerdictGiven) and e.action == "block"]
            assert [(v.point, v.guardrail) for v in verdicts] == [(approve, "secretive")]
            assert "blocked" in [item.status for item in (await scene.view()).items.values()]

    run_virtual(scenario())


@pytest.mark.parametrize("approve", ["segment", "answer"])
def test_what_is_rewritten_is_said_and_goes_back_to_the_model_so(approve: str) -> None:
    async def scenario() -> None:
        agent = Agent("desk", guardrails=[secretive(rewrite("The word is a secret. "))], approve=approve)  # type: ignore[arg-type]  # one of two
        async with Scene([TELLS], agent=agent) as scene:
            await scene.place()
            scene.says("What is the word?")
            await asyncio.sleep(1)
            scene.says("Thanks.")
            await asyncio.sleep(1)

            await nothing_of_it_is_anywhere(scene)
            said = scene.model.requests[1].items[1]
            assert isinstance(said, MessageItem)
            assert "The word is a secret." in said.text
            assert said.phase == "final_answer"

    run_virtual(scenario())


def test_a_verdict_can_hand_the_call_to_another_agent() -> None:
    async def scenario() -> None:
        script = [[[Words(f"The word is {SECRET}.")], [Words("x")]]]
        agent = Agent("desk", instructions="Be open.", guardrails=[secretive(hand_off("other"))])
        async with Scene(script, agent=agent, others=[other()]) as scene:
            scene.model.model = TwoFaced()
            await scene.place()
            scene.says("What is the word?")
            await asyncio.sleep(1)

            await nothing_of_it_is_anywhere(scene)
            assert scene.said == ["This is the other one."]
            view = await scene.view()
            assert view.speaker == "other"
            item = list(view.items.values())[-1]
            assert (item.agent, item.voice) == ("other", "kathleen")

    run_virtual(scenario())


class TwoFaced:
    name = "two-faced"
    repeatable = False

    async def close(self) -> None:
        return None

    async def respond(self, request: ModelRequest) -> AsyncGenerator[ModelEvent, None]:
        yield TextDelta("This is the other one." if "other" in request.instructions else f"The word is {SECRET}.", None)
        yield RoundDone()


def test_a_verdict_can_end_the_call() -> None:
    async def scenario() -> None:
        agent = Agent("desk", guardrails=[secretive(end("That is enough. Goodbye."))])
        async with Scene([TELLS], agent=agent) as scene:
            await scene.place()
            scene.says("What is the word?")
            await asyncio.sleep(1)

            await nothing_of_it_is_anywhere(scene)
            assert "".join(scene.said[1:]) == "That is enough. Goodbye."
            assert len(scene.of(HangUp)) == 1

    run_virtual(scenario())


def test_words_that_are_blocked_at_the_input_never_reach_the_model() -> None:
    @guardrail(on="input")
    async def polite(check: Check) -> Verdict | None:
        return block("Let us stay polite.") if "damn" in check.text else None

    async def scenario() -> None:
        async with Scene([[[Words("Sure.")]]], agent=Agent("desk", guardrails=[polite])) as scene:
            await scene.place()
            scene.says("Give me the damn word.")
            await asyncio.sleep(1)
            assert scene.model.requests == []
            assert scene.said == ["Let us stay polite."]

            scene.says("The word, please.")
            await asyncio.sleep(1)

            texts = [item.text for item in scene.model.requests[0].items if isinstance(item, MessageItem)]
            assert texts == [WITHHELD, "Let us stay polite.", "The word, please."]

    run_virtual(scenario())


def test_a_guardrail_that_raises_or_hangs_blocks_and_says_so() -> None:
    @guardrail(on="input", timeout_s=1)
    async def broken(check: Check) -> Verdict | None:
        if "raise" in check.text:
            raise RuntimeError("no")
        await asyncio.sleep(100)
        return None

    async def scenario() -> None:
        async with Scene([[[Words("Sure.")]]], agent=Agent("desk", guardrails=[broken])) as scene:
            await scene.place()
            scene.says("Please raise.")
            await asyncio.sleep(0.5)
            scene.says("Please hang.")
            await asyncio.sleep(2)

            assert scene.model.requests == []
            verdicts = [e for e in await scene.events() if isinstance(e, VerdictGiven)]
            assert [(v.action, v.reason.split(":")[0]) for v in verdicts] == [("block", "failed")] * 2

    run_virtual(scenario())


def test_a_result_that_is_blocked_is_neither_recorded_nor_read() -> None:
    @guardrail(on="tool_result")
    def discreet(check: Check) -> Verdict | None:
        return block("It is confidential.") if SECRET in check.text else None

    async def scenario() -> None:
        agent = Agent("desk", tools=[lookup], guardrails=[discreet])
        async with Scene([[TELLS_LATER[0], [Words("Sorry.")]]], agent=agent) as scene:
            scene.runner.answer = lambda order: ToolResult(order.tool_call, "ok", f'"{SECRET}"', "tr")
            await scene.place()
            scene.says("What is the word?")
            await asyncio.sleep(1)

            await nothing_of_it_is_anywhere(scene)
            assert scene.model.requests[-1].items[-1].output == '"It is confidential."'  # type: ignore[union-attr]  # a tool's

    run_virtual(scenario())


def test_what_policy_makes_of_the_callers_words_is_for_the_model_alone() -> None:
    async def scenario() -> None:
        politely = guardrail(on="input", name="politely")(lambda check: rewrite("Please."))
        async with Scene([[[Words("Sure.")]]], agent=Agent("desk", guardrails=[politely])) as scene:
            await scene.place()
            scene.says("Now!")
            await asyncio.sleep(1)

            assert [item.text for item in scene.model.requests[-1].items if isinstance(item, MessageItem)] == [
                "Please."
            ]
            assert next(iter((await scene.view()).items.values())).text == "Now!"

    run_virtual(scenario())


def test_a_verdict_that_was_lost_with_an_agent_blocks_no_later_answer() -> None:
    """The reply to what was blocked was said; only the record of the verdict is missing."""

    async def scenario() -> None:
        strict = guardrail(on="input", name="strict")(lambda one: block("No.") if "secret" in one.text else None)
        async with Scene([[[Words("Sure.")]]], agent=Agent("desk", guardrails=[strict])) as scene:
            await scene.place(order=Converse(hub=1, gateway="gw", reason="ag0: killed"))
            begun = ResponseStarted("resp_1", 1), ItemStarted("resp_1", "item_a", "final_answer", "policy")
            ended = Say("resp_1", "item_a", 0, "No."), ItemFinished("resp_1", "item_a", "No.", "final_answer")
            said = (*begun, *ended, ResponseFinished("resp_1", "incomplete", "blocked by strict"))
            scene.link.send(scene.recall(said=said, inputs=1))
            scene.link.send(Turn(1, "item_u0", "Tell me the secret.", "speech", 0, 16_000, response="resp_1"))
            await asyncio.sleep(1)
            scene.link.send(Turn(2, "item_u1", "And the weather?", "speech", 16_000, 32_000, response="resp_2"))
            await asyncio.sleep(1)

            view = await scene.view()
            assert view.responses["resp_2"].status == "completed"
            assert view.items["item_u0"].status == "blocked"
            asked = [item.text for item in scene.model.requests[-1].items if isinstance(item, MessageItem)]
            assert asked == [WITHHELD, "No.", "And the weather?"]

    run_virtual(scenario())
