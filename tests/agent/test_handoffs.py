"""Another agent goes on with the call: with its own tools, instructions and voice, and what is kept of the talk."""

import asyncio
from collections.abc import Sequence

import msgspec
import pytest

from agent.scene import Scene, lookup
from support.virtual import run_virtual
from trunkline.agent.models.scripted import Call, ScriptedModel, Step, Words
from trunkline.agent.models.seam import MessageItem, ToolCallItem, ToolOutputItem
from trunkline.agent.rounds import GIVING_UP, MAX_HANDOFFS
from trunkline.agents import Agent, Handoff, Said, drop_tools, handoff, tool, transfer_call
from trunkline.proto.record import HandedOff, TransferAsked
from trunkline.proto.response import Converse, ItemStarted

TO_BILLING: Sequence[Sequence[Step]] = [
    [Words("I'll get billing.", "commentary"), Call("transfer_to_billing", {})],
    [Words("Billing here. What is it about?", "final_answer")],
]
SURE: Sequence[Sequence[Step]] = [[Words("Sure.", "final_answer")]]


@tool
async def invoice(number: str) -> str:
    """Show an invoice."""
    return number


def desk(*handoffs: Handoff | Agent | str) -> Agent:
    return Agent("desk", "Be kind.", tools=[lookup], voice="joe", handoffs=handoffs or ["billing"])


def billing(**given: object) -> Agent:
    return Agent("billing", "You know bills.", tools=[invoice], voice="amy", **given)  # type: ignore[arg-type]  # of an Agent


def test_the_other_agent_answers_with_its_own_tools_instructions_and_voice() -> None:
    async def scenario() -> None:
        async with Scene([TO_BILLING, SURE], agent=desk(), others=[billing()]) as scene:
            await scene.place()
            scene.says("My bill is wrong.")
            await asyncio.sleep(1)
            scene.says("Thanks.")
            await asyncio.sleep(1)

            first, second, third = scene.model.requests
            assert [offer.name for offer in first.tools] == ["lookup", "transfer_to_billing"]
            assert (second.instructions, [offer.name for offer in second.tools]) == ("You know bills.", ["invoice"])
            assert (third.agent, third.instructions) == ("billing", "You know bills.")
            started = [m for m in scene.told if isinstance(m, ItemStarted)]
            assert [(one.phase, one.voice) for one in started][:2] == [("commentary", ""), ("final_answer", "amy")]
            view = await scene.view()
            assert [item.agent for item in view.items.values() if item.role == "assistant"] == [
                "",
                "billing",
                "billing",
            ]
            assert [e.to for e in await scene.events() if isinstance(e, HandedOff)] == ["billing"]

    run_virtual(scenario())


def test_all_of_the_conversation_is_kept_with_its_phases() -> None:
    async def scenario() -> None:
        async with Scene([TO_BILLING], agent=desk(), others=[billing()]) as scene:
            await scene.place()
            scene.says("My bill is wrong.")
            await asyncio.sleep(1)

            user, said, call, output = scene.model.requests[1].items
            assert user == MessageItem("user", None, "My bill is wrong.")
            assert said == MessageItem("assistant", "commentary", "I'll get billing.")
            assert isinstance(call, ToolCallItem)
            assert isinstance(output, ToolOutputItem)
            assert (call.name, output.status) == ("transfer_to_billing", "ok")

    run_virtual(scenario())


def test_a_filter_decides_what_the_next_agent_is_told_of_what_was_before() -> None:
    def only_the_last(said: Sequence[Said]) -> Sequence[Said]:
        return [one for one in drop_tools(said) if one.kind == "user"][-1:]

    async def scenario() -> None:
        agent = desk(handoff("billing", filter=only_the_last))
        async with Scene([SURE, TO_BILLING, SURE], agent=agent, others=[billing()]) as scene:
            await scene.place()
            for words in ("Hello.", "My bill is wrong.", "The second one."):
                scene.says(words)
                await asyncio.sleep(1)

            texts = [[i.text for i in r.items if isinstance(i, MessageItem)] for r in scene.model.requests[2:4]]
            assert texts == [["My bill is wrong."], ["My bill is wrong.", "Sure.", "The second one."]]

    run_virtual(scenario())


