"""Every event that a client can hear, as the vendor's types for Python have it: null and absent fields included."""

from typing import Any, get_args

import msgspec
import pytest
from openai.types.realtime import RealtimeServerEvent

from support.realtime_referee import VENDOR, objections
from support.realtime_samples import ITEMS, OURS, all_samples, kinds
from trunkline.gateway.dialects.realtime import events_out as out

NEVER_SENT = {
    "conversation.created": "of the beta protocol",
    "conversation.item.created": "of the beta protocol: added and done take its place",
    "conversation.item.input_audio_transcription.segment": "of a model that tells speakers apart",
    "input_audio_buffer.dtmf_event_received": "of calls over SIP",
    "rate_limits.updated": "there are no limits by tokens",
    "mcp_list_tools.in_progress": "tool servers are the agent's",
    "mcp_list_tools.completed": "tool servers are the agent's",
    "mcp_list_tools.failed": "tool servers are the agent's",
    "response.mcp_call_arguments.delta": "tool servers are the agent's",
    "response.mcp_call_arguments.done": "tool servers are the agent's",
    "response.mcp_call.in_progress": "tool servers are the agent's",
    "response.mcp_call.completed": "tool servers are the agent's",
    "response.mcp_call.failed": "tool servers are the agent's",
}


def type_of(event: out.ServerEvent | type[out.ServerEvent]) -> str:
    return str(event.__struct_config__.tag)


def bare(value: Any) -> Any:
    """A sample without whatever has a default, at any depth."""
    if isinstance(value, list):
        return [bare(one) for one in value]
    if not isinstance(value, msgspec.Struct):
        return value
    needed = (field.name for field in msgspec.structs.fields(value) if field.required)
    return type(value)(**{name: bare(getattr(value, name)) for name in needed})


def told(event: out.ServerEvent) -> Any:
    """As it comes to the client."""
    return msgspec.json.decode(out.encode(event))


@pytest.mark.parametrize("sample", all_samples(), ids=type_of)
def test_an_event_is_the_vendor_s_with_all_it_can_hold_and_with_nothing_that_may_be_left_out(
    sample: out.ServerEvent,
) -> None:
    assert objections(told(sample), ours=True) == []
    assert objections(told(bare(sample)), ours=True) == []


def test_an_event_of_the_vendor_s_is_sent_or_is_said_not_to_be() -> None:
    union = get_args(get_args(RealtimeServerEvent)[0])
    vendor = {get_args(kind.model_fields["type"].annotation)[0] for kind in union}
    sent = {type_of(kind) for kind in kinds()}

    assert sent - vendor == {type_of(kind) for kind in OURS}
    assert vendor - sent == NEVER_SENT.keys()


ADDED = out.ItemAdded(event_id="event_a", item=ITEMS[2], previous_item_id="item_before")
WRONG: dict[str, dict[str, Any]] = {
    "an unknown type": {"type": "conversation.item.invented"},
    "a type of our own": {"type": "trunkline.move", "reason": "draining"},
    "no event_id": {"event_id": ""},
    "a null event_id": {"event_id": None},
    "a field besides": {"colour": 1},
    "a field besides in an item": {"item": told(ADDED)["item"] | {"colour": 1}},
    "a null in an item": {"item": told(ADDED)["item"] | {"name": None}},
    "a number as text": {"previous_item_id": 7},
    "an unknown role": {"item": told(ADDED)["item"] | {"role": "narrator"}},
    "an unknown kind of content": {"item": told(ADDED)["item"] | {"content": [{"type": "audio"}]}},
    "samples of a segment": {"segment": 1},
}


@pytest.mark.parametrize("what", WRONG)
def test_the_referee_objects_to(what: str) -> None:
    assert objections(told(ADDED)) == []
    assert objections(told(ADDED) | WRONG[what]) != []


def test_the_referee_objects_to_a_required_field_that_is_missing() -> None:
    for sample in all_samples():
        event = told(bare(sample))
        for name in () if isinstance(sample, OURS) else required(event):
            assert objections({key: value for key, value in event.items() if key != name}) != [], name


def required(event: Any) -> list[str]:
    """What the vendor's types require of an event."""
    return [name for name, field in type(VENDOR.validate_python(event)).model_fields.items() if field.is_required()]
