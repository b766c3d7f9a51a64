"""The client's session names another agent of the file: it answers from there on, without a tool call."""

import asyncio

import pytest

from agent.scene import Scene
from agent.test_client_tools import SHOWS, shows
from agent.test_edits import YES, told
from agent.test_handoffs import SURE, TO_BILLING, billing, desk
from support.virtual import run_virtual
from trunkline.agent.conversation import SUMMONED
from trunkline.agents import Agent, Check, Verdict, guardrail, hand_off
from trunkline.proto.record import HandedOff
from trunkline.proto.response import Converse, ItemStarted, Recall, Summon, ToolOutput


async def handoffs(scene: Scene) -> list[tuple[str, str, str]]:
    return [(one.to, one.tool_call, one.reason) for one in await scene.events() if isinstance(one, HandedOff)]


def test_the_agent_that_is_called_for_answers_with_its_own_tools_and_voice() -> None:
    async def scenario() -> None:
        async with Scene(YES, agent=desk(), others=[billing()]) as scene:
            await scene.place()
            await told(scene, Summon("billing"), Summon("billing"))
            scene.says("My bill is wrong.")
            await asyncio.sleep(1)

            (request,) = scene.model.requests
            assert (request.agent, request.instructions) == ("billing", "You know bills.")
            assert [offer.name for offer in request.tools] == ["invoice"]
            assert [one.voice for one in scene.told if isinstance(one, ItemStarted)] == ["amy"]
            assert await handoffs(scene) == [("billing", "", SUMMONED)]
            assert scene.attached.agents == ("desk", "billing")

    run_virtual(scenario())


def test_who_speaks_already_is_not_called_for(caplog: pytest.LogCaptureFixture) -> None:
    async def scenario() -> None:
        async with Scene(YES, agent=desk(), others=[billing()]) as scene:
            await scene.place()
            await told(scene, Summon("desk"), Summon("nobody"))

            assert await handoffs(scene) == []

    run_virtual(scenario())
    assert caplog.messages.count("the session names an unknown agent") == 1


def test_a_session_s_own_instructions_speak_to_the_agent_that_it_calls_for() -> None:
    async def scenario() -> None:
        async with Scene([SURE, TO_BILLING, SURE], agent=Agent("first"), others=[desk(), billing()]) as scene:
            await scene.place(order=Converse(1, "gw", instructions="Rhyme."))
            await told(scene, Summon("desk"))
            for words in ("Hello.", "My bill is wrong."):
                scene.says(words)
                await asyncio.sleep(1)

            asked = [(request.agent, request.instructions) for request in scene.model.requests]
            assert asked == [("desk", "Rhyme."), ("desk", "Rhyme."), ("billing", "You know bills.\n\nRhyme.")]

    run_virtual(scenario())


def test_a_call_that_went_on_elsewhere_stays_there_when_the_next_agent_is_told_again() -> None:
    async def scenario() -> None:
        async with Scene([TO_BILLING, SURE], agent=Agent("first"), others=[desk(), billing()]) as scene:
            await scene.place()
            await told(scene, Summon("desk"))
            scene.says("My bill is wrong.")
            await asyncio.sleep(1)
            first = Scene([TO_BILLING, SURE], agent=Agent("first"), others=[desk(), billing()], store=scene.store)
        async with first as second:
            await second.place(attach=2, order=Converse(1, "gw", agent="first", reason="agent ag is gone"))
            second.link.send(Recall((), (), False, 1))
            await told(second, Summon("desk"))
            second._turns = 1
            second.says("Well?")
            await asyncio.sleep(1)

            assert [to for to, _, _ in await handoffs(second)] == ["desk", "billing"]
            assert second.model.requests[-1].agent == "billing"

    run_virtual(scenario())


def test_a_verdict_that_hands_over_is_obeyed_though_the_client_called_for_another_meanwhile() -> None:
    @guardrail(on="tool_result")
    def elsewhere(check: Check) -> Verdict | None:
        return hand_off("billing")

    async def scenario() -> None:
        agent = Agent("first", guardrails=[elsewhere])
        async with Scene([SHOWS, SURE], agent=agent, others=[Agent("second"), billing()]) as scene:
            asked = await shows(scene)
            await told(scene, ToolOutput(asked.tool_call, "open"))
            await told(scene, Summon("second"))
            scene.says("And now?")
            await asyncio.sleep(1)

            assert [to for to, _, _ in await handoffs(scene)] == ["second", "billing"]
            assert scene.model.requests[-1].agent == "billing"

    run_virtual(scenario())
