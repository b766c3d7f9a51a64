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


def accepted(call: str, entries: Iterable[RecordEntry], epoch: int = 0, index: int = 0) -> Iterator[RecordEntry]:
    """The entries that count. epoch, index: where those before end. Raises BrokenRecord."""
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
    fold_on(view, entries)
    return view


def fold_on(view: CallView, entries: Iterable[RecordEntry]) -> None:
    """What follows the entries that the view is of. Raises BrokenRecord."""
    for entry in accepted(view.call, entries, view.epoch, view.event_count):
        view.apply_entry(entry)


def events_of(call: str, entries: Iterable[RecordEntry]) -> list[RecordedEvent]:
    """Raises BrokenRecord."""
    return [
        RecordedEvent(entry.index + offset, entry.epoch, event)
        for entry in accepted(call, entries)
        for offset, event in enumerate(entry.events)
    ]


class Reading:
    """A call's record as far as it has been read. view: of that; at first nothing is."""

    def __init__(self, store: RecordStore, call: str) -> None:
        self.view = CallView(call)
        self.seq = 0  # of the last entry that was read
        self._store = store

    async def read_on(self) -> CallView:
        """Only what is new costs anything. Raises StoreUnavailable, Undecodable, BrokenRecord."""
        stored = await self._store.read(self.view.call, after_seq=self.seq)
        fold_on(self.view, (decode_entry(one.data) for one in stored))
        self.seq = stored[-1].seq if stored else self.seq
        return self.view


async def read_call(store: RecordStore, call: str) -> tuple[CallView, list[RecordedEvent]] | None:
    """A call's view and its events, None for an unknown call. Raises StoreUnavailable, Undecodable, BrokenRecord."""
    entries = [decode_entry(stored.data) for stored in await store.read(call)]
    if not entries:
        return None
    return fold(call, entries), events_of(call, entries)
