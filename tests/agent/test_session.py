"""A call at the agent, from its placement to its end, as the hub sees it and as the record keeps it."""

import asyncio
from collections.abc import AsyncGenerator, Sequence

import pytest

from agent.scene import CALL, DIGEST, Scene, lookup
from support.virtual import run_virtual
from trunkline.agent.models.local import LocalModel
from trunkline.agent.models.scripted import Call, Fail, Script, Step, Wait, Words
from trunkline.agent.models.seam import (
    MessageItem,
    ModelEvent,
    ModelRequest,
    RoundDone,
    TextDelta,
    ToolCall,
    ToolCallItem,
    ToolOutputItem,
)
from trunkline.agent.round import MODEL_IDLE_S
from trunkline.agent.rounds import GIVING_UP, MAX_ROUNDS
from trunkline.agent.session import AgentSession
from trunkline.agents import Agent
from trunkline.agents.agent import APOLOGY
from trunkline.proto import record
from trunkline.proto.placement import CallFailed, Declined
from trunkline.proto.response import (
    Attached,
    Converse,
    ItemFinished,
    ItemStarted,
    PhaseSettled,
    Played,
    Respond,
    ResponseFinished,
    ResponseStarted,
    Retract,
    Say,
    SegmentHeard,
    Turn,
)
from trunkline.proto.tool import ToolDeclined, ToolResult
from trunkline.record import MemoryRecordStore, StoreUnavailable

SURE: Sequence[Sequence[Step]] = [[Words("Sure.", "final_answer")]]
LOOKS_UP: Sequence[Sequence[Step]] = [
    [Words("One moment, please.", "commentary"), Call("lookup", {})],
    [Words("It arrives tomorrow.", "final_answer")],
]
LONG: Sequence[Sequence[Step]] = [
    [Words("One two three, four five six. Seven eight nine ten.", "final_answer"), Wait(2), Words(" Eleven.")]
]


def test_a_placed_call_is_owned_and_greeted() -> None:
    async def scenario() -> None:
        async with Scene(agent=Agent("desk", greeting="Good day.", voice="joe", tools=[lookup])) as scene:
            await scene.place()

            attached = scene.attached
            assert (
                Attached("desk", DIGEST, attached.greeting, "joe", "", (), tools=("lookup",), agents=("desk",))
                == attached
            )
            started, item, said, item_done, done = scene.told[1:]
            assert ResponseStarted(attached.greeting, 0) == started
            assert isinstance(item, ItemStarted)
            assert (item.phase, item.source) == ("final_answer", "greeting")
            assert Say(attached.greeting, item.item, 0, "Good day.") == said
            assert ItemFinished(attached.greeting, item.item, "Good day.", "final_answer") == item_done
            assert ResponseFinished(attached.greeting, "completed") == done
            assert scene.link.peer_epoch == 1

    run_virtual(scenario())


def test_commentary_is_said_before_the_tool_and_the_answer_after() -> None:
    async def scenario() -> None:
        async with Scene([LOOKS_UP]) as scene:
            scene.runner.took_s = 2.0
            await scene.place()
            scene.says("Where is order 4712?")
            await asyncio.sleep(3)

            (first_s, first), (second_s, second), (answer_s, answer) = scene.said_at_s
            assert (first, second, answer) == ("One moment, ", "please.", "It arrives tomorrow.")
            assert first_s == second_s
            assert answer_s - second_s >= 2.0
            phases = [message.phase for message in scene.told if isinstance(message, ItemFinished)]
            assert phases == ["commentary", "final_answer"]
            assert [done.status for done in scene.finished] == ["completed"]

    run_virtual(scenario())


