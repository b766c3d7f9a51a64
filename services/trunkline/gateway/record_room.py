"""Keeps new calls from shards of the record that are nearly full, so that calls which go on are written to their end.

Rule: only new calls are refused, and only where no shard has room; a call that goes on or comes back never is.
"""

import asyncio
from collections.abc import Callable, Collection

from prometheus_client import Gauge

from trunkline.record import RecordStore, ShardRoom, StoreUnavailable
from trunkline.telemetry import logs

LOOK_S, RARELY_S = 10.0, 60.0  # the latter while nothing has a limit: an operator may give one at any time
FULL = 0.9  # of its limit: what is left is for calls that go on

log = logs.get(__name__)
_fullest = Gauge("trunkline_record_fullest_ratio", "Of the record's streams the fullest, as a share of its limit")
_full = Gauge("trunkline_record_full_shards", "Shards that take no new call, since their streams are nearly full")


class RecordRoom:
    """on_full: is told the shards that take no new call, whenever somebody has looked."""

    def __init__(self, store: RecordStore, on_full: Callable[[Collection[int]], None]) -> None:
        self._store = store
        self._on_full = on_full
        self._known: frozenset[int] = frozenset()  # to be full
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._task = asyncio.create_task(self._watch(), name="record-room")

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _watch(self) -> None:
        wait_s = LOOK_S
        while True:
            try:
                rooms = await self._store.room()
                self._note(rooms)
                wait_s = LOOK_S if rooms else RARELY_S
            except StoreUnavailable as error:  # what is known stands; whether a shard answers is another's matter
                log.warning("can't see how much room the record has", reason=str(error))
            except Exception as error:  # the rim of the task: a bug stops no later look
                log.error("looking for the record's room failed", error=repr(error), exc_info=True)
            await asyncio.sleep(wait_s)

    def _note(self, rooms: list[ShardRoom]) -> None:
        full = frozenset(room.shard for room in rooms if room.fill >= FULL)
        _fullest.set(max((room.fill for room in rooms), default=0.0))
        _full.set(len(full))
        if full != self._known:
            tell = log.error if full - self._known else log.info
            tell("record's shards without room for new calls", shards=sorted(full), from_share=FULL)
        self._known = full
        self._on_full(full)
