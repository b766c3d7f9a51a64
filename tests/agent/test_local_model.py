"""The local model on a front desk: the right tool, the right arguments, and whole sentences otherwise."""

from pathlib import Path

import msgspec
import pytest

from images.pictures import shown
from trunkline.agent.models.history import WITHHELD
from trunkline.agent.models.local.model import reply_to
from trunkline.agent.models.local.numbers import runs_of
from trunkline.agent.models.seam import (
    HistoryItem,
    MessageItem,
    ModelEvent,
    ModelRequest,
    RoundDone,
    TextDelta,
    ToolCall,
    ToolCallItem,
    ToolOffer,
    ToolOutputItem,
)
from trunkline.agents import ModelSettings, end_call, load_agent_file, tool
from trunkline.proto.image import ShownImage
from trunkline.proto.tool import ToolStatus

FRONTDESK = Path(__file__).parents[2] / "examples" / "agents" / "frontdesk.py"
OFFERS = tuple(
    ToolOffer(tool.name, tool.description, tool.parameters, tool.commentary)
    for tool in load_agent_file(str(FRONTDESK)).default.tools
)


def reply(said: str, *before: HistoryItem) -> tuple[str, str, dict[str, object]]:
    """(what is spoken, the tool or "", its arguments)."""
    text, tool, arguments = "", "", {}
    for event in reply_to(ModelRequest("", (*before, MessageItem("user", None, said)), OFFERS, "rtc_00_a")):
        match event:
            case TextDelta():
                text += event.text
            case ToolCall():
                tool, arguments = event.name, msgspec.json.decode(event.arguments, type=dict[str, object])
    return text, tool, arguments


@pytest.mark.parametrize(
    ("choice", "said", "tool"),
    [
        ("auto", "Tell me something nice.", ""),
        ("none", "What is the weather in Tokyo?", ""),
        ("required", "What is the weather in Tokyo?", "get_weather"),
        ("required", "Tell me something nice.", "ping"),
        ("look", "What is the weather in Tokyo?", "look"),
    ],
)
def test_a_choice_of_tools_is_kept_to(choice: str, said: str, tool: str) -> None:
    bare = [ToolOffer(name, words, {}) for name, words in (("ping", "Pings the line."), ("look", "Looks up a page."))]
    settings = ModelSettings(tool_choice=choice)
    request = ModelRequest("", (user(said),), (*bare, *OFFERS), "rtc_00_a", settings=settings)

    events = reply_to(request)

    assert [event.name for event in events if isinstance(event, ToolCall)] == ([tool] if tool else [])


def test_a_tool_that_must_be_used_is_used_whatever_another_has_said() -> None:
    known = (user("Ping it."), ToolCallItem("call_a", "ping", "{}"), ToolOutputItem("call_a", '"Pong."', "ok"))
    tools = (ToolOffer("ping", "Pings the line.", {}), ToolOffer("look", "Looks up a page.", {}))
    settings = [ModelSettings(), ModelSettings(tool_choice="look")]

    rounds = [reply_to(ModelRequest("", known, tools, "rtc_00_a", settings=one)) for one in settings]

    assert [[e.name for e in events if isinstance(e, ToolCall)] for events in rounds] == [[], ["look"]]


def test_a_tool_that_must_be_used_has_its_arguments_from_the_caller() -> None:
    request = ModelRequest("", (user("Hello."),), OFFERS, "rtc_00_a", settings=ModelSettings(tool_choice="get_weather"))

    [question, done] = reply_to(request)

    assert question == TextDelta("Which city is it, please?", "final_answer")
    assert isinstance(done, RoundDone)


def user(text: str) -> MessageItem:
    return MessageItem("user", None, text)


def answer(text: str) -> MessageItem:
    return MessageItem("assistant", "final_answer", text)


