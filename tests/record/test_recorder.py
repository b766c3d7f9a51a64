import asyncio

import pytest

from support.virtual import run_virtual
from trunkline.proto.errors import Fenced
from trunkline.proto.record import (
    ApprovalAsked,
    CallerSaid,
    CallSummary,
    Configured,
    Ended,
    Event,
    HubAttached,
    OwnerTook,
    StageMoved,
    ToolIntended,
    decode_entry,
)
from trunkline.record import (
    CallLog,
    MemoryRecordStore,
    Outranked,
    Recorder,
    RecordStore,
    StoredEntry,
    StoreUnavailable,
    read_call,
)
from trunkline.record.call_log import ENTRY_EVENTS

from .conftest import OpenStore
from .events import weather_call

CALL = "rtc_03_abc"


class SlowStore(MemoryRecordStore):
    """Answers appends when the test says so, or not at all: then with StoreUnavailable."""

    def __init__(self) -> None:
        super().__init__()
        self.held: list[tuple[asyncio.Future[int], asyncio.Future[int]]] = []
        self.holding = False

    def append(self, call: str, data: bytes, *, expected_seq: int, entry: str) -> asyncio.Future[int]:
        stored = super().append(call, data, expected_seq=expected_seq, entry=entry)
        if not self.holding:
            return stored
        answer: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self.held.append((answer, stored))
        return answer

    def answer(self) -> None:
        answer, stored = self.held.pop(0)
        answer.set_result(stored.result())

    def lose_the_answer(self) -> None:
        answer, _ = self.held.pop(0)
        answer.set_exception(StoreUnavailable(CALL, 1.0))


def said(turn: int) -> CallerSaid:
    return CallerSaid(turn, turn, f"item_{turn}", f"turn {turn}", "speech")


async def batches(store: MemoryRecordStore) -> list[int]:
    """Events per stored entry."""
    return [len(decode_entry(stored.data).events) for stored in await store.read(CALL)]


async def take(
    store: MemoryRecordStore,
    worker: str = "agent-a",
    *first_events: Event,
    attach: int | None = None,
    reason: str = "",
) -> CallLog:
    """attach: one more than the last owner's, if none is given."""
    if attach is None:
        read = await read_call(store, CALL)
        attach = read[0].attach + 1 if read else 1
    return await Recorder(store).take(CALL, worker, "frontdesk", "digest", *first_events, attach=attach, reason=reason)


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


def test_taking_a_call_appends_the_owner_and_what_comes_first() -> None:
    async def main() -> None:
        store = MemoryRecordStore()

        log = await take(store, "agent-a", Configured(1, "frontdesk"), HubAttached(2, 1, "gateway-a"))

        assert (log.epoch, log.view.owner, log.view.hub) == (1, "agent-a", 1)
        assert await batches(store) == [3]

    run_virtual(main())


def test_of_a_call_s_first_owner_nothing_is_read() -> None:
    class Unread(MemoryRecordStore):
        reads = 0

        async def read(self, call: str, *, after_seq: int = 0) -> list[StoredEntry]:
            self.reads += 1
            return await super().read(call, after_seq=after_seq)

    async def main() -> None:
        store = Unread()

        await take(store, attach=1)
        first = store.reads
        log = await take(store, "agent-b", attach=2)

        assert (first, store.reads) == (0, 1)
        assert (log.epoch, log.view.owner) == (2, "agent-b")

    run_virtual(main())


def test_the_next_owner_has_the_next_epoch_and_the_whole_conversation() -> None:
    async def main() -> None:
        store = MemoryRecordStore()
        first = await take(store, "agent-a", Configured(1, "frontdesk"))
        first.append(said(1))
        await first.close()

        second = await take(store, "agent-b", Configured(2, "frontdesk"))

        assert (second.epoch, list(second.view.items)) == (2, ["item_1"])
        read = await read_call(store, CALL)
        assert read is not None
        types = [type(recorded.event).__name__ for recorded in read[1]]
        assert types == ["OwnerTook", "Configured", "CallerSaid", "OwnerTook"]

    run_virtual(main())


