"""Calls that ended long ago are forgotten, with all that is kept of them: by the gateway that adopts calls too.

Rule: only what the index says is over, and has been for longer than calls are kept. Who forgets the same call twice
does no harm, so nothing more is agreed on between gateways. A call that can't be forgotten keeps no other.
"""

import asyncio
from collections.abc import Callable

from prometheus_client import Counter

from trunkline.proto.record import CallSummary
from trunkline.record import RecordStore, StoreUnavailable
from trunkline.telemetry import logs

LOOKS = 10  # in the time that a call is kept
SOONEST_S, LATEST_S = 5.0, 3600.0  # between two looks: each reads the whole index
PAUSE_S = 0.02  # between two calls: the streams have others to serve
REMEMBERED = 1000  # calls that couldn't be forgotten: of each it is said once

log = logs.get(__name__)
_forgotten = Counter("trunkline_record_forgotten_total", "Calls whose records were deleted for their age")


class Forgetting:
    """kept_s: since their end, 0 for ever. leads: whether this gateway sees to it now. wall_s: seconds since 1970.
    stuck: calls that couldn't be forgotten, of which the log tells, the longest known first."""

    def __init__(
        self, store: RecordStore, kept_s: float, leads: Callable[[], bool], wall_s: Callable[[], float]
    ) -> None:
        self._store = store
        self._kept_s = kept_s
        self._leads = leads
        self._wall_s = wall_s
        self._task: asyncio.Task[None] | None = None
        self.stuck: dict[str, None] = {}

    def start(self) -> None:
        if self._kept_s:
            self._task = asyncio.create_task(self._watch(), name="forgetting")

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(min(max(self._kept_s / LOOKS, SOONEST_S), LATEST_S))
            if not self._leads():
                continue
            try:
                await self.look()
            except StoreUnavailable as error:  # the next look comes
                log.warning("can't forget calls now", reason=str(error))
            except Exception as error:  # the rim of the task: a bug stops no later look
                log.error("forgetting calls failed", error=repr(error), exc_info=True)

    async def look(self) -> None:
        """Forgets what is due, and last what it couldn't forget before. Raises StoreUnavailable where the index can't
        be read."""
        before_us = (self._wall_s() - self._kept_s) * 1_000_000
        due = {summary.call for summary in await self._store.summaries() if _ended_before(summary, before_us)}
        self.stuck = dict.fromkeys(call for call in self.stuck if call in due)
        forgot = 0
        for call in sorted(due, key=lambda one: (one in self.stuck, one)):
            forgot += await self._forget(call)
            await asyncio.sleep(PAUSE_S)
        if forgot:
            log.info("forgot calls for their age", calls=forgot, kept_s=self._kept_s)

    async def _forget(self, call: str) -> bool:
        try:
            await self._store.forget(call)
        except Exception as error:  # a rim: whatever one call has, the others are due as well
            self._note_stuck(call, error)
            return False
        self.stuck.pop(call, None)
        _forgotten.inc()
        return True

    def _note_stuck(self, call: str, error: Exception) -> None:
        if call in self.stuck:
            return
        if len(self.stuck) >= REMEMBERED:
            del self.stuck[next(iter(self.stuck))]
        self.stuck[call] = None
        log.warning("can't forget a call, it is tried again with each look", call=call, error=repr(error))


def _ended_before(summary: CallSummary, at_us: float) -> bool:
    return summary.status == "ended" and 0 < summary.ended_us < at_us
