"""Events of a streamed response, in the vendor's shape. Source: its types `Response…Event`."""

from collections.abc import Iterable

import msgspec

from trunkline.gateway.apis.responses.items import OutputItem, OutputText
from trunkline.gateway.apis.responses.response import Response
from trunkline.gateway.apis.streaming import encoded


class Event(msgspec.Struct, frozen=True, tag_field="type"):
    """sequence_number: from 0, without gaps. The type is the tag."""

    sequence_number: int


class Created(Event, frozen=True, tag="response.created"):
    response: Response


class InProgress(Event, frozen=True, tag="response.in_progress"):
    response: Response


class ItemAdded(Event, frozen=True, tag="response.output_item.added"):
    output_index: int
    item: OutputItem


class ItemDone(Event, frozen=True, tag="response.output_item.done"):
    """Beside ItemAdded: the item is whole, and a message's phase is known."""

    output_index: int
    item: OutputItem


class PartAdded(Event, frozen=True, tag="response.content_part.added"):
    item_id: str
    output_index: int
    content_index: int
    part: OutputText


class PartDone(Event, frozen=True, tag="response.content_part.done"):
    item_id: str
    output_index: int
    content_index: int
    part: OutputText


class TextDelta(Event, frozen=True, tag="response.output_text.delta"):
    item_id: str
    output_index: int
    content_index: int
    delta: str
    logprobs: tuple[()] = ()


class TextDone(Event, frozen=True, tag="response.output_text.done"):
    item_id: str
    output_index: int
    content_index: int
    text: str
    logprobs: tuple[()] = ()


class ArgumentsDelta(Event, frozen=True, tag="response.function_call_arguments.delta"):
    item_id: str
    output_index: int
    delta: str


class ArgumentsDone(Event, frozen=True, tag="response.function_call_arguments.done"):
    item_id: str
    output_index: int
    name: str
    arguments: str


class Completed(Event, frozen=True, tag="response.completed"):
    response: Response


class Incomplete(Event, frozen=True, tag="response.incomplete"):
    response: Response


class Failed(Event, frozen=True, tag="response.failed"):
    response: Response


def sent(events: Iterable[Event]) -> bytes:
    """Each with its type as its name, as the vendor's have."""
    return b"".join(encoded(event, str(event.__struct_config__.tag)) for event in events)
