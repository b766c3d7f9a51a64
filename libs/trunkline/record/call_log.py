"""The writing end of one call's record: events in, entries appended by compare-and-set, one in flight.

What arrives while an entry is in flight goes together in the next one. No task: the store's answer drives the next
append. The view holds every event at once, stored or not; only durable says that they are stored.
"""

import asyncio
import contextlib
from collections.abc import Callable
from typing import NamedTuple

import msgspec
from prometheus_client import Counter, Histogram

from trunkline.proto.errors import Fenced
from trunkline.proto.record import RECORD_VERSION, CallSummary, Event, RecordEntry, ToolIntended, encode_entry
from trunkline.record.store import EntryTooLarge, RecordStore, StoreFull, StoreUnavailable, WrongSequence, new_entry_id
from trunkline.record.view import CallView
from trunkline.telemetry import logs

ENTRY_EVENTS = 256
ENTRY_SPLIT_BYTES = 256 * 1024  # a batch over this goes as several entries
WAITING_EVENTS = 20_000  # far over what a call says while a stream elects a leader (5 s)
RETRY_S = 0.5
FULL_RETRY_S = 5.0  # where the store has no room: an operator makes some, or the age of others does
CLOSE_LIMIT_S = 15.0  # an election of a stream's leader takes 5 s, and the store gives an answer up after 12 s

log = logs.get(__name__)
_append_seconds = Histogram("trunkline_record_append_seconds", "From an entry's sending to its durable acknowledgement")
_events = Counter("trunkline_record_events_total", "Events acknowledged as durable")
_fenced = Counter("trunkline_record_fenced_total", "Calls lost to another owner")
_retries = Counter("trunkline_record_retries_total", "Entries whose append had to be tried again")


class _Flight(NamedTuple):
    entry: str
    data: bytes
    events: int
    sent_s: float


