"""What these tests stream is what the vendor's own client reads: the referee is the package `openai`."""

from typing import Any

import pytest

from agent.endpoint import streams
from agent.endpoint.streams import Answer, Event

pytest.importorskip("openai", reason="the referee isn't installed")

from openai.types.chat import ChatCompletionChunk
from openai.types.responses import ResponseStreamEvent
from pydantic import TypeAdapter

STREAMS = {
    "text": Answer().message("Good evening.", "final_answer").completed(),
    "tools": Answer().reasoning().message("One moment.", "commentary").call("lookup", '{"order":"4"}').completed(),
    "refusal": Answer().message("I can't help with that.", refusal=True).completed(),
    "late phase": Answer().message("Yes.", "final_answer", late=True).completed(),
    "incomplete": Answer().message("Once upon a").incomplete("max_output_tokens"),
    "failed": Answer().message("Once").failed("server_error", "The model failed."),
    "error": Answer().message("Once").error("server_error", "The server had an error."),
}


@pytest.mark.parametrize("events", STREAMS.values(), ids=STREAMS)
def test_every_event_of_a_responses_stream_is_one_of_the_vendors(events: list[Event]) -> None:
    adapter: TypeAdapter[Any] = TypeAdapter(ResponseStreamEvent)
    read = [adapter.validate_python(event) for event in events]

    assert [one.type for one in read] == [event["type"] for event in events]
    assert [_unknown(one) for one in read] == [set()] * len(read)


def test_every_chunk_of_a_chat_completion_is_one_of_the_vendors() -> None:
    pieces = streams.piece(0, "", "call_1", "lookup"), streams.piece(0, '{"order":"4"}')
    read = [ChatCompletionChunk.model_validate(event) for event in streams.chat("One moment.", *pieces)]

    assert [_unknown(one) for one in read] == [set()] * len(read)


def _unknown(model: Any) -> set[str]:
    """Fields that the vendor's type doesn't have; in what it nests, too."""
    found = set(model.model_extra or ())
    for name in type(model).model_fields:
        value = getattr(model, name)
        for one in value if isinstance(value, list) else [value]:
            if hasattr(one, "model_extra"):
                found |= _unknown(one)
    return found