def test_the_next_owner_of_the_call_speaks_as_the_agent_that_was_handed_it() -> None:
    async def scenario() -> None:
        async with Scene([TO_BILLING, SURE], agent=desk(), others=[billing()]) as first:
            await first.place()
            first.says("My bill is wrong.")
            await asyncio.sleep(1)
            second = Scene(
                [TO_BILLING, SURE], agent=desk(), others=[billing()], store=first.store, claims=first.claims, worker="b"
            )
            async with second:
                await second.place(attach=2, order=Converse(hub=1, gateway="gw", reason="ag: killed"))
                second.link.send(second.recall())
                second._turns = 1
                second.says("Thanks.")
                await asyncio.sleep(1)

                assert [request.agent for request in second.model.requests] == ["billing"]
                assert [m.voice for m in second.told if isinstance(m, ItemStarted)] == ["amy"]

    run_virtual(scenario())


def test_agents_that_hand_off_in_circles_are_stopped_and_that_is_said() -> None:
    class Circles(ScriptedModel):
        repeatable = False

        def _round_of(self, request):  # type: ignore[no-untyped-def]  # the seam of a test
            return [Call("transfer_to_billing" if request.agent == "desk" else "transfer_to_desk", {})]

    async def scenario() -> None:
        async with Scene(model=Circles(), agent=desk(), others=[billing(handoffs=["desk"])]) as scene:
            await scene.place()
            scene.says("My bill is wrong.")
            await asyncio.sleep(1)

            assert "".join(scene.said) == GIVING_UP
            assert len(scene.model.requests) == MAX_HANDOFFS + 1
            assert scene.finished[-1].status == "incomplete"

    run_virtual(scenario())


def test_only_one_of_several_handoffs_in_a_round_is_done() -> None:
    async def scenario() -> None:
        agent = desk("billing", "sales")
        script = [[[Call("transfer_to_billing", {}), Call("transfer_to_sales", {})], [Words("Yes?", "final_answer")]]]
        async with Scene(script, agent=agent, others=[billing(), Agent("sales")]) as scene:
            await scene.place()
            scene.says("My bill is wrong.")
            await asyncio.sleep(1)

            view = await scene.view()
            assert view.speaker == "billing"
            assert [tool_view.status for tool_view in view.tools.values()] == ["ok", "error"]

    run_virtual(scenario())


def test_a_transfer_is_recorded_as_a_request_with_its_address() -> None:
    async def scenario() -> None:
        agent = Agent("desk", tools=[transfer_call({"sales": "+49305556"})])
        arguments = {"target": msgspec.Raw(b'"sales"'), "summary": msgspec.Raw(b'"Wants a shirt."')}
        script = [[[Call("transfer_call", arguments)], [Words("One moment.", "final_answer")]]]  # type: ignore[arg-type]  # raw JSON
        async with Scene(script, agent=agent) as scene:
            await scene.place()
            scene.says("Sales, please.")
            await asyncio.sleep(1)

            (asked,) = [e for e in await scene.events() if isinstance(e, TransferAsked)]
            assert (asked.target, asked.summary) == ("+49305556", "Wants a shirt.")
            assert scene.said == ["One moment."]

    run_virtual(scenario())


@pytest.mark.parametrize("agents", [(desk(), billing())])
def test_a_sessions_own_instructions_stand_alone_only_for_the_first_agent(
    agents: tuple[Agent, Agent],
) -> None:
    async def scenario() -> None:
        async with Scene([TO_BILLING], agent=agents[0], others=agents[1:]) as scene:
            await scene.place(order=Converse(1, "gw", instructions="Speak like a pirate."))
            scene.says("My bill is wrong.")
            await asyncio.sleep(1)

            told = [request.instructions for request in scene.model.requests]
            assert told == ["Speak like a pirate.", "You know bills.\n\nSpeak like a pirate."]

    run_virtual(scenario())
