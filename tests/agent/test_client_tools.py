"""Tools of the client: asked at their commit point and never before, answered by the client's word, on record."""

import asyncio
from collections.abc import Sequence

import msgspec

from agent.scene import Scene, lookup
from agent.test_session import Failing, HoldingStore
from agent.test_takeover import ASKED, Cut, Moving, Undisturbed, taken_over
from support.virtual import run_virtual
from trunkline.agent.models.scripted import Call, Script, ScriptedModel, Step, Wait, Words
from trunkline.agent.models.seam import ToolOutputItem
from trunkline.agent.rounds import GIVING_UP, MAX_HANDOFFS
from trunkline.agent.tool_desk import NOT_RECORDED
from trunkline.agents import Agent, Check, Verdict, block, end_call, guardrail, hand_off, rewrite
from trunkline.proto.placement import Release
from trunkline.proto.record import ClientEquipped, OwnerTook, ToolFinished, ToolIntended
from trunkline.proto.response import (
    Converse,
    Equip,
    Interrupt,
    Recall,
    Respond,
    ResponseFinished,
    ResponseStarted,
    Say,
    Stored,
    ToolAsked,
    ToolOutput,
    Utterance,
)
from trunkline.proto.tool import DescribedTool
from trunkline.record import ToolView

SCHEMA = '{"type":"object","properties":{"page":{"type":"integer"}},"required":["page"]}'
OPEN = DescribedTool("open_page", "Opens a page for the caller.", SCHEMA)
EQUIP = Equip((OPEN,))
SEVEN = {"page": msgspec.Raw(b"7")}
PREAMBLE = Words("One moment. ", "commentary")
SHOWS: Sequence[Sequence[Step]] = [[PREAMBLE, Call("open_page", SEVEN)], [Words("There it is.", "final_answer")]]
ANSWER = Respond(response="resp_2")


def asked_of(scene: Scene) -> list[ToolAsked]:
    return [message for message in scene.told if isinstance(message, ToolAsked)]


async def only_tool(scene: Scene) -> ToolView:
    (tool,) = (await scene.view()).tools.values()
    return tool


async def shows(scene: Scene, *, settle_s: float = 1.0) -> ToolAsked:
    """The caller asks, and the client is asked."""
    await scene.place()
    scene.link.send(EQUIP)
    scene.says("Show me page seven.")
    await asyncio.sleep(settle_s)
    (asked,) = asked_of(scene)
    return asked


def test_a_client_s_tool_ends_the_response_and_its_output_is_read_by_the_next() -> None:
    async def scenario() -> None:
        async with Scene([SHOWS]) as scene:
            asked = await shows(scene)
            assert (asked.name, asked.arguments) == ("open_page", '{"page":7}')
            assert [type(one) for one in scene.told if isinstance(one, Utterance)][-2:] == [ToolAsked, ResponseFinished]
            assert [done.status for done in scene.finished] == ["completed"]
            assert len(scene.model.requests) == 1
            assert [(one.name, one.parameters["required"]) for one in scene.model.requests[0].tools][1:] == [
                ("open_page", ["page"])
            ]

            scene.link.send(ToolOutput(asked.tool_call, "Page 7 is open."))
            scene.link.send(ANSWER)
            await asyncio.sleep(1)

            read = [one for one in scene.model.requests[-1].items if isinstance(one, ToolOutputItem)]
            assert [(one.output, one.status) for one in read] == [('"Page 7 is open."', "ok")]
            assert scene.said[-1] == "There it is."
            tool = await only_tool(scene)
            assert (tool.runs, tool.status, tool.runner, tool.deadline_us) == ("client", "ok", "client", 0)
            assert scene.runner.orders == []

    run_virtual(scenario())