def test_the_second_round_receives_the_commentary_with_its_phase() -> None:
    async def scenario() -> None:
        async with Scene([LOOKS_UP]) as scene:
            await scene.place()
            scene.says("Where is order 4712?")
            await asyncio.sleep(1)

            first, second = scene.model.requests
            user, commentary, call, output = second.items
            assert first.items == (MessageItem("user", None, "Where is order 4712?"),)
            assert user == first.items[0]
            assert commentary == MessageItem("assistant", "commentary", "One moment, please.")
            assert isinstance(call, ToolCallItem)
            assert output == ToolOutputItem(call.id, '"Found."', "ok")
            assert (second.instructions, [offer.name for offer in second.tools]) == ("Be kind.", ["lookup"])

    run_virtual(scenario())


def test_an_intent_is_recorded_before_the_tool_runs_and_its_result_after() -> None:
    async def scenario() -> None:
        async with Scene([LOOKS_UP]) as scene:
            scene.runner.took_s = 1.0
            await scene.place()
            scene.says("Where is order 4712?")
            await asyncio.sleep(0.5)

            (order,) = scene.runner.orders
            assert (order.key, order.digest, order.state) == (order.tool_call, DIGEST, "{}")
            assert (await scene.view()).tools[order.tool_call].status is None

            await asyncio.sleep(1)

            assert (await scene.view()).tools[order.tool_call].status == "ok"

    run_virtual(scenario())


def test_the_phase_of_a_model_that_says_none_is_settled_at_the_rounds_end() -> None:
    async def scenario() -> None:
        script: Script = [[[Words("Let me look."), Call("lookup", {})], [Words("It is here.")]]]
        async with Scene(script) as scene:
            await scene.place()
            scene.says("Where is it?")
            await asyncio.sleep(1)

            started = [m.phase for m in scene.told if isinstance(m, ItemStarted)]
            settled = [m.phase for m in scene.told if isinstance(m, PhaseSettled)]
            assert (started, settled) == ([None, None], ["commentary", "final_answer"])
            assert [item.phase for item in (await scene.view()).items.values()] == [None, "commentary", "final_answer"]
            assert MessageItem("assistant", "commentary", "Let me look.") in scene.model.requests[1].items

    run_virtual(scenario())


def test_the_local_model_answers_a_call_with_its_tool() -> None:
    async def scenario() -> None:
        async with Scene(model=LocalModel()) as scene:
            scene.runner.answer = lambda order: ToolResult(order.tool_call, "ok", '"It arrives tomorrow."', "tr")
            await scene.place()
            scene.says("Where is my order for Mary?")
            await asyncio.sleep(1)

            assert scene.said == ["Let me look up Mary.", "It arrives tomorrow."]
            assert scene.runner.orders[0].arguments == '{"order":"Mary"}'

    run_virtual(scenario())


def test_an_interruption_leaves_what_was_heard() -> None:
    async def scenario() -> None:
        async with Scene([LONG, [[Words("Yes.", "final_answer")]]]) as scene:
            await scene.place()
            scene.says("Count.")
            await asyncio.sleep(1)
            (first, *_) = scene.of(Say)
            assert isinstance(first, Say)
            heard = (SegmentHeard(first.item, 0, 24_000, 24_000), SegmentHeard(first.item, 1, 12_000, 24_000))
            scene.interrupts(first.response, *heard)
            await asyncio.sleep(3)
            scene.says("Go on.")
            await asyncio.sleep(1)

            assert "Eleven." not in " ".join(scene.said)
            assert ResponseFinished(first.response, "cancelled", "turn_detected") in scene.told
            item = (await scene.view()).items[first.item]
            assert (item.status, item.heard_text) == ("interrupted", "One two three, four")
            assert MessageItem("assistant", "final_answer", "One two three, four") in scene.model.requests[1].items

    run_virtual(scenario())


def test_an_interruption_after_the_response_still_truncates_it() -> None:
    async def scenario() -> None:
        async with Scene([[[Words("One two three. Four five.", "final_answer")]]]) as scene:
            await scene.place()
            scene.says("Count.")
            await asyncio.sleep(1)
            (said, _) = scene.of(Say)
            assert isinstance(said, Say)
            scene.played(said.item, 0)
            scene.interrupts(said.response)
            await asyncio.sleep(1)

            assert [done.status for done in scene.finished] == ["completed"]
            assert (await scene.view()).items[said.item].heard_text == "One two three."

    run_virtual(scenario())


