"""`trunkline.agents.testing` shows a call as it is: what an author can look at, decide, let pass and get wrong."""

import asyncio
import threading
from collections.abc import Sequence
from pathlib import Path

import pytest

from trunkline.agents import (
    Agent,
    Approval,
    CallContext,
    Check,
    Duration,
    Fillers,
    Hooks,
    Silence,
    ToolContext,
    Verdict,
    block,
    drop_tools,
    end_call,
    guardrail,
    handoff,
    rewrite,
    tool,
    transfer_call,
)
from trunkline.agents.policies import pii
from trunkline.agents.testing import Asked, RehearsalFailed, calls, fails, rehearse, says, scripted, waits
from trunkline.agents.testing.model import Step
from trunkline.proto.errors import BadInput

FRONTDESK = Path(__file__).parents[2] / "examples" / "agents" / "frontdesk.py"
SURE = says("Sure.", phase="final_answer")
runs: list[str] = []


@pytest.fixture(autouse=True)
def nothing_has_run() -> None:
    runs.clear()


@tool
async def lookup(order: str, context: ToolContext) -> str:
    """Where is my order."""
    runs.append(order)
    context.state["order"] = order
    return f"Order {order} comes tomorrow."


@tool(approval=Approval(timeout_s=60, commentary="A colleague has to agree.", denied="Nobody agreed."))
def refund(amount: int) -> str:
    """Pay money back."""
    runs.append(f"refund {amount}")
    return f"{amount} euros are on their way."


@tool(timeout_s=5)
async def slow() -> str:
    """Takes for ever."""
    await asyncio.Event().wait()
    return "done"


REFUNDS = [calls("refund", amount=25), says("That is done.")]


def desk(**given: object) -> Agent:
    return Agent("desk", tools=[lookup, refund, slow, end_call()], **given)  # type: ignore[arg-type]  # fields of an Agent


# what is seen


def test_a_reply_tells_phases_tools_and_state() -> None:
    first = [says("Let me see.", phase="commentary"), calls("lookup", order="4712")]
    with rehearse(desk(greeting="Hello."), model=scripted([first, says("It comes tomorrow.")])) as call:
        reply = call.says("Where is order 4712?")

        assert call.state == {"order": "4712"}
        assert call.ended == ""

    assert (reply.said, reply.turn, reply.status, reply.agent) == ("Where is order 4712?", 1, "completed", "desk")
    assert (reply.commentary, reply.answer) == (("Let me see.",), "It comes tomorrow.")
    assert reply.phases == ("commentary", "final_answer")
    used = reply.tool("lookup")
    assert (used.arguments, used.status, used.result) == ({"order": "4712"}, "ok", "Order 4712 comes tomorrow.")
    assert call.greeting is not None
    assert call.greeting.answer == "Hello."
    assert call.ended == "caller_hung_up"
    assert [one.text for one in call.replies] == ["Hello.", "Let me see. It comes tomorrow."]


def test_a_test_with_an_event_loop_sees_the_same() -> None:
    async def scenario() -> None:
        async with rehearse(desk(), model=scripted([calls("lookup", order="1"), says("Tomorrow.")])) as call:
            reply = await call.says("Where is it?")
            await call.hangs_up()

            assert (reply.answer, call.ended) == ("Tomorrow.", "caller_hung_up")
            with pytest.raises(RehearsalFailed, match="the call is over: caller_hung_up"):
                await call.says("Anybody there?")

    asyncio.run(scenario())


def test_an_agent_file_is_rehearsed_with_the_local_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRUNKLINE_DIR", str(tmp_path))
    with rehearse(f"{FRONTDESK}:frontdesk") as call:
        reply = call.says("What is the weather in Tokyo?")

    assert reply.answer == "The weather in Tokyo is 18 degrees and light rain."
    assert reply.tool("get_weather").arguments == {"city": "Tokyo"}


