"""Where the records of calls are kept: one log per call, in order, and an index of the calls.

An append names the sequence it expects to follow: that compare-and-set is the only fence. Errors:

    TrunklineError
    ├── WrongSequence       the log went on without us: another process appended
    ├── StoreUnavailable    no word of the entry's fate within the limit   (retryable, with the same entry id)
    │   ├── StoreFull       it has no room for that
    │   └── LimitRefused    the server won't give a stream its limit
    ├── EntryTooLarge       one entry is over what the store takes
    └── BrokenRecord        what is stored can't be a record: indexes are not dense
"""

import asyncio
import secrets
from typing import NamedTuple, Protocol

from trunkline.proto.errors import TrunklineError
from trunkline.proto.record import CallSummary


class WrongSequence(TrunklineError):
    def __init__(self, call: str, expected_seq: int, found_seq: int) -> None:
        super().__init__(f"the log of {call} ends at {found_seq}, not at {expected_seq}")
        self.call, self.expected_seq, self.found_seq = call, expected_seq, found_seq


class StoreUnavailable(TrunklineError):
    retryable = True

    def __init__(self, what: str, waited_s: float) -> None:
        super().__init__(f"the record store did not answer for {what} within {waited_s:.1f} s")
        self.what, self.waited_s = what, waited_s


class StoreFull(StoreUnavailable):
    """limit_bytes: 0 where that isn't known."""

    def __init__(self, what: str, limit_bytes: int = 0) -> None:
        TrunklineError.__init__(self, f"{what} is full" + (f": it takes {limit_bytes} bytes" if limit_bytes else ""))
        self.what, self.waited_s, self.limit_bytes = what, 0.0, limit_bytes


class LimitRefused(StoreUnavailable):
    """what: the stream, and what asks for its limit. reason: the server's."""

    def __init__(self, what: str, limit_bytes: int, reason: str) -> None:
        mend = "choose a smaller limit, or 0 for none, or give each NATS server more room (max_file_store, its disk)"
        TrunklineError.__init__(self, f"{what} can't be limited to {limit_bytes} bytes: {reason}; {mend}")
        self.what, self.waited_s, self.limit_bytes, self.reason = what, 0.0, limit_bytes, reason


class EntryTooLarge(TrunklineError):
    def __init__(self, call: str, size_bytes: int, limit_bytes: int) -> None:
        super().__init__(f"an entry of {size_bytes} bytes for {call} is over the store's limit of {limit_bytes}")
        self.call, self.size_bytes, self.limit_bytes = call, size_bytes, limit_bytes


class BrokenRecord(TrunklineError):
    def __init__(self, call: str, expected_index: int, found_index: int) -> None:
        super().__init__(f"the record of {call} goes on with event {found_index} where {expected_index} was due")
        self.call, self.expected_index, self.found_index = call, expected_index, found_index


def new_entry_id() -> str:
    """Of one append, the same however often it is tried."""
    return f"entry_{secrets.token_hex(10)}"


class StoredEntry(NamedTuple):
    """seq: of the store, rising, not dense. entry: the id its writer gave it. data: an encoded RecordEntry.

    stored_at: by the store's clock, RFC 3339; empty from a store that keeps none. removed: it says that what was there
    before it was taken away.
    """

    seq: int
    entry: str
    data: bytes
    stored_at: str = ""
    removed: bool = False


class ShardRoom(NamedTuple):
    """limit_bytes: what the shard's stream takes, above 0."""

    shard: int
    taken_bytes: int
    limit_bytes: int

    @property
    def fill(self) -> float:
        """Its share that is taken, 0 to 1."""
        return self.taken_bytes / self.limit_bytes


class RecordStore(Protocol):
    async def ensure(self) -> None:
        """Makes what is missing; call it before anything else. Raises StoreUnavailable."""
        ...

    async def close(self) -> None:
        """What is still in flight ends as StoreUnavailable."""
        ...

    def append(self, call: str, data: bytes, *, expected_seq: int, entry: str) -> asyncio.Future[int]:
        """Adds an entry right after expected_seq (0 for the first); the result is its seq.

        The same entry id appended again while it is the last one succeeds with the seq it has. Sets WrongSequence or
        StoreUnavailable; raises EntryTooLarge at once. A future rather than a coroutine: nothing runs per append.
        """
        ...

    def append_behind_owner(self, call: str, data: bytes, *, expected_seq: int, entry: str) -> asyncio.Future[int]:
        """As append, for who takes the call from its owner: just after the shard has elected a leader, what the owner
        has waiting comes first."""
        ...

    async def read(self, call: str, *, after_seq: int = 0) -> list[StoredEntry]:
        """All entries behind after_seq in order, none for an unknown call; current only if an append after the last
        one succeeds.

        Raises StoreUnavailable.
        """
        ...

    async def answers(self, shard: int) -> bool:
        """Whether who leads this shard answers, within a fraction of a second; what it takes then is stored."""
        ...

    async def put_summary(self, summary: CallSummary) -> None:
        """Replaces the call's line in the index. Raises StoreUnavailable."""
        ...

    async def summaries(self) -> list[CallSummary]:
        """Every call's line, the latest started first. Raises StoreUnavailable."""
        ...

    async def forget(self, call: str) -> None:
        """Nothing is kept of this call any more, nor of its claims; it must be over. Raises StoreUnavailable."""
        ...

    async def room(self) -> list[ShardRoom]:
        """Of the shards that have a limit. Raises StoreUnavailable."""
        ...
