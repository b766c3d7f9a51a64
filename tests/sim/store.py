"""The record store and the claims as one simulated process sees them: every answer takes its time.

What a process asked for before it died or was stopped is still done, as by a real store; an answer comes to the living.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable
from contextvars import Context
from typing import TypeVar

from sim.loop import Life, SimLoop, State, living
from trunkline.proto.record import CallSummary, Claim, Ended, decode_entry
from trunkline.record import Attempt, MemoryClaimStore, MemoryRecordStore, ShardRoom, StoredClaim, StoredEntry
from trunkline.record.store import StoreUnavailable

T = TypeVar("T")
WAY_S = 0.0004  # to the store; as long back
UNSURE_S = 0.5  # after which a store that doesn't answer is given up
_OUTSIDE = Context()  # of no process: the store lives on


class Kept(MemoryRecordStore):
    """What all processes share. stored_s: when each entry was stored, by its seq."""

    def __init__(self, loop: SimLoop) -> None:
        super().__init__()
        self.stored_s: dict[int, float] = {}
        self.claims = MemoryClaimStore()
        self._loop = loop

    def append(self, call: str, data: bytes, *, expected_seq: int, entry: str) -> asyncio.Future[int]:
        done = super().append(call, data, expected_seq=expected_seq, entry=entry)
        if done.exception() is None:
            self.stored_s.setdefault(done.result(), self._loop.now_s)
        return done

    def entries_of(self, call: str) -> list[StoredEntry]:
        return self._entries[call]

    def calls_ended(self) -> bool:
        """Whether every call's last entry has its end."""
        last = [decode_entry(entries[-1].data) for entries in self._entries.values() if entries]
        return all(isinstance(entry.events[-1], Ended) for entry in last)


class _Far:
    """Something asked over a line. unsure: the chance that the fate of a write isn't told, done or not."""

    def __init__(self, kept: Kept, loop: SimLoop, rng: random.Random, unsure: float) -> None:
        self._kept = kept
        self._loop = loop
        self._rng = rng
        self._unsure = unsure

    async def ensure(self) -> None:
        await asyncio.sleep(WAY_S)

    async def close(self) -> None:
        """Nothing is held."""

    def _write(self, what: str, work: Callable[[], Awaitable[T]]) -> asyncio.Future[T]:
        unsure = self._rng.random() < self._unsure
        if not unsure:
            return self._ask(work)
        answer: asyncio.Future[T] = self._loop.create_future()
        if self._rng.random() < 0.5:
            self._ask(work).add_done_callback(lambda done: done.exception())
        self._loop.call_later(UNSURE_S, _fail, answer, StoreUnavailable(what, UNSURE_S))
        return answer

    def _ask(self, work: Callable[[], Awaitable[T]]) -> asyncio.Future[T]:
        answer: asyncio.Future[T] = self._loop.create_future()
        asking = living()

        def begin() -> None:
            at_work = asyncio.ensure_future(work(), loop=self._loop)
            at_work.add_done_callback(lambda done: self._loop.call_later(WAY_S, _give, answer, done, asking))

        self._loop.call_later(WAY_S, begin, context=_OUTSIDE)
        return answer


class SimStore(_Far):
    def append(self, call: str, data: bytes, *, expected_seq: int, entry: str) -> asyncio.Future[int]:
        return self._write(call, lambda: self._kept.append(call, data, expected_seq=expected_seq, entry=entry))

    append_behind_owner = append  # nothing waits at this store

    async def read(self, call: str, *, after_seq: int = 0) -> list[StoredEntry]:
        return await self._ask(lambda: self._kept.read(call, after_seq=after_seq))

    async def answers(self, shard: int) -> bool:
        return True

    async def put_summary(self, summary: CallSummary) -> None:
        await self._ask(lambda: self._kept.put_summary(summary))

    async def summaries(self) -> list[CallSummary]:
        return await self._ask(self._kept.summaries)

    async def forget(self, call: str) -> None:
        await self._ask(lambda: self._kept.forget(call))

    async def room(self) -> list[ShardRoom]:
        return await self._ask(self._kept.room)


class SimClaims(_Far):
    async def claim(self, attempt: Attempt, claim: Claim) -> StoredClaim:
        return await self._write(attempt.key, lambda: self._kept.claims.claim(attempt, claim))

    async def settle(self, attempt: Attempt, claim: Claim, *, expected_seq: int) -> int:
        return await self._write(
            attempt.key, lambda: self._kept.claims.settle(attempt, claim, expected_seq=expected_seq)
        )

    async def read(self, attempt: Attempt) -> StoredClaim | None:
        return await self._ask(lambda: self._kept.claims.read(attempt))


def _give(answer: asyncio.Future[T], done: asyncio.Future[T], asking: Life) -> None:
    """The answer's callbacks run in the process that asked, if it still lives."""
    error = done.exception()
    if asking.state is State.DEAD:
        return
    if error is not None:
        _fail(answer, error)
    elif not answer.done():
        answer.set_result(done.result())


def _fail(answer: asyncio.Future[T], error: BaseException) -> None:
    if not answer.done():
        answer.set_exception(error)