def test_an_item_of_which_nothing_was_heard_is_not_told_to_the_model() -> None:
    async def scenario() -> None:
        async with Scene([LONG]) as scene:
            await scene.place()
            scene.says("Count.")
            await asyncio.sleep(1)
            said = scene.of(Say)[0]
            assert isinstance(said, Say)
            scene.interrupts(said.response)
            scene.says("Stop.")
            await asyncio.sleep(1)

            assert [i.role for i in scene.model.requests[1].items if isinstance(i, MessageItem)] == ["user", "user"]
            assert len(scene.model.requests[1].items) == 2

    run_virtual(scenario())


def test_a_tool_that_was_interrupted_finishes_and_its_result_stays() -> None:
    async def scenario() -> None:
        async with Scene([LOOKS_UP, SURE, SURE, SURE]) as scene:
            scene.runner.took_s = 2.0
            await scene.place()
            scene.says("Where is order 4712?")
            await asyncio.sleep(1)
            started = scene.of(ResponseStarted)[0]
            assert isinstance(started, ResponseStarted)
            scene.interrupts(started.response)
            scene.says("Wait.")
            await asyncio.sleep(0.5)
            scene.says("And now?")
            await asyncio.sleep(2)
            scene.says("Well?")
            await asyncio.sleep(1)

            assert "It arrives tomorrow." not in scene.said
            (during, after) = (scene.model.requests[1], scene.model.requests[3])
            assert [i.status for i in during.items if isinstance(i, ToolOutputItem)] == [None]
            assert [i.status for i in after.items if isinstance(i, ToolOutputItem)] == ["ok"]
            assert [tool.status for tool in (await scene.view()).tools.values()] == ["ok"]

    run_virtual(scenario())


def test_without_a_tool_runner_the_model_is_told_so() -> None:
    async def scenario() -> None:
        async with Scene([LOOKS_UP], runner=False) as scene:
            await scene.place()
            scene.says("Where is order 4712?")
            await asyncio.sleep(3)

            (output,) = [i for i in scene.model.requests[1].items if isinstance(i, ToolOutputItem)]
            assert (output.status, output.output) == ("error", "lookup was not run: no tool runner is available.")
            assert [done.status for done in scene.finished] == ["completed"]

    run_virtual(scenario())


def test_a_declined_tool_is_tried_again_until_a_runner_takes_it() -> None:
    async def scenario() -> None:
        async with Scene([LOOKS_UP]) as scene:
            scene.runner.answer = lambda order: (
                ToolDeclined(order.tool_call, "busy", "tr")
                if len(scene.runner.orders) < 3
                else ToolResult(order.tool_call, "ok", "1", "tr")
            )
            await scene.place()
            scene.says("Where is order 4712?")
            await asyncio.sleep(2)

            assert len(scene.runner.orders) == 3
            assert len({order.key for order in scene.runner.orders}) == 1
            assert "It arrives tomorrow." in scene.said

    run_virtual(scenario())


def test_a_tool_that_every_runner_declines_is_an_error_at_its_deadline() -> None:
    async def scenario() -> None:
        async with Scene([LOOKS_UP]) as scene:
            scene.runner.answer = lambda order: ToolDeclined(order.tool_call, "digest", "tr")
            await scene.place()
            scene.says("Where is order 4712?")
            await asyncio.sleep(7)

            (tool,) = (await scene.view()).tools.values()
            assert (tool.status, tool.output) == ("error", "lookup was not run: no tool runner takes it (digest).")

    run_virtual(scenario())


def test_a_tool_that_was_refused_and_then_taken_without_a_word_is_unknown_in_the_end() -> None:
    async def scenario() -> None:
        async with Scene([LOOKS_UP]) as scene:
            scene.runner.starts = False
            scene.runner.answer = lambda order: (
                ToolDeclined(order.tool_call, "busy", "tr") if len(scene.runner.orders) < 2 else None
            )
            await scene.place()
            scene.says("Where is order 4712?")
            await asyncio.sleep(7)

            (tool,) = (await scene.view()).tools.values()
            assert (len(scene.runner.orders), tool.status) == (2, "unknown")

    run_virtual(scenario())


