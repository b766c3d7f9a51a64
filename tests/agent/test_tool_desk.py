"""The desk goes after each tool call until its outcome is known, or known to be unknown; late results count."""

import asyncio
from collections.abc import Sequence

from agent.scene import CALL, Scene, found
from support.virtual import run_virtual
from trunkline.agent.models.scripted import Call, Step, Words
from trunkline.agent.models.seam import ToolOutputItem
from trunkline.bus.port import Headers
from trunkline.proto.envelope import Envelope
from trunkline.proto.record import Claim
from trunkline.proto.tool import RunTool, ToolDeclined, ToolResult
from trunkline.record import Attempt, MemoryClaimStore, StoredClaim, StoreUnavailable, ToolView

LOOKS_UP: Sequence[Sequence[Step]] = [[Call("lookup", {})], [Words("Done.", "final_answer")]]
SURE: Sequence[Sequence[Step]] = [[Words("Yes.", "final_answer")]]
TIMEOUT_S = 5.0


async def the_tool(scene: Scene) -> ToolView:
    (tool,) = (await scene.view()).tools.values()
    return tool


def test_an_order_that_got_lost_is_sent_again() -> None:
    async def scenario() -> None:
        async with Scene([LOOKS_UP, SURE]) as scene:
            taken, scene.runner.takes = scene.runner.takes, lambda order: False
            await scene.place()
            scene.says("Where is it?")
            await asyncio.sleep(0.2)
            scene.runner.takes = taken
            await asyncio.sleep(0.2)

            assert (await the_tool(scene)).status == "ok"

    run_virtual(scenario())


def test_a_result_that_got_lost_is_asked_for_again() -> None:
    async def scenario() -> None:
        async with Scene([LOOKS_UP, SURE]) as scene:
            scene.runner.answer = lambda order: None

            def again(envelope: Envelope, headers: Headers | None) -> None:
                assert isinstance(envelope.message, RunTool)
                scene.runner.tell(envelope, found(envelope.message))

            scene.runner.exchange.on_loose = again
            await scene.place()
            scene.says("Where is it?")
            await asyncio.sleep(0.4)

            assert (await the_tool(scene)).status == "ok"
            assert len(scene.runner.orders) == 1

    run_virtual(scenario())


def test_a_runner_that_died_over_a_tool_leaves_it_unknown_long_before_the_deadline() -> None:
    async def scenario() -> None:
        async with Scene([LOOKS_UP, SURE]) as scene:
            scene.runner.answer = lambda order: None
            await scene.place()
            scene.says("Where is it?")
            await asyncio.sleep(0.1)
            await scene.runner.exchange.stop()
            await asyncio.sleep(0.8)

            tool = await the_tool(scene)
            assert (tool.status, tool.output) == (
                "unknown",
                "It is not known whether lookup was done: it was cut off.",
            )
            assert scene.said == ["Done."]

    run_virtual(scenario())


def test_a_runner_that_died_after_its_result_was_kept_leaves_the_result() -> None:
    async def scenario() -> None:
        async with Scene([LOOKS_UP, SURE]) as scene:
            scene.runner.answer = lambda order: None
            await scene.place()
            scene.says("Where is it?")
            await asyncio.sleep(0.1)
            await scene.runner.exchange.stop()
            (attempt,) = scene.claims.claims
            result = found(scene.runner.orders[0])
            scene.claims.claims[attempt] = StoredClaim(2, Claim(1, "tr", 1, result=result))
            await asyncio.sleep(0.8)

            assert ((await the_tool(scene)).status, (await the_tool(scene)).output) == ("ok", '"Found."')

    run_virtual(scenario())


def test_one_asking_that_reaches_nobody_is_no_death() -> None:
    async def scenario() -> None:
        async with Scene([LOOKS_UP, SURE]) as scene:
            scene.runner.took_s = 2.0
            await scene.place()
            scene.says("Where is it?")
            await asyncio.sleep(0.1)
            await scene.runner.exchange.stop()
            await asyncio.sleep(0.35)
            await scene.runner.exchange.start()
            await asyncio.sleep(2)

            assert (await the_tool(scene)).status == "ok"

    run_virtual(scenario())


