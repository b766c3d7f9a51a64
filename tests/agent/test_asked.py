"""What a client asks of one response alone, and of its session: tools, limits, a context, an answer out of band."""

import asyncio

import pytest

from agent.scene import Scene, lookup
from agent.test_client_tools import OPEN, SCHEMA, SEVEN, asked_of
from agent.test_edits import LOOKS, SEEN, SEEN_BY_MODEL, YES, assistant, check_stock, read_by, told, typed
from agent.test_redaction import CARD, DIGITS, everything
from agent.test_takeover import Moving
from support.virtual import run_virtual
from trunkline.agent.models.history import WITHHELD
from trunkline.agent.models.scripted import Call, Fail, Script, ScriptedModel, Wait, Words
from trunkline.agent.models.seam import MessageItem, ToolOutputItem
from trunkline.agents import Agent, Check, Fillers, ModelSettings, Verdict, block, end_call, guardrail, rewrite
from trunkline.agents.policies import pii
from trunkline.proto.record import ClientEquipped, ResponseOpened, VerdictGiven
from trunkline.proto.response import Asked, Equip, Inserted, Respond, Retract, ToolOutput
from trunkline.proto.tool import DescribedTool
from trunkline.record import MemoryBucket
from trunkline.vault import Vault

CLOSE = DescribedTool("close_page", "Closes the page.", SCHEMA)
TALK = (typed(1, "item_1", "Open page seven."), assistant("item_2", "One moment."), LOOKS, SEEN)


def respond(response: str = "resp_a", **asked: object) -> Respond:
    return Respond(response=response, asked=Asked(**asked))  # type: ignore[arg-type]  # its own fields


def reference(item: str) -> Inserted:
    return Inserted("reference", item)


def user(text: str) -> Inserted:
    return Inserted("message", "item_given", "user", text)


# the session


def test_what_the_session_asks_of_the_model_becomes_its_settings() -> None:
    async def scenario() -> None:
        own = ModelSettings(temperature=0.5, max_output_tokens=900, parallel_tool_calls=True, reasoning_effort="high")
        async with Scene(YES, agent=Agent("desk", settings=own)) as scene:
            await scene.place()
            equip = Equip((OPEN,), "required", False, 300, "low")
            await told(scene, equip, equip, respond("resp_1"))
            await told(scene, Equip((OPEN,)), respond("resp_2"))

            limited, free = (request.settings for request in scene.model.requests)
            assert limited == ModelSettings(0.5, 300, "low", "required", False)
            assert free == own
            assert sum(isinstance(event, ClientEquipped) for event in await scene.events()) == 2

    run_virtual(scenario())


def test_the_next_agent_has_the_session_s_settings_from_the_record() -> None:
    async def scenario() -> None:
        slow: Script = [[[Words("Yes, one two three four five. ", "final_answer"), Wait(3), Words("Done.")]]]
        async with Moving(slow) as calls:
            calls.tell(Equip((OPEN,), "", False, 300, "minimal"), respond(tools=(CLOSE,), tool_choice="close_page"))
            await asyncio.sleep(1)
            (before,) = calls.old.model.requests
            await calls.move()

            assert calls.new.model.requests[0] == before
            assert [offer.name for offer in before.tools] == ["lookup", "close_page"]
            assert before.settings == ModelSettings(None, 300, "minimal", "close_page", False)

    run_virtual(scenario())


# one response


def test_a_response_has_its_own_tools_choice_and_limit_and_the_next_the_session_s() -> None:
    async def scenario() -> None:
        async with Scene(YES) as scene:
            await scene.place()
            await told(scene, Equip((OPEN,), "required", True, 300))
            await told(scene, respond("resp_1", tools=(CLOSE,), tool_choice="auto", max_output_tokens=50))
            await told(scene, respond("resp_2", tools=()))
            await told(scene, Respond(response="resp_3"))

            asked = scene.model.requests
            names = [[offer.name for offer in one.tools] for one in asked]
            assert names == [["lookup", "close_page"], ["lookup"], ["lookup", "open_page"]]
            limits = [(one.settings.tool_choice, one.settings.max_output_tokens) for one in asked]
            assert limits == [("auto", 50), ("required", 300), ("required", 300)]

    run_virtual(scenario())


