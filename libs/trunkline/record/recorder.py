"""Ownership of calls' records: take a call, write its log, keep its line in the index up to date."""

import asyncio
import contextlib
import time
from collections.abc import Callable, Sequence

from trunkline.proto.errors import Fenced
from trunkline.proto.record import (
    RECORD_VERSION,
    CallSummary,
    Configured,
    Event,
    OwnerTook,
    RecordEntry,
    encode_entry,
)
from trunkline.record.call_log import CallLog
from trunkline.record.fold import Reading
from trunkline.record.store import RecordStore, StoreUnavailable, WrongSequence, new_entry_id
from trunkline.record.view import CallView
from trunkline.telemetry import logs

TAKE_TRIES = 8
TAKE_RETRY_S = 0.005  # doubled each time: an owner that still writes, or a replica that lags
INDEX_RETRY_S = 1.0

log = logs.get(__name__)


class Outranked(Fenced):
    """A placement of the same or a higher attach number, attach, has the call."""

    def __init__(self, call: str, epoch: int, attach: int) -> None:
        super().__init__(call, epoch)
        self.attach = attach


def wall_us() -> int:
    return time.time_ns() // 1000


class Recorder:
    """One per process; at most one index write is in flight, whatever the number of calls."""

    def __init__(self, store: RecordStore, *, now_us: Callable[[], int] = wall_us) -> None:
        self._store = store
        self._now_us = now_us
        self._unindexed: dict[str, CallSummary] = {}
        self._index_writer: asyncio.Task[None] | None = None

    async def take(
        self,
        call: str,
        worker: str,
        agent: str,
        digest: str,
        *first_events: Event,
        attach: int,
        reason: str = "",
    ) -> CallLog:
        """Makes this process the owner, with one epoch more than the last, durably before it returns.

        attach: of the placement. Of several that take a call the highest owns it in the end, whoever comes first:
        what others wrote meanwhile is read and the take tried again. reason: what became of the last owner.
        first_events: follow OwnerTook in the same entry; a Configured among them counts only for a new record.
        Raises Outranked if a placement no lower has it, Fenced if the call is over; StoreUnavailable.
        """
        reading = Reading(self._store, call)
        new = not reason  # nothing is read of it: that nothing is there is what its first entry is fenced with
        for attempt in range(TAKE_TRIES):
            view, new = (reading.view if new else await reading.read_on()), False
            if view.attach >= attach:
                raise Outranked(call, view.epoch, view.attach)
            if view.ended:
                raise Fenced(call, view.epoch)
            took = OwnerTook(self._now_us(), worker, agent, digest, attach, reason)
            entry = _take_entry(view, [took, *first_events])
            append = self._store.append_behind_owner if view.epoch else self._store.append
            try:
                seq = await append(call, encode_entry(entry), expected_seq=reading.seq, entry=entry.entry)
            except WrongSequence:
                await asyncio.sleep(TAKE_RETRY_S * 2**attempt)
                continue
            view.apply_entry(entry)
            call_log = CallLog(self._store, view, seq, self._index)
            self._index(call_log)
            return call_log
        raise StoreUnavailable(call, TAKE_RETRY_S * (2**TAKE_TRIES - 1))

    async def close(self) -> None:
        """Waits for the index to be told, up to INDEX_RETRY_S. Close the logs first."""
        if self._index_writer is None:
            return
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._index_writer, INDEX_RETRY_S)

    def _index(self, call_log: CallLog) -> None:
        """Tells the index of a start, another turn or an end: what it was told last isn't told again."""
        summary = call_log.view.summary()
        if call_log.indexed == summary:
            return
        call_log.indexed = self._unindexed[call_log.call] = summary
        if self._index_writer is None or self._index_writer.done():
            self._index_writer = asyncio.create_task(self._write_index(), name="record-index")

    async def _write_index(self) -> None:
        while self._unindexed:
            call, summary = self._unindexed.popitem()
            try:
                await self._store.put_summary(summary)
            except StoreUnavailable as error:
                log.warning("call index unavailable", call_id=call, waited_s=error.waited_s)
                self._unindexed.setdefault(call, summary)  # unless a newer one has come
                await asyncio.sleep(INDEX_RETRY_S)
            except Exception as error:  # a rim: a line too long for the store must not keep back other calls'
                log.error("call index line can't be written", call_id=call, error=repr(error))


def _take_entry(view: CallView, events: Sequence[Event]) -> RecordEntry:
    kept = [event for event in events if not (view.configured and isinstance(event, Configured))]
    return RecordEntry(RECORD_VERSION, view.epoch + 1, view.event_count, new_entry_id(), kept)