def test_a_result_that_comes_late_replaces_what_was_unknown_and_is_told_to_the_model() -> None:
    async def scenario() -> None:
        async with Scene([LOOKS_UP, SURE]) as scene:
            scene.runner.took_s = TIMEOUT_S + 3
            await scene.place()
            scene.says("Where is it?")
            await asyncio.sleep(TIMEOUT_S + 1)
            assert (await the_tool(scene)).status == "unknown"
            await asyncio.sleep(3)
            scene.says("And now?")
            await asyncio.sleep(0.5)

            assert (await the_tool(scene)).status == "ok"
            (output,) = [item for item in scene.model.requests[-1].items if isinstance(item, ToolOutputItem)]
            assert (output.status, output.output) == ("ok", '"Found."')

    run_virtual(scenario())


def test_after_the_calls_end_nothing_turns_out_any_more() -> None:
    async def scenario() -> None:
        async with Scene([LOOKS_UP, SURE]) as scene:
            scene.runner.took_s = 2.0
            await scene.place()
            scene.says("Where is it?")
            await asyncio.sleep(0.5)
            await scene.hang_up()
            await asyncio.sleep(3)

            assert (await the_tool(scene)).status == "unknown"

    run_virtual(scenario())


def test_a_late_word_that_tells_nothing_new_is_not_recorded() -> None:
    async def scenario() -> None:
        async with Scene([LOOKS_UP, SURE]) as scene:
            scene.runner.took_s = TIMEOUT_S + 1
            scene.runner.answer = lambda order: ToolResult(order.tool_call, "timeout", '"?"', "tr")
            await scene.place()
            scene.says("Where is it?")
            await asyncio.sleep(TIMEOUT_S + 2)

            assert (await the_tool(scene)).status == "unknown"

    run_virtual(scenario())


def test_a_tool_that_nobody_has_begun_when_the_caller_interrupts_is_not_begun_any_more() -> None:
    async def scenario() -> None:
        async with Scene([LOOKS_UP, SURE]) as scene:
            scene.runner.answer = lambda order: ToolDeclined(order.tool_call, "busy", "tr")
            await scene.place()
            scene.says("Where is it?")
            await asyncio.sleep(0.2)
            scene.runner.answer = found
            scene.interrupts(next(iter((await scene.view()).responses)))
            await asyncio.sleep(2)

            tool = await the_tool(scene)
            assert (tool.status, tool.output) == ("cancelled", "This was not run: the caller interrupted.")
            assert scene.claims.claims[Attempt(CALL, tool.key)].claim.void

    run_virtual(scenario())


class SilentClaims(MemoryClaimStore):
    async def read(self, attempt: Attempt) -> StoredClaim | None:
        raise StoreUnavailable(attempt.key, 1.0)


def test_what_cannot_be_looked_up_is_unknown_in_the_end() -> None:
    async def scenario() -> None:
        async with Scene([LOOKS_UP, SURE], claims=SilentClaims()) as scene:
            scene.runner.answer = lambda order: None
            await scene.place()
            scene.says("Where is it?")
            await asyncio.sleep(TIMEOUT_S + 1)

            assert (await the_tool(scene)).status == "unknown"

    run_virtual(scenario())


def test_the_next_owner_goes_after_a_tool_whose_response_was_interrupted() -> None:
    async def scenario() -> None:
        async with Scene([LOOKS_UP, SURE]) as first:
            first.runner.answer = lambda order: None
            await first.place()
            first.says("Where is it?")
            await asyncio.sleep(0.2)
            first.interrupts(next(iter((await first.view()).responses)))
            await asyncio.sleep(0.2)
            first.service.calls.close("stopped")
            await asyncio.sleep(0.1)
            (attempt,) = first.claims.claims
            result = found(first.runner.orders[0])
            first.claims.claims[attempt] = StoredClaim(2, Claim(1, "tr", 1, result=result))
            async with Scene([SURE], store=first.store, claims=first.claims, worker="ag2") as second:
                await second.place(attach=2)

                assert (await the_tool(second)).status == "ok"

    run_virtual(scenario())
