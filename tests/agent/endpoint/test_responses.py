"""The Responses API: what is asked, and what its events mean."""

from collections.abc import Sequence

import msgspec
import pytest

from agent.endpoint.streams import Answer, Event
from trunkline.agent.models.endpoint.errors import EndpointFailed
from trunkline.agent.models.endpoint.options import Endpoint, Options
from trunkline.agent.models.endpoint.responses import ResponsesWire
from trunkline.agent.models.endpoint.responses_reader import ResponsesReader
from trunkline.agent.models.seam import (
    MessageEnded,
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
from trunkline.agents import ModelSettings

ENDPOINT = Endpoint("http://host/v1", "m")
DONE = RoundDone(75, 12, 64, 4)
LOOKUP = ToolOffer("lookup", "Where is my order.", {"type": "object", "properties": {"order": {"type": "string"}}})
HISTORY = (
    MessageItem("assistant", None, "Hello!"),
    MessageItem("user", None, "Where is it?"),
    MessageItem("assistant", "commentary", "One moment."),
    ToolCallItem("call_1", "lookup", '{"order":"4"}'),
    ToolOutputItem("call_1", '"Tomorrow."', "ok"),
    MessageItem("assistant", "final_answer", "Tomorrow."),
    MessageItem("user", None, ""),
)


def read(events: Sequence[Event]) -> list[ModelEvent]:
    reader = ResponsesReader(ENDPOINT)
    told = [told for event in events for told in reader.read(msgspec.json.encode(event))]
    assert reader.over
    return told


def body(*, sends_phase: bool = True, tools: tuple[ToolOffer, ...] = (), **settings: object) -> dict[str, object]:
    request = ModelRequest("Be kind.", HISTORY, tools, "rtc_00_a", "", ModelSettings(**settings), "desk")  # type: ignore[arg-type]  # fields of it
    return ResponsesWire(Options((ENDPOINT,), sends_phase=sends_phase)).body(request, "m", {})


def words(text: str, phase: str | None) -> list[TextDelta]:
    return [TextDelta(word, phase) for word in text.replace(" ", "| ").split("|")]  # type: ignore[arg-type]  # a Phase


# what is asked


def test_the_conversation_goes_out_as_items_with_their_phases() -> None:
    assert body()["input"] == [
        {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "Hello!"}]},
        {"type": "message", "role": "user", "content": "Where is it?"},
        {
            "type": "message",
            "role": "assistant",
            "content": [{"type": "output_text", "text": "One moment."}],
            "phase": "commentary",
        },
        {"type": "function_call", "call_id": "call_1", "name": "lookup", "arguments": '{"order":"4"}'},
        {"type": "function_call_output", "call_id": "call_1", "output": '"Tomorrow."'},
        {
            "type": "message",
            "role": "assistant",
            "content": [{"type": "output_text", "text": "Tomorrow."}],
            "phase": "final_answer",
        },
        {"type": "message", "role": "user", "content": ""},
    ]


def test_no_phase_goes_to_an_endpoint_that_refuses_the_key() -> None:
    with_phase, without = body(), body(sends_phase=False)

    assert b"phase" not in msgspec.json.encode(without)
    assert [item.get("content") for item in with_phase["input"]] == [item.get("content") for item in without["input"]]  # type: ignore[attr-defined]  # a list


def test_what_is_not_wished_for_is_left_to_the_endpoint() -> None:
    asked = body()
    del asked["input"]

    assert asked == {
        "model": "m",
        "instructions": "Be kind.",
        "stream": True,
        "store": False,
        "prompt_cache_key": "desk",
    }