def test_the_client_is_asked_only_once_the_intent_is_durable() -> None:
    async def scenario() -> None:
        store = HoldingStore()
        async with Scene([SHOWS], store=store) as scene:
            await scene.place()
            scene.link.send(EQUIP)
            await asyncio.sleep(0.5)
            store.holds = True
            scene.says("Show me page seven.")
            await asyncio.sleep(1)
            before = asked_of(scene)
            store.let_go()
            store.holds = False
            await asyncio.sleep(1)

            assert before == []
            assert len(asked_of(scene)) == 1

    run_virtual(scenario())


def test_what_policy_denies_the_client_is_never_asked() -> None:
    @guardrail(on="tool_arguments", tools=["open_page"])
    def no_seven(check: Check) -> Verdict | None:
        return block("Page seven is closed.") if check.arguments["page"] == 7 else None

    async def scenario() -> None:
        async with Scene([SHOWS], agent=Agent("desk", guardrails=[no_seven])) as scene:
            await scene.place()
            scene.link.send(EQUIP)
            scene.says("Show me page seven.")
            await asyncio.sleep(1)

            assert asked_of(scene) == []
            tool = await only_tool(scene)
            assert (tool.status, tool.output) == ("denied", "Page seven is closed.")
            assert scene.said[-1] == "There it is."  # of the same response: nobody else goes on with it
            assert len(scene.finished) == 1

    run_virtual(scenario())


def test_what_policy_rewrites_is_what_the_client_is_asked() -> None:
    @guardrail(on="tool_arguments")
    def one_further(check: Check) -> Verdict | None:
        return rewrite('{"page":8}')

    async def scenario() -> None:
        async with Scene([SHOWS], agent=Agent("desk", guardrails=[one_further])) as scene:
            asked = await shows(scene)

            assert asked.arguments == (await only_tool(scene)).arguments == '{"page":8}'

    run_virtual(scenario())


BOTH: Sequence[Sequence[Step]] = [[Call("open_page", SEVEN), Call("lookup")], [Words("Done.", "final_answer")]]


def test_tools_of_the_server_are_done_before_the_client_is_asked() -> None:
    async def scenario() -> None:
        async with Scene([BOTH]) as scene:
            scene.runner.took_s = 2.0
            await scene.place()
            scene.link.send(EQUIP)
            scene.says("Show me page seven.")
            await asyncio.sleep(1)
            early = asked_of(scene)
            await asyncio.sleep(2)

            assert early == []
            assert [one.name for one in asked_of(scene)] == ["open_page"]
            assert {tool.name: tool.status for tool in (await scene.view()).tools.values()} == {
                "open_page": None,
                "lookup": "ok",
            }
            assert [done.status for done in scene.finished] == ["completed"]
            assert len(scene.model.requests) == 1

    run_virtual(scenario())


def test_a_caller_who_interrupts_before_takes_the_client_s_tool_back() -> None:
    async def scenario() -> None:
        async with Scene([BOTH, [[Words("All right.", "final_answer")]]]) as scene:
            scene.runner.took_s = 2.0
            await scene.place()
            scene.link.send(EQUIP)
            scene.says("Show me page seven.")
            await asyncio.sleep(1)
            (response,) = (m.response for m in scene.told if isinstance(m, ResponseStarted))
            scene.interrupts(response)
            scene.says("Never mind.")
            await asyncio.sleep(3)

            assert asked_of(scene) == []
            statuses = {tool.name: tool.status for tool in (await scene.view()).tools.values()}
            assert statuses == {"open_page": "cancelled", "lookup": "ok"}

    run_virtual(scenario())


def test_a_caller_who_interrupts_afterwards_changes_nothing_for_a_client_that_was_asked() -> None:
    async def scenario() -> None:
        async with Scene([SHOWS, [[Words("All right.", "final_answer")]]]) as scene:
            asked = await shows(scene)
            scene.link.send(Interrupt(asked.response, "turn_detected", (), (asked.tool_call,)))
            await asyncio.sleep(0.5)
            between = (await only_tool(scene)).status
            scene.link.send(ToolOutput(asked.tool_call, '{"open":true}'))
            await asyncio.sleep(0.5)

            tool = await only_tool(scene)
            assert (between, tool.status, tool.output) == (None, "ok", '{"open":true}')

    run_virtual(scenario())