@pytest.mark.parametrize(
    ("said", "tool", "arguments"),
    [
        ("What is the weather in Tokyo?", "get_weather", {"city": "Tokyo"}),
        ("whether in tokyo", "get_weather", {"city": "tokyo"}),
        ("What's the whether in Tokyo?", "get_weather", {"city": "Tokyo"}),
        ("How is the weather in New York today, please?", "get_weather", {"city": "New York"}),
        ("Tokyo weather please", "get_weather", {"city": "Tokyo"}),
        (
            "Hi, I would like to know where my order is. The order number is 4712.",
            "lookup_order",
            {"order_number": "4712"},
        ),
        (
            "Hi, I would like to know where my order is. The order number is four seven one two.",
            "lookup_order",
            {"order_number": "4712"},
        ),
        ("Where is my order? It's four... seven, one, two.", "lookup_order", {"order_number": "4712"}),
        ("My order is for seven one too", "lookup_order", {"order_number": "4712"}),
        ("Please cancel order 4712, not 4711.", "cancel_order", {"order_number": "4712"}),
        ("When are you open on Monday?", "opening_hours", {"day": "monday"}),
        ("What time do you close on Sundays?", "opening_hours", {"day": "sunday"}),
    ],
)
def test_a_caller_gets_the_tool_and_arguments_asked_for(said: str, tool: str, arguments: dict[str, object]) -> None:
    assert (tool, arguments) == reply(said)[1:]


@pytest.mark.parametrize(
    "said",
    [
        "I want to talk to a human being.",
        "Yes, please go ahead.",
        "Mm-hmm.",
        "",
        "So, I ordered a pair of headphones last Tuesday, um, and the box arrived, but when I opened it, "
        "the left one was missing.",
    ],
)
def test_where_no_tool_fits_it_says_what_it_can_do(said: str) -> None:
    text, tool, _ = reply(said)

    assert tool == ""
    assert "I can help with this: get weather, lookup order, cancel order or opening hours." in text


def test_it_says_what_it_heard_when_no_tool_fits() -> None:
    assert reply("I want to talk to a human being.")[0].startswith("I heard: I want to talk to a human being. ")


def test_thanks_and_farewells_get_a_sentence() -> None:
    assert reply("Thank you very much, goodbye.") == ("Thank you for calling. Goodbye.", "", {})


def test_it_ends_the_call_with_a_goodbye() -> None:
    end = end_call()
    offer = ToolOffer(end.name, end.description, end.parameters)
    call, _ = reply_to(ModelRequest("", (user("Thank you very much, goodbye."),), (offer,), "rtc_00_a"))

    assert isinstance(call, ToolCall)
    assert (call.name, call.arguments) == ("end_call", '{"farewell":"Thank you for calling. Goodbye."}')


def test_an_agent_that_was_handed_the_call_answers_the_caller_and_not_the_handoff() -> None:
    items = (
        user("What is the weather in Tokyo?"),
        ToolCallItem("call_1", "transfer_to_weather", "{}"),
        ToolOutputItem("call_1", '"You are weather now, and have the call."', "ok"),
    )
    events = reply_to(ModelRequest("", items, OFFERS, "rtc_00_a", agent="weather"))

    assert [event.name for event in events if isinstance(event, ToolCall)] == ["get_weather"]


def test_what_the_client_told_it_comes_not_between_question_and_answer() -> None:
    before = (user("Please cancel my order."), answer("Which order number is it, please?"))
    told = MessageItem("system", None, "The caller is Anna.")

    assert reply("4712", *before, told) == reply("4712", *before)
    assert reply("4712", *before, told)[1:] == ("cancel_order", {"order_number": "4712"})


def test_where_words_were_withheld_it_asks_again() -> None:
    assert reply(WITHHELD)[0] == "Hello. How can I help you?"


def test_of_a_very_long_text_the_end_is_read() -> None:
    text, tool, arguments = reply("Cancel order 9006. " + "4 " * 100_000 + "What is the weather in Tokyo?")

    assert (tool, arguments) == ("get_weather", {"city": "Tokyo"})
    assert text == "One moment, let me check the weather in Tokyo."


