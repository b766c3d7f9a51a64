"""What nobody asked for: outcomes that are told by themselves, and what becomes of that when the agent is lost."""

import asyncio
from collections.abc import Sequence

import msgspec

from agent.scene import Scene
from support.virtual import run_virtual
from trunkline.agent.models.scripted import Call, Script, Step, Wait, Words
from trunkline.agents import Agent, Approval, Silence, end_call, tool
from trunkline.proto.response import Converse, HangUp, ItemStarted, ResponseStarted, Say


@tool(approval=Approval(timeout_s=60), timeout_s=5)
async def refund(amount: int) -> str:
    """Pay money back."""
    return f"{amount} euros are on their way."


REFUNDS: Sequence[Sequence[Step]] = [[Call("refund", {"amount": msgspec.Raw(b"25")})], [Words("Done.", "final_answer")]]
SURE: Sequence[Sequence[Step]] = [[Words("Sure.", "final_answer")]]
SLOWLY: Sequence[Sequence[Step]] = [[Wait(3), Words("It is done.", "final_answer")]]
BYE: Sequence[Sequence[Step]] = [[Words("Goodbye then.", "final_answer"), Call("end_call", {})]]
FOLLOWS = Converse(hub=1, gateway="gw", reason="ag: killed")


def desk(**given: object) -> Agent:
    return Agent("desk", tools=[refund, end_call()], **given)  # type: ignore[arg-type]  # fields of an Agent


def scene_of(script: Script, after: Scene | None = None, **given: object) -> Scene:
    if after is None:
        return Scene(script, agent=desk(**given))
    return Scene(script, agent=desk(**given), store=after.store, claims=after.claims, worker="ag2")


def test_what_comes_to_nothing_with_the_call_is_nobodys_news() -> None:
    async def scenario() -> None:
        async with scene_of([REFUNDS]) as scene:
            await scene.place()
            scene.says("I want my money back.")
            await asyncio.sleep(1)
            scene.interrupts(next(iter((await scene.view()).responses)))
            await asyncio.sleep(1)
            await scene.hang_up()
            await asyncio.sleep(1)

            view = await scene.view()
            assert [tool.status for tool in view.tools.values()] == ["cancelled"]
            assert [one.status for one in view.responses.values()] == ["cancelled"]

    run_virtual(scenario())


def test_nobody_is_told_news_while_the_call_is_being_ended() -> None:
    async def scenario() -> None:
        async with scene_of([REFUNDS, BYE]) as scene:
            await scene.place()
            scene.says("I want my money back.")
            await asyncio.sleep(1)
            scene.says("That is all.")
            await asyncio.sleep(1)
            assert scene.of(HangUp)
            before = len(scene.finished)
            await scene.decides("deny")
            await asyncio.sleep(5)

            assert len(scene.finished) == before

    run_virtual(scenario())


def test_an_answer_that_tells_news_goes_on_as_such_at_the_next_agent() -> None:
    async def scenario() -> None:
        async with scene_of([REFUNDS, SLOWLY]) as first:
            await first.place()
            first.says("I want my money back.")
            await asyncio.sleep(1)
            first.says("And another thing.")
            await asyncio.sleep(4)
            await first.decides("approve")
            await asyncio.sleep(1)
            (going_on,) = [one for one in (await first.view()).responses.values() if one.status is None]
            async with scene_of([SURE], after=first) as second:
                await second.place(attach=2, order=FOLLOWS)
                second.link.send(second.recall(unfinished=(going_on.id,)))
                await asyncio.sleep(1)

                (the_tool,) = (await second.view()).tools
                assert second.model.requests[-1].news == {the_tool}

    run_virtual(scenario())


def test_what_an_agent_began_by_itself_and_could_not_record_is_ended_by_the_next() -> None:
    """What it was to tell is found out anew, and what was heard of it stands where it was heard."""

    async def scenario() -> None:
        async with scene_of([SURE]) as first:
            await first.place()
            first.says("Hello.")
            await asyncio.sleep(1)
            begun = ResponseStarted("resp_x", 0), ItemStarted("resp_x", "item_x", "final_answer")
            said = (*begun, Say("resp_x", "item_x", 0, "By the way, "))
            async with scene_of([SURE], after=first) as second:
                await second.place(attach=2, order=FOLLOWS)
                second.link.send(second.recall(said=said, unfinished=("resp_x",), inputs=1))
                second.played("item_x", 0)
                await asyncio.sleep(1)

                assert second.model.requests == []
                view = await second.view()
                assert (view.responses["resp_x"].status, view.strays) == ("cancelled", 0)
                assert view.items["item_x"].heard_text == "By the way, "

    run_virtual(scenario())


def test_set_words_that_only_the_gateway_knows_of_are_not_said_twice() -> None:
    async def scenario() -> None:
        silence = Silence(after_s=5, prompts=("Are you there?",))
        async with scene_of([SURE], silence=silence) as first:
            await first.place()
            first.says("Hello.")
            await asyncio.sleep(1)
            begun = ResponseStarted("resp_away1", 0), ItemStarted("resp_away1", "item_x", "final_answer", "filler")
            said = (*begun, Say("resp_away1", "item_x", 0, "Are you there?"))
            async with scene_of([SURE], after=first, silence=silence) as second:
                await second.place(attach=2, order=FOLLOWS)
                second.link.send(second.recall(said=said, unfinished=("resp_away1",), inputs=1))
                second.away(1)
                await asyncio.sleep(1)

                view = await second.view()
                assert [view.items[key].text for key in view.responses["resp_away1"].items] == ["Are you there?"]
                assert view.responses["resp_away1"].status == "completed"

    run_virtual(scenario())


def test_nothing_is_begun_before_the_gateway_has_told_what_it_knows() -> None:
    """The default is due and decided meanwhile; it is told once the gateway was heard."""

    async def scenario() -> None:
        async with scene_of([REFUNDS, SLOWLY]) as first:
            await first.place()
            first.says("I want my money back.")
            await asyncio.sleep(1)
            first.says("And another thing.")
            await asyncio.sleep(4)
        async with scene_of([SURE], after=first) as second:
            await second.place(attach=2, order=FOLLOWS)
            await asyncio.sleep(61)
            assert second.model.requests == []
            second.link.send(second.recall())
            await asyncio.sleep(1)

            (the_tool,) = (await second.view()).tools.values()
            assert the_tool.status == "denied"
            assert [request.news for request in second.model.requests] == [{the_tool.id}]

    run_virtual(scenario())


def test_words_that_are_on_their_way_when_the_call_ends_were_not_heard() -> None:
    async def scenario() -> None:
        async with scene_of([SURE]) as scene:
            await scene.place()
            scene.says("Hello.")
            await asyncio.sleep(1)
            await scene.hang_up()

            (said,) = [item for item in (await scene.view()).items.values() if item.role == "assistant"]
            assert (said.status, said.heard_text, said.text) == ("interrupted", "", "Sure.")

    run_virtual(scenario())


def test_an_interruption_of_an_earlier_answer_doesnt_take_back_the_end_of_the_call() -> None:
    """Told again to an agent that follows, it would."""

    async def scenario() -> None:
        async with scene_of([SURE, BYE]) as scene:
            await scene.place()
            scene.says("Hello.")
            await asyncio.sleep(1)
            earlier = next(iter((await scene.view()).responses))
            scene.says("That is all.")
            await asyncio.sleep(1)
            scene.interrupts(earlier)
            await asyncio.sleep(1)

            assert [tool.status for tool in (await scene.view()).tools.values()] == [None]

    run_virtual(scenario())