def test_a_model_of_the_tests_own_answers_what_it_is_asked() -> None:
    async def model(asked: Asked) -> Sequence[Step]:
        if asked.outputs:
            return [says(f"I found: {asked.outputs[0].text}")]
        return [calls("lookup", order=asked.words[-4:])]

    with rehearse(desk(instructions="Be kind."), model=model) as call:
        reply = call.says("Where is 4712")

        assert reply.answer == 'I found: "Order 4712 comes tomorrow."'
        first, second = call.asked
        assert (first.instructions, first.agent, first.tools[0]) == ("Be kind.", "desk", "lookup")
        assert [one.kind for one in second.conversation] == ["user", "tool_call", "tool_output"]


def test_a_model_sees_the_phases_of_earlier_turns() -> None:
    first = [says("Let me see.", phase="commentary"), calls("lookup", order="1")]
    with rehearse(desk(), model=scripted([first, says("Tomorrow.", phase="final_answer"), SURE])) as call:
        call.says("Where is it?")
        call.says("Thanks.")

        said = [(one.text, one.phase) for one in call.asked[-1].conversation if one.kind == "assistant"]
        assert said == [("Let me see.", "commentary"), ("Tomorrow.", "final_answer")]


def test_a_transcript_tells_it_in_lines() -> None:
    with rehearse(desk(), model=scripted(REFUNDS)) as call:
        call.says("My money.")
        call.approve(by="anna")

    assert call.transcript().splitlines() == [
        "caller: My money.",
        '  calls refund{"amount":25}',
        '  asks a person for refund: {"amount":25}',
        "desk (commentary): A colleague has to agree.",
        "  approved by anna",
        '  refund: ok, "25 euros are on their way."',
        "desk: That is done.",
        "ended: caller_hung_up",
    ]


# people


def test_a_tool_waits_for_a_person_and_runs_when_approved() -> None:
    with rehearse(desk(), model=scripted(REFUNDS)) as call:
        waiting = call.says("My money.")
        (approval,) = call.approvals

        assert (approval.tool, approval.text, approval.default) == ("refund", '{"amount":25}', "deny")
        assert 59 < approval.seconds <= 60
        assert (waiting.status, waiting.answer, waiting.commentary) == (None, "", ("A colleague has to agree.",))
        assert [one.id for one in waiting.waiting] == [approval.id]
        assert runs == []

        reply = call.approve()

        assert (reply.answer, reply.tool("refund").status, runs) == ("That is done.", "ok", ["refund 25"])
        assert call.approvals == ()


def test_a_denied_tool_does_not_run() -> None:
    with rehearse(desk(), model=scripted(REFUNDS)) as call:
        call.says("My money.")
        used = call.deny().tool("refund")

    assert (used.status, used.result, runs) == ("denied", "Nobody agreed.", [])


def test_when_nobody_decides_time_passes_at_once() -> None:
    with rehearse(desk(), model=scripted(REFUNDS)) as call:
        call.says("My money.")
        reply = call.nobody_decides()

    assert (reply.tool("refund").status, reply.status) == ("denied", "completed")


def test_a_person_may_edit_an_answer() -> None:
    with rehearse(desk(answer_approval=Approval()), model=scripted([says("You owe us 25 euros.")])) as call:
        waiting = call.says("What do I owe?")
        reply = call.approve(text="You owe us nothing.")

    assert (waiting.answer, reply.answer) == ("", "You owe us nothing.")
    assert [message.source for message in reply.messages] == ["filler", "person"]


def test_what_is_decided_when_the_caller_has_gone_on_is_told_of_in_a_reply_of_its_own() -> None:
    with rehearse(desk(), model=scripted([REFUNDS[0], SURE, says("The money is on its way.")])) as call:
        call.says("My money.")
        assert call.says("And where are you?").answer == "Sure."
        reply = call.approve()

        assert (reply.turn, reply.said, reply.answer) == (0, "", "The money is on its way.")
        assert call.asked[-1].news
        assert runs == ["refund 25"]


# time


def test_silence_passes_at_once() -> None:
    with rehearse(desk(silence=Silence(after_s=10, prompts=("Hello?",), goodbye="Bye.")), model=scripted([])) as call:
        assert call.passes(9) == ()
        (prompt,) = call.passes(2)
        (goodbye,) = call.passes(11)

        assert (prompt.answer, goodbye.answer, call.ended) == ("Hello?", "Bye.", "agent_hung_up")


