"""A person decides over exactly what was shown, once, and whoever owns the call then carries it out."""

import asyncio
from collections.abc import Sequence

import msgspec
import pytest

from agent.scene import Scene, lookup
from support.virtual import run_virtual
from trunkline.agent.models.history import STILL_WAITING
from trunkline.agent.models.scripted import Call, Script, Step, Words
from trunkline.agent.models.seam import ToolOutputItem
from trunkline.agents import Agent, Approval, Silence, tool
from trunkline.proto.response import Converse, HangUp, ItemFinished
from trunkline.record import ToolView

ASKS = Approval(timeout_s=60, commentary="A colleague has to agree.", again_s=20, reminder="Still waiting.")


@tool(approval=ASKS, timeout_s=5)
async def refund(amount: int) -> str:
    """Pay money back."""
    return f"{amount} euros are on their way."


REFUNDS: Sequence[Sequence[Step]] = [
    [Call("refund", {"amount": msgspec.Raw(b"25")})],
    [Words("That is done.", "final_answer")],
]
DECISIONS = {"approve": "approved", "deny": "denied"}
SURE: Sequence[Sequence[Step]] = [[Words("Sure.", "final_answer")]]
ANSWERS: Sequence[Sequence[Step]] = [[Words("You owe us 25 euros.", None)]]


def desk(**given: object) -> Agent:
    return Agent("desk", tools=[refund, lookup], **given)  # type: ignore[arg-type]  # fields of an Agent


def scene_of(script: Script, **given: object) -> Scene:
    return Scene(script, agent=desk(**given))


async def the_tool(scene: Scene) -> ToolView:
    (found,) = (await scene.view()).tools.values()
    return found


def test_an_approved_tool_runs_with_the_arguments_that_were_shown() -> None:
    async def scenario() -> None:
        async with scene_of([REFUNDS]) as scene:
            await scene.place()
            scene.says("I want my money back.")
            await asyncio.sleep(2)
            assert scene.said == ["A colleague has to agree."]
            assert scene.runner.orders == []
            (waiting,) = (await scene.view()).summary().approvals
            assert (waiting.kind, waiting.name, waiting.text) == ("tool", "refund", '{"amount":25}')

            answered = await scene.decides("approve")
            await asyncio.sleep(1)

            assert answered is not None
            assert (answered.outcome, answered.decision, answered.by) == ("decided", "approved", "anna")
            (order,) = scene.runner.orders
            assert order.arguments == waiting.text
            assert (await the_tool(scene)).status == "ok"
            assert scene.said[-1] == "That is done."
            assert (await scene.view()).summary().approvals == ()

    run_virtual(scenario())


def test_a_denied_tool_runs_nowhere_and_the_model_is_told() -> None:
    async def scenario() -> None:
        async with scene_of([REFUNDS]) as scene:
            await scene.place()
            scene.says("I want my money back.")
            await asyncio.sleep(1)
            await scene.decides("deny")
            await asyncio.sleep(1)

            assert scene.runner.orders == []
            tool_view = await the_tool(scene)
            assert (tool_view.status, tool_view.output) == ("denied", ASKS.denied)
            assert scene.model.requests[-1].items[-1] == ToolOutputItem(tool_view.id, ASKS.denied, "denied")

    run_virtual(scenario())


def test_of_two_people_who_decide_at_once_one_is_told_of_the_other() -> None:
    async def scenario() -> None:
        async with scene_of([REFUNDS]) as scene:
            await scene.place()
            scene.says("I want my money back.")
            await asyncio.sleep(1)
            key = (await scene.view()).waiting_approvals()[0].asked.approval
            first, second = await asyncio.gather(
                scene.decides("approve", "anna", approval=key), scene.decides("deny", "bert", approval=key)
            )
            await asyncio.sleep(1)

            assert len(scene.runner.orders) == 1
            assert first is not None
            assert second is not None
            assert [(one.outcome, one.decision, one.by) for one in (first, second)] == [
                ("decided", "approved", "anna"),
                ("decided_before", "approved", "anna"),
            ]

    run_virtual(scenario())


@pytest.mark.parametrize("default", ["approve", "deny"])
def test_when_nobody_decides_in_time_the_declared_default_is(default: str) -> None:
    quick = Approval(timeout_s=10, default=default)  # type: ignore[arg-type]  # one of two words

    @tool(approval=quick)
    async def pay() -> str:
        """Pay."""
        return "paid"

    async def scenario() -> None:
        async with Scene([[[Call("pay", {})], [Words("So be it.")]]], agent=Agent("desk", tools=[pay])) as scene:
            await scene.place()
            scene.says("Pay.")
            await asyncio.sleep(9)
            assert scene.runner.orders == []
            await asyncio.sleep(3)

            assert len(scene.runner.orders) == (default == "approve")
            (approval,) = (await scene.view()).approvals.values()
            assert approval.decided is not None
            assert (approval.decided.by, approval.decided.decision) == ("", DECISIONS[default])

    run_virtual(scenario())


