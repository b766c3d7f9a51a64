"""What comes at the same time, in the wrong moment, or twice: nothing is said, run or told because of it."""

import asyncio
from collections.abc import Sequence

from agent.scene import CALL, Scene
from support.virtual import run_virtual
from trunkline.agent.models.scripted import Call, Step, Words
from trunkline.agents import Agent, tool
from trunkline.proto.record import Claim
from trunkline.proto.response import Converse, ResponseStarted
from trunkline.proto.tool import ToolResult
from trunkline.record import Attempt, StoredClaim

FOLLOWS = Converse(hub=1, gateway="gw", reason="ag: killed")


@tool(background=True, timeout_s=30)
async def search() -> str:
    """Search for long."""
    return "found"


SEARCHES: Sequence[Sequence[Step]] = [[Call("search", {})], [Words("I am looking.", "final_answer")]]


def after(first: Scene, agent: Agent, *script: Sequence[Sequence[Step]]) -> Scene:
    """The next owner of the call."""
    return Scene(script, agent=agent, store=first.store, claims=first.claims, worker="ag2")


def test_nothing_is_told_before_the_gateway_has_recalled_what_it_knows() -> None:
    async def scenario() -> None:
        agent = Agent("desk", tools=[search])
        async with Scene([SEARCHES], agent=agent) as first:
            first.runner.answer = lambda order: None
            await first.place()
            first.says("Please search.")
            await asyncio.sleep(1)
            (order,) = first.runner.orders
            result = ToolResult(order.tool_call, "ok", '"Found."', "tr")
            first.claims.claims[Attempt(CALL, order.key, 1)] = StoredClaim(2, Claim(1, "tr", 1, result))
            async with after(first, agent, SEARCHES) as second:
                await second.place(attach=2, order=FOLLOWS)
                assert not second.of(ResponseStarted)

                second.link.send(second.recall())
                await asyncio.sleep(1)

                assert second.said == ["I am looking."]
                assert len(second.of(ResponseStarted)) == 1

    run_virtual(scenario())
