"""What comes at the same time, in the wrong moment, or twice: nothing is said, run or told because of it."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from dataclasses import replace

import msgspec
import pytest

from agent.scene import CALL, Scene, found, lookup
from support.virtual import run_virtual
from trunkline.agent.models.scripted import Call, Step, Wait, Words
from trunkline.agent.models.seam import (
    MessageItem,
    ModelEvent,
    ModelRequest,
    RoundDone,
    TextDelta,
    ToolCall,
    ToolCallItem,
)
from trunkline.agents import (
    Agent,
    Approval,
    CallContext,
    Check,
    Duration,
    Fillers,
    ModelSettings,
    Silence,
    Verdict,
    block,
    end,
    end_call,
    guardrail,
    rewrite,
    tool,
    transfer_call,
)
from trunkline.agents.policies import pii
from trunkline.agents.sensitive import TOKEN
from trunkline.proto.ids import new_tool_call_id
from trunkline.proto.record import Claim
from trunkline.proto.response import Converse, HangUp, ItemStarted, ResponseStarted, SegmentHeard
from trunkline.proto.tool import CancelTool, ToolProgress, ToolResult
from trunkline.record import Attempt, MemoryBucket, MemoryRecordStore, StoredClaim, StoreUnavailable
from trunkline.vault import Vault

FOLLOWS = Converse(hub=1, gateway="gw", reason="ag: killed")


@tool(background=True, timeout_s=30)
async def search() -> str:
    """Search for long."""
    return "found"


SEARCHES: Sequence[Sequence[Step]] = [[Call("search", {})], [Words("I am looking.", "final_answer")]]
SURE: Sequence[Sequence[Step]] = [[Words("Sure.", "final_answer")]]
LOOKS_UP: Sequence[Sequence[Step]] = [[Call("lookup", {})], [Words("Done.", "final_answer")]]


@tool(timeout_s=20)
async def slow() -> str:
    """Take long."""
    return "done"


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


def test_what_a_guardrail_made_of_a_result_is_obeyed_by_the_next_owner_too() -> None:
    async def scenario() -> None:
        agent = Agent(
            "desk", tools=[lookup], guardrails=[guardrail(on="tool_result", name="g")(lambda check: end("Bye."))]
        )
        async with Scene([LOOKS_UP], agent=agent) as first:
            first.runner.took_s = 3
            await first.place()
            first.says("Where is it?")
            await asyncio.sleep(1)
            async with after(first, agent, LOOKS_UP) as second:
                await second.place(attach=2, order=FOLLOWS)
                second.link.send(second.recall())
                (order,) = first.runner.orders
                await asyncio.sleep(0.1)
                second.runner.exchange.post("tl.v1.agent.ag2.rtc_00_test", CALL, found(order))
                await asyncio.sleep(1)

                assert second.said == ["Bye."]
                assert len(second.of(HangUp)) == 1

    run_virtual(scenario())


def test_a_verdict_that_ends_an_answer_is_obeyed_by_the_next_owner() -> None:
    """The agent is lost behind the verdict on a tool call, while the other tool of the round still runs."""

    async def scenario() -> None:
        @guardrail(on="tool_result", name="g", tools=["lookup"])
        def ends(check: Check) -> Verdict:
            return end("Bye.")

        agent = Agent("desk", tools=[lookup, slow], guardrails=[ends])
        both: Sequence[Sequence[Step]] = [[Call("lookup", {}), Call("slow", {})], [Words("Done.", "final_answer")]]
        async with Scene([both], agent=agent) as first:
            first.runner.answer = lambda order: found(order) if order.name == "lookup" else None
            await first.place()
            first.says("Where is it?")
            await asyncio.sleep(1)
            async with after(first, agent, both) as second:
                await second.place(attach=2, order=FOLLOWS)
                second.link.send(second.recall())
                order = first.runner.orders[1]
                await asyncio.sleep(0.1)
                second.runner.exchange.post("tl.v1.agent.ag2.rtc_00_test", CALL, found(order))
                await asyncio.sleep(1)

                assert second.said == ["Bye."]
                assert len(second.of(HangUp)) == 1

    run_virtual(scenario())


def test_the_model_is_asked_on_after_a_person_agreed_to_an_answer_that_came_with_a_tool() -> None:
    async def scenario() -> None:
        script: Sequence[Sequence[Step]] = [
            [Words("You owe us 25 euros.", "final_answer"), Call("lookup", {})],
            [Words("And it has arrived.", "final_answer")],
        ]
        agent = Agent("desk", tools=[lookup], answer_approval=Approval(commentary=""))
        async with Scene([script], agent=agent) as scene:
            await scene.place()
            scene.says("What do I owe?")
            await asyncio.sleep(1)
            await scene.decides("approve")
            await asyncio.sleep(1)
            assert len(scene.runner.orders) == 1
            await scene.decides("approve")
            await asyncio.sleep(1)

            assert scene.said == ["You owe us 25 euros.", "And it has arrived."]

    run_virtual(scenario())


def test_a_tool_that_ends_while_an_answer_waits_for_a_person_is_told_behind_it() -> None:
    async def scenario() -> None:
        agent = Agent("desk", tools=[search], answer_approval=Approval(commentary=""))
        async with Scene([SEARCHES], agent=agent) as scene:
            scene.runner.took_s = 1
            await scene.place()
            scene.says("Please search.")
            await asyncio.sleep(3)
            await scene.decides("approve")
            await asyncio.sleep(1)
            await scene.decides("approve")
            await asyncio.sleep(1)

            assert scene.said == ["I am looking.", "I am looking."]
            assert [message.status for message in scene.finished] == ["completed"]

    run_virtual(scenario())


class SameIds:
    """A model that gives two tool calls of a round one id."""

    name, repeatable = "same", False

    async def respond(self, request: ModelRequest) -> AsyncGenerator[ModelEvent, None]:
        if any(isinstance(item, ToolCallItem) for item in request.items):
            yield TextDelta("Done.", "final_answer")
        else:
            yield ToolCall("call_same", "lookup", '{"order": "1"}')
            yield ToolCall("call_same", "nothing", "{}")
            yield ToolCall("call_same", "lookup", '{"order": "2"}')
        yield RoundDone()

    async def close(self) -> None:
        """Nothing to close."""


def test_two_tool_calls_of_one_id_are_two_tool_calls() -> None:
    async def scenario() -> None:
        async with Scene(model=SameIds()) as scene:
            await scene.place()
            scene.says("Where are they?")
            await asyncio.sleep(1)

            view = await scene.view()
            assert [order.arguments for order in scene.runner.orders] == ['{"order": "1"}', '{"order": "2"}']
            assert [(tool.name, tool.status) for tool in view.tools.values()] == [
                ("lookup", "ok"),
                ("nothing", "error"),
                ("lookup", "ok"),
            ]
            assert view.strays == 0

    run_virtual(scenario())


def test_a_verdict_on_a_tool_call_is_recorded_with_the_call() -> None:
    """The caller interrupts while the next call of the round is judged."""

    async def scenario() -> None:
        @guardrail(on="tool_arguments", name="g")
        async def judge(check: Check) -> Verdict:
            await asyncio.sleep(0 if check.tool == "lookup" else 1)
            return block("No.")

        both: Sequence[Sequence[Step]] = [[Call("lookup", {}), Call("slow", {})]]
        async with Scene([both, SURE], agent=Agent("desk", tools=[lookup, slow], guardrails=[judge])) as scene:
            await scene.place()
            scene.says("Where is it?")
            await asyncio.sleep(0.5)
            scene.interrupts(next(iter(scene.of(ResponseStarted))).response)
            await asyncio.sleep(2)

            view = await scene.view()
            assert (view.tools, view.verdicts) == ({}, {})

    run_virtual(scenario())


class SlowStore(MemoryRecordStore):
    """takes_s: from an append to its acknowledgement."""

    takes_s = 0.0

    def append(self, call: str, data: bytes, *, expected_seq: int, entry: str) -> asyncio.Future[int]:
        stored = super().append(call, data, expected_seq=expected_seq, entry=entry)
        if not self.takes_s or not stored.done() or stored.exception() is not None:
            return stored
        late: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().call_later(self.takes_s, late.set_result, stored.result())
        return late


def test_a_handoff_that_the_caller_forestalls_is_over() -> None:
    async def scenario() -> None:
        other = Agent("other")
        agent = Agent("desk", handoffs=[other], tools=[transfer_call(["sales"])])
        script: Sequence[Sequence[Step]] = [
            [Call("transfer_to_other", {}), Call("transfer_call", {"target": msgspec.Raw(b'"sales"')})]
        ]
        store = SlowStore()
        async with Scene([script, SURE], agent=agent, others=[other], store=store) as scene:
            await scene.place()
            store.takes_s = 1.0
            scene.says("Another one, please.")
            await asyncio.sleep(0.5)
            scene.interrupts(next(iter(scene.of(ResponseStarted))).response)
            await asyncio.sleep(5)

            view = await scene.view()
            assert [tool.status for tool in view.tools.values()] == ["cancelled", "cancelled"]
            assert view.speaker == "desk"
            assert view.transfers == []

    run_virtual(scenario())


def test_a_handoff_whose_agent_is_lost_before_it_is_made_by_the_next() -> None:
    async def scenario() -> None:
        other = Agent("other")
        agent = Agent("desk", handoffs=[other])
        script = [[[Call("transfer_to_other", {})], [Words("I am the other.", "final_answer")]]]
        store = SlowStore()
        async with Scene(script, agent=agent, others=[other], store=store) as first:
            await first.place()
            store.takes_s = 1.0
            first.says("Another one, please.")
            await asyncio.sleep(0.5)
            await first.hang_up("moved")
            await asyncio.sleep(5)
            store.takes_s = 0.0
            async with Scene(script, agent=agent, others=[other], store=store, worker="ag2") as second:
                await second.place(attach=2, order=FOLLOWS)
                second.link.send(second.recall())
                await asyncio.sleep(1)

                view = await second.view()
                assert [tool.status for tool in view.tools.values()] == ["ok"]
                assert view.speaker == "other"
                assert second.said == ["I am the other."]

    run_virtual(scenario())


def test_a_tool_whose_result_is_looked_at_when_the_call_ends_was_not_left_undone() -> None:
    async def scenario() -> None:
        @guardrail(on="tool_result", name="slow")
        async def slow_judge(check: Check) -> None:
            await asyncio.sleep(1.5)

        agent = Agent("desk", tools=[lookup], guardrails=[slow_judge])
        async with Scene([LOOKS_UP], agent=agent) as scene:
            await scene.place()
            scene.says("Where is it?")
            await asyncio.sleep(1)
            await scene.hang_up()

            (tool_,) = (await scene.view()).tools.values()
            assert (tool_.status, tool_.output) == ("unknown", "The call ended before a result came.")

    run_virtual(scenario())


def test_a_slow_model_is_not_bridged_by_fillers_while_it_repeats_itself() -> None:
    async def scenario() -> None:
        agent = Agent("desk", fillers=Fillers(("Hm.",), after_s=1.5))
        slow_model: Sequence[Sequence[Step]] = [
            [Wait(0.5), Words("It is here. It is blue, I think. And so on.", "final_answer")]
        ]
        slower: Sequence[Sequence[Step]] = [[Wait(3), *slow_model[0][1:]]]
        halting: Sequence[Sequence[Step]] = [[Wait(0.5), Words("It is here. It is blue, I ", "final_answer"), Wait(50)]]
        async with Scene([halting], agent=agent) as first:
            await first.place()
            first.says("Where is it?")
            await asyncio.sleep(2)
            assert first.said == ["It is here. "]
            async with after(first, agent, slower) as second:
                await second.place(attach=2, order=FOLLOWS)
                second.link.send(second.recall(unfinished=tuple((await first.view()).responses)))
                await asyncio.sleep(6)

                assert second.said == ["It is here. ", "It is blue, I think. ", "And so on."]

    run_virtual(scenario())


def test_news_of_a_tool_is_told_by_a_model_that_has_read_no_words_that_were_not_cleared() -> None:
    async def scenario() -> None:
        @guardrail(on="input", name="g")
        def blocks(check: Check) -> Verdict | None:
            return block("No.") if "swordfish" in check.text else None

        async with Scene([SEARCHES, SURE], agent=Agent("desk", tools=[search], guardrails=[blocks])) as scene:
            scene.runner.took_s = 5
            await scene.place()
            scene.says("Please search.")
            await asyncio.sleep(1)
            scene.says("It is swordfish.", respond=False)
            await asyncio.sleep(6)

            assert "swordfish" not in repr(scene.model.requests)

    run_virtual(scenario())


def test_what_a_caller_cancelled_by_speaking_is_no_news_to_him() -> None:
    async def scenario() -> None:
        stoppable = replace(search, cancel_on_interrupt=True)
        async with Scene([SEARCHES], agent=Agent("desk", tools=[stoppable])) as scene:
            scene.runner.answer = lambda order: None
            await scene.place()
            scene.says("Please search.")
            await asyncio.sleep(1)
            scene.interrupts(next(iter(scene.of(ResponseStarted))).response)
            (order,) = scene.runner.orders
            scene.runner.exchange.post(
                "tl.v1.agent.ag.rtc_00_test", CALL, ToolResult(order.tool_call, "cancelled", "It was stopped.", "tr")
            )
            await asyncio.sleep(1)

            assert [one.status for one in (await scene.view()).tools.values()] == ["cancelled"]
            assert len(scene.of(ResponseStarted)) == 1

    run_virtual(scenario())


def test_last_words_that_were_said_are_not_said_again_by_the_next_owner() -> None:
    async def scenario() -> None:
        @guardrail(on="output", name="g")
        async def judge(check: Check) -> None:
            await asyncio.sleep(1.0)

        agent = Agent("desk", tools=[end_call()], guardrails=[judge])
        farewell = {"farewell": msgspec.Raw(b'"It was nice to talk to you. Goodbye then, and take care."')}
        script: Sequence[Sequence[Step]] = [[Call("end_call", farewell)]]
        async with Scene([script], agent=agent) as first:
            await first.place()
            first.says("That is all.")
            await asyncio.sleep(1.5)
            assert first.said == ["It was nice to talk to you. "]
            await first.hang_up("moved")
            async with after(first, agent, script) as second:
                await second.place(attach=2, order=FOLLOWS)
                second.link.send(second.recall(unfinished=tuple((await first.view()).responses)))
                await asyncio.sleep(5)

                assert "".join(second.said) == "It was nice to talk to you. Goodbye then, and take care."
                assert len(second.of(HangUp)) == 1

    run_virtual(scenario())


def test_a_goodbye_with_the_end_of_the_call_is_not_followed_by_a_farewell_after_a_loss() -> None:
    async def scenario() -> None:
        agent = Agent("desk", tools=[end_call()])
        bye = Call("end_call", {"farewell": msgspec.Raw(b'"Goodbye."')})
        script: Sequence[Sequence[Step]] = [[Words("Goodbye!", None), bye]]
        store = SlowStore()
        async with Scene([script], agent=agent, store=store) as first:
            await first.place()
            store.takes_s = 1.0
            first.says("That is all.")
            await asyncio.sleep(1.5)
            await first.hang_up("moved")
            await asyncio.sleep(5)
            store.takes_s = 0.0
            assert first.said == ["Goodbye!"]
            async with after(first, agent, script) as second:
                await second.place(attach=2, order=FOLLOWS)
                second.link.send(second.recall())
                await asyncio.sleep(1)

                assert second.said == []
                assert len(second.of(HangUp)) == 1

    run_virtual(scenario())


def test_a_farewell_that_waits_for_a_person_is_asked_for_once() -> None:
    async def scenario() -> None:
        agent = Agent("desk", tools=[end_call()], answer_approval=Approval(commentary=""))
        script: Sequence[Sequence[Step]] = [[Call("end_call", {"farewell": msgspec.Raw(b'"Goodbye."')})]]
        async with Scene([script], agent=agent) as first:
            await first.place()
            first.says("That is all.")
            await asyncio.sleep(1)
            await first.hang_up("moved")
            async with after(first, agent, script) as second:
                await second.place(attach=2, order=FOLLOWS)
                second.link.send(second.recall())
                await asyncio.sleep(1)
                (waiting,) = (await second.view()).waiting_approvals()
                await second.decides("approve", approval=waiting.asked.approval)
                await asyncio.sleep(1)

                assert second.said == ["Goodbye."]
                assert len((await second.view()).approvals) == len(second.of(HangUp)) == 1

    run_virtual(scenario())


def test_a_message_that_is_cut_off_by_a_loss_and_the_caller_keeps_a_phase() -> None:
    async def scenario() -> None:
        halting: Sequence[Sequence[Step]] = [[Words("It is here. It is blue, I "), Wait(50)]]
        agent = Agent("desk")
        async with Scene([halting], agent=agent) as first:
            await first.place()
            first.says("Where is it?")
            await asyncio.sleep(1)
            (response,) = (await first.view()).responses
            await first.hang_up("moved")
            async with after(first, agent, [[Wait(50)]], SURE) as second:
                await second.place(attach=2, order=FOLLOWS)
                second.link.send(second.recall(inputs=1))
                second.interrupts(response)
                await asyncio.sleep(1)

                view = await second.view()
                (item,) = view.responses[response].items
                assert view.items[item].phase == "final_answer"

    run_virtual(scenario())


def test_a_message_that_is_being_repeated_when_the_caller_speaks_keeps_a_phase() -> None:
    async def scenario() -> None:
        halting: Sequence[Sequence[Step]] = [[Words("It is here. It is blue, I "), Wait(50)]]
        agent = Agent("desk")
        async with Scene([halting], agent=agent) as first:
            await first.place()
            first.says("Where is it?")
            await asyncio.sleep(1)
            (response,) = (await first.view()).responses
            await first.hang_up("moved")
            async with after(first, agent, [[Wait(50)]]) as second:
                await second.place(attach=2, order=FOLLOWS)
                second.link.send(second.recall())
                await asyncio.sleep(1)
                second.interrupts(response)
                await asyncio.sleep(1)

                view = await second.view()
                (item,) = view.responses[response].items
                assert view.items[item].phase == "final_answer"

    run_virtual(scenario())


def test_instructions_that_never_come_end_the_response_with_an_apology() -> None:
    async def scenario() -> None:
        async def instructions(call: CallContext) -> str:
            await asyncio.Event().wait()
            return ""

        async with Scene([SURE], agent=Agent("desk", instructions=instructions)) as scene:
            await scene.place()
            scene.says("Hello?")
            await asyncio.sleep(30)

            assert [message.status for message in scene.finished] == ["failed"]

    run_virtual(scenario())


def test_a_call_whose_time_is_up_ends_without_last_words_too() -> None:
    async def scenario() -> None:
        async with Scene([SURE], agent=Agent("desk", duration=Duration(5, goodbye=""))) as scene:
            await scene.place()
            await asyncio.sleep(6)

            assert scene.said == []
            assert len(scene.of(HangUp)) == 1

    run_virtual(scenario())


@pytest.mark.parametrize(
    "verdict",
    [
        rewrite("\ud800"),
        block("x" * 2_000_000),
        block("No.", reason="\udcff" * 3),
        block("No.", reason="x" * 2_000_000),
    ],
)
def test_a_verdict_that_no_record_can_hold_costs_no_call(verdict: Verdict) -> None:
    async def scenario() -> None:
        agent = Agent("desk", guardrails=[guardrail(on="output", name="g")(lambda check: verdict)])
        async with Scene([SURE], agent=agent) as scene:
            await scene.place()
            scene.says("Hello?")
            await asyncio.sleep(1)

            assert [message.status for message in scene.finished] == ["incomplete"]
            assert [one.status for one in (await scene.view()).responses.values()] == ["incomplete"]

    run_virtual(scenario())


def test_what_waits_for_a_person_is_not_begun_only_to_be_stopped() -> None:
    async def scenario() -> None:
        careful = replace(slow, approval=Approval(commentary=""), cancel_on_interrupt=True)
        script: Sequence[Sequence[Step]] = [[Call("slow", {})], [Words("Done.", "final_answer")]]
        async with Scene([script], agent=Agent("desk", tools=[careful])) as scene:
            scene.runner.took_s = 1
            await scene.place()
            scene.says("Please do it.")
            await asyncio.sleep(1)
            scene.interrupts(next(iter(scene.of(ResponseStarted))).response)
            cancelled: list[object] = []
            scene.runner.exchange.on_loose = lambda envelope, headers: cancelled.append(envelope.message)
            await scene.decides("approve")
            await asyncio.sleep(3)

            assert [one.status for one in (await scene.view()).tools.values()] == ["ok"]
            assert not any(isinstance(message, CancelTool) for message in cancelled)

    run_virtual(scenario())


def test_what_is_due_when_the_caller_falls_silent_is_told_instead_of_a_prompt() -> None:
    """The answer during which a tool ended was interrupted, by a noise."""

    async def scenario() -> None:
        agent = Agent("desk", tools=[search], silence=Silence(8, prompts=("Hello?",)))
        halting: Sequence[Sequence[Step]] = [[Words("Well, there is much to be said of that. "), Wait(50)]]
        async with Scene([SEARCHES, halting], agent=agent) as scene:
            scene.runner.took_s = 3
            await scene.place()
            scene.says("Please search.")
            await asyncio.sleep(1)
            scene.says("And meanwhile?")
            await asyncio.sleep(4)
            scene.interrupts(scene.of(ResponseStarted)[-1].response)  # type: ignore[attr-defined]  # it is one
            await asyncio.sleep(1)
            scene.away(1)
            await asyncio.sleep(1)

            (news,) = (await scene.view()).tools
            assert scene.model.requests[-1].news == {news}
            assert "Hello?" not in scene.said

    run_virtual(scenario())


def test_a_call_whose_time_is_up_ends_though_its_last_answer_was_interrupted() -> None:
    async def scenario() -> None:
        halting: Sequence[Sequence[Step]] = [[Words("Well, there is much to be said of that. "), Wait(50)]]
        async with Scene([halting], agent=Agent("desk", duration=Duration(5, goodbye="Time is up."))) as scene:
            await scene.place()
            scene.says("Tell me all.")
            await asyncio.sleep(6)
            scene.interrupts(scene.of(ResponseStarted)[-1].response)  # type: ignore[attr-defined]  # it is one
            await asyncio.sleep(20)

            assert scene.said[-1] == "Time is up."
            assert len(scene.of(HangUp)) == 1

    run_virtual(scenario())


def test_words_of_a_tool_that_are_blocked_leave_the_order_of_the_conversation() -> None:
    async def scenario() -> None:
        @guardrail(on="output", name="g")
        def judge(check: Check) -> Verdict | None:
            return block("No.") if "swordfish" in check.text else None

        async with Scene([LOOKS_UP], agent=Agent("desk", tools=[lookup], guardrails=[judge])) as scene:
            scene.runner.took_s = 2
            await scene.place()
            scene.says("Where is it?")
            await asyncio.sleep(0.5)
            (order,) = scene.runner.orders
            for words in ("It is swordfish.", "Still looking."):
                scene.runner.exchange.post("tl.v1.agent.ag.rtc_00_test", CALL, ToolProgress(order.tool_call, words))
                await asyncio.sleep(0.5)
            await asyncio.sleep(2)

            kinds = [type(item).__name__ for item in scene.model.requests[-1].items]
            assert kinds[-2:] == ["ToolCallItem", "ToolOutputItem"]
            assert [one.source for one in (await scene.view()).items.values()][-3:] == ["tool", "tool", "model"]

    run_virtual(scenario())


def test_a_token_in_the_words_of_a_tool_is_spoken_in_words() -> None:
    async def scenario() -> None:
        script = [[[Call("lookup", {"order": msgspec.Raw(b'"{words}"')})], [Words("Done.", "final_answer")]]]
        agent = Agent("desk", tools=[lookup], guardrails=[pii()])
        async with Scene(script, agent=agent, vault=Vault(bytes(32), MemoryBucket())) as scene:
            scene.runner.took_s = 1
            await scene.place()
            scene.says("It is 4111 1111 1111 1111.")
            await asyncio.sleep(0.5)
            (order,) = scene.runner.orders
            token = TOKEN.search(order.arguments)
            assert token is not None
            words = ToolProgress(order.tool_call, f"I am charging {token.group()} now.")
            scene.runner.exchange.post("tl.v1.agent.ag.rtc_00_test", CALL, words)
            await asyncio.sleep(1)

            assert scene.said[1:] == ["I am charging your card now.", "Done."]

    run_virtual(scenario())


class AwayStore(MemoryRecordStore):
    """away: nothing is stored."""

    away = False

    def append(self, call: str, data: bytes, *, expected_seq: int, entry: str) -> asyncio.Future[int]:
        if not self.away:
            return super().append(call, data, expected_seq=expected_seq, entry=entry)
        failed: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        failed.set_exception(StoreUnavailable(call, 1.0))
        return failed


def test_a_decision_while_the_record_is_away_has_its_effect_when_it_is_back() -> None:
    async def scenario() -> None:
        careful = replace(slow, approval=Approval(commentary="", timeout_s=5))
        script: Sequence[Sequence[Step]] = [[Call("slow", {})], [Words("Done.", "final_answer")]]
        store = AwayStore()
        async with Scene([script], agent=Agent("desk", tools=[careful]), store=store) as scene:
            await scene.place()
            scene.says("Please do it.")
            await asyncio.sleep(1)
            store.away = True
            await asyncio.sleep(10)
            assert scene.said == []
            store.away = False
            await asyncio.sleep(3)

            assert [one.status for one in (await scene.view()).tools.values()] == ["denied"]
            assert scene.said == ["Done."]

    run_virtual(scenario())


def test_an_end_that_was_approved_too_late_has_one_outcome() -> None:
    """The caller speaks between a person's word and its being stored."""

    async def scenario() -> None:
        agent = Agent("desk", tools=[end_call(approval=Approval(commentary=""))])
        store = SlowStore()
        script: Sequence[Sequence[Step]] = [[Call("end_call", {})], [Words("Well.", "final_answer")]]
        async with Scene([script, SURE], agent=agent, store=store) as scene:
            await scene.place()
            scene.says("That is all.")
            await asyncio.sleep(1)
            store.takes_s = 1.0
            await scene.decides("approve")
            scene.interrupts(next(iter(scene.of(ResponseStarted))).response)
            await asyncio.sleep(5)

            view = await scene.view()
            assert [one.status for one in view.tools.values()] == ["cancelled"]
            assert view.strays == 0
            assert not scene.of(HangUp)

    run_virtual(scenario())