def test_own_events_are_in_the_view_before_they_are_stored() -> None:
    async def main() -> None:
        log = await take(MemoryRecordStore())

        log.append(said(1))

        assert list(log.view.items) == ["item_1"]
        await log.close()

    run_virtual(main())


def test_what_is_appended_together_goes_in_one_entry() -> None:
    async def main() -> None:
        store = MemoryRecordStore()
        log = await take(store)

        log.append(said(1))
        log.append(said(2), said(3))
        await log.durable()

        assert await batches(store) == [1, 3]

    run_virtual(main())


@pytest.mark.parametrize("before", [ENTRY_EVENTS - 1, ENTRY_EVENTS - 2, ENTRY_EVENTS])
@pytest.mark.parametrize("arguments", ["{}", '"' + 100_000 * "x" + '"'])
def test_an_intent_is_never_stored_without_what_it_waits_for(before: int, arguments: str) -> None:
    async def main() -> None:
        store = MemoryRecordStore()
        log = await take(store)
        for number in range(before):
            log.append(StageMoved(1, "tts", f"t{number}", "it died"))
        for key in ("call_1", "call_2"):
            log.append(
                ToolIntended(1, key, "resp_1", "refund", arguments, key, 9),
                ApprovalAsked(1, f"appr_{key}", "tool", key, "resp_1", "refund", arguments, 9, "deny"),
            )
        await log.durable()

        last = [decode_entry(stored.data).events[-1] for stored in await store.read(CALL)]
        assert len(last) > 1
        assert not any(isinstance(event, ToolIntended) for event in last)

    run_virtual(main())


def test_what_arrives_while_an_entry_is_in_flight_goes_together_in_the_next() -> None:
    async def main() -> None:
        store = SlowStore()
        log = await take(store)
        store.holding = True
        for turn in range(1, 5):
            log.append(said(turn))
            await settle()
        assert len(store.held) == 1

        store.answer()
        await settle()
        store.answer()
        await log.durable()

        assert await batches(store) == [1, 1, 3]

    run_virtual(main())


def test_durable_waits_for_everything_appended_before_it() -> None:
    async def main() -> None:
        store = SlowStore()
        log = await take(store)
        store.holding = True
        log.append(said(1))
        await settle()
        log.append(said(2))
        waiting = asyncio.create_task(log.durable())
        await settle()

        store.answer()
        await settle()
        assert not waiting.done()
        store.answer()
        await settle()

        assert waiting.done()

    run_virtual(main())


def test_a_fenced_owner_is_told_once_and_can_write_no_more() -> None:
    async def main() -> None:
        store = MemoryRecordStore()
        first = await take(store, "agent-a")
        told: list[str] = []
        first.on_fenced = lambda: told.append("fenced")
        second = await take(store, "agent-b")

        first.append(said(1))
        with pytest.raises(Fenced):
            await first.durable()
        with pytest.raises(Fenced):
            first.append(said(2))
        second.append(said(1))
        await second.durable()

        assert told == ["fenced"]
        assert await batches(store) == [1, 1, 1]

    run_virtual(main())


def test_of_two_that_take_a_call_at_once_the_higher_attach_writes_it(open_store: OpenStore, call: str) -> None:
    async def write(store: RecordStore, worker: str, attach: int) -> str:
        log = await Recorder(store).take(call, worker, "frontdesk", "digest", attach=attach)
        await asyncio.sleep(0.05)  # real time: until both have tried
        log.append(said(1))
        await log.durable()
        return worker

    async def main() -> None:
        async with open_store() as store:
            results = await asyncio.gather(
                write(store, "agent-b", 2), write(store, "agent-a", 1), return_exceptions=True
            )

            (winner,) = [result for result in results if isinstance(result, str)]
            assert winner == "agent-b"
            assert sum(isinstance(result, Fenced) for result in results) == 1
            read = await read_call(store, call)
            assert read is not None
            assert (read[0].owner, list(read[0].items)) == (winner, ["item_1"])

    asyncio.run(main())