def test_a_tool_call_that_never_reached_the_client_is_cancelled_and_takes_no_output() -> None:
    """The gateway still had words to say before it when the caller spoke."""

    async def scenario() -> None:
        async with Scene([SHOWS, [[Words("All right.", "final_answer")]]]) as scene:
            asked = await shows(scene)
            scene.link.send(Interrupt(asked.response, "turn_detected"))
            scene.link.send(ToolOutput(asked.tool_call, "open"))
            await asyncio.sleep(0.5)

            tool = await only_tool(scene)
            assert (tool.status, tool.runner) == ("cancelled", "")

    run_virtual(scenario())


def test_an_output_counts_once_and_only_for_a_call_that_was_asked() -> None:
    async def scenario() -> None:
        async with Scene([SHOWS]) as scene:
            asked = await shows(scene)
            for output in ("1", "2"):
                scene.link.send(ToolOutput(asked.tool_call, output))
            scene.link.send(ToolOutput("call_unknown", "3"))
            await asyncio.sleep(0.5)

            finished = [event for event in await scene.events() if isinstance(event, ToolFinished)]
            assert [(one.tool_call, one.output) for one in finished] == [(asked.tool_call, "1")]
            assert scene.link.peer_epoch == 1  # the call goes on

    run_virtual(scenario())


def test_the_end_of_the_call_leaves_what_the_client_was_asked_unknown() -> None:
    async def scenario() -> None:
        async with Scene([SHOWS]) as scene:
            await shows(scene)
            await scene.hang_up()

            assert (await only_tool(scene)).status == "unknown"

    run_virtual(scenario())


def test_the_end_of_the_call_cancels_what_the_client_was_not_asked() -> None:
    async def scenario() -> None:
        async with Scene([BOTH]) as scene:
            scene.runner.took_s = 5.0
            await scene.place()
            scene.link.send(EQUIP)
            scene.says("Show me page seven.")
            await asyncio.sleep(1)
            await scene.hang_up()

            statuses = {tool.name: tool.status for tool in (await scene.view()).tools.values()}
            assert statuses == {"open_page": "cancelled", "lookup": "unknown"}

    run_virtual(scenario())


def test_an_agent_that_ends_the_call_asks_the_client_nothing_more() -> None:
    async def scenario() -> None:
        both: Script = [[[Call("open_page", SEVEN), Call("end_call")]]]
        async with Scene(both, agent=Agent("desk", tools=[end_call()])) as scene:
            await scene.place()
            scene.link.send(EQUIP)
            scene.says("That is all.")
            await asyncio.sleep(1)
            await scene.hang_up("agent_hung_up")

            assert asked_of(scene) == []
            statuses = {tool.name: tool.status for tool in (await scene.view()).tools.values()}
            assert statuses == {"open_page": "cancelled", "end_call": "ok"}

    run_virtual(scenario())


@guardrail(on="tool_result")
async def slow_eye(check: Check) -> Verdict | None:
    await asyncio.sleep(1)
    return rewrite('"[withheld]"') if "secret" in check.text else None


def test_policy_sees_an_output_before_the_model_does_and_before_it_counts_as_stored() -> None:
    async def scenario() -> None:
        async with Scene([SHOWS], agent=Agent("desk", guardrails=[slow_eye])) as scene:
            asked = await shows(scene, settle_s=2)
            scene.link.send(ToolOutput(asked.tool_call, "the secret"))
            scene.link.send(ANSWER)
            sent = scene.link.state.sent
            await asyncio.sleep(0.8)
            early = max(one.received for one in scene.told if isinstance(one, Stored))
            waits = len(scene.model.requests)
            await asyncio.sleep(2)
            late = max(one.received for one in scene.told if isinstance(one, Stored))

            assert (waits, len(scene.model.requests)) == (1, 2)
            assert early < sent - 1
            assert late == sent
            assert (await only_tool(scene)).output == '"[withheld]"'
            assert "secret" not in repr(await scene.events())

    run_virtual(scenario())