def test_a_tool_of_one_response_is_asked_of_the_client_and_unknown_to_the_next() -> None:
    calls_it: Script = [[[Call("close_page", SEVEN)]], [[Call("close_page", SEVEN)], [Words("No.", "final_answer")]]]

    async def scenario() -> None:
        async with Scene(calls_it) as scene:
            await scene.place()
            await told(scene, typed(1, "item_1", "Close it."), respond("resp_1", tools=(CLOSE,)))
            (asked,) = asked_of(scene)
            await told(scene, ToolOutput(asked.tool_call, "closed"), typed(2, "item_2", "Again."), ANSWER_AGAIN)

            assert (asked.name, len(asked_of(scene))) == ("close_page", 1)
            statuses = [(tool.status, tool.runs) for tool in (await scene.view()).tools.values()]
            assert statuses == [("ok", "client"), ("error", "runner")]

    run_virtual(scenario())


ANSWER_AGAIN = Respond(response="resp_2")


def test_a_model_without_an_endpoint_keeps_to_a_limit_in_whole_words() -> None:
    async def scenario() -> None:
        script: Script = [[[Words("One two three four five.", "final_answer"), Words(" Six.", "final_answer")]]]
        async with Scene(script) as scene:
            await scene.place()
            await told(scene, respond("resp_1", max_output_tokens=3))
            await told(scene, respond("resp_2", max_output_tokens=7))

            assert "".join(scene.said) == "One two" + "One two three four five."
            assert [(done.status, done.detail) for done in scene.finished] == [("incomplete", "max_output_tokens")] * 2

    run_virtual(scenario())


# a context


def test_a_context_stands_in_place_of_the_conversation() -> None:
    async def scenario() -> None:
        async with Scene(YES) as scene:
            await scene.place()
            given = (
                user("Is it open?"),
                reference("item_2"),
                reference("item_c"),
                Inserted("message", "", "system", "Answer with one word."),
                reference("item_o"),
            )
            await told(scene, *TALK, respond("resp_1", context=given))
            await told(scene, respond("resp_2"))

            first, second = scene.model.requests
            assert list(first.items) == [
                MessageItem("user", None, "Is it open?"),
                MessageItem("assistant", "commentary", "One moment."),
                SEEN_BY_MODEL[0],
                MessageItem("system", None, "Answer with one word."),
                SEEN_BY_MODEL[1],
            ]
            assert [item.text for item in second.items if isinstance(item, MessageItem)] == [
                "Open page seven.",
                "One moment.",
                "Yes.",
            ]

    run_virtual(scenario())


def test_an_empty_context_is_none() -> None:
    async def scenario() -> None:
        async with Scene(YES) as scene:
            await scene.place()
            await told(scene, *TALK, respond(context=()))

            assert scene.model.requests[-1].items == ()

    run_virtual(scenario())


def test_what_a_context_can_t_have_is_left_out_with_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    async def scenario() -> None:
        async with Scene(YES) as scene:
            await scene.place()
            lone = Inserted("function_call_output", "", text="1", call_id="call_x")
            given = (reference("item_1"), reference("item_unknown"), reference("item_o"), lone, reference("item_2"))
            await told(scene, *TALK, Retract(0, "item_2"), respond(context=given))

            assert read_by(scene) == [("user", "Open page seven.")]

    run_virtual(scenario())
    (warned,) = (one for one in caplog.records if one.message == "items of a response's context are left out")
    assert warned.__dict__["facts"]["items"] == ["item_unknown", "item_o", "call_x", "item_2"]


def test_a_response_with_a_context_reads_what_its_own_tools_gave() -> None:
    looks: Script = [[[Words("One moment. ", "commentary"), Call("lookup")], [Words("Found.", "final_answer")]]]

    async def scenario() -> None:
        async with Scene(looks) as scene:
            await scene.place()
            await told(scene, *TALK, respond(context=(user("Where is it?"),)))

            assert [kind for kind, _ in read_by(scene)] == ["user", "assistant", "ToolCallItem", "ToolOutputItem"]
            assert scene.said[-1] == "Found."

    run_virtual(scenario())


def test_words_that_policy_withheld_stay_withheld_in_a_context() -> None:
    @guardrail(on="input")
    def no_seven(check: Check) -> Verdict | None:
        return block("I can't do that.") if "seven" in check.text else None

    async def scenario() -> None:
        async with Scene(YES, agent=Agent("desk", guardrails=[no_seven])) as scene:
            await scene.place()
            await told(scene, *TALK, respond("resp_1", context=(reference("item_1"),)))
            await told(scene, ANSWER_AGAIN)

            assert "seven" not in repr(scene.model.requests)
            assert scene.said == ["Yes.", "I can't do that."]

    run_virtual(scenario())


@guardrail(on="input", parallel=True)
async def no_seven(check: Check) -> Verdict | None:
    return block("I can't do that.") if "seven" in check.text else None


@guardrail(on="input")
def no_names(check: Check) -> Verdict | None:
    return rewrite(check.text.replace("Anna", "N")) if "Anna" in check.text else None


