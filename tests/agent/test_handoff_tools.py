"""A handoff that does something first, in a tool runner; and tools that come and go with the state of the call."""

import asyncio

from agent.scene import Scene
from support.virtual import run_virtual
from trunkline.agent.models.scripted import Call, Script, Words
from trunkline.agents import Agent, CallContext, Handoff, Tool
from trunkline.agents.control import HANDOFF
from trunkline.agents.schema import GivenSchema
from trunkline.proto.envelope import Message
from trunkline.proto.record import HandedOff, ToolFinished
from trunkline.proto.response import Converse, Recall
from trunkline.proto.tool import RunTool, ToolResult
from trunkline.record import MemoryClaimStore, MemoryRecordStore

SCRIPT: Script = [[[Call("go")], [Words("Here I am.")]], [[Words("Well then.")]]]


def nothing() -> None: ...


def a_tool(name: str, **others: object) -> Tool:
    schema: dict[str, object] = {"type": "object", "properties": {}}
    return Tool(name, "Go.", nothing, GivenSchema(name, schema), **others)  # type: ignore[arg-type]  # as a test gives it


OTHER = Agent("other", instructions="Be other.")
DESK = Agent("desk", instructions="Be kind.", handoffs=[Handoff("other", tool=a_tool("go", control=HANDOFF))])


def result(order: Message, status: str = "ok") -> ToolResult:
    assert isinstance(order, RunTool)
    return ToolResult(order.tool_call, status, '"Gone."', "tr", state_patch='{"why": "asked"}')  # type: ignore[arg-type]


def scene(**others: object) -> Scene:
    made = Scene(SCRIPT, agent=DESK, others=[OTHER], **others)  # type: ignore[arg-type]  # as a test gives it
    made.runner.answer = result
    return made


async def outcomes(of: Scene) -> tuple[list[str], list[tuple[str, str]]]:
    events = await of.events()
    finished = [(one.status, one.output) for one in events if isinstance(one, ToolFinished)]
    return [one.to for one in events if isinstance(one, HandedOff)], finished


def test_the_call_is_handed_off_with_the_result_of_its_tool() -> None:
    async def scenario() -> None:
        async with scene() as at:
            at.runner.took_s = 0.5
            await at.place()
            at.says("Somebody else, please.")
            await asyncio.sleep(2)

            assert await outcomes(at) == (["other"], [("ok", '"Gone."')])
            assert at.said == ["Here I am."]
            assert [request.agent for request in at.model.requests] == ["desk", "other"]
            assert (await at.view()).state == {"why": "asked"}

    run_virtual(scenario())


def test_one_that_failed_is_not_made() -> None:
    async def scenario() -> None:
        async with scene() as at:
            at.runner.answer = lambda order: result(order, "error")
            await at.place()
            at.says("Somebody else, please.")
            await asyncio.sleep(2)

            assert await outcomes(at) == ([], [("error", '"Gone."')])
            assert [request.agent for request in at.model.requests] == ["desk", "desk"]

    run_virtual(scenario())


def test_one_whose_answer_is_over_is_not_made_any_more() -> None:
    async def scenario() -> None:
        async with scene() as at:
            at.runner.took_s = 2.0
            await at.place()
            at.says("Somebody else, please.")
            await asyncio.sleep(1)
            at.interrupts(next(iter((await at.view()).responses)))
            at.says("No, wait.")
            await asyncio.sleep(3)

            assert await outcomes(at) == ([], [("error", '"The call was not handed over: the caller went on."')])
            assert at.model.requests[-1].agent == "desk"

    run_virtual(scenario())


def test_one_is_made_by_the_next_owner_of_the_call() -> None:
    async def scenario() -> None:
        store, claims = MemoryRecordStore(), MemoryClaimStore()
        old = scene(store=store, claims=claims)
        old.runner.answer = lambda order: None  # it runs on
        async with old:
            await old.place()
            old.says("Somebody else, please.")
            await asyncio.sleep(0.5)
            (response,) = (await old.view()).responses
        async with scene(store=store, claims=claims, worker="ag2") as new:
            new.runner.exchange.on_loose = lambda envelope, headers: new.runner.tell(envelope, result(envelope.message))
            await new.place(attach=2, order=Converse(1, "gw", reason="agent ag is gone"))
            new.link.send(Recall((), (response,), False, 0))
            await asyncio.sleep(2)

            assert await outcomes(new) == (["other"], [("ok", '"Gone."')])
            assert new.said == ["Here I am."]
            assert new.runner.orders == []

    run_virtual(scenario())


def test_a_tool_is_offered_while_its_condition_holds() -> None:
    def is_open(call: CallContext) -> bool:
        return bool(call.state["open"])

    async def scenario() -> None:
        agent = Agent("desk", tools=[a_tool("go"), a_tool("shut", enabled=is_open)])
        script: Script = [[[Call("shut")], [Call("go")], [Call("shut")], [Words("Done.")]]]
        async with Scene(script, agent=agent) as at:
            at.runner.answer = lambda order: ToolResult(order.tool_call, "ok", '""', "tr", state_patch='{"open": true}')
            await at.place()
            at.says("Go.")
            await asyncio.sleep(3)

            offered = [[tool.name for tool in request.tools] for request in at.model.requests]
            assert offered == [["go"], ["go"], ["go", "shut"], ["go", "shut"]]
            assert [order.name for order in at.runner.orders] == ["go", "shut"]

    run_virtual(scenario())
