"""The support desk of the examples, by text: refunds that a person approves, who has the call, and what policy says."""

import sqlite3
from pathlib import Path

import pytest

from trunkline.agents import AgentFile, load_agent_file
from trunkline.agents.testing import Asked, calls, rehearse, says, scripted
from trunkline.agents.testing.model import Answer

DESK = Path(__file__).parents[2] / "examples" / "agents" / "support_desk.py"
GOODBYE = "Thank you very much, goodbye."


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AgentFile:
    monkeypatch.setenv("TRUNKLINE_DIR", str(tmp_path))
    return load_agent_file(str(DESK))


def rows(tmp_path: Path, query: str) -> list[tuple[object, ...]]:
    with sqlite3.connect(tmp_path / "support_desk.sqlite") as database:
        return database.execute(query).fetchall()


def test_a_small_refund_is_made_at_once(desk: AgentFile, tmp_path: Path) -> None:
    with rehearse(desk) as call:
        status = call.says("Hi, I would like to know where my order is. The order number is four seven one two.")
        refund = call.says("I want my money back for that order.")
        call.says(GOODBYE)

        assert status.answer == "Order 4 7 1 2, a phone case, was shipped yesterday and arrives tomorrow."
        assert status.commentary == ("One moment, I am looking up your order.",)
        assert refund.answer == "Order 4 7 1 2 is refunded: 25 euros are on their way to you."
        assert call.replies[-1].answer == "Thank you for calling. Goodbye."
        assert call.ended == "agent_hung_up"

    assert rows(tmp_path, "SELECT number, euros FROM refunds") == [("4712", 25)]
    assert rows(tmp_path, "SELECT summary FROM calls") == [
        ("3 turns, last with support; order 4712; refunded 1; agent_hung_up",)
    ]


def test_a_large_refund_waits_for_a_person(desk: AgentFile, tmp_path: Path) -> None:
    with rehearse(desk) as call:
        waiting = call.says("I want a refund for order four seven one one.")

        (approval,) = call.approvals
        assert (approval.tool, approval.text) == ("refund_order", '{"order_number":"4711"}')
        assert waiting.answer == ""
        assert waiting.commentary[-1] == "A colleague has to agree to a refund of that size. Please stay on the line."
        assert not (tmp_path / "support_desk.sqlite").exists()
        (reminded,) = call.passes(25)
        assert reminded.commentary[-1] == "I am still waiting for my colleague. Thank you for your patience."

        assert call.approve().answer == "Order 4 7 1 1 is refunded: 89 euros are on their way to you."

    assert rows(tmp_path, "SELECT number, euros FROM refunds") == [("4711", 89)]


@pytest.mark.parametrize("how", ["deny", "nobody_decides"])
def test_a_refund_that_is_not_agreed_to_is_not_made(desk: AgentFile, tmp_path: Path, how: str) -> None:
    with rehearse(desk) as call:
        call.says("I want a refund for order 4711.")
        reply = getattr(call, how)()

        assert reply.tool("refund_order").status == "denied"
        assert reply.answer.endswith("My colleague did not agree to the refund, so nothing was paid.")

    assert rows(tmp_path, "SELECT * FROM refunds") == []


def test_an_order_is_refunded_once_whatever_is_asked(desk: AgentFile, tmp_path: Path) -> None:
    with rehearse(desk) as call:
        first = call.says("I want a refund for order 4712.")
        second = call.says("I want a refund for order 4712.")

    assert first.answer == "Order 4 7 1 2 is refunded: 25 euros are on their way to you."
    assert second.answer == "Order 4 7 1 2 was refunded before."
    assert rows(tmp_path, "SELECT COUNT(*) FROM refunds") == [(1,)]


def test_an_unknown_order_needs_a_person_and_is_not_refunded(desk: AgentFile) -> None:
    with rehearse(desk) as call:
        call.says("I want a refund for order 9999.")
        reply = call.approve()

    assert reply.answer == "Order 9 9 9 9 is not in our books."


# who has the call


def test_the_human_desk_asks_what_it_is_about_and_connects_the_caller(desk: AgentFile) -> None:
    with rehearse(desk) as call:
        question = call.says("I want to talk to a human being.")
        connected = call.says("It is about my order.")

    assert (question.handoffs, question.answer) == (
        ("human_desk",),
        "Which target would you like: orders, bills or complaints?",
    )
    assert [one.target for one in connected.transfers] == ["queue:orders"]