def test_a_caller_who_goes_on_does_not_withdraw_what_waits_and_is_told_of_it_later() -> None:
    async def scenario() -> None:
        async with scene_of([REFUNDS, SURE]) as scene:
            await scene.place()
            scene.says("I want my money back.")
            await asyncio.sleep(1)
            scene.says("And another thing.")
            await asyncio.sleep(1)

            told = [item for item in scene.model.requests[-1].items if isinstance(item, ToolOutputItem)]
            assert [(one.output, one.status) for one in told] == [(STILL_WAITING, None)]
            assert scene.runner.orders == []
            answers = len(scene.finished)

            await scene.decides("approve")
            await asyncio.sleep(1)

            assert (await the_tool(scene)).status == "ok"
            assert len(scene.finished) == answers + 1
            assert scene.model.requests[-1].news == {(await the_tool(scene)).id}

    run_virtual(scenario())


def test_an_approval_outlives_the_agent_that_asked() -> None:
    async def scenario() -> None:
        async with scene_of([REFUNDS]) as first:
            await first.place()
            first.says("I want my money back.")
            await asyncio.sleep(1)
            key = (await first.view()).waiting_approvals()[0].asked.approval
            second = Scene([REFUNDS], agent=desk(), store=first.store, claims=first.claims, worker="ag2")
            async with second:
                await second.place(attach=2, order=Converse(hub=1, gateway="gw", reason="ag: killed"))
                second.link.send(second.recall())
                await asyncio.sleep(1)
                assert second.runner.orders == []
                answered = await second.decides("approve", approval=key)
                await asyncio.sleep(1)

                assert answered is not None
                assert answered.outcome == "decided"
                assert [order.arguments for order in second.runner.orders] == ['{"amount":25}']
                assert second.said[-1] == "That is done."

    run_virtual(scenario())


def test_an_answer_waits_for_a_person_while_commentary_is_heard() -> None:
    async def scenario() -> None:
        async with scene_of([ANSWERS], answer_approval=ASKS) as scene:
            await scene.place()
            scene.says("What do I owe?")
            await asyncio.sleep(25)

            assert scene.said == ["A colleague has to agree.", "Still waiting."]
            await scene.decides("approve")

            assert scene.said[2:] == ["You owe us 25 euros."]
            assert [m.phase for m in scene.told if isinstance(m, ItemFinished)][-1] == "final_answer"

    run_virtual(scenario())


def test_an_edited_answer_is_said_and_recorded_as_edited() -> None:
    async def scenario() -> None:
        async with scene_of([ANSWERS], answer_approval=ASKS) as scene:
            await scene.place()
            scene.says("What do I owe?")
            await asyncio.sleep(1)
            await scene.decides("approve", text="You owe us nothing.")

            assert scene.said[1:] == ["You owe us nothing."]
            view = await scene.view()
            (approval,) = view.approvals.values()
            assert approval.decided is not None
            assert (approval.asked.text, approval.decided.text) == ("You owe us 25 euros.", "You owe us nothing.")
            assert list(view.items.values())[-1].source == "person"

    run_virtual(scenario())


def test_a_denied_answer_is_never_said() -> None:
    async def scenario() -> None:
        async with scene_of([ANSWERS], answer_approval=ASKS) as scene:
            await scene.place()
            scene.says("What do I owe?")
            await asyncio.sleep(1)
            await scene.decides("deny")

            assert scene.said[1:] == [ASKS.denied.split(", ")[0] + ", ", ASKS.denied.split(", ")[1]]
            assert scene.finished[-1].status == "incomplete"

    run_virtual(scenario())


def test_an_answer_is_withdrawn_when_the_caller_goes_on() -> None:
    async def scenario() -> None:
        async with scene_of(
            [ANSWERS, SURE], answer_approval=Approval(when=lambda call, given: "owe" in given["text"])
        ) as scene:
            await scene.place()
            scene.says("What do I owe?")
            await asyncio.sleep(1)
            scene.says("Never mind.")
            await asyncio.sleep(1)

            (approval,) = (await scene.view()).approvals.values()
            assert approval.decided is not None
            assert approval.decided.decision == "withdrawn"
            assert scene.said[-1] == "Sure."

    run_virtual(scenario())


def test_a_caller_who_waits_for_a_tools_approval_is_told_so_again() -> None:
    async def scenario() -> None:
        async with scene_of([REFUNDS]) as scene:
            await scene.place()
            scene.says("I want my money back.")
            await asyncio.sleep(45)

            assert scene.said == ["A colleague has to agree.", "Still waiting.", "Still waiting."]

    run_virtual(scenario())


def test_a_caller_who_waits_for_a_person_is_not_let_go_for_saying_nothing() -> None:
    async def scenario() -> None:
        async with scene_of([REFUNDS, SURE], silence=Silence(after_s=8, prompts=())) as scene:
            await scene.place()
            scene.says("I want my money back.")
            await asyncio.sleep(1)
            scene.says("And another thing.")
            await asyncio.sleep(1)
            scene.away(1)
            await asyncio.sleep(1)

            assert scene.said[-1] == "Still waiting."
            assert not scene.of(HangUp)

    run_virtual(scenario())


def test_nobody_is_asked_about_arguments_that_cannot_run() -> None:
    async def scenario() -> None:
        script = [[[Call("refund", {"amount": msgspec.Raw(b'"a lot"')})], [Words("How much?", "final_answer")]]]
        async with scene_of(script) as scene:
            await scene.place()
            scene.says("I want my money back.")
            await asyncio.sleep(1)

            tool_view = await the_tool(scene)
            assert (await scene.view()).approvals == {}
            assert tool_view.status == "error"
            assert tool_view.output.startswith("The arguments of refund don't fit. amount: ")

    run_virtual(scenario())