def test_a_commentary_goes_before_the_tool() -> None:
    request = ModelRequest("", (user("What is the weather in Tokyo?"),), OFFERS, "rtc_00_a")
    text, call, done = reply_to(request)

    assert TextDelta("One moment, let me check the weather in Tokyo.", "commentary") == text
    assert isinstance(call, ToolCall)
    assert RoundDone() == done


def test_a_missing_argument_is_taken_from_the_last_tool_call_that_had_it() -> None:
    before = (
        user("Where is order 4712?"),
        ToolCallItem("call_1", "lookup_order", '{"order_number":"4712"}'),
        ToolOutputItem("call_1", '"It arrives."', "ok"),
        answer("It arrives."),
    )

    assert reply("Please cancel that order.", *before)[1:] == ("cancel_order", {"order_number": "4712"})


def test_a_missing_argument_is_asked_for_and_the_answer_is_understood() -> None:
    asked = reply("Where is my order?")

    assert asked == ("Which order number is it, please?", "", {})
    assert reply("four seven one two", user("Where is my order?"), answer(asked[0]))[1:] == (
        "lookup_order",
        {"order_number": "4712"},
    )


def test_an_answer_of_one_lower_case_word_fills_a_text() -> None:
    before = (user("What is the weather?"), answer("Which city is it, please?"))

    assert reply("it's tokyo, please", *before)[1:] == ("get_weather", {"city": "tokyo"})


def test_an_unusable_answer_is_asked_again() -> None:
    before = (user("Where is my order?"), answer("Which order number is it, please?"))

    assert reply("the blue headphones", *before) == ("Which order number is it, please?", "", {})


@pytest.mark.parametrize(
    ("output", "status", "spoken"),
    [
        ('"It rains."', "ok", "It rains."),
        ('{"city":"Tokyo","high_c":18}', "ok", "City: Tokyo, high c: 18."),
        ('["a","b","c"]', "ok", "A, b and c."),
        ("null", "ok", "That is done."),
        ("no such order", "error", "I am sorry, that did not work. No such order."),
        (
            '"refund did not finish within 5 seconds; whether it took effect is not known."',
            "timeout",
            "I am sorry, that is taking too long, so I could not get an answer. "
            "Refund did not finish within 5 seconds; whether it took effect is not known.",
        ),
        (
            "It is not known whether refund was done: it was cut off.",
            "unknown",
            "I am sorry, I can't say yet how that ended. It is not known whether refund was done: it was cut off.",
        ),
    ],
)
def test_results_are_spoken_in_sentences(output: str, status: ToolStatus, spoken: str) -> None:
    items = (user("x"), ToolCallItem("call_1", "t", "{}"), ToolOutputItem("call_1", output, status))

    assert [TextDelta(spoken, "final_answer"), RoundDone()] == reply_to(ModelRequest("", items, OFFERS, "rtc_00_a"))


@pytest.mark.parametrize(
    ("said", "digits"),
    [
        ("four seven one two", ["4712"]),
        ("47 12", ["4712"]),
        ("4-7-1-2", ["4712"]),
        ("forty seven twelve", ["4712"]),
        ("four thousand seven hundred and twelve", ["4712"]),
        ("4,712", ["4712"]),
        ("double four oh one", ["4401"]),
        ("one apple and two pears", ["1", "2"]),
        ("nothing", []),
    ],
)
def test_spoken_numbers_become_digits(said: str, digits: list[str]) -> None:
    assert digits == [run.text for run in runs_of(said)]


def test_a_commentary_speaks_of_an_argument_that_is_left_to_its_default() -> None:
    @tool(commentary="Booking a table for {people} {place}.")
    async def book_table(people: int, place: str | None = "inside") -> str:
        """Book a table."""
        return f"{people} {place}"

    offer = ToolOffer(book_table.name, book_table.description, book_table.parameters, book_table.commentary)
    asked = MessageItem("user", None, "Please book a table for four.")

    said = next(e for e in reply_to(ModelRequest("", (asked,), (offer,), "rtc_00_a")) if isinstance(e, TextDelta))

    assert said.text == book_table.commentary_for('{"people":4}') == "Booking a table for 4 inside."