def test_a_call_may_last_only_so_long() -> None:
    with rehearse(desk(duration=Duration(600, goodbye="Time is up.")), model=scripted([SURE])) as call:
        call.says("Hello.")
        (goodbye,) = call.passes(600)

        assert (goodbye.answer, call.ended) == ("Time is up.", "agent_hung_up")


def test_a_slow_model_is_filled_in_for() -> None:
    late = [waits(10), says("Here I am.")]
    with rehearse(desk(fillers=Fillers(("One moment.",), after_s=2)), model=scripted([late])) as call:
        call.asks("Hello?")
        call.passes(11)
        reply = call.reply()

    assert (reply.commentary, reply.answer) == (("One moment.",), "Here I am.")


def test_a_tool_that_hangs_times_out() -> None:
    with rehearse(desk(), model=scripted([calls("slow"), says("It takes too long.")])) as call:
        call.asks("Do it.")
        call.passes(6)
        reply = call.reply()

    assert (reply.tool("slow").status, reply.answer) == ("timeout", "It takes too long.")


# the caller


def test_a_caller_who_interrupts_has_heard_only_so_much() -> None:
    model = scripted([says("Your order comes tomorrow. It is blue.", phase="final_answer"), SURE])
    with rehearse(desk(), model=model) as call:
        call.says("Where is it?")
        reply = call.interrupts(heard="Your order comes")
        call.says("Stop.")

        assert [message.heard for message in reply.messages] == ["Your order comes"]
        assert [one.text for one in call.asked[-1].conversation if one.kind == "assistant"] == ["Your order comes"]


def test_nobody_hears_what_was_not_said() -> None:
    with rehearse(desk(), model=scripted([SURE])) as call:
        call.says("Hello.")
        with pytest.raises(RehearsalFailed, match=r"can't have heard 'Never\.': the agent said 'Sure\.'"):
            call.interrupts(heard="Never.")


def test_an_answer_is_interrupted_while_its_tool_runs() -> None:
    with rehearse(desk(), model=scripted([calls("slow"), SURE])) as call:
        call.asks("Do it.")
        call.passes(1)
        call.interrupts()
        reply = call.says("Never mind.")

        assert [one.status for one in call.replies] == ["cancelled", "completed"]
        assert reply.answer == "Sure."


# handoffs, transfers, the end


def billing() -> Agent:
    return Agent("billing", tools=[transfer_call({"person": "+4930555"})], voice="amy", instructions="You bill.")


def test_a_call_is_handed_off_with_what_the_filter_leaves() -> None:
    asked = [calls("lookup", order="1"), calls("transfer_to_billing", reason="a bill"), says("Billing here.")]
    reception = desk(handoffs=[handoff("billing", filter=drop_tools)])
    with rehearse(reception, billing(), model=scripted(asked)) as call:
        reply = call.says("My bill is wrong.")

        assert (reply.handoffs, reply.agent, call.agent) == (("billing",), "billing", "billing")
        assert [(one.text, one.agent, one.voice) for one in reply.messages] == [("Billing here.", "billing", "amy")]
        assert [one.instructions for one in call.asked] == ["", "", "You bill."]
        assert [one.kind for one in call.asked[-1].conversation] == ["user"]


def test_a_transfer_is_asked_for() -> None:
    wish = calls("transfer_call", target="person", summary="A wrong bill.")
    with rehearse(billing(), model=scripted([wish, says("Hold on.")])) as call:
        reply = call.says("A person, please.")

    (transfer,) = reply.transfers
    assert (transfer.target, transfer.summary, call.transfers) == ("+4930555", "A wrong bill.", (transfer,))


def test_the_model_ends_the_call() -> None:
    with rehearse(desk(), model=scripted([[says("Goodbye."), calls("end_call")]])) as call:
        reply = call.says("That is all.")

        assert (reply.text, reply.tool("end_call").status, call.ended) == ("Goodbye.", "ok", "agent_hung_up")
        with pytest.raises(RehearsalFailed, match="the caller says something, but the call is over: agent_hung_up"):
            call.says("Wait.")


