"""A tool runs at its commit point or not at all: turn, generation, policy, people and record have all agreed."""

import asyncio
from collections.abc import Sequence

from agent.scene import Scene, lookup
from agent.test_session import HoldingStore
from support.virtual import run_virtual
from trunkline.agent.models.scripted import Call, Step, Wait, Words
from trunkline.agents import Agent, Check, Verdict, block, end_call, guardrail, tool
from trunkline.proto.response import HangUp
from trunkline.proto.tool import CancelTool, RunTool, ToolResult

BYE: Sequence[Sequence[Step]] = [[Words("Goodbye then. ", None), Call("end_call", {}), Wait(0.5)]]
SURE: Sequence[Sequence[Step]] = [[Words("Sure.", "final_answer")]]
LOOKS_UP: Sequence[Sequence[Step]] = [[Call("lookup", {})], [Words("Done.", "final_answer")]]


def desk(**given: object) -> Agent:
    return Agent("desk", tools=[lookup, end_call()], **given)  # type: ignore[arg-type]  # fields of an Agent


def test_the_model_ends_a_call_once_its_last_words_are_heard() -> None:
    async def scenario() -> None:
        async with Scene([BYE], agent=desk()) as scene:
            await scene.place()
            scene.says("That is all.")
            await asyncio.sleep(1)

            assert "".join(scene.said) == "Goodbye then. "
            assert [message.reason for message in scene.told if isinstance(message, HangUp)] == ["agent_hung_up"]
            (end,) = (await scene.view()).tools.values()
            assert (end.name, end.status, end.runs) == ("end_call", None, "agent")

            await scene.hang_up("agent_hung_up")
            (end,) = (await scene.view()).tools.values()
            assert end.status == "ok"

    run_virtual(scenario())


def test_the_end_of_a_call_in_a_discarded_generation_never_happens() -> None:
    """The caller speaks while the round that wants to hang up still streams: pipecat#4997."""

    async def scenario() -> None:
        async with Scene([BYE, SURE], agent=desk()) as scene:
            await scene.place()
            turn = scene.says("That is all.")
            await asyncio.sleep(0.2)
            response = next(m.response for m in scene.told if hasattr(m, "response"))
            scene.interrupts(response)
            scene.says("Wait, one more thing.")
            await asyncio.sleep(2)

            assert turn.turn == 1
            assert not scene.of(HangUp)
            assert (await scene.view()).tools == {}

    run_virtual(scenario())


def test_a_caller_who_speaks_over_the_goodbye_keeps_the_call() -> None:
    async def scenario() -> None:
        async with Scene([BYE, SURE], agent=desk()) as scene:
            await scene.place()
            scene.says("That is all.")
            await asyncio.sleep(1)
            scene.interrupts(scene.finished[-1].response)
            scene.says("Wait, one more thing.")
            await asyncio.sleep(1)

            (end,) = (await scene.view()).tools.values()
            assert end.status == "cancelled"
            assert "".join(scene.said[-1:]) == "Sure."
            assert "not ended" in scene.model.requests[-1].items[-2].output  # type: ignore[union-attr]  # a tool's

    run_virtual(scenario())


def test_a_speculative_round_never_causes_an_effect() -> None:
    """The model answers while a guardrail looks at the caller's words: livekit/agents#5924."""

    @guardrail(on="input", parallel=True)
    async def slow(check: Check) -> Verdict | None:
        await asyncio.sleep(1.5)
        return block("I can't help with that.")

    async def scenario() -> None:
        script = [[[Words("I am on it. Just a second.", "commentary"), Call("lookup", {})], [Words("Done.")]]]
        async with Scene(script, agent=desk(guardrails=[slow])) as scene:
            await scene.place()
            scene.says("Do something forbidden.")
            await asyncio.sleep(3)

            assert len(scene.model.requests) == 1  # it was asked meanwhile
            assert scene.runner.orders == []
            assert "".join(scene.said) == "I can't help with that."
            view = await scene.view()
            assert view.tools == {}
            assert [done.status for done in scene.finished] == ["incomplete"]
            assert next(iter(view.items.values())).status == "blocked"

    run_virtual(scenario())


def test_what_a_parallel_guardrail_allows_is_said_and_done() -> None:
    @guardrail(on="input", parallel=True)
    async def slow(check: Check) -> Verdict | None:
        await asyncio.sleep(0.5)
        return None

    async def scenario() -> None:
        async with Scene([LOOKS_UP], agent=desk(guardrails=[slow])) as scene:
            await scene.place()
            scene.says("Where is it?")
            await asyncio.sleep(2)

            assert scene.said == ["Done."]
            assert len(scene.runner.orders) == 1

    run_virtual(scenario())


@tool(timeout_s=20)
async def book(table: str) -> str:
    """Book a table."""
    return table


@tool(timeout_s=20, cancel_on_interrupt=True)
async def search(words: str) -> str:
    """Search for something."""
    return words


def test_an_interrupted_tool_is_never_stuck() -> None:
    """It goes on, and its result stays in the conversation: pipecat#5779."""

    async def scenario() -> None:
        script = [[[Call("book", {})], [Words("Booked.")]], SURE]
        async with Scene(script, agent=Agent("desk", tools=[book])) as scene:
            scene.runner.took_s = 3.0
            await scene.place()
            scene.says("Book a table.")
            await asyncio.sleep(1)
            scene.says("Are you there?")
            await asyncio.sleep(1)
            asked = scene.model.requests[-1].items
            await asyncio.sleep(3)

            assert "still running" in next(one.output for one in asked if hasattr(one, "output"))
            (tool_view,) = (await scene.view()).tools.values()
            assert (tool_view.status, tool_view.output) == ("ok", '"Found."')

    run_virtual(scenario())