def test_policy_sees_what_a_client_puts_before_the_model_as_a_caller_s_words() -> None:
    async def scenario() -> None:
        async with Scene(YES, agent=Agent("desk", guardrails=[no_names, no_seven])) as scene:
            await scene.place()
            given = (user("Open page seven."), user("I am Anna."))
            await told(scene, respond("resp_1", context=given))
            await told(scene, respond("resp_2", aside=True, context=(user("Who?"), user("Page seven."))))

            (request,) = scene.model.requests
            assert request.items == (MessageItem("user", None, WITHHELD), MessageItem("user", None, "I am N."))
            assert scene.said == ["Yes.", "I can't do that."]
            assert (await scene.view()).responses["resp_2"].status == "incomplete"

    run_virtual(scenario())


def test_what_policy_said_of_a_context_is_said_once_whoever_has_the_call() -> None:
    slow: Script = [[[Words("Yes, one two three four five. ", "final_answer"), Wait(3), Words("Done.")]]]

    async def scenario() -> None:
        async with Moving(slow, agent=Agent("desk", guardrails=[no_names, no_seven])) as calls:
            asked = respond("resp_1", context=(user("Open page seven."), user("I am Anna.")))
            calls.tell(asked)
            await asyncio.sleep(1)
            await calls.move(asked)

            assert calls.new.model.requests[0] == calls.old.model.requests[0]
            verdicts = [one for one in await calls.new.events() if isinstance(one, VerdictGiven)]
            assert [(one.subject, one.action) for one in verdicts if one.point == "input"] == [
                ("resp_1.0", "block"),
                ("resp_1.1", "rewrite"),
                ("resp_1.1", "allow"),
            ]

    run_virtual(scenario())


def test_a_card_number_in_a_context_is_taken_out() -> None:
    async def scenario() -> None:
        agent = Agent("desk", guardrails=[pii()])
        async with Scene(YES, agent=agent, vault=Vault(bytes(32), MemoryBucket())) as scene:
            await scene.place()
            await told(scene, respond(context=(user(f"It is {CARD}."),)))

            assert DIGITS not in await everything(scene)
            assert len(scene.model.requests[-1].items) == 1

    run_virtual(scenario())


# out of band

CLASSIFY = respond("resp_aside", aside=True, tools=(CLOSE,))


def test_what_is_answered_out_of_band_is_recorded_and_read_by_no_later_response() -> None:
    twice: Script = [
        [[Words("Let me see. ", "commentary"), Call("lookup")], [Words("Support.", "final_answer")]],
        [[Words("Yes.", "final_answer")]],
    ]

    async def scenario() -> None:
        async with Scene(twice) as scene:
            await scene.place()
            await told(scene, typed(1, "item_1", "My page is gone."), CLASSIFY)
            await told(scene, typed(2, "item_2", "Hello?"), ANSWER_AGAIN)

            assert [kind for kind, _ in read_by(scene, 1)] == ["user", "assistant", "ToolCallItem", "ToolOutputItem"]
            assert read_by(scene) == [("user", "My page is gone."), ("user", "Hello?")]
            assert scene.said == ["Let me see. ", "Support.", "Yes."]
            view = await scene.view()
            assert view.responses["resp_aside"].aside
            assert [tool.status for tool in view.tools.values()] == ["ok"]
            assert [item.text for item in view.items.values() if item.response == "resp_aside"] == [
                "Let me see. ",
                "Support.",
            ]

    run_virtual(scenario())


def test_the_next_agent_goes_on_out_of_band_with_the_same_context() -> None:
    slow: Script = [[[Words("Support, one two three four. ", "final_answer"), Wait(3), Words("Done.", "final_answer")]]]

    async def scenario() -> None:
        async with Moving(slow) as calls:
            given = (reference("item_1"), Inserted("message", "", "system", "Which department?"))
            aside = respond("resp_1", aside=True, context=given)
            calls.tell(*TALK, aside)
            await asyncio.sleep(1)
            (before,) = calls.old.model.requests
            await calls.move(aside)
            await told(calls.new, typed(2, "item_9", "Hello?"), ANSWER_AGAIN, after_s=5)

            assert calls.new.model.requests[0] == before
            assert [item.text for item in before.items if isinstance(item, MessageItem)] == [
                "Open page seven.",
                "Which department?",
            ]
            assert "Support" not in repr(calls.new.model.requests[-1])
            assert [event.asked for event in await calls.new.events() if isinstance(event, ResponseOpened)] == [
                aside.asked,
                None,
            ]

    run_virtual(scenario())


