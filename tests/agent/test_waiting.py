"""While a caller waits: fillers for a slow model, words of tools, prompts for who says nothing, an end in time."""

import asyncio
from collections.abc import AsyncGenerator, Sequence

from agent.scene import Scene, lookup
from support.virtual import run_virtual
from trunkline.agent.models.scripted import Call, ScriptedModel, Step, Wait, Words
from trunkline.agent.models.seam import MessageItem, ModelEvent, ModelRequest, RoundDone, TextDelta
from trunkline.agents import Agent, CallContext, Duration, Fillers, Hooks, ModelSettings, Silence
from trunkline.proto.response import Attached, HangUp, ItemFinished, ItemStarted, SegmentHeard
from trunkline.proto.tool import ToolProgress

SURE: Sequence[Sequence[Step]] = [[Words("Sure.", "final_answer")]]
SLOW: Sequence[Sequence[Step]] = [[Wait(5), Words("Here it is.", "final_answer")]]
LOOKS_UP: Sequence[Sequence[Step]] = [[Call("lookup", {})], [Words("Done.", "final_answer")]]
SILENCE = Silence(after_s=8, prompts=("Hello?", "Still there?"), goodbye="Bye then.")


def test_a_slow_model_is_bridged_by_fillers_each_once() -> None:
    async def scenario() -> None:
        agent = Agent("desk", fillers=Fillers(("Hm.", "Let me think."), after_s=1.5))
        async with Scene([SLOW], agent=agent) as scene:
            await scene.place()
            scene.says("Where is it?")
            await asyncio.sleep(6)

            assert scene.said == ["Hm.", "Let me think.", "Here it is."]
            at = [at_s - scene.said_at_s[0][0] for at_s, _ in scene.said_at_s]
            assert [round(one, 1) for one in at] == [0.0, 1.5, 3.5]
            assert [(m.phase, m.source) for m in scene.told if isinstance(m, ItemStarted)] == [
                ("commentary", "filler"),
                ("commentary", "filler"),
                ("final_answer", "model"),
            ]

    run_virtual(scenario())


def test_a_quick_model_is_not() -> None:
    async def scenario() -> None:
        async with Scene([SURE], agent=Agent("desk", fillers=Fillers(("Hm.",), after_s=1.5))) as scene:
            await scene.place()
            scene.says("Where is it?")
            await asyncio.sleep(6)

            assert scene.said == ["Sure."]

    run_virtual(scenario())


def test_what_a_tool_says_of_its_progress_is_commentary_before_its_result() -> None:
    async def scenario() -> None:
        async with Scene([LOOKS_UP], agent=Agent("desk", tools=[lookup])) as scene:
            scene.runner.took_s = 3.0
            await scene.place()
            scene.says("Where is it?")
            await asyncio.sleep(1)
            (order,) = scene.runner.orders
            scene.runner.exchange.post(
                "tl.v1.agent.ag.rtc_00_test", "rtc_00_test", ToolProgress(order.tool_call, "Still looking.")
            )
            await asyncio.sleep(3)

            assert scene.said == ["Still looking.", "Done."]
            first = next(m for m in scene.told if isinstance(m, ItemStarted))
            assert (first.phase, first.source) == ("commentary", "tool")
            kinds = [type(item).__name__ for item in scene.model.requests[1].items]
            assert kinds == ["MessageItem", "MessageItem", "ToolCallItem", "ToolOutputItem"]

    run_virtual(scenario())


def test_a_caller_who_says_nothing_is_asked_and_then_let_go() -> None:
    async def scenario() -> None:
        async with Scene([SURE], agent=Agent("desk", silence=SILENCE)) as scene:
            await scene.place()
            assert next(m for m in scene.told if isinstance(m, Attached)).idle_s == 8
            for count in (1, 2, 3):
                scene.away(count)
                scene.away(count)  # told again, it changes nothing
                await asyncio.sleep(1)

            assert scene.said == ["Hello?", "Still there?", "Bye then."]
            assert len(scene.of(HangUp)) == 1
            await scene.hang_up("agent_hung_up")
            (end,) = (await scene.view()).tools.values()
            assert (end.name, end.status) == ("end_call", "ok")

    run_virtual(scenario())