def test_a_tool_without_a_result_is_unknown_in_the_end() -> None:
    async def scenario() -> None:
        async with Scene([LOOKS_UP]) as scene:
            scene.runner.answer = lambda order: None
            await scene.place()
            scene.says("Where is order 4712?")
            await asyncio.sleep(7)

            (tool,) = (await scene.view()).tools.values()
            assert (
                tool.status,
                tool.output,
            ) == ("unknown", "It is not known whether lookup was done: no result came in time.")
            assert "It arrives tomorrow." in scene.said

    run_virtual(scenario())


class Breaks:
    """A model that asks for a tool with unusable arguments, then gives up."""

    name = "breaks"
    repeatable = True

    def __init__(self, arguments: str) -> None:
        self.arguments = arguments

    async def respond(self, request: ModelRequest) -> AsyncGenerator[ModelEvent, None]:
        if len(request.items) == 1:
            yield ToolCall("call_0", "lookup", self.arguments)
        else:
            yield TextDelta("Sorry.", "final_answer")
        yield RoundDone(10, 2)

    async def close(self) -> None:
        """Nothing to close."""


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ("{", "The arguments can't be read"),
        ("[1]", "The arguments can't be read"),
        ('{"order":' + "[" * 20_000 + "]" * 20_000 + "}", "The arguments can't be read"),
        ('{"order":"\ud83d"}', "The arguments can't be read"),
        ('"' + "x" * 1_000_000 + '"', "The arguments are too long; allowed: 65536 bytes of JSON."),
    ],
)
def test_unusable_arguments_are_a_result_that_the_model_reads(arguments: str, problem: str) -> None:
    async def scenario() -> None:
        async with Scene(model=Breaks(arguments)) as scene:
            await scene.place()
            scene.says("Look.")
            await asyncio.sleep(1)

            (tool,) = (await scene.view()).tools.values()
            assert (tool.status, tool.arguments) == ("error", "{}")
            assert tool.output.startswith(problem)
            assert scene.runner.orders == []
            assert (scene.finished[0].input_tokens, scene.finished[0].output_tokens) == (20, 4)

    run_virtual(scenario())


class Failing(MemoryRecordStore):
    down = False

    def append(self, call: str, data: bytes, *, expected_seq: int, entry: str) -> asyncio.Future[int]:
        if not self.down:
            return super().append(call, data, expected_seq=expected_seq, entry=entry)
        failed: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        failed.set_exception(StoreUnavailable(call, 1.0))
        return failed


def test_a_tool_whose_intent_cannot_be_recorded_does_not_run() -> None:
    async def scenario() -> None:
        store = Failing()
        async with Scene([LOOKS_UP], store=store) as scene:
            await scene.place()
            store.down = True
            scene.says("Where is order 4712?")
            await asyncio.sleep(1)
            store.down = False
            await asyncio.sleep(1)

            assert scene.runner.orders == []
            (tool,) = (await scene.view()).tools.values()
            assert (tool.status, tool.output) == (
                "error",
                "This was not run: the call's record can't be written at present.",
            )
            assert "It arrives tomorrow." in scene.said

    run_virtual(scenario())


def test_tools_of_one_round_run_side_by_side() -> None:
    async def scenario() -> None:
        script: Script = [[[Call("lookup", {}), Call("lookup", {})], [Words("Both.", "final_answer")]]]
        async with Scene(script) as scene:
            scene.runner.took_s = 2.0
            await scene.place()
            scene.says("Both?")
            await asyncio.sleep(2.5)

            assert len(scene.runner.orders) == 2
            assert scene.said == ["Both."]

    run_virtual(scenario())


