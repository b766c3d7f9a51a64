"""Calls that nobody has any more are ended as lost: their records get an end, and whoever still serves them lets go.

Rule: only a call whose gateway has been gone for the whole window is adopted, and by one gateway: the one with the
lowest id of those that live. What this gateway itself gave up it adopts itself.
"""

import asyncio
from collections.abc import Callable

from trunkline.gateway.calls import Calls
from trunkline.gateway.resuming import CallIsOver, NoSuchCall, Progress, Resumption
from trunkline.placement.roster import Roster
from trunkline.proto.errors import TrunklineError
from trunkline.proto.record import CallSummary
from trunkline.proto.subjects import Stage
from trunkline.record import RecordStore, StoreUnavailable
from trunkline.telemetry import logs

LOOKS = 3  # at the gateways that live, in a window
SILENT_S = 2.0  # a gateway unheard for less lives: far more than its beat
NOBODY = Progress(settled_to=0, kept_from=0, end=0)  # no client, so nothing of one is lost

log = logs.get(__name__)


class Adoption:
    """worker: this gateway. window_s: that a call waits for its client."""

    def __init__(
        self,
        worker: str,
        calls: Calls,
        resumption: Resumption,
        roster: Roster,
        store: RecordStore,
        window_s: float,
        now_s: Callable[[], float],
    ) -> None:
        self._worker = worker
        self._calls = calls
        self._resumption = resumption
        self._roster = roster
        self._store = store
        self._window_s = window_s
        self._now_s = now_s
        self._alive: set[str] = set()
        self._agents: set[str] = set()
        self._orphans: dict[str, float] = {}  # call -> since when nobody has it, as far as is known here
        self._task: asyncio.Task[None] | None = None

    def leads(self) -> bool:
        """Whether what one gateway does for all is this one's."""
        return min(self._gateways()) == self._worker

    def start(self) -> None:
        self._task = asyncio.create_task(self._watch(), name="adoption")

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _watch(self) -> None:
        """The index is read when a gateway or an agent is gone, at the beginning, and on while there are orphans.

        By those alone that may adopt what they find: it is long, and is read just when calls come back. Whoever becomes
        the lowest has seen a gateway go.
        """
        due = True
        while True:
            await asyncio.sleep(self._window_s / LOOKS)  # at first until the others are heard
            alive, agents = self._gateways(), self._heard("agent")
            gone = (self._alive - alive) | (self._agents - agents)
            due = (due or bool(gone)) and self.leads()
            self._alive, self._agents = alive, agents
            if due or self._orphans or self._calls.abandoned:
                due = self._calls.abandoned = False  # before: what is abandoned during a look is for the next
                try:
                    await self.look()
                except TrunklineError as error:  # the store is away: the next look comes
                    due = self._calls.abandoned = True
                    log.warning("can't look for calls that nobody has", reason=str(error))
                except Exception as error:  # the rim of the task: a bug stops no later look
                    due = self._calls.abandoned = True
                    log.error("looking for calls that nobody has failed", error=repr(error), exc_info=True)

    async def look(self) -> None:
        """Notes the calls that nobody has, and adopts those that were noted a window ago. Raises StoreUnavailable."""
        live = [summary for summary in await self._store.summaries() if summary.status == "live"]
        orphans = [summary.call for summary in live if self._is_orphan(summary)]
        now_s = self._now_s()
        self._orphans = {call: self._orphans.get(call, now_s) for call in orphans}
        for call, since_s in list(self._orphans.items()):
            if now_s - since_s >= self._window_s:
                await self._adopt(call)

    def _gateways(self) -> set[str]:
        """Those that live."""
        known = self._alive | self._heard("gateway")
        return {worker for worker in known if self._roster.silent_s("gateway", worker) < SILENT_S} | {self._worker}

    def _heard(self, stage: Stage) -> set[str]:
        return {beat.worker for beat in self._roster.workers() if beat.stage == stage}

    def _is_orphan(self, summary: CallSummary) -> bool:
        if summary.gateway == self._worker:
            return not self._calls.has(summary.call)
        return summary.gateway not in self._gateways() and self.leads()

    async def _adopt(self, call_id: str) -> None:
        try:
            record = await self._resumption.find(call_id)
            holder = record.view.gateway
            if holder != self._worker and holder in self._gateways():
                return  # its client came back meanwhile
            taken = await self._resumption.take_up(record, NOBODY)
        except (NoSuchCall, CallIsOver):
            self._orphans.pop(call_id, None)
        except StoreUnavailable:  # so would every other
            raise
        except TrunklineError as error:  # no agent takes it, or its record can't be read: others still can
            log.warning("call can't be adopted yet", call_id=call_id, reason=str(error))
        else:
            log.info("adopted", call_id=call_id)
            self._orphans.pop(call_id, None)
            taken.call.end("lost")