def test_an_agent_whose_handoff_leads_nowhere_is_refused() -> None:
    with pytest.raises(BadInput, match="hands off to 'billing', which is no agent"):
        rehearse(desk(handoffs=["billing"]))


# policy


def test_what_a_guardrail_blocks_is_seen_as_a_verdict_and_nowhere_else() -> None:
    @guardrail
    def no_promises(check: Check) -> Verdict | None:
        return block("I can't promise that.", reason="a promise") if "promise" in check.text else None

    with rehearse(desk(guardrails=[no_promises]), model=scripted([says("Well. I promise you.")])) as call:
        reply = call.says("Will it come?")

    (verdict,) = reply.verdicts
    assert (verdict.action, verdict.guardrail, verdict.reason) == ("block", "no_promises", "a promise")
    assert (verdict.point, verdict.failed) == ("segment", False)
    assert reply.answer == "Well. I can't promise that."
    assert (reply.status, reply.reason) == ("incomplete", "blocked by no_promises")


def test_a_guardrail_that_fails_closes() -> None:
    @guardrail(on="input")
    def broken(check: Check) -> Verdict | None:
        raise KeyError("oops")

    with rehearse(desk(guardrails=[broken]), model=scripted([])) as call:
        reply = call.says("Hello.")

        (verdict,) = reply.verdicts
        assert (verdict.action, verdict.failed, verdict.reason) == ("block", True, "failed: KeyError")
        assert reply.answer == broken.reply
        assert call.asked == ()


def test_a_guardrail_of_a_tool_rewrites_what_runs() -> None:
    @guardrail(on="tool_arguments", tools=["lookup"])
    def four_digits(check: Check) -> Verdict | None:
        return rewrite('{"order":"4712"}') if check.arguments["order"] == "47-12" else None

    model = scripted([calls("lookup", order="47-12"), SURE])
    with rehearse(desk(guardrails=[four_digits]), model=model) as call:
        reply = call.says("Where is 47-12?")

    assert (runs, reply.tool("lookup").arguments) == (["4712"], {"order": "4712"})
    assert [one.action for one in reply.verdicts] == ["rewrite"]


def test_a_sensitive_value_is_a_token_to_all_but_the_tool() -> None:
    def model(asked: Asked) -> Step:
        return SURE if asked.outputs else calls("lookup", order=asked.words.split()[-1].strip("."))

    with rehearse(desk(guardrails=[pii(["card"])]), model=model) as call:
        reply = call.says("My card is 4111 1111 1111 1111.")

    assert "4111" not in reply.said
    assert "[card_" in reply.said
    assert runs == ["4111111111111111"]
    assert "4111" not in call.transcript()


def test_hooks_have_been_told_when_a_step_is_over() -> None:
    told: list[str] = []

    def on_end(call: CallContext, reason: str) -> None:
        told.append(f"{call.turn} {reason} {dict(call.state)}")

    with rehearse(desk(hooks=Hooks(on_end=on_end)), model=scripted([calls("lookup", order="1"), SURE])) as call:
        call.says("Where is it?")
        call.hangs_up()

        assert told == ["1 caller_hung_up {'order': '1'}"]


# background tools


def test_a_background_tool_is_told_of_once_it_is_done() -> None:
    found = threading.Event()

    @tool(background=True)
    def search(context: ToolContext) -> str:
        """Search."""
        context.progress("Still looking.")
        found.wait(5)
        return "It is in Berlin."

    agent = Agent("desk", tools=[search])
    with rehearse(agent, model=scripted([calls("search"), says("I look for it."), says("It is in Berlin.")])) as call:
        assert call.says("Where is it?").answer == "I look for it."
        found.set()
        reply = call.reply()

        assert (reply.turn, reply.answer) == (0, "It is in Berlin.")


# what a model gets wrong


def test_an_unknown_tool_is_refused_and_the_model_is_told() -> None:
    with rehearse(desk(), model=scripted([calls("fly"), says("I can't fly.")])) as call:
        used = call.says("Fly.").tool("fly")

    assert (used.status, used.arguments) == ("error", {})
    assert "There is no tool 'fly'; allowed: lookup, refund" in str(used.result)


