"""What is right of each scenario's facts, whatever the client runs in and whatever carries it."""

from js import clients
from js.clients import Facts

STORY_OPENS = "Once upon a time"


def sound(facts: Facts) -> None:
    """Of any scenario: no error, and no event that the SDK would not take."""
    assert facts["errors"] == []
    assert clients.complaints(facts["frames"]) == []


def question_answered(facts: Facts) -> None:
    """The guide's program: speech is understood, the agent's own tool runs, and the history has what was said."""
    sound(facts)
    assert "order" in clients.texts(facts, "user")[0].lower()
    assert facts["response"]["status"] == "completed"
    assert [item["phase"] for item in facts["response"]["output"]] == ["commentary", "final_answer"]
    assert "4 7 1 2 was shipped" in clients.texts(facts, "assistant")[-1]
    assert "".join(clients.texts(facts, "assistant")) == clients.spoken(facts)


def tool_run(facts: Facts) -> None:
    """At the client, for the city that was asked for."""
    sound(facts)
    assert [city.lower() for city in facts["ran"]] == ["tokyo"]
    assert "18 degrees and light rain" in clients.spoken(facts)
    (call,) = [item for item in facts["history"] if item["type"] == "function_call"]
    assert (call["name"], call["status"]) == ("get_weather", "completed")
    assert "18 degrees" in call["output"]


def interrupted(facts: Facts) -> None:
    """The reply is cut to what was heard, at the gateway and in the client's history, and the caller understood."""
    sound(facts)
    told = "".join(
        frame["delta"]
        for frame in clients.of(facts, "response.output_audio_transcript.delta")
        if frame["item_id"] == facts["truncated"]["item_id"]
    )
    heard = facts["retrieved"]["item"]["content"][0]["transcript"]
    assert heard.startswith(STORY_OPENS)
    assert told.startswith(heard.rstrip())
    assert len(heard) < len(told)
    (kept,) = [text for text in clients.texts(facts, "assistant") if text.startswith(STORY_OPENS)]
    assert kept == heard
    assert "question" in clients.texts(facts, "user")[-1]


def handed_over(facts: Facts) -> None:
    """To another agent of the client's, whose instructions and tools count from then on."""
    sound(facts)
    assert facts["told"].count("agent_handoff") == 1
    assert facts["agent"] == "Human"
    assert facts["ran"] == ["cancel_order"]
    assert "Your order is cancelled" in clients.spoken(facts)
    assert clients.of(facts, "session.updated")[-1]["session"]["instructions"] == "You are a human being."


def guarded(facts: Facts) -> None:
    """What tripped the guardrail is cancelled, and what the client then says of it is answered."""
    sound(facts)
    assert facts["told"].count("guardrail_tripped") == 1
    assert [response["status"] for response in facts["responses"]] == ["completed", "cancelled"]
    assert facts["responses"][1]["status_details"]["reason"] == "client_cancelled"
    assert "no answer for him" not in clients.spoken(facts)
    assert "blocked" in facts["answer"]
    assert "blocked" in clients.texts(facts, "user")[-1]


def history_edited(facts: Facts) -> None:
    """An item is gone, one is first, and one stands in between."""
    sound(facts)
    hello, greeting, question, answer = facts["before"]
    assert [item["itemId"] for item in facts["history"]] == ["item_first", hello, "item_between", question, answer]
    assert [frame["item_id"] for frame in clients.of(facts, "conversation.item.deleted")] == [greeting]


def lived_on(facts: Facts) -> None:
    """Three turns, each answered once and in full, whatever died."""
    sound(facts)
    assert [response["status"] for response in facts["responses"]] == ["completed"] * 3
    assert ["4712" in text or "four seven one two" in text for text in clients.texts(facts, "user")] == [True] * 3
    said = clients.texts(facts, "assistant")
    assert ["looking up" in text for text in said] == [True, False] * 3
    assert ["4 7 1 2 was shipped" in text for text in said] == [False, True] * 3