def test_a_verdict_on_an_output_ends_the_response_that_was_to_read_it() -> None:
    @guardrail(on="tool_result")
    def ends(check: Check) -> Verdict | None:
        return Verdict("end", "Goodbye then.")

    async def scenario() -> None:
        async with Scene([SHOWS], agent=Agent("desk", guardrails=[ends])) as scene:
            asked = await shows(scene)
            scene.link.send(ToolOutput(asked.tool_call, "open"))
            scene.link.send(ANSWER)
            await asyncio.sleep(1)

            assert scene.said[-1] == "Goodbye then."
            assert len(scene.model.requests) == 1

    run_virtual(scenario())


def test_a_verdict_on_an_output_is_obeyed_once_and_by_the_next_owner_too() -> None:
    @guardrail(on="tool_result")
    def elsewhere(check: Check) -> Verdict | None:
        return hand_off("other")

    async def scenario() -> None:
        agent = Agent("desk", guardrails=[elsewhere])
        async with Scene([SHOWS, [[Words("Yes.", "final_answer")]]], agent=agent, others=[Agent("other")]) as scene:
            asked = await shows(scene)
            scene.link.send(ToolOutput(asked.tool_call, "open"))
            await asyncio.sleep(0.5)
            scene.link.send(Release("moved"))
            await asyncio.sleep(0.5)
            await scene.place(attach=2, order=Converse(1, "gw", reason="ag: draining"))
            scene.link.send(Recall((), ("resp_2",), False, 1))
            scene.link.send(ANSWER)
            await asyncio.sleep(1)
            scene.says("And now?")
            await asyncio.sleep(1)

            assert [request.agent for request in scene.model.requests] == ["desk", "other", "other"]
            assert len((await scene.view()).handoffs) == 1

    run_virtual(scenario())


def test_policy_that_hands_the_call_over_takes_the_client_s_tool_back() -> None:
    @guardrail(on="tool_result", tools=["lookup"])
    def elsewhere(check: Check) -> Verdict | None:
        return hand_off("other")

    async def scenario() -> None:
        agent = Agent("desk", tools=[lookup], guardrails=[elsewhere])
        async with Scene([BOTH], agent=agent, others=[Agent("other")]) as scene:
            await scene.place()
            scene.link.send(EQUIP)
            scene.says("Show me page seven.")
            await asyncio.sleep(1)

            assert asked_of(scene) == []
            statuses = {tool.name: tool.status for tool in (await scene.view()).tools.values()}
            assert statuses == {"open_page": "cancelled", "lookup": "ok"}
            assert scene.said[-1] == "Done."
            assert scene.model.requests[-1].agent == "other"

    run_virtual(scenario())


def test_a_client_is_not_asked_by_agents_that_hand_off_in_circles() -> None:
    class Circles(ScriptedModel):
        repeatable = False

        def _round_of(self, request):  # type: ignore[no-untyped-def]  # the seam of a test
            over = Call("transfer_to_other" if request.agent == "desk" else "transfer_to_desk")
            handed = sum(isinstance(item, ToolOutputItem) for item in request.items)
            return [over, Call("open_page", SEVEN)] if handed == MAX_HANDOFFS else [over]

    async def scenario() -> None:
        one, other = Agent("desk", handoffs=["other"]), Agent("other", handoffs=["desk"])
        async with Scene(model=Circles(), agent=one, others=[other]) as scene:
            await scene.place()
            scene.link.send(EQUIP)
            scene.says("Show me page seven.")
            await asyncio.sleep(1)

            assert "".join(scene.said) == GIVING_UP
            assert asked_of(scene) == []
            statuses = [tool.status for tool in (await scene.view()).tools.values() if tool.runs == "client"]
            assert statuses == ["cancelled"]

    run_virtual(scenario())