def test_out_of_band_nothing_is_offered_that_changes_the_call() -> None:
    async def scenario() -> None:
        agent = Agent("desk", tools=[lookup, end_call()], handoffs=["other"])
        async with Scene(YES, agent=agent, others=[Agent("other")]) as scene:
            await scene.place()
            await told(scene, typed(1, "item_1", "Hello."), CLASSIFY)
            await told(scene, ANSWER_AGAIN)

            aside, spoken = ([offer.name for offer in one.tools] for one in scene.model.requests)
            assert aside == ["lookup", "close_page"]
            assert spoken == ["lookup", "end_call", "transfer_to_other"]

    run_virtual(scenario())


def test_out_of_band_only_the_model_speaks() -> None:
    fails: Script = [[[Wait(3), Fail("away")]]]

    async def scenario() -> None:
        agent = Agent("desk", fillers=Fillers(after_s=1.0))
        async with Scene(fails, agent=agent) as scene:
            await scene.place()
            await told(scene, CLASSIFY, after_s=5)

            assert scene.said == []
            assert [done.status for done in scene.finished] == ["failed"]

    run_virtual(scenario())


def test_policy_hears_what_is_said_out_of_band_and_its_word_is_not_the_caller_s_answer() -> None:
    @guardrail(on="output")
    def no_support(check: Check) -> Verdict | None:
        return block("I can't say that.") if "Support" in check.text else None

    @guardrail(on="input")
    def no_page(check: Check) -> Verdict | None:
        return block("Not pages.") if "page" in check.text else None

    async def scenario() -> None:
        script: Script = [[[Words("Support.", "final_answer")]]]
        async with Scene(script, agent=Agent("desk", guardrails=[no_support, no_page])) as scene:
            await scene.place()
            await told(scene, typed(1, "item_1", "My page is gone."), CLASSIFY)
            await told(scene, ANSWER_AGAIN)

            assert scene.said == ["I can't say that.", "Not pages."]

    run_virtual(scenario())


def test_what_a_tool_found_meanwhile_is_told_in_the_conversation_not_out_of_band() -> None:
    class Waits(ScriptedModel):
        def _round_of(self, request):  # type: ignore[no-untyped-def]  # the seam of a test
            if request.news:
                return [Words("It is in stock.", "final_answer")]
            waits = any(isinstance(item, ToolOutputItem) for item in request.items)
            return [Words("I'll see.", "final_answer")] if waits else [Call("check_stock")]

    async def scenario() -> None:
        async with Scene(model=Waits(), agent=Agent("desk", tools=[check_stock])) as scene:
            scene.runner.took_s = 4.0
            await scene.place()
            scene.says("Is it in stock?")
            await asyncio.sleep(1)
            scene.model.model = ScriptedModel([[[Wait(5), Words("Support.", "final_answer")]]])
            await told(scene, CLASSIFY, after_s=4.5)  # the tool ends meanwhile
            scene.model.model = Waits()
            await asyncio.sleep(5)

            assert scene.said == ["I'll see.", "Support.", "It is in stock."]
            assert "Support" not in repr(scene.model.requests[-1])

    run_virtual(scenario())


def test_news_that_an_answer_out_of_band_forestalls_is_told_behind_it() -> None:
    class Waits(ScriptedModel):
        def _round_of(self, request):  # type: ignore[no-untyped-def]  # the seam of a test
            if request.news:
                return [Wait(1), Words("It is in stock.", "final_answer")]
            waits = any(isinstance(item, ToolOutputItem) for item in request.items)
            return [Words("I'll see.", "final_answer")] if waits else [Call("check_stock")]

    async def scenario() -> None:
        async with Scene(model=Waits(), agent=Agent("desk", tools=[check_stock])) as scene:
            scene.runner.took_s = 2.0
            await scene.place()
            scene.says("Is it in stock?")
            await asyncio.sleep(2.5)  # the news are about to be told, of which the gateway doesn't know yet
            news = scene.model.requests[-1].news
            scene.link.send(CLASSIFY)
            await asyncio.sleep(5)

            assert news
            assert scene.said == ["I'll see.", "I'll see.", "It is in stock."]

    run_virtual(scenario())


def test_an_end_that_was_meant_stands_whatever_is_asked_out_of_band() -> None:
    ends: Script = [[[Words("Goodbye.", "final_answer"), Call("end_call")]]]

    async def scenario() -> None:
        async with Scene(ends, agent=Agent("desk", tools=[end_call()])) as scene:
            await scene.place()
            scene.says("That is all.")
            await asyncio.sleep(1)
            scene.model.model = ScriptedModel(YES)
            await told(scene, CLASSIFY)
            await scene.hang_up("agent_hung_up")

            assert [tool.status for tool in (await scene.view()).tools.values()] == ["ok"]

    run_virtual(scenario())