def test_one_call_that_fails_does_not_concern_another() -> None:
    async def scenario() -> None:
        async with Scene([LONG]) as scene:
            await scene.place("rtc_00_other")
            other = scene.link
            await scene.place()
            for _ in range(3):
                scene.link.send(Played(SegmentHeard("item_unknown", 0, 1, 1)))
            session = scene.service.calls.session(CALL)
            assert isinstance(session, AgentSession)
            scene.service.calls.fail(session.link, RuntimeError("broken"))
            other.send(Turn(1, "item_a", "Count.", "speech"))
            await asyncio.sleep(4)

            assert [done.status for done in scene.finished] == ["completed"]
            assert CallFailed("RuntimeError: broken") in scene.told
            assert scene.service.load()[0] == 1

    run_virtual(scenario())


def test_an_unknown_tool_is_a_result_that_the_model_reads() -> None:
    async def scenario() -> None:
        async with Scene([[[Call("fly", {})], [Words("Sorry.", "final_answer")]]]) as scene:
            await scene.place()
            scene.says("Fly.")
            await asyncio.sleep(1)

            (tool,) = (await scene.view()).tools.values()
            assert (tool.status, tool.output) == ("error", "There is no tool 'fly'; allowed: lookup.")
            assert scene.runner.orders == []

    run_virtual(scenario())


def test_state_that_a_tool_patches_goes_to_the_next_tool() -> None:
    async def scenario() -> None:
        script: Script = [[[Call("lookup", {})], [Call("lookup", {})], [Words("Done.", "final_answer")]]]
        async with Scene(script) as scene:
            scene.runner.answer = lambda order: ToolResult(order.tool_call, "ok", "1", "tr", 1.0, '{"seen":1}')
            await scene.place()
            scene.says("Twice.")
            await asyncio.sleep(1)

            assert [order.state for order in scene.runner.orders] == ["{}", '{"seen":1}']

    run_virtual(scenario())


def test_a_model_that_raises_fails_the_response_with_an_apology() -> None:
    async def scenario() -> None:
        async with Scene([[[Words("I think. I am not", "final_answer"), Fail("out of memory")]]]) as scene:
            await scene.place()
            scene.says("Hello?")
            await asyncio.sleep(1)

            assert scene.said[0] == "I think. "
            assert "".join(scene.said[1:]) == APOLOGY
            (done,) = scene.finished
            assert (done.status, done.detail) == ("failed", "model scripted failed: ScriptFailure: out of memory")
            assert [m.source for m in scene.told if isinstance(m, ItemStarted)] == ["model", "filler"]

    run_virtual(scenario())


def test_a_model_that_goes_silent_fails_the_response() -> None:
    async def scenario() -> None:
        async with Scene([[[Wait(1000)]]]) as scene:
            await scene.place()
            scene.says("Hello?")
            await asyncio.sleep(MODEL_IDLE_S + 1)

            assert scene.finished[0].detail == "model scripted failed: gave no word in time"

    run_virtual(scenario())


def test_endless_tool_rounds_end_in_words() -> None:
    async def scenario() -> None:
        async with Scene([[[Call("lookup", {})]] * 20]) as scene:
            await scene.place()
            scene.says("Loop.")
            await asyncio.sleep(2)

            assert len(scene.runner.orders) == MAX_ROUNDS
            assert "".join(scene.said) == GIVING_UP
            assert scene.finished[0].status == "incomplete"

    run_virtual(scenario())


def test_a_hang_up_in_mid_answer_ends_the_record() -> None:
    async def scenario() -> None:
        async with Scene([LONG]) as scene:
            await scene.place()
            scene.says("Count.")
            await asyncio.sleep(1)
            await scene.hang_up()

            view = await scene.view()
            assert view.ended is not None
            assert view.ended.reason == "caller_hung_up"
            assert [response.status for response in view.responses.values()] == ["cancelled"]
            assert isinstance((await scene.events())[-1], record.Ended)
            assert scene.service.load() == (0, 10)

    run_virtual(scenario())


