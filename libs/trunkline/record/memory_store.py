"""Records in memory, for tests: passes the conformance suite of the store on NATS."""

import asyncio
from collections import defaultdict

from trunkline.proto.record import CallSummary
from trunkline.record.store import EntryTooLarge, ShardRoom, StoredEntry, WrongSequence

ENTRY_LIMIT_BYTES = 1024 * 1024  # NATS's default payload limit


class MemoryRecordStore:
    def __init__(self) -> None:
        self._entries: defaultdict[str, list[StoredEntry]] = defaultdict(list)
        self._summaries: dict[str, CallSummary] = {}
        self._seq = 0

    async def ensure(self) -> None:
        """Nothing is missing."""

    async def close(self) -> None:
        """Nothing is in flight."""

    def append(self, call: str, data: bytes, *, expected_seq: int, entry: str) -> asyncio.Future[int]:
        if len(data) > ENTRY_LIMIT_BYTES:
            raise EntryTooLarge(call, len(data), ENTRY_LIMIT_BYTES)
        done: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        entries = self._entries[call]
        last = entries[-1] if entries else StoredEntry(0, "", b"")
        if last.entry == entry:
            done.set_result(last.seq)
        elif last.seq != expected_seq:
            done.set_exception(WrongSequence(call, expected_seq, last.seq))
        else:
            self._seq += 1
            entries.append(StoredEntry(self._seq, entry, data))
            done.set_result(self._seq)
        return done

    def append_behind_owner(self, call: str, data: bytes, *, expected_seq: int, entry: str) -> asyncio.Future[int]:
        return self.append(call, data, expected_seq=expected_seq, entry=entry)  # nothing waits here

    async def read(self, call: str, *, after_seq: int = 0) -> list[StoredEntry]:
        entries = [entry for entry in self._entries.get(call, ()) if entry.seq > after_seq]
        await asyncio.sleep(0)  # others append meanwhile, as they may while a real answer is under way
        return entries

    async def answers(self, shard: int) -> bool:
        return True

    async def put_summary(self, summary: CallSummary) -> None:
        self._summaries[summary.call] = summary

    async def summaries(self) -> list[CallSummary]:
        return sorted(self._summaries.values(), key=lambda summary: summary.started_us, reverse=True)

    async def forget(self, call: str) -> None:
        self._entries.pop(call, None)
        self._summaries.pop(call, None)

    async def room(self) -> list[ShardRoom]:
        return []