class Searches:
    """A model that searches when it is told to."""

    name, repeatable = "searches", True

    async def respond(self, request: ModelRequest) -> AsyncGenerator[ModelEvent, None]:
        if "search" in repr(request.items) and not any(isinstance(item, ToolCallItem) for item in request.items):
            yield ToolCall(new_tool_call_id(), "search", "{}")
        else:
            yield TextDelta("Sure.", "final_answer")
        yield RoundDone()

    async def close(self) -> None:
        """Nothing to close."""


def test_news_is_the_last_that_the_model_reads_however_little_of_the_conversation_it_is_told() -> None:
    """Behind a message of its own a chat model would go on with that."""

    async def scenario() -> None:
        settings = ModelSettings(history_tokens=1)
        agent = Agent("desk", tools=[search], settings=settings)
        async with Scene(model=Searches(), agent=agent) as scene:
            scene.runner.took_s = 5
            await scene.place()
            scene.says("Please search.")
            await asyncio.sleep(1)
            scene.says("And another thing.")
            await asyncio.sleep(6)

            (news,) = (await scene.view()).tools
            items = scene.model.requests[-1].items
            assert scene.model.requests[-1].news == {news}
            assert [getattr(item, "id", "") for item in items[-2:]] == [news, news]
            assert [item.text for item in items if isinstance(item, MessageItem)] == ["And another thing.", "Sure."]

    run_virtual(scenario())


