"""The Chat Completions API: what is asked, and what its chunks mean."""

from collections.abc import Sequence

import msgspec
import pytest

from agent.endpoint.streams import Event, chat, chunk, piece, usage
from agent.endpoint.test_responses import DONE, ENDPOINT, HISTORY, LOOKUP, words
from trunkline.agent.models.endpoint.chat import ChatWire
from trunkline.agent.models.endpoint.chat_messages import messages_of
from trunkline.agent.models.endpoint.chat_reader import ChatReader
from trunkline.agent.models.endpoint.errors import EndpointFailed
from trunkline.agent.models.endpoint.options import Options
from trunkline.agent.models.history import STILL_RUNNING
from trunkline.agent.models.seam import (
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


def read(events: Sequence[Event], *, done: bool = True) -> list[ModelEvent]:
    reader = ChatReader(ENDPOINT)
    told = [told for event in events for told in reader.read(msgspec.json.encode(event))]
    told += reader.read(b"[DONE]") if done else reader.end()
    assert reader.over
    return told


def body(options: Options, tools: tuple[ToolOffer, ...] = (), **settings: object) -> dict[str, object]:
    request = ModelRequest("Be kind.", HISTORY, tools, "rtc_00_a", "", ModelSettings(**settings), "desk")  # type: ignore[arg-type]  # fields of it
    return ChatWire(options).body(request, "m", {})


def called(id: str, arguments: str = "{}") -> dict[str, object]:
    return {"id": id, "type": "function", "function": {"name": "lookup", "arguments": arguments}}


# what is asked


def test_the_conversation_goes_out_as_messages_with_their_phases() -> None:
    assert messages_of("Be kind.", HISTORY, {}, sends_phase=True) == [
        {"role": "system", "content": "Be kind."},
        {"role": "assistant", "content": "Hello!"},
        {"role": "user", "content": "Where is it?"},
        {
            "role": "assistant",
            "content": "One moment.",
            "phase": "commentary",
            "tool_calls": [called("call_1", '{"order":"4"}')],
        },
        {"role": "tool", "tool_call_id": "call_1", "content": '"Tomorrow."'},
        {"role": "assistant", "content": "Tomorrow.", "phase": "final_answer"},
        {"role": "user", "content": ""},
    ]


def test_the_calls_of_a_round_stand_in_one_message_with_an_output_each_behind_it() -> None:
    messages = messages_of(
        "",
        (
            MessageItem("user", None, "Hm?"),
            ToolCallItem("call_1", "lookup", "{}"),
            ToolCallItem("call_2", "lookup", "{}"),
            ToolOutputItem("call_2", "two", "ok"),
            ToolOutputItem("call_1", "one", "ok"),
            ToolCallItem("call_3", "lookup", "{}"),
        ),
        {},
        sends_phase=True,
    )

    assert messages == [
        {"role": "user", "content": "Hm?"},
        {"role": "assistant", "content": None, "tool_calls": [called("call_1"), called("call_2"), called("call_3")]},
        {"role": "tool", "tool_call_id": "call_1", "content": "one"},
        {"role": "tool", "tool_call_id": "call_2", "content": "two"},
        {"role": "tool", "tool_call_id": "call_3", "content": STILL_RUNNING},
    ]


def test_an_output_without_its_call_is_left_out() -> None:
    assert messages_of("", (ToolOutputItem("call_1", "one", "ok"),), {}, sends_phase=True) == []


def test_no_phase_goes_to_an_endpoint_that_refuses_the_key() -> None:
    assert b'"phase"' in msgspec.json.encode(body(Options((ENDPOINT,))))
    assert b"phase" not in msgspec.json.encode(body(Options((ENDPOINT,), sends_phase=False)))


def test_what_is_not_wished_for_is_left_to_the_endpoint() -> None:
    asked = body(Options((ENDPOINT,)))
    del asked["messages"]

    assert asked == {"model": "m", "stream": True, "stream_options": {"include_usage": True}}


@pytest.mark.parametrize("key", ["max_completion_tokens", "max_tokens"])
def test_every_wish_of_an_agent_reaches_the_endpoint(key: str) -> None:
    asked = body(
        Options((ENDPOINT,), max_tokens_key=key),  # type: ignore[arg-type]  # both are
        (LOOKUP,),
        temperature=0.0,
        max_output_tokens=300,
        reasoning_effort="low",
        verbosity="high",
        tool_choice="lookup",
        parallel_tool_calls=True,
        prompt_cache_key="desks",
    )
    function = {"name": "lookup", "description": LOOKUP.description, "parameters": LOOKUP.parameters}

    assert asked["tools"] == [{"type": "function", "function": function}]
    assert asked["tool_choice"] == {"type": "function", "function": {"name": "lookup"}}
    assert (asked["parallel_tool_calls"], asked["reasoning_effort"], asked["verbosity"]) == (True, "low", "high")
    assert (asked["temperature"], asked[key], asked["prompt_cache_key"]) == (0.0, 300, "desks")
    assert len({"max_completion_tokens", "max_tokens"} & set(asked)) == 1


# what is answered


def test_words_stream_without_a_phase_where_the_model_says_none() -> None:
    assert read(chat("Good evening.")) == [*words("Good evening.", None), DONE]


def test_a_phase_is_taken_where_an_endpoint_says_it() -> None:
    events = read([chunk({"content": "Yes.", "phase": "final_answer"}), chunk({}, "stop"), usage()])

    assert events == [TextDelta("Yes.", "final_answer"), DONE]


def test_a_refusal_is_said() -> None:
    assert read([chunk({"refusal": "I can't."}, "stop"), usage()]) == [TextDelta("I can't."), DONE]


def test_calls_are_put_together_from_pieces_of_many_at_a_time() -> None:
    events = read(
        chat(
            "One moment.",
            piece(0, "", "call_a", "lookup"),
            piece(1, "", "call_b", "weather"),
            piece(0, '{"order"'),
            piece(1, '{"city":'),
            piece(0, ':"4"}'),
            piece(1, '"Oslo"}'),
        )
    )

    assert events == [
        *words("One moment.", None),
        ToolCall("call_a", "lookup", '{"order":"4"}'),
        ToolCall("call_b", "weather", '{"city":"Oslo"}'),
        DONE,
    ]


@pytest.mark.parametrize("index", [0, None])
def test_calls_of_an_endpoint_that_does_not_number_them_stay_apart(index: int | None) -> None:
    pieces = [piece(0, "{}", "call_a", "lookup"), piece(0, "{}", "call_b", "weather")]
    events = read(chat("", *({**one, "index": index} for one in pieces)))

    assert events == [ToolCall("call_a", "lookup", "{}"), ToolCall("call_b", "weather", "{}"), DONE]


def test_a_call_without_an_id_gets_one_of_its_own() -> None:
    unnamed = [{"index": i, "function": {"name": "lookup", "arguments": "{}"}} for i in range(2)]
    first, second, _ = read(chat("", *unnamed))

    assert isinstance(first, ToolCall)
    assert isinstance(second, ToolCall)
    assert first.id.startswith("call_")
    assert first.id != second.id


@pytest.mark.parametrize("arguments", ['{"order":', "[1]", "not JSON", '{"a":"' + "x" * 1_000_000 + '"}'])
def test_arguments_pass_as_they_came(arguments: str) -> None:
    assert read(chat("", piece(0, arguments, "call_a", "lookup")))[0] == ToolCall("call_a", "lookup", arguments)


@pytest.mark.parametrize(("finish", "passed"), [("tool_calls", "{}"), ("stop", "{}"), ("length", "")])
def test_no_arguments_are_none_unless_they_were_cut_off(finish: str, passed: str) -> None:
    assert read(chat("", piece(0, "", "call_a", "now"), finish=finish))[0] == ToolCall("call_a", "now", passed)


@pytest.mark.parametrize(("finish", "why"), [("length", "max_output_tokens"), ("content_filter", "content_filter")])
def test_an_answer_that_stops_early_says_why(finish: str, why: str) -> None:
    assert read(chat("Once", finish=finish))[-1] == RoundDone(75, 12, 64, 4, why)


def test_a_stream_that_ends_without_saying_that_it_is_done_has_ended() -> None:
    assert read(chat("Yes."), done=False) == [TextDelta("Yes."), DONE]
    assert read([chunk({"content": "Yes."}, "stop")], done=False) == [TextDelta("Yes."), RoundDone()]


@pytest.mark.parametrize("done", [True, False])
def test_a_stream_that_ends_before_the_model_stopped_is_broken_off(done: bool) -> None:
    with pytest.raises(EndpointFailed, match="ended before the answer was over"):
        read([chunk({"content": "Once"})], done=done)


@pytest.mark.parametrize(
    ("event", "said"),
    [
        ({"error": {"code": 502, "message": "Upstream failed."}}, "502: Upstream failed."),
        ({"error": "Upstream failed."}, "Upstream failed."),
        (chunk({"content": ""}, "error"), "error: the model stopped with an error"),
    ],
)
def test_an_error_in_the_stream_is_one(event: Event, said: str) -> None:
    with pytest.raises(EndpointFailed) as failed:
        read([chunk({"content": "Once"}), event])

    assert str(failed.value) == f"m at host: {said}"


def test_more_calls_than_anybody_needs_are_an_error() -> None:
    with pytest.raises(EndpointFailed, match="more than 128 tools"):
        read(chat("", *(piece(i, "{}", f"call_{i}", "lookup") for i in range(129))))


def test_other_choices_are_not_heard() -> None:
    other = {**chunk({"content": "No."}), "choices": [{"index": 1, "delta": {"content": "No."}}]}

    assert read([other, *chat("Yes.")]) == [TextDelta("Yes."), DONE]
