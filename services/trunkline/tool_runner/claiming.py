"""Which orders this runner may carry out: those whose claim it has made itself, in this life of the process.

What a claim means to this runner is decided by `finding`, which is pure. See docs/adr/0010-claims.md.
"""

import asyncio
import contextlib
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

import msgspec
from prometheus_client import Counter, Histogram

from trunkline.proto.errors import TrunklineError
from trunkline.proto.record import Claim
from trunkline.proto.tool import ToolResult
from trunkline.record import Attempt, ClaimStore, StoredClaim
from trunkline.telemetry import logs

SETTLE_LIMIT_S = 1.0  # then the result is answered, and its way into the claim goes on
GIVEN_UP_CLAIMS = 4096  # remembered: the store may have them after all
STOP_S = 1.0  # what is being settled when the process ends may take this long

log = logs.get(__name__)
_seconds = Histogram("trunkline_tool_runner_claim_seconds", "From an order to its durable claim, or to whose it is")
_unsettled = Counter("trunkline_tool_runner_unsettled_total", "Results that did not get into their claims")


@dataclass(frozen=True, slots=True)
class Held:
    """It is this runner's to carry out."""

    stored: StoredClaim


@dataclass(frozen=True, slots=True)
class CutOff:
    """An earlier process of this worker id died over it: nobody knows how far it got."""

    stored: StoredClaim


@dataclass(frozen=True, slots=True)
class Settled:
    result: ToolResult


@dataclass(frozen=True, slots=True)
class Elsewhere:
    runner: str


@dataclass(frozen=True, slots=True)
class Void:
    """Nobody may run it any more."""


@dataclass(frozen=True, slots=True)
class Away:
    """The store gives no word: nothing may be run."""


Finding = Held | CutOff | Settled | Elsewhere | Void | Away


def finding(stored: StoredClaim, mine: Claim) -> Finding:
    """mine: what this runner asked for; at_us tells it from a claim of an earlier life under the same worker id."""
    claim = stored.claim
    if claim == mine:
        return Held(stored)
    if claim.void:
        return Void()
    if claim.result is not None:
        return Settled(claim.result)
    return CutOff(stored) if claim.runner == mine.runner else Elsewhere(claim.runner)


class Claimant:
    """worker: this runner's id. wall_us: wall time in microseconds."""

    def __init__(
        self, store: ClaimStore, worker: str, *, wall_us: Callable[[], int] = lambda: time.time_ns() // 1000
    ) -> None:
        self._store = store
        self._worker = worker
        self._wall_us = wall_us
        self._given_up: OrderedDict[Attempt, Claim] = OrderedDict()
        self._settling: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        await self._store.ensure()

    async def claim(self, attempt: Attempt, epoch: int) -> Finding:
        """One that was given up is claimed again with the same words: should the store have it, it is still ours."""
        mine = self._given_up.pop(attempt, None) or Claim(self._wall_us(), self._worker, epoch)
        try:
            with _seconds.time():
                stored = await self._store.claim(attempt, mine)
        except TrunklineError as error:  # no word of it, or one that this release can't read
            log.warning("no claim", call_id=attempt.call, key=attempt.key, error=str(error))
            self._given_up[attempt] = mine
            if len(self._given_up) > GIVEN_UP_CLAIMS:
                self._given_up.popitem(last=False)
            return Away()
        return finding(stored, mine)

    async def settle(self, attempt: Attempt, stored: StoredClaim, result: ToolResult) -> None:
        """Returns once the result is in its claim, or after SETTLE_LIMIT_S; then it goes on trying."""
        task = asyncio.get_running_loop().create_task(self._settle(attempt, stored, result))
        self._settling.add(task)
        task.add_done_callback(self._settling.discard)
        await asyncio.wait({task}, timeout=SETTLE_LIMIT_S)

    async def stop(self) -> None:
        """After the last claim."""
        if self._settling:
            _, late = await asyncio.wait(self._settling, timeout=STOP_S)
            for task in late:
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await task
        await self._store.close()

    async def _settle(self, attempt: Attempt, stored: StoredClaim, result: ToolResult) -> None:
        settled = msgspec.structs.replace(stored.claim, result=result)
        try:
            await self._store.settle(attempt, settled, expected_seq=stored.seq)
        except TrunklineError as error:  # whoever asks now gets it from the runner, later nobody can tell
            _unsettled.inc()
            log.error("result is not in its claim", call_id=attempt.call, key=attempt.key, error=str(error))