def test_nothing_is_recorded_after_the_end() -> None:
    async def main() -> None:
        store = MemoryRecordStore()
        log = await take(store)
        log.append(Ended(9, "caller_hung_up"))

        log.append(said(1), Ended(10, "lost"))
        await log.close()

        assert await batches(store) == [1, 1]
        assert log.view.items == {}

    run_virtual(main())


def test_an_owner_that_still_writes_does_not_keep_the_call() -> None:
    class BusyStore(MemoryRecordStore):
        """The old owner appends once between a new owner's read and its append."""

        old: list[CallLog]

        async def read(self, call: str, *, after_seq: int = 0) -> list[StoredEntry]:
            entries = await super().read(call, after_seq=after_seq)
            if self.old:
                old = self.old.pop()
                old.append(said(1))
                await old.durable()
            return entries

    async def main() -> None:
        store = BusyStore()
        store.old = []
        store.old.append(await take(store, "agent-a"))

        log = await take(store, "agent-b")

        assert (log.epoch, list(log.view.items)) == (2, ["item_1"])

    run_virtual(main())


def test_only_who_takes_a_call_from_an_owner_lets_the_owner_come_first() -> None:
    class Noting(MemoryRecordStore):
        def __init__(self) -> None:
            super().__init__()
            self.behind: list[int] = []

        def append_behind_owner(self, call: str, data: bytes, *, expected_seq: int, entry: str) -> asyncio.Future[int]:
            self.behind.append(expected_seq)
            return super().append_behind_owner(call, data, expected_seq=expected_seq, entry=entry)

    async def main() -> None:
        store = Noting()
        log = await take(store, "agent-a")
        log.append(said(1))
        await log.durable()
        new = list(store.behind)

        await take(store, "agent-b")

        assert (new, store.behind) == ([], [2])

    run_virtual(main())


@pytest.mark.parametrize("attach", [1, 2])
def test_a_placement_that_is_not_later_than_the_owners_is_refused(attach: int) -> None:
    async def main() -> None:
        store = MemoryRecordStore()
        owner = await take(store, "agent-a", attach=2)
        with pytest.raises(Outranked) as refused:
            await take(store, "agent-b", attach=attach)
        owner.append(said(1))
        await owner.durable()

        assert refused.value.attach == 2
        assert await batches(store) == [1, 1]

    run_virtual(main())


def test_a_later_placement_wins_against_an_earlier_one_that_takes_first() -> None:
    class Racing(MemoryRecordStore):
        """An earlier placement takes the call between a later one's read and its append."""

        earlier: int | None = None

        async def read(self, call: str, *, after_seq: int = 0) -> list[StoredEntry]:
            entries = await super().read(call, after_seq=after_seq)
            if self.earlier is not None:
                attach, self.earlier = self.earlier, None
                await take(self, "agent-a", attach=attach)
            return entries

    async def main() -> None:
        store = Racing()
        store.earlier = 1

        log = await take(store, "agent-b", attach=2, reason="agent-0: gone")

        assert (log.epoch, log.view.owner, log.view.attach) == (2, "agent-b", 2)

    run_virtual(main())


def test_a_call_that_is_over_is_not_taken() -> None:
    async def main() -> None:
        store = MemoryRecordStore()
        log = await take(store)
        log.append(Ended(9, "caller_hung_up"))
        await log.close()

        with pytest.raises(Fenced):
            await take(store, "agent-b")

    run_virtual(main())


def test_a_silent_store_fails_the_waiters_but_loses_and_doubles_nothing() -> None:
    async def main() -> None:
        store = SlowStore()
        log = await take(store)
        store.holding = True
        log.append(said(1))
        waiting = asyncio.create_task(log.durable())
        await settle()
        store.lose_the_answer()
        with pytest.raises(StoreUnavailable):
            await waiting
        log.append(said(2))
        store.holding = False
        await asyncio.sleep(1.0)
        await log.durable()

        assert await batches(store) == [1, 1, 1]
        assert list(log.view.items) == ["item_1", "item_2"]

    run_virtual(main())