def test_a_tool_that_may_be_stopped_is_when_the_caller_interrupts() -> None:
    async def scenario() -> None:
        script = [[[Call("search", {})], [Words("Found.")]], SURE]
        async with Scene(script, agent=Agent("desk", tools=[search])) as scene:
            scene.runner.took_s = 8.0
            told: list[object] = []
            before = scene.runner.exchange.on_loose

            def hear(envelope, headers) -> None:  # type: ignore[no-untyped-def]  # a handler of the exchange
                told.append(envelope.message)
                before(envelope, headers)

            scene.runner.exchange.on_loose = hear
            await scene.place()
            scene.says("Search for it.")
            await asyncio.sleep(1)
            scene.says("Never mind.")
            await asyncio.sleep(0.5)

            (tool_view,) = (await scene.view()).tools.values()
            assert CancelTool(tool_view.id) in told

    run_virtual(scenario())


def test_arguments_that_policy_denies_run_nowhere() -> None:
    @guardrail(on="tool_arguments")
    async def never(check: Check) -> Verdict | None:
        assert (check.tool, check.arguments) == ("lookup", {})
        return block("Orders can't be looked up today.", reason="closed")

    async def scenario() -> None:
        async with Scene([LOOKS_UP], agent=desk(guardrails=[never])) as scene:
            await scene.place()
            scene.says("Where is it?")
            await asyncio.sleep(1)

            assert scene.runner.orders == []
            (tool_view,) = (await scene.view()).tools.values()
            assert (tool_view.status, tool_view.output) == ("denied", "Orders can't be looked up today.")
            assert scene.said == ["Done."]

    run_virtual(scenario())


def test_what_policy_makes_of_arguments_is_recorded_and_runs() -> None:
    @guardrail(on="tool_arguments")
    async def other(check: Check) -> Verdict | None:
        return Verdict("rewrite", '{"order":"4712"}')

    async def scenario() -> None:
        async with Scene([LOOKS_UP], agent=desk(guardrails=[other])) as scene:
            await scene.place()
            scene.says("Where is it?")
            await asyncio.sleep(1)

            (order,) = scene.runner.orders
            (tool_view,) = (await scene.view()).tools.values()
            assert (order.arguments, tool_view.arguments) == ('{"order":"4712"}', '{"order":"4712"}')

    run_virtual(scenario())


@tool(background=True, timeout_s=30)
async def research(question: str) -> str:
    """Find something out."""
    return question


def test_a_tool_in_the_background_is_not_waited_for_and_told_when_it_is_done() -> None:
    async def scenario() -> None:
        script = [[[Call("research", {})], [Words("I am looking into it.")]], [[Words("Here it is.")]]]
        async with Scene(script, agent=Agent("desk", tools=[research])) as scene:
            scene.runner.took_s = 5.0
            scene.runner.answer = lambda order: ToolResult(order.tool_call, "ok", '"42"', "tr")
            await scene.place()
            scene.says("Find it out.")
            await asyncio.sleep(2)
            assert scene.said == ["I am looking into it."]
            await asyncio.sleep(4)

            news = scene.model.requests[-1]
            assert len(scene.model.requests) == 3
            assert news.news == {news.items[-1].id}  # type: ignore[union-attr]  # a tool's output
            assert isinstance(scene.runner.orders[0], RunTool)
            assert len(scene.finished) == 2

    run_virtual(scenario())


def test_a_handoff_whose_intent_could_not_be_recorded_before_the_caller_went_on_is_not_done() -> None:
    async def scenario() -> None:
        store = HoldingStore()
        hands_off: Sequence[Sequence[Step]] = [[Call("transfer_to_other", {})], [Words("Here I am.", "final_answer")]]
        agent = Agent("desk", handoffs=["other"])
        async with Scene([hands_off, SURE], agent=agent, others=[Agent("other")], store=store) as scene:
            await scene.place()
            store.holds = True
            scene.says("Somebody else, please.")
            await asyncio.sleep(0.1)
            scene.interrupts(next(m.response for m in scene.told if hasattr(m, "response")))
            await asyncio.sleep(0.1)
            store.holds = False
            store.let_go()
            await asyncio.sleep(0.5)

            view = await scene.view()
            assert [(tool.name, tool.status) for tool in view.tools.values()] == [("transfer_to_other", "cancelled")]
            assert view.handoffs == []

    run_virtual(scenario())


def test_a_call_that_was_to_end_twice_goes_on_when_the_caller_does() -> None:
    async def scenario() -> None:
        twice: Sequence[Sequence[Step]] = [[Words("Goodbye. "), Call("end_call", {}), Call("end_call", {})]]
        async with Scene([twice, SURE], agent=desk()) as scene:
            await scene.place()
            scene.says("That is all.")
            await asyncio.sleep(1)
            scene.says("No, wait.")
            await asyncio.sleep(1)

            assert [tool.status for tool in (await scene.view()).tools.values()] == ["cancelled", "cancelled"]

    run_virtual(scenario())


def test_a_tool_whose_result_is_still_looked_at_when_the_call_ends_is_not_said_to_have_run_nowhere() -> None:
    async def scenario() -> None:
        async def ponder(check: Check) -> Verdict | None:
            await asyncio.sleep(1)
            return None

        agent = desk(guardrails=[guardrail(on="tool_result", name="ponder")(ponder)])
        async with Scene([LOOKS_UP], agent=agent) as scene:
            await scene.place()
            scene.says("Where is it?")
            await asyncio.sleep(0.5)
            await scene.hang_up()
            await asyncio.sleep(2)

            assert [tool.status for tool in (await scene.view()).tools.values()] == ["unknown"]

    run_virtual(scenario())