async def unrecorded(scene: Scene, store: Failing) -> None:
    """The store is away when the client's tool would be recorded."""
    await scene.place()
    scene.link.send(EQUIP)
    await asyncio.sleep(0.5)
    store.down = True
    scene.link.send(ASKED)
    await asyncio.sleep(1)
    store.down = False
    await asyncio.sleep(1)


def test_the_client_is_not_asked_what_cannot_be_recorded() -> None:
    async def scenario() -> None:
        store = Failing()
        async with Scene([SHOWS], store=store) as scene:
            await unrecorded(scene, store)

            assert asked_of(scene) == []
            tool = await only_tool(scene)
            assert (tool.status, tool.output) == ("error", NOT_RECORDED)
            assert scene.said[-1] == "There it is."

    run_virtual(scenario())


def test_nor_is_it_by_the_next_agent_behind_words_that_knew_so() -> None:
    async def scenario() -> Undisturbed:
        store = Failing()
        async with Scene([SHOWS], store=store) as scene:
            await unrecorded(scene, store)
            return Undisturbed(await scene.events(), [one for one in scene.told if isinstance(one, Utterance)])

    whole = run_virtual(scenario())
    durable = next(i for i, event in enumerate(whole.events) if isinstance(event, ToolIntended))
    heard = next(
        i for i, message in enumerate(whole.said) if isinstance(message, Say) and message.text.startswith("There")
    )
    after = taken_over(Cut(whole.events[:durable], whole.said[: heard + 1]), ScriptedModel([SHOWS]))

    assert not [message for message in after.told if isinstance(message, ToolAsked)]
    assert [(tool.runs, tool.status) for tool in after.view.tools.values()] == [("client", "error")]
    assert after.view.responses[ASKED.response].status == "completed"


def test_a_client_equips_itself_anew_and_says_how_its_tools_are_chosen() -> None:
    async def scenario() -> None:
        async with Scene([[[Words("Yes.", "final_answer")]]]) as scene:
            await scene.place()
            for told in (Equip((OPEN,), "open_page"), Equip((OPEN,), "open_page")):
                scene.link.send(told)
            scene.says("One.")
            await asyncio.sleep(1)
            scene.link.send(Equip((), ""))
            scene.says("Two.")
            await asyncio.sleep(1)

            names = [[offer.name for offer in request.tools] for request in scene.model.requests]
            assert names == [["lookup", "open_page"], ["lookup"]]
            assert [request.settings.tool_choice for request in scene.model.requests] == ["open_page", "auto"]
            told_twice = [event for event in await scene.events() if isinstance(event, ClientEquipped)]
            assert [len(event.tools) for event in told_twice] == [1, 0]

    run_virtual(scenario())


def test_a_tool_of_the_server_stands_before_a_client_s_of_its_name() -> None:
    async def scenario() -> None:
        async with Scene([[[Call("lookup")], [Words("Done.", "final_answer")]]]) as scene:
            await scene.place()
            scene.link.send(Equip((DescribedTool("lookup", "Another.", SCHEMA),)))
            scene.says("Where is it?")
            await asyncio.sleep(1)

            assert scene.attached.tools == ("lookup",)
            assert [offer.description for offer in scene.model.requests[0].tools] == [lookup.description]
            assert len(scene.runner.orders) == 1

    run_virtual(scenario())


# an agent is lost

WHOLE: Script = [SHOWS]


def undisturbed() -> Undisturbed:
    async def scenario() -> Undisturbed:
        async with Scene(WHOLE) as scene:
            await scene.place()
            scene.link.send(EQUIP)
            scene.link.send(ASKED)
            await asyncio.sleep(2)
            return Undisturbed(await scene.events(), [one for one in scene.told if isinstance(one, Utterance)])

    return run_virtual(scenario())