def test_a_hang_up_while_a_tool_runs_leaves_its_outcome_unknown() -> None:
    async def scenario() -> None:
        async with Scene([LOOKS_UP]) as scene:
            scene.runner.took_s = 3.0
            await scene.place()
            scene.says("Where is order 4712?")
            await asyncio.sleep(1)
            await scene.hang_up()

            assert [tool.status for tool in (await scene.view()).tools.values()] == ["unknown"]

    run_virtual(scenario())


def test_a_hang_up_before_the_record_is_taken_ends_it_too() -> None:
    async def scenario() -> None:
        async with Scene() as scene:
            link = scene.hub.link(CALL, scene.exchange.address, 1 << 20 | 1, lambda message, headers: None)
            scene.link = link
            link.send(Converse(hub=1, gateway="gw"))
            await scene.hang_up()

            assert (await scene.view()).ended is not None

    run_virtual(scenario())


def test_a_call_that_moves_is_not_ended() -> None:
    async def scenario() -> None:
        async with Scene([LONG]) as scene:
            await scene.place()
            scene.says("Count.")
            await asyncio.sleep(1)
            await scene.hang_up("moved")

            assert (await scene.view()).ended is None

    run_virtual(scenario())


def test_a_fenced_agent_drops_the_call_and_writes_nothing_more() -> None:
    async def scenario() -> None:
        store = MemoryRecordStore()
        async with Scene([LONG], store=store) as old, Scene(store=store, worker="ag2") as new:
            await old.place()
            await new.place(attach=2)
            old.says("Count.")
            await asyncio.sleep(1)

            assert CallFailed("Fenced: call rtc_00_test is no longer owned under epoch 1") in old.told
            assert old.service.load() == (0, 10)
            view = await new.view()
            assert (view.epoch, view.ended, view.items) == (2, None, {})

    run_virtual(scenario())


def test_another_agent_asks_the_model_the_same_from_the_record_alone() -> None:
    async def scenario() -> None:
        store = MemoryRecordStore()
        agent = Agent("desk", greeting="Good day.", instructions="Be kind.", tools=[lookup])
        script = [LOOKS_UP, LONG, [[Words("Bye.", "final_answer")]], [[Words("Bye.", "final_answer")]]]
        async with Scene(script, store=store, agent=agent) as scene:
            await scene.place()
            scene.says("Where is it?")
            await asyncio.sleep(1)
            scene.says("Count.")
            await asyncio.sleep(1)
            last = scene.of(Say)[-1]
            assert isinstance(last, Say)
            scene.interrupts(last.response, SegmentHeard(last.item, 0, 9, 9))
            scene.says("And?")
            await asyncio.sleep(1)
            asked = scene.model.requests[-1]
            await scene.hang_up("moved")
        async with Scene(script, store=store, agent=agent, worker="ag2") as scene:
            await scene.place(attach=2)
            scene.link.send(Respond())
            await asyncio.sleep(1)

            assert scene.attached.greeting == ""
            (again,) = scene.model.requests
            assert (*asked.items, MessageItem("assistant", "final_answer", "Bye.")) == again.items

    run_virtual(scenario())


def test_a_retracted_turn_is_forgotten_with_its_answer() -> None:
    async def scenario() -> None:
        async with Scene([LONG]) as scene:
            await scene.place()
            turn = scene.says("Count.")
            await asyncio.sleep(1)
            scene.link.send(Retract(turn.turn, turn.item))
            scene.says("Count again.")
            await asyncio.sleep(0.5)

            assert (MessageItem("user", None, "Count again."),) == scene.model.requests[1].items
            assert [done.status for done in scene.finished] == ["cancelled"]

    run_virtual(scenario())


def test_a_turn_that_is_told_again_is_answered_once() -> None:
    async def scenario() -> None:
        async with Scene() as scene:
            await scene.place()
            scene.link.send(scene.says("Hello."))
            await asyncio.sleep(1)

            assert len(scene.of(ResponseStarted)) == 1
            assert (await scene.view()).turns == 1

    run_virtual(scenario())