def test_news_is_told_however_long_ago_its_tool_was_called() -> None:
    items = (
        MessageItem("user", None, "Cancel order 4712."),
        ToolCallItem("call_1", "cancel_order", "{}"),
        ToolOutputItem("call_1", '"It is cancelled."', "ok"),
        MessageItem("user", None, "What is the weather in Tokyo?"),
        MessageItem("assistant", "final_answer", "It is sunny."),
    )
    request = ModelRequest("", items, (), "rtc_00_test", news=frozenset({"call_1"}))

    assert reply_to(request)[0] == TextDelta("It is cancelled.", "final_answer")


PHOTOGRAPH = shown("file_1", 640, 480, "high")
SKETCH = shown("file_2", 100, 50, "low", media_type="image/webp")
SEEN = "You showed me a PNG picture of 640 by 480 pixels, at high detail. I can't see pictures."


def reply_to_pictures(said: str, *images: ShownImage) -> list[ModelEvent]:
    return reply_to(ModelRequest("", (MessageItem("user", None, said, images),), OFFERS, "rtc_00_a"))


@pytest.mark.parametrize(
    ("said", "images", "answer"),
    [
        ("", (PHOTOGRAPH,), SEEN),
        ("Hello.", (PHOTOGRAPH,), f"{SEEN} Hello. How can I help you?"),
        (
            "",
            (PHOTOGRAPH, SKETCH),
            "You showed me 2 pictures: a PNG picture of 640 by 480 pixels, at high detail; "
            "a WebP picture of 100 by 50 pixels, at low detail. I can't see pictures.",
        ),
    ],
)
def test_what_was_shown_is_said_and_no_more_is_claimed(said: str, images: tuple[ShownImage, ...], answer: str) -> None:
    assert reply_to_pictures(said, *images) == [TextDelta(answer, "final_answer"), RoundDone()]


def test_of_many_pictures_some_are_described() -> None:
    said = next(event for event in reply_to_pictures("", *[SKETCH] * 40) if isinstance(event, TextDelta))

    assert said.text.startswith("You showed me 40 pictures: ")
    assert said.text.count("a WebP picture") == 5
    assert said.text.endswith("; and 35 more. I can't see pictures.")


def test_words_beside_a_picture_still_pick_a_tool() -> None:
    said, call, done = reply_to_pictures("What is the weather in Tokyo?", PHOTOGRAPH)

    assert isinstance(said, TextDelta)
    assert (said.phase, said.text.startswith(f"{SEEN} ")) == ("commentary", True)
    assert (isinstance(call, ToolCall) and call.name, done) == ("get_weather", RoundDone())


def test_a_question_that_follows_what_was_shown_is_understood_when_it_is_answered() -> None:
    asked = reply_to_pictures("What is the weather?", PHOTOGRAPH)[0]
    assert isinstance(asked, TextDelta)

    spoken, tool, arguments = reply(
        "Tokyo.",
        MessageItem("user", None, "What is the weather?", (PHOTOGRAPH,)),
        MessageItem("assistant", "final_answer", asked.text),
    )

    assert asked.text.startswith(f"{SEEN} Which city")
    assert (tool, arguments, SEEN in spoken) == ("get_weather", {"city": "Tokyo"}, False)


def test_a_picture_of_an_earlier_turn_is_not_spoken_of_again() -> None:
    before = (MessageItem("user", None, "", (PHOTOGRAPH,)), MessageItem("assistant", "final_answer", SEEN))

    assert reply("Hello.", *before)[0] == "Hello. How can I help you?"


def test_arguments_of_an_earlier_call_that_are_no_json_are_passed_over() -> None:
    before = (
        user("Hm?"),
        ToolCallItem("call_1", "get_weather", '{"city": "Tok'),
        ToolOutputItem("call_1", "?", "error"),
    )

    assert reply("What is the weather?", *before)[0].startswith("Which city")
