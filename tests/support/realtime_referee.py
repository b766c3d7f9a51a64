"""The package `openai` as referee: an event that a client hears is one of its types, strictly, with nothing besides.

What is passed over is listed here, and nowhere else: a field that the vendor's types don't have.
"""

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any
from unittest import mock

import msgspec
import pydantic
from openai.types.realtime import RealtimeServerEvent
from pydantic import Field, TypeAdapter

from trunkline.gateway.dialects.realtime import events_out

OURS = "trunkline."  # events of these types are for clients of ours alone
BESIDES = frozenset(
    (
        "phase",  # of a message, at any place where an item stands: the vendor sends it, its types don't have it
        "session.id",  # likewise
        "session.object",
        "file_id",  # of an input_image: in place of image_url, which would be all its bytes once more
        "trunkline",  # of session.created: what a client of ours comes back with
    )
)
OUR_RATE_HZ = 16_000  # of input, in the binary dialect
TO_OURS = frozenset(("segment", "position", "samples"))  # of deltas, to clients that come back
VENDOR: TypeAdapter[Any] = TypeAdapter(Annotated[RealtimeServerEvent, Field(discriminator="type")])


def objections(event: Any, *, ours: bool = False) -> list[str]:
    """What a strict client of the vendor's would say against an event, decoded from JSON. ours: to a client of ours."""
    if ours and str(event.get("type")).startswith(OURS):
        return []
    if ours and "session" in event and event["session"]["audio"]["input"]["format"].get("rate") == OUR_RATE_HZ:
        event = copy.deepcopy(event)
        event["session"]["audio"]["input"]["format"]["rate"] = 24_000
    try:
        read = VENDOR.validate_python(event, strict=True)
    except pydantic.ValidationError as error:
        return [f"{event.get('type')}: {error}"]
    found = [] if event["event_id"] else ["event_id is empty"]
    found += [f"{place} is unknown" for place in _besides(read, "") if not (ours and place in TO_OURS)]
    found += [f"{place} is null" for place in _nulls(event, "") if not _may_be_null(place)]
    return [f"{event['type']}: {one}" for one in found]


def require_vendors(event: Any, *, ours: bool = False) -> None:
    """Raises AssertionError with what `objections` found."""
    found = objections(event, ours=ours)
    assert not found, "\n".join([*found, str(event)])


def _besides(read: Any, place: str) -> Iterator[str]:
    """Fields that the vendor's types don't have."""
    if isinstance(read, list):
        for number, one in enumerate(read):
            yield from _besides(one, f"{place}[{number}]")
    elif isinstance(read, pydantic.BaseModel):
        for name in read.model_extra or ():
            known = f"{place}.{name}".lstrip(".")
            if name not in BESIDES and known not in BESIDES:
                yield known
        for name in type(read).model_fields:
            yield from _besides(getattr(read, name), f"{place}.{name}".lstrip("."))


def _may_be_null(place: str) -> bool:
    """What a session doesn't have; the item before the first; a transcript that isn't there yet, for a client fails
    where that has no field."""
    if place == "previous_item_id" or place.startswith("session."):
        return True
    return place.endswith(".transcript") and ".content[" in place


def _nulls(value: Any, place: str) -> Iterator[str]:
    """The JavaScript SDK passes over an item with a null in it, without a word."""
    if value is None:
        yield place
    elif isinstance(value, list):
        for number, one in enumerate(value):
            yield from _nulls(one, f"{place}[{number}]")
    elif isinstance(value, dict):
        for name, one in value.items():
            yield from _nulls(one, f"{place}.{name}".lstrip("."))


@contextmanager
def refereed() -> Iterator[None]:
    """Whatever a gateway of this process tells its clients meanwhile is judged; raises AssertionError at the end."""
    found: list[str] = []
    encode = events_out.encode

    def judged(event: events_out.ServerEvent) -> bytes:
        data = encode(event)
        found.extend(objections(msgspec.json.decode(data), ours=True))
        return data

    with mock.patch.object(events_out, "encode", judged):
        yield
    assert not found, "\n".join(dict.fromkeys(found))