class CallLog:
    """on_fenced: called once when this process can append no more; drop the call at once.

    on_durable: called whenever more of what was appended is stored.
    """

    def __init__(self, store: RecordStore, view: CallView, seq: int, on_stored: Callable[["CallLog"], None]) -> None:
        """view: of all that is stored, up to seq; epoch is the view's. on_stored: after each acknowledged entry."""
        self.call = view.call
        self.epoch = view.epoch
        self.view = view
        self.on_fenced: Callable[[], None] | None = None
        self.on_durable: Callable[[], None] | None = None
        self.indexed: CallSummary | None = None  # what the index was last told
        self._store = store
        self._seq = seq
        self._on_stored = on_stored
        self._stored = view.event_count  # events acknowledged; those in flight and waiting follow
        self._waiting: list[Event] = []
        self._flight: _Flight | None = None
        self._send_due = False
        self._retry: asyncio.TimerHandle | None = None
        self._failure: Exception | None = None
        self._durable_waiters: list[tuple[int, asyncio.Future[None]]] = []

    @property
    def stored(self) -> int:
        """How many of the view's events are stored."""
        return self._stored

    @property
    def waits_s(self) -> float:
        """How long the store has kept an entry waiting for its acknowledgement; 0 while none is under way."""
        return asyncio.get_running_loop().time() - self._flight.sent_s if self._flight is not None else 0.0

    def append(self, *events: Event) -> None:
        """Into the view at once, into the record soon; after Ended nothing is taken any more.

        Raises Fenced once the call is lost, StoreUnavailable when too much waits already.
        """
        if self._failure is not None:
            raise self._failure
        if self.view.ended is not None:
            log.info("event after the call's end", call_id=self.call, epoch=self.epoch, events=len(events))
            return
        if self._flight is not None and len(self._waiting) + len(events) > WAITING_EVENTS:
            raise StoreUnavailable(self.call, asyncio.get_running_loop().time() - self._flight.sent_s)
        for event in events:
            self.view.apply(event)
        self._waiting.extend(events)
        if self._flight is None and not self._send_due:
            self._send_due = True
            asyncio.get_running_loop().call_soon(self._send)  # so that what is appended together goes together

    async def durable(self) -> None:
        """Returns when everything appended so far is stored. Raises Fenced, StoreUnavailable (it goes on trying)."""
        if self._failure is not None:
            raise self._failure
        if self._stored == self.view.event_count:
            return
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._durable_waiters.append((self.view.event_count, waiter))
        await waiter

    async def close(self) -> None:
        """Waits for what was appended, up to CLOSE_LIMIT_S; what is still not stored then is said in the log."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._settled(), CLOSE_LIMIT_S)
        if self._failure is None:
            if missing := self.view.event_count - self._stored:
                log.error("record left incomplete", call_id=self.call, epoch=self.epoch, events=missing)
            self._failure = Fenced(self.call, self.epoch)
            self._fail_waiters(self._failure)
        if self._retry is not None:
            self._retry.cancel()

    async def _settled(self) -> None:
        """Until everything is stored, however often the store says nothing, or nothing can be any more."""
        while self._failure is None and self._stored < self.view.event_count:
            with contextlib.suppress(Exception):  # a failure that lasts stands in _failure
                await self.durable()

    def _send(self) -> None:
        self._send_due = False
        if self._failure is not None or self._flight is not None or not self._waiting:
            return
        count = self._whole(ENTRY_EVENTS)
        entry = new_entry_id()
        try:
            data = self._encode(entry, count)
            while len(data) > ENTRY_SPLIT_BYTES and (fewer := self._whole(max(1, count // 2))) < count:
                count = fewer
                data = self._encode(entry, count)
        except (ValueError, OverflowError, msgspec.MsgspecError) as error:  # text that UTF-8 can't hold, above all
            self._give_up(error)
            return
        del self._waiting[:count]
        self._flight = _Flight(entry, data, count, asyncio.get_running_loop().time())
        self._launch()

    def _whole(self, most: int) -> int:
        """How many go together: an intent with what stands behind it, which may be why it must not be carried out."""
        count = min(len(self._waiting), most)
        while 1 < count < len(self._waiting) and isinstance(self._waiting[count - 1], ToolIntended):
            count -= 1
        alone = count == 1 < len(self._waiting) and isinstance(self._waiting[0], ToolIntended)
        return 2 if alone else count

    def _encode(self, entry: str, count: int) -> bytes:
        return encode_entry(RecordEntry(RECORD_VERSION, self.epoch, self._stored, entry, self._waiting[:count]))

    def _launch(self) -> None:
        flight = self._flight
        if flight is None:
            return
        try:
            appended = self._store.append(self.call, flight.data, expected_seq=self._seq, entry=flight.entry)
        except EntryTooLarge as error:
            self._give_up(error)
        else:
            appended.add_done_callback(self._answered)

    def _answered(self, appended: asyncio.Future[int]) -> None:
        flight = self._flight
        if flight is None or appended.cancelled():
            return
        match appended.exception():
            case None:
                self._landed(flight, appended.result())
            case StoreUnavailable() as error:
                self._try_again(error)
            case WrongSequence():
                _fenced.inc()
                self._give_up(Fenced(self.call, self.epoch))
            case error:
                self._give_up(error if isinstance(error, Exception) else RuntimeError(repr(error)))

    def _landed(self, flight: _Flight, seq: int) -> None:
        self._seq = seq
        self._stored += flight.events
        self._flight = None
        _events.inc(flight.events)
        _append_seconds.observe(asyncio.get_running_loop().time() - flight.sent_s)
        still_waiting = []
        for target, waiter in self._durable_waiters:
            if target > self._stored:
                still_waiting.append((target, waiter))
            elif not waiter.done():
                waiter.set_result(None)
        self._durable_waiters = still_waiting
        self._on_stored(self)
        if self.on_durable is not None:
            self.on_durable()
        self._send()

    def _try_again(self, error: StoreUnavailable) -> None:
        """With the same entry id: it may be stored already."""
        _retries.inc()
        full = isinstance(error, StoreFull)
        said = "record has no room" if full else "record store unavailable"
        log.warning(said, call_id=self.call, epoch=self.epoch, waited_s=error.waited_s, waiting=len(self._waiting))
        self._fail_waiters(error)
        if self._failure is None:
            self._retry = asyncio.get_running_loop().call_later(FULL_RETRY_S if full else RETRY_S, self._launch)

    def _give_up(self, error: Exception) -> None:
        if self._failure is not None:
            return
        log.warning("record lost", call_id=self.call, epoch=self.epoch, reason=str(error))
        self._failure = error
        self._waiting.clear()
        self._fail_waiters(error)
        if self.on_fenced is not None:
            self.on_fenced()

    def _fail_waiters(self, error: Exception) -> None:
        waiters, self._durable_waiters = self._durable_waiters, []
        for _, waiter in waiters:
            if not waiter.done():
                waiter.set_exception(error)
