"""From what is stored to what it means: the one fold that agent, gateway and command line share. Pure.

Entries of a lower epoch than one before them are dropped: their writer had lost the call already.
"""

from collections.abc import Iterable, Iterator

import msgspec

from trunkline.proto.record import Event, RecordEntry, decode_entry
from trunkline.record.store import BrokenRecord, RecordStore
from trunkline.record.view import CallView


class RecordedEvent(msgspec.Struct, frozen=True):
    """i: of the event in its call, dense from 0."""

    i: int
    epoch: int
    event: Event


def accepted(call: str, entries: Iterable[RecordEntry]) -> Iterator[RecordEntry]:
    """The entries that count. Raises BrokenRecord."""
    epoch = index = 0
    for entry in entries:
        if entry.epoch < epoch:
            continue
        if entry.index != index:
            raise BrokenRecord(call, index, entry.index)
        epoch = entry.epoch
        index += len(entry.events)
        yield entry


def fold(call: str, entries: Iterable[RecordEntry]) -> CallView:
    """Raises BrokenRecord."""
    view = CallView(call)
    for entry in accepted(call, entries):
        view.apply_entry(entry)
    return view


def events_of(call: str, entries: Iterable[RecordEntry]) -> list[RecordedEvent]:
    """Raises BrokenRecord."""
    return [
        RecordedEvent(entry.index + offset, entry.epoch, event)
        for entry in accepted(call, entries)
        for offset, event in enumerate(entry.events)
    ]


async def read_call(store: RecordStore, call: str) -> tuple[CallView, list[RecordedEvent]] | None:
    """A call's view and its events, None for an unknown call. Raises StoreUnavailable, Undecodable, BrokenRecord."""
    entries = [decode_entry(stored.data) for stored in await store.read(call)]
    if not entries:
        return None
    return fold(call, entries), events_of(call, entries)
