"""Guards of a call taken away one at a time, in tests alone: who finds nothing wrong then, proves nothing.

Each is a context in which the product runs without that guard.
"""

import asyncio
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from unittest import mock

from trunkline.bus.link import LinkState, Sent
from trunkline.gateway.listening import Listening
from trunkline.proto.record import Claim, RecordEntry
from trunkline.record import (
    Attempt,
    MemoryClaimStore,
    MemoryRecordStore,
    StoredClaim,
)


@contextmanager
def a_lost_message_is_never_sent_again() -> Iterator[None]:
    due = LinkState.due

    def forgetful(link: LinkState, now_s: float) -> tuple[list[Sent], bool, bool]:
        _, owed, gap = due(link, now_s)
        return [], owed, gap

    with mock.patch.object(LinkState, "due", forgetful):
        yield


@contextmanager
def appends_compare_nothing() -> Iterator[None]:
    """The record's compare-and-set is off: whoever appends, succeeds."""
    append = MemoryRecordStore.append

    def careless(
        store: MemoryRecordStore, call: str, data: bytes, *, expected_seq: int, entry: str
    ) -> asyncio.Future[int]:
        entries = store._entries[call]
        return append(store, call, data, expected_seq=entries[-1].seq if entries else 0, entry=entry)

    with mock.patch.object(MemoryRecordStore, "append", careless):
        yield


@contextmanager
def every_claim_is_granted() -> Iterator[None]:
    """The tool claim is off: whoever asks may run the tool, and nobody sees that another does."""

    async def generous(store: MemoryClaimStore, attempt: Attempt, claim: Claim) -> StoredClaim:
        store._put(attempt, claim)
        return store.claims[attempt]

    async def blind(store: MemoryClaimStore, attempt: Attempt) -> StoredClaim | None:
        return None

    with mock.patch.object(MemoryClaimStore, "claim", generous), mock.patch.object(MemoryClaimStore, "read", blind):
        yield


@contextmanager
def nothing_is_heard_again() -> Iterator[None]:
    """The replay is off: another STT worker begins with what is said from then on."""
    with mock.patch.object(Listening, "replay_from", property(lambda listening: listening.ring.end)):
        yield


@contextmanager
def any_epoch_is_taken() -> Iterator[None]:
    """The epoch check is off: appends compare nothing, and readers keep what a lower epoch wrote."""

    def gullible(call: str, entries: Iterable[RecordEntry]) -> Iterator[RecordEntry]:
        yield from entries

    with appends_compare_nothing(), mock.patch("trunkline.record.fold.accepted", gullible):
        yield