def test_the_billing_specialist_has_a_voice_of_its_own_and_knows_only_what_was_said(desk: AgentFile) -> None:
    model = scripted(
        [
            calls("order_status", order_number="4712"),
            says("It comes tomorrow.", phase="final_answer"),
            calls("transfer_to_billing", reason="the bill"),
            says("Billing here. What can I do for you?", phase="final_answer"),
        ]
    )
    with rehearse(desk, model=model) as call:
        call.says("Where is order 4712?")
        reply = call.says("And its bill is wrong.")

        assert [(one.agent, one.voice) for one in reply.messages] == [("billing", "sage")]
        assert {one.kind for one in call.asked[-1].conversation} == {"user", "assistant"}
        assert "send_invoice" in call.asked[-1].tools


def test_an_invoice_goes_to_an_address_that_no_record_has(desk: AgentFile, tmp_path: Path) -> None:
    def model(asked: Asked) -> Answer:
        if asked.outputs:
            return says("It is on its way.")
        return calls("send_invoice", order_number="4712", email=asked.words.split()[-1].strip("."))

    with rehearse(f"{DESK}:billing", model=model) as call:
        reply = call.says("Send the invoice of 4712 to anna@example.com.")

    assert reply.tool("send_invoice").status == "ok"
    assert "anna" not in call.transcript()
    assert rows(tmp_path, "SELECT number, email FROM invoices") == [("4712", "anna@example.com")]


# policy


def test_who_speaks_of_lawyers_talks_to_a_person(desk: AgentFile) -> None:
    with rehearse(desk) as call:
        reply = call.says("I will get a lawyer.")

        assert [(one.guardrail, one.action, one.to) for one in reply.verdicts] == [
            ("legal_matters", "hand_off", "human_desk")
        ]
        assert call.agent == "human_desk"
        assert call.says("A complaint, please.").transfers[0].target == "queue:complaints"


def test_politics_are_not_talked_of(desk: AgentFile) -> None:
    with rehearse(desk, model=scripted([])) as call:
        reply = call.says("What do you think of the election?")

        assert reply.answer == "I would rather talk about your order. How can I help you with it?"
        assert call.asked == ()


@pytest.mark.parametrize("said", ["You will get your money back.", "Done. It has been refunded."])
def test_a_refund_is_not_promised_before_it_is_made(desk: AgentFile, said: str) -> None:
    with rehearse(desk, model=scripted([says(said)])) as call:
        reply = call.says("My headphones are broken.")

    assert [one.guardrail for one in reply.verdicts] == ["no_promise_before_it_is_done"]
    assert reply.answer.endswith("I can only tell you of a refund once it is done.")
    assert "money" not in reply.text
    assert "refunded" not in reply.text


def test_a_refund_that_was_made_may_be_told_of(desk: AgentFile) -> None:
    model = scripted([calls("refund_order", order_number="4712"), says("Done. You have been paid back 25 euros.")])
    with rehearse(desk, model=model) as call:
        reply = call.says("My phone case is broken.")

    assert (reply.verdicts, reply.answer) == ((), "Done. You have been paid back 25 euros.")


def test_a_card_number_is_a_token_in_the_record(desk: AgentFile) -> None:
    with rehearse(desk) as call:
        reply = call.says("My card is 4111 1111 1111 1111. Where is my order 4712?")

    assert reply.said.startswith("My card is [card_")
    assert "4111" not in call.transcript()
    assert reply.tool("order_status").arguments == {"order_number": "4712"}


def test_a_caller_who_is_gone_is_hung_up_on(desk: AgentFile, tmp_path: Path) -> None:
    with rehearse(desk) as call:
        said = [reply.answer for _ in range(3) for reply in call.passes(12.5)]

        assert said[:2] == ["Are you still there?", "Can you hear me?"]
        assert call.ended == "agent_hung_up"

    assert rows(tmp_path, "SELECT summary FROM calls") == [
        ("0 turns, last with support; order none; refunded 0; agent_hung_up",)
    ]