def test_a_log_that_is_closed_while_the_store_is_silent_is_still_stored_whole() -> None:
    async def main() -> None:
        store = SlowStore()
        log = await take(store)
        store.holding = True
        log.append(said(1))
        closing = asyncio.create_task(log.close())
        await settle()
        log.append(said(2))
        store.lose_the_answer()
        store.holding = False
        await closing

        assert await batches(store) == [1, 1, 1]

    run_virtual(main())


def test_a_large_batch_goes_in_several_entries() -> None:
    async def main() -> None:
        store = MemoryRecordStore()
        log = await take(store)

        log.append(*(CallerSaid(1, n, f"item_{n}", "x" * 100_000, "text") for n in range(8)))
        await log.durable()

        assert sum(await batches(store)) == 9
        assert max(len(entry.data) for entry in await store.read(CALL)) < 300_000

    run_virtual(main())


def test_an_event_too_large_for_the_store_loses_the_call_openly() -> None:
    async def main() -> None:
        log = await take(MemoryRecordStore())
        told: list[str] = []
        log.on_fenced = lambda: told.append("lost")

        log.append(CallerSaid(1, 1, "item_1", "x" * 2_000_000, "text"))
        await settle()

        assert told == ["lost"]

    run_virtual(main())


def test_the_index_is_told_of_the_start_the_gateway_each_turn_and_the_end() -> None:
    class CountingStore(MemoryRecordStore):
        writes = 0

        async def put_summary(self, summary: CallSummary) -> None:
            self.writes += 1
            await super().put_summary(summary)

    async def main() -> None:
        store = CountingStore()
        recorder = Recorder(store)
        log = await recorder.take(CALL, "agent-a", "frontdesk", "digest", attach=1)
        for event in weather_call():
            log.append(event)
            await log.durable()
        await log.close()
        await recorder.close()

        (line,) = await store.summaries()
        assert (line.call, line.agent, line.turns, line.status) == (CALL, "frontdesk", 1, "ended")
        assert store.writes == 4

    run_virtual(main())


def test_a_silent_index_is_told_later() -> None:
    class DeafIndex(MemoryRecordStore):
        deaf = True

        async def put_summary(self, summary: CallSummary) -> None:
            if self.deaf:
                raise StoreUnavailable("the index", 1.0)
            await super().put_summary(summary)

    async def main() -> None:
        store = DeafIndex()
        log = await take(store)
        log.append(said(1))
        await log.durable()
        await asyncio.sleep(3.0)
        store.deaf = False
        await asyncio.sleep(3.0)

        assert [line.turns for line in await store.summaries()] == [1]

    run_virtual(main())


def test_a_line_that_the_index_cannot_hold_keeps_back_no_other_calls() -> None:
    class SmallIndex(MemoryRecordStore):
        async def put_summary(self, summary: CallSummary) -> None:
            if summary.call == CALL:
                raise ValueError("a line over the store's limit")
            await super().put_summary(summary)

    async def main() -> None:
        store = SmallIndex()
        recorder = Recorder(store)
        for call in ("rtc_03_other", CALL):  # the last is written first
            await recorder.take(call, "agent-a", "desk", "digest", attach=1)
        await recorder.close()

        assert [line.call for line in await store.summaries()] == ["rtc_03_other"]

    run_virtual(main())


def test_an_owner_event_names_worker_agent_and_digest() -> None:
    async def main() -> None:
        store = MemoryRecordStore()
        await Recorder(store, now_us=lambda: 77).take(CALL, "agent-a", "frontdesk", "digest", attach=5, reason="lost")

        read = await read_call(store, CALL)

        assert read is not None
        assert read[1][0].event == OwnerTook(77, "agent-a", "frontdesk", "digest", 5, "lost")
        assert await read_call(store, "rtc_03_other") is None

    run_virtual(main())


def test_an_event_that_can_not_be_stored_loses_the_record_and_leaves_nobody_waiting() -> None:
    async def main() -> None:
        log = await take(MemoryRecordStore())
        lost: list[bool] = []
        log.on_fenced = lambda: lost.append(True)

        log.append(CallerSaid(1, 1, "item_1", "half a pair: \ud83d", "speech"))

        with pytest.raises(UnicodeEncodeError):
            await log.durable()
        assert lost == [True]

    run_virtual(main())