def test_words_that_only_the_next_agent_file_rewrites_are_answered_anew() -> None:
    async def scenario() -> None:
        @guardrail(on="input", name="g", parallel=True)
        def rewrites(check: Check) -> Verdict | None:
            return rewrite("bye") if check.text == "hello" else None

        halting: Sequence[Sequence[Step]] = [
            [Words("You said {words}. And what I think is ", "final_answer"), Wait(50)]
        ]
        whole: Sequence[Sequence[Step]] = [[Words("You said {words}. And what I think is this.", "final_answer")]]
        async with Scene([halting], agent=Agent("desk")) as first:
            await first.place()
            first.says("hello")
            await asyncio.sleep(1)
            assert first.said == ["You said hello. "]
            async with after(first, Agent("desk", guardrails=[rewrites]), whole) as second:
                await second.place(attach=2, order=FOLLOWS)
                second.link.send(second.recall(unfinished=tuple((await first.view()).responses)))
                await asyncio.sleep(2)

                assert [message.status for message in second.finished] == ["completed"]
                assert "".join(second.said) == "You said hello. You said bye. And what I think is this."

    run_virtual(scenario())


def test_news_that_begin_as_the_caller_is_found_silent_are_told() -> None:
    async def scenario() -> None:
        agent = Agent("desk", tools=[search], silence=Silence(8, prompts=("Hello?",)))
        script: Sequence[Sequence[Step]] = [[Call("search", {})], [Wait(1), Words("Well.", "final_answer")]]
        async with Scene([script], agent=agent) as scene:
            scene.runner.took_s = 10
            await scene.place()
            scene.says("Please search.")
            await asyncio.sleep(10.5)
            assert len(scene.of(ResponseStarted)) == 2
            scene.away(1)
            await asyncio.sleep(3)

            (news,) = (await scene.view()).tools
            assert scene.model.requests[-1].news == {news}
            assert scene.said == ["Well.", "Well."]

    run_virtual(scenario())