def test_every_wish_of_an_agent_reaches_the_endpoint() -> None:
    asked = body(
        tools=(LOOKUP,),
        temperature=0.0,
        max_output_tokens=300,
        reasoning_effort="none",
        verbosity="low",
        tool_choice="lookup",
        parallel_tool_calls=False,
        prompt_cache_key="desks",
    )
    tool = {"name": "lookup", "description": LOOKUP.description, "parameters": LOOKUP.parameters}

    assert asked["tools"] == [{"type": "function", **tool, "strict": False}]
    assert asked["tool_choice"] == {"type": "function", "name": "lookup"}
    assert asked["parallel_tool_calls"] is False
    assert (asked["reasoning"], asked["text"]) == ({"effort": "none"}, {"verbosity": "low"})
    assert (asked["temperature"], asked["max_output_tokens"], asked["prompt_cache_key"]) == (0.0, 300, "desks")


@pytest.mark.parametrize("choice", ["required", "none"])
def test_a_choice_of_tools_goes_out_with_tools_alone(choice: str) -> None:
    assert body(tools=(LOOKUP,), tool_choice=choice)["tool_choice"] == choice
    assert not {"tools", "tool_choice", "parallel_tool_calls"} & set(body(tool_choice=choice, parallel_tool_calls=True))


# what is answered


@pytest.mark.parametrize("phase", ["final_answer", "commentary", None])
def test_words_stream_with_the_phase_of_their_message(phase: str | None) -> None:
    events = read(Answer().message("Good evening to you.", phase).completed())

    assert events == [*words("Good evening to you.", phase), MessageEnded(), DONE]


def test_a_tool_round_has_its_commentary_first_and_each_call_once() -> None:
    answer = Answer().reasoning().message("One moment.", "commentary")
    events = read(answer.call("lookup", '{"order":"4"}', "call_a").call("lookup", "{}", "call_b").completed())

    assert events == [
        *words("One moment.", "commentary"),
        MessageEnded(),
        ToolCall("call_a", "lookup", '{"order":"4"}'),
        ToolCall("call_b", "lookup", "{}"),
        DONE,
    ]


def test_two_messages_of_one_round_stay_two() -> None:
    events = read(Answer().message("Hm, hm.", "commentary").message("It is ready.", "final_answer").completed())

    assert events == [
        *words("Hm, hm.", "commentary"),
        MessageEnded(),
        *words("It is ready.", "final_answer"),
        MessageEnded(),
        DONE,
    ]


def test_a_phase_that_comes_with_the_messages_end_settles_it() -> None:
    events = read(Answer().message("It is ready.", "final_answer", late=True).completed())

    assert events == [*words("It is ready.", None), TextDelta("", "final_answer"), MessageEnded(), DONE]


def test_a_phase_of_a_later_release_is_none() -> None:
    assert read(Answer().message("It is ready.", "aside").completed()) == [
        *words("It is ready.", None),
        MessageEnded(),
        DONE,
    ]


def test_a_refusal_is_said() -> None:
    events = read(Answer().message("I can't help with that.", "final_answer", refusal=True).completed())

    assert events == [*words("I can't help with that.", "final_answer"), MessageEnded(), DONE]


def test_deltas_and_the_whole_at_the_end_are_enough() -> None:
    whole = Answer().message("One moment.", "commentary").call("lookup", "{}", "call_a").completed()
    events = read([event for event in whole if event["type"] in ("response.output_text.delta", "response.completed")])

    assert events == [
        *words("One moment.", None),
        TextDelta("", "commentary"),
        MessageEnded(),
        ToolCall("call_a", "lookup", "{}"),
        DONE,
    ]


def test_the_whole_at_the_end_alone_is_enough() -> None:
    whole = Answer().message("One moment.", "commentary").call("lookup", "{}", "call_a").completed()

    assert read(whole[-1:]) == [
        TextDelta("One moment.", "commentary"),
        MessageEnded(),
        ToolCall("call_a", "lookup", "{}"),
        DONE,
    ]