def test_a_turn_without_an_answer_is_kept_for_the_next_response() -> None:
    async def scenario() -> None:
        async with Scene() as scene:
            await scene.place()
            scene.says("My name is Mary.", respond=False)
            await asyncio.sleep(1)
            assert scene.model.requests == []
            scene.link.send(Respond("Be short."))
            await asyncio.sleep(1)

            (request,) = scene.model.requests
            assert (request.instructions, len(request.items)) == ("Be short.", 1)

    run_virtual(scenario())


def test_a_second_turn_replaces_an_answer_that_still_runs() -> None:
    async def scenario() -> None:
        async with Scene([LONG, [[Words("Yes.", "final_answer")]]]) as scene:
            await scene.place()
            scene.says("Count.")
            scene.says("No, stop.")
            await asyncio.sleep(4)

            assert [done.status for done in scene.finished] == ["cancelled", "completed"]
            assert scene.said[-1] == "Yes."

    run_virtual(scenario())


def test_an_unknown_agent_is_declined_with_what_is_allowed() -> None:
    async def scenario() -> None:
        async with Scene() as scene:
            await scene.place(order=Converse(hub=1, gateway="gw", agent="sales"))

            assert [Declined("unknown_agent", "'sales'; allowed: desk", 1.0)] == scene.told

    run_virtual(scenario())


def test_a_message_for_another_stage_concerns_nothing() -> None:
    async def scenario() -> None:
        async with Scene() as scene:
            await scene.place()
            scene.link.send(Attached("x", "y"))
            scene.interrupts("resp_unknown")
            scene.played("item_unknown", 0)
            scene.says("Hello.")
            await asyncio.sleep(1)

            assert [done.status for done in scene.finished] == ["completed"]

    run_virtual(scenario())


def test_the_record_shows_the_call() -> None:
    async def scenario() -> None:
        async with Scene([LOOKS_UP]) as scene:
            await scene.place()
            scene.says("Where is order 4712?")
            await asyncio.sleep(1)
            await scene.hang_up()
            kinds = [type(event).__name__ for event in await scene.events()]

            assert kinds[:5] == ["OwnerTook", "Configured", "HubAttached", "CallerSaid", "ResponseOpened"]
            assert kinds.index("ToolIntended") > kinds.index("ItemClosed")
            assert [item.phase for item in (await scene.view()).items.values() if item.role == "assistant"] == [
                "commentary",
                "final_answer",
            ]

    run_virtual(scenario())


class HoldingStore(MemoryRecordStore):
    """Takes what epoch 1 appends to its own only once it is let go, as if it were long under way."""

    def __init__(self) -> None:
        super().__init__()
        self.holds = False
        self.held: list[tuple[asyncio.Future[int], str, bytes, int, str]] = []

    def append(self, call: str, data: bytes, *, expected_seq: int, entry: str) -> asyncio.Future[int]:
        if not self.holds or not expected_seq or record.decode_entry(data).epoch != 1:
            return super().append(call, data, expected_seq=expected_seq, entry=entry)
        answer: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self.held.append((answer, call, data, expected_seq, entry))
        return answer

    def let_go(self) -> None:
        for answer, call, data, expected_seq, entry in self.held:
            landed = super().append(call, data, expected_seq=expected_seq, entry=entry)
            error = landed.exception()
            if error is not None:
                answer.set_exception(error)
            else:
                answer.set_result(landed.result())


def test_a_placement_that_was_replaced_here_does_not_fail_the_one_that_replaced_it() -> None:
    async def scenario() -> None:
        store = HoldingStore()
        async with Scene([[[Words("Sure.", "final_answer")]]], store=store) as scene:
            await scene.place()
            store.holds = True
            scene.says("Hello?")
            await asyncio.sleep(0.1)
            await scene.place(attach=2)
            assert scene.link.peer_epoch == 2

            store.let_go()
            await asyncio.sleep(0.5)

            assert scene.of(CallFailed) == []
            assert scene.service.load()[0] == 1

    run_virtual(scenario())