def test_a_handoff_whose_agent_is_lost_and_that_the_caller_then_forestalls_is_over() -> None:
    async def scenario() -> None:
        other = Agent("other")
        agent = Agent("desk", handoffs=[other])
        script = [[[Call("transfer_to_other", {})]]]
        store = SlowStore()
        async with Scene(script, agent=agent, others=[other], store=store) as first:
            await first.place()
            store.takes_s = 1.0
            first.says("Another one, please.")
            await asyncio.sleep(0.5)
            (response,) = (m.response for m in first.told if isinstance(m, ResponseStarted))
            await first.hang_up("moved")
            await asyncio.sleep(5)
            store.takes_s = 0.0
            async with Scene(script, agent=agent, others=[other], store=store, worker="ag2") as second:
                await second.place(attach=2, order=FOLLOWS)
                second.link.send(second.recall(inputs=1))
                second.interrupts(response)
                await asyncio.sleep(1)

                view = await second.view()
                assert [tool.status for tool in view.tools.values()] == ["cancelled"]
                assert view.speaker == "desk"

    run_virtual(scenario())


def test_what_was_heard_of_a_cut_message_is_not_guessed_anew_when_the_call_ends() -> None:
    async def scenario() -> None:
        words = "Once upon a time there was a small town by the sea where it rained every single day."
        async with Scene([[[Words(words, "final_answer")]], SURE]) as scene:
            await scene.place()
            scene.says("Tell me a story.")
            await asyncio.sleep(1)
            item = next(m.item for m in scene.told if isinstance(m, ItemStarted))
            scene.played(item, 0)
            scene.interrupts(
                scene.finished[0].response, SegmentHeard(item, 0, 50_000, 50_000), SegmentHeard(item, 1, 60_000, 90_000)
            )
            scene.says("Stop.")
            await asyncio.sleep(1)
            cut = (await scene.view()).items[item].heard_text
            await scene.hang_up()

            assert cut.startswith("Once upon a time there was a small town by the sea")
            assert (await scene.view()).items[item].heard_text == cut

    run_virtual(scenario())