def test_wherever_its_agent_is_lost_the_client_is_asked_once_the_same_and_the_response_is_completed() -> None:
    whole = undisturbed()
    cuts = [cut for cut in whole.cuts() if any(isinstance(event, ClientEquipped) for event in cut.events)]
    assert len(cuts) > 20
    for cut in cuts:
        after = taken_over(cut, ScriptedModel(WHOLE), inputs=(EQUIP, ASKED))

        calls = [one for one in (*cut.said, *after.told) if isinstance(one, ToolAsked)]
        known = [event.tool_call for event in cut.events if isinstance(event, ToolIntended)]
        asked = {one.tool_call for one in calls}
        assert len(asked) == 1
        assert not known or asked == set(known)
        assert {(one.name, one.arguments) for one in calls} == {("open_page", '{"page":7}')}
        assert [tool.status for tool in after.view.tools.values()] == [None]
        assert {one.status for one in after.view.responses.values()} == {"completed"}
        assert after.hub.responses[ASKED.response].status == "completed"
        assert after.orders == []


def test_an_output_that_the_lost_agent_did_not_record_counts_at_the_next() -> None:
    async def scenario() -> None:
        async with Moving(WHOLE) as calls:
            calls.tell(EQUIP, ASKED)
            await asyncio.sleep(1)
            (asked,) = asked_of(calls.old)
            await calls.move(EQUIP, ASKED, ToolOutput(asked.tool_call, '"open"'), ANSWER)

            assert asked_of(calls.new) == []
            assert calls.new.said == ["There it is."]
            assert (await only_tool(calls.new)).output == '"open"'

    run_virtual(scenario())


def test_a_gateway_that_is_new_to_the_call_hears_what_the_client_was_asked_and_has_not_answered() -> None:
    async def scenario() -> None:
        async with Moving(WHOLE) as calls:
            calls.tell(EQUIP, ASKED)
            await asyncio.sleep(1)
            (asked,) = asked_of(calls.old)
            said = [one for one in calls.old.told if isinstance(one, Say)]
            for one in said:
                calls.old.played(one.item, one.index)
            await asyncio.sleep(1)
            await calls.move(said=[], afresh=True)

            assert [one for one in calls.new.told if isinstance(one, Utterance)] == [
                ResponseStarted(asked.response, 1),
                asked,
                ResponseFinished(asked.response, "completed"),
            ]

    run_virtual(scenario())


def test_an_agent_that_goes_leaves_an_output_that_policy_still_looks_at_to_the_next() -> None:
    async def scenario() -> None:
        agent = Agent("desk", guardrails=[slow_eye])
        async with Scene(WHOLE, agent=agent) as scene:
            asked = await shows(scene, settle_s=2)
            scene.link.send(ToolOutput(asked.tool_call, "open"))
            await asyncio.sleep(0.5)
            scene.link.send(Release("moved"))
            await asyncio.sleep(2)
            assert (await only_tool(scene)).status is None

            scene.told.clear()
            await scene.place(attach=2, order=Converse(1, "gw", reason="ag: draining"))
            scene.link.send(Recall((), (), False, 1))
            scene.link.send(ToolOutput(asked.tool_call, "open"))
            await asyncio.sleep(2)

            assert (await only_tool(scene)).output == '"open"'
            assert sum(isinstance(event, OwnerTook) for event in await scene.events()) == 2
            assert asked_of(scene) == []

    run_virtual(scenario())


def test_words_that_stream_when_the_caller_speaks_ask_nothing() -> None:
    async def scenario() -> None:
        slow: Script = [[[PREAMBLE, Wait(2), Call("open_page", SEVEN)]], [[Words("Yes?", "final_answer")]]]
        async with Scene(slow) as scene:
            await scene.place()
            scene.link.send(EQUIP)
            scene.says("Show me page seven.")
            await asyncio.sleep(1)
            scene.interrupts(next(m.response for m in scene.told if isinstance(m, ResponseStarted)))
            await asyncio.sleep(3)

            assert asked_of(scene) == []
            assert (await scene.view()).tools == {}

    run_virtual(scenario())