def test_a_call_ends_when_its_time_is_up_after_what_is_being_said() -> None:
    async def scenario() -> None:
        agent = Agent("desk", duration=Duration(60, goodbye="Our time is up."))
        async with Scene([SLOW], agent=agent) as scene:
            await scene.place()
            await asyncio.sleep(58)
            scene.says("Where is it?")
            await asyncio.sleep(10)

            assert scene.said == ["Here it is.", "Our time is up."]
            assert len(scene.of(HangUp)) == 1

    run_virtual(scenario())


def test_instructions_may_be_a_function_of_the_call() -> None:
    async def instructions(call: CallContext) -> str:
        return f"Turn {call.turn} of {call.agent}, who knows {sorted(call.state)}."

    async def scenario() -> None:
        async with Scene([SURE], agent=Agent("desk", instructions)) as scene:
            await scene.place()
            scene.says("Where is it?")
            await asyncio.sleep(1)

            assert scene.model.requests[0].instructions == "Turn 1 of desk, who knows []."

    run_virtual(scenario())


def test_instructions_that_raise_end_the_response_with_an_apology() -> None:
    def instructions(call: CallContext) -> str:
        raise RuntimeError("no")

    async def scenario() -> None:
        async with Scene([SURE], agent=Agent("desk", instructions)) as scene:
            await scene.place()
            scene.says("Where is it?")
            await asyncio.sleep(1)

            assert scene.model.requests == []
            assert [done.status for done in scene.finished] == ["failed"]

    run_virtual(scenario())


def test_a_tool_choice_holds_for_the_first_round_alone() -> None:
    async def scenario() -> None:
        agent = Agent("desk", tools=[lookup], settings=ModelSettings(tool_choice="lookup"))
        async with Scene([LOOKS_UP], agent=agent) as scene:
            await scene.place()
            scene.says("Where is it?")
            await asyncio.sleep(1)

            assert [request.settings.tool_choice for request in scene.model.requests] == ["lookup", "auto"]

    run_virtual(scenario())


def test_hooks_are_told_what_happened_and_cannot_harm_the_call() -> None:
    told: list[tuple[str, ...]] = []

    async def on_turn(call: CallContext, text: str) -> None:
        told.append(("turn", call.call_id, text))

    async def on_tool(call: CallContext, name: str, status: str, output: str) -> None:
        told.append(("tool", name, status, output))
        raise RuntimeError("a hook's own affair")

    async def on_end(call: CallContext, reason: str) -> None:
        told.append(("end", reason))

    async def scenario() -> None:
        hooks = Hooks(on_turn=on_turn, on_tool=on_tool, on_end=on_end)
        async with Scene([LOOKS_UP], agent=Agent("desk", tools=[lookup], hooks=hooks)) as scene:
            await scene.place()
            scene.says("Where is it?")
            await asyncio.sleep(1)
            await scene.hang_up()

            assert told == [
                ("turn", "rtc_00_test", "Where is it?"),
                ("tool", "lookup", "ok", '"Found."'),
                ("end", "caller_hung_up"),
            ]
            assert [m.phase for m in scene.told if isinstance(m, ItemFinished)] == ["final_answer"]

    run_virtual(scenario())


def test_an_interrupted_message_goes_back_with_what_was_heard_and_a_phase() -> None:
    async def scenario() -> None:
        cut = [[Words("One two three. Four five six. ", None), Wait(5), Words("Seven.")]]
        async with Scene([cut, SURE], agent=Agent("desk")) as scene:
            await scene.place()
            scene.says("Count.")
            await asyncio.sleep(1)
            (started,) = [m for m in scene.told if isinstance(m, ItemStarted)]
            scene.interrupts(started.response, SegmentHeard(started.item, 0, 24_000, 24_000))
            scene.says("Thanks.")
            await asyncio.sleep(1)

            assert started.phase is None
            assert scene.model.requests[1].items[1] == MessageItem("assistant", "final_answer", "One two three. ")

    run_virtual(scenario())


def test_an_answer_that_the_model_cut_short_is_incomplete() -> None:
    class Short(ScriptedModel):
        async def respond(self, request: ModelRequest) -> AsyncGenerator[ModelEvent, None]:
            yield TextDelta("One two three.", "final_answer")
            yield RoundDone(incomplete="max_output_tokens")

    async def scenario() -> None:
        async with Scene(model=Short(), agent=Agent("desk")) as scene:
            await scene.place()
            scene.says("Count.")
            await asyncio.sleep(1)

            assert [(done.status, done.detail) for done in scene.finished] == [("incomplete", "max_output_tokens")]

    run_virtual(scenario())