def test_a_word_that_was_not_streamed_is_said_at_the_messages_end() -> None:
    whole = Answer().message("It is ready.", "final_answer").completed()
    (*_, last) = (i for i, event in enumerate(whole) if event["type"] == "response.output_text.delta")
    events = read([event for i, event in enumerate(whole) if i != last])

    assert [event.text for event in events if isinstance(event, TextDelta)] == ["It", " is", " ready."]


def test_an_endpoint_that_leaves_out_positions_and_changes_ids_says_nothing_twice() -> None:
    whole = Answer().message("One moment.", "commentary").call("lookup", "{}", "call_a").completed()
    plain = [{key: value for key, value in event.items() if key != "output_index"} for event in whole]
    output = [{**item, "id": f"other_{i}"} for i, item in enumerate(plain[-1]["response"]["output"])]
    plain[-1] = {**plain[-1], "response": {**plain[-1]["response"], "output": output}}

    assert read(plain) == read(whole)


def test_a_call_without_an_id_gets_one_and_is_made_once() -> None:
    whole = Answer().call("lookup", "", "call_a").completed()
    for event in whole:
        for item in [event.get("item", {}), *event.get("response", {}).get("output", [])]:
            item.pop("call_id", None)
            item.pop("id", None)
    (call, done) = read(whole)

    assert done == DONE
    assert isinstance(call, ToolCall)
    assert call.id.startswith("call_")
    assert (call.name, call.arguments) == ("lookup", "{}")


@pytest.mark.parametrize("reason", ["max_output_tokens", "content_filter"])
def test_an_answer_that_stops_early_says_why(reason: str) -> None:
    events = read(Answer().message("Once upon", "final_answer").incomplete(reason))

    assert events == [*words("Once upon", "final_answer"), MessageEnded(), RoundDone(75, 12, 64, 4, reason)]


@pytest.mark.parametrize("arguments", ['{"ord', ""])
def test_a_call_that_was_cut_off_never_looks_whole(arguments: str) -> None:
    events = read(Answer().call("lookup", arguments, "call_a", "incomplete").incomplete("max_output_tokens"))

    assert events[0] == ToolCall("call_a", "lookup", arguments)


@pytest.mark.parametrize("arguments", ['{"order":', "[1]", "not JSON", '{"a":"' + "x" * 1_000_000 + '"}'])
def test_arguments_pass_as_they_came(arguments: str) -> None:
    assert read(Answer().call("lookup", arguments, "call_a").completed())[0] == ToolCall("call_a", "lookup", arguments)


def test_unknown_events_and_items_are_skipped() -> None:
    events = Answer().message("Yes.", "final_answer").completed()
    strange = {"type": "response.web_search_call.searching", "item": 5}
    item = {"type": "response.output_item.done", "output_index": 9, "item": {"type": "web_search_call", "id": "ws_1"}}

    assert read([strange, item, *events, strange]) == read(events)


@pytest.mark.parametrize(
    ("last", "said"),
    [
        (Answer().failed("server_error", "Oops.")[-1], "server_error: Oops."),
        (Answer().error("rate_limit_exceeded", "Slow down.")[-1], "rate_limit_exceeded: Slow down."),
        ({"type": "error", "error": {"type": "overloaded_error", "message": "Busy."}}, "overloaded_error: Busy."),
        ({"error": {"code": 500, "message": "No memory."}}, "500: No memory."),
        ({"error": "No memory."}, "No memory."),
        ({"type": "response.failed", "response": {}}, "gave no reason"),
    ],
)
def test_an_error_in_the_stream_is_one(last: Event, said: str) -> None:
    with pytest.raises(EndpointFailed) as failed:
        read([*Answer().message("Once").events, last])

    assert str(failed.value) == f"m at host: {said}"


def test_more_calls_than_anybody_needs_are_an_error() -> None:
    answer = Answer()
    for number in range(129):
        answer.call("lookup", "{}", f"call_{number}")

    with pytest.raises(EndpointFailed, match="more than 128 tools"):
        read(answer.completed())