@pytest.mark.parametrize(
    ("raw", "told"),
    [
        ('{"order": ', "The arguments can't be read"),
        ('["4712"]', "The arguments can't be read"),
        ('{"order": 4712}', "The arguments of lookup don't fit"),
        ('{"order": "' + "7" * 1024 * 1024 + '"}', "The arguments are too long; allowed: 65536 bytes of JSON."),
    ],
    ids=["broken", "a list", "a number", "a megabyte"],
)
def test_arguments_that_cannot_be_used_run_nothing(raw: str, told: str) -> None:
    with rehearse(desk(), model=scripted([calls("lookup", raw), SURE])) as call:
        reply = call.says("Where is it?")

    used = reply.tool("lookup")
    assert (used.status, runs, reply.answer) == ("error", [], "Sure.")
    assert str(used.result).startswith(told)


def test_a_model_that_never_stops_calling_tools_is_stopped() -> None:
    with rehearse(desk(), model=lambda asked: calls("lookup", order="1")) as call:
        reply = call.says("Where is it?")

    assert (len(runs), reply.status, reply.reason) == (8, "incomplete", "no answer after 8 rounds of tools")
    assert reply.answer == "I'm sorry, I could not finish that. Please ask me in another way."


def test_a_model_that_fails_is_apologised_for() -> None:
    with rehearse(desk(), model=scripted([fails("no more tokens")])) as call:
        reply = call.says("Hello.")

    assert reply.status == "failed"
    assert "no more tokens" in reply.reason
    assert reply.answer == "I'm sorry, something went wrong on our side. Please say that again."


# what a test gets wrong


def test_a_script_that_is_too_short_fails_the_test_and_says_what_was_asked() -> None:
    model = scripted([calls("lookup", order="1")])
    with rehearse(desk(), model=model) as call, pytest.raises(RehearsalFailed) as failed:
        call.says("Where is it?")

    text = str(failed.value)
    assert text.startswith("the model was asked for answer 2, and its script has 1. The caller had said 'Where is it?'")
    assert "  lookup: ok" in text  # the transcript


def test_an_answer_that_does_not_come_says_what_goes_on() -> None:
    with (
        pytest.raises(RehearsalFailed) as failed,
        rehearse(desk(), model=scripted([calls("slow")]), patience_s=0.5) as call,
    ):
        call.says("Do it.")

    assert "not settled within 0.5 s.\nanswers that go on: 1; tools without an outcome: slow" in str(failed.value)


def test_a_decision_needs_something_that_waits() -> None:
    nothing = pytest.raises(RehearsalFailed, match="nothing waits for a person")
    with rehearse(desk(), model=scripted([])) as call, nothing:
        call.approve()


def test_a_tool_that_was_not_called_says_which_were() -> None:
    with rehearse(desk(), model=scripted([calls("lookup", order="1"), SURE])) as call:
        reply = call.says("Where is it?")

    with pytest.raises(RehearsalFailed, match=r'refund was called 0 times in this reply(.|\n)*lookup\({"order":"1"}\)'):
        reply.tool("refund")


@pytest.mark.parametrize("model", ["gpt", 7], ids=["unknown engine", "no model"])
def test_what_is_no_model_is_refused_at_once(model: object) -> None:
    with pytest.raises(BadInput, match=r"allowed: .*(scripted|local)"), rehearse(desk(), model=model):
        pass


def test_a_file_brings_its_own_agents() -> None:
    with pytest.raises(BadInput, match="rehearse: others"):
        rehearse(FRONTDESK, desk())


def test_a_model_that_gives_no_steps_fails_the_test() -> None:
    wrong = pytest.raises(RehearsalFailed, match=r"the model of the test gave 'Hello\.'; allowed: steps")
    with rehearse(desk(), model=lambda asked: ["Hello."]) as call, wrong:
        call.says("Hello.")


def test_a_failing_test_keeps_its_own_failure_and_leaves_no_thread() -> None:
    with pytest.raises(ZeroDivisionError), rehearse(desk(), model=scripted([SURE])) as call:
        call.says("Hello." if call.state else str(1 / 0))

    assert call.ended == "caller_hung_up"
    assert [thread for thread in threading.enumerate() if thread.name == "rehearsal"] == []
