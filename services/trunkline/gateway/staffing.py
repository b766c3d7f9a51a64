"""Who serves each stage of one call: places a worker, notices that it can't go on, and places another.

A stage has at most one worker that serves it and at most one that is asked. What is heard of any other is dropped,
so a move is one step: from the turn of the loop in which the new worker took the call, the old one is nobody.
The call's end is seen to as its service is (`farewell`).
"""

import asyncio
from collections.abc import Callable, Collection, Mapping
from typing import Literal, Protocol

from trunkline.bus.port import Headers
from trunkline.gateway import metrics
from trunkline.gateway.farewell import Farewell
from trunkline.gateway.placing import NO_ANSWER, Placement, Placer
from trunkline.gateway.shared import Shared
from trunkline.proto.envelope import Message
from trunkline.proto.errors import BadInput, StageUnavailable, Why
from trunkline.proto.placement import Accepted, CallFailed, Declined, Superseded
from trunkline.proto.response import Attached
from trunkline.proto.subjects import Stage
from trunkline.telemetry import logs

ATTEMPTS = 3  # of the first placement
REPLACE_LIMIT_S = 15.0  # a call without a worker of some stage ends then; the ring holds twice as much
PAUSE_S = 0.05  # before the next try when nobody could be asked; doubles up to PAUSE_LIMIT_S
PAUSE_LIMIT_S = 0.5
AVOID_S = 5.0  # a worker that failed this call is asked again sooner only if nobody else is there
STALL_LIMIT_S = 3.0  # connected for less, nobody is judged by what didn't come
STALL_MOVE_S = 5.0  # between two moves of a stage for want of progress
DRAIN_MOVE_S = 0.5  # between two looks for a worker that could relieve one that drains
STALL_LOOKS = 4  # progress is looked at with every so many looks: its limits are seconds

Kind = Literal["gone", "silent", "failed", "stalled", "draining"]

log = logs.get(__name__)


class Post(Protocol):
    """What a stage's worker is for the rest of the call."""

    def order(self, reason: str) -> Message:
        """Places it; made afresh for each worker that is asked. reason: empty for the call's first.

        Until `taken` or `declined`, what the worker that serves is to begin can wait for the other.
        """
        ...

    def declined(self) -> None:
        """The worker that was asked last doesn't take the call."""
        ...

    def taken(self, placement: Placement, answer: Accepted | Attached) -> None:
        """From here on this worker serves."""
        ...

    def hear(self, message: Message, headers: Headers | None) -> None:
        """What the worker that serves says."""
        ...

    def lost(self) -> None:
        """Nobody serves, until the next `taken`."""
        ...

    @property
    def movable(self) -> bool:
        """A move disturbs nothing right now."""
        ...

    @property
    def stalled(self) -> bool:
        """Work was given and nothing comes of it."""
        ...


class _Seat:
    """A stage of this call. Times in monotonic seconds."""

    def __init__(self, stage: Stage, post: Post) -> None:
        self.stage = stage
        self.post = post
        self.serving: Placement | None = None
        self.asked: Placement | None = None
        self.abandoned: list[Placement] = []  # asked, and did not answer in time: they may still have taken the call
        self.avoided: dict[str, float] = {}  # worker -> until when
        self.task: asyncio.Task[None] | None = None
        self.kind: Kind = "failed"
        self.reason = ""  # what became of the last worker
        self.since_s = 0.0  # when that was
        self.patient_until_s = 0.0  # the worker that serves is left alone, though it drains or stalls
        self.epoch = 0
        self.taken = False  # ever


class Staffing:
    """hub: this gateway's number for the call. on_given_up: (stage, reason), nobody could be found for so long.
    on_superseded: another gateway has the call. on_failure: a bug. on_record: its agent writes how it ends.
    """

    def __init__(
        self,
        call_id: str,
        hub: int,
        shared: Shared,
        posts: Mapping[Stage, Post],
        *,
        on_given_up: Callable[[Stage, str], None],
        on_superseded: Callable[[], None],
        on_failure: Callable[[Exception], None],
        on_record: bool = True,
    ) -> None:
        self.farewell: Farewell | None = None  # of a call that has had an agent and is over
        self._call_id = call_id
        self._new = hub == 1  # nobody has served it yet
        self._placer = Placer(shared.exchange, call_id, hub)
        self._roster = shared.roster
        self._reliefs = shared.reliefs
        self._bus = shared.exchange.bus
        self._now_s = shared.exchange.now_s
        self._seats = {stage: _Seat(stage, post) for stage, post in posts.items()}
        self._on_given_up = on_given_up
        self._on_superseded = on_superseded
        self._on_failure = on_failure
        self._on_record = on_record
        self._released = ""  # with this reason
        self._looks = 0

    @property
    def workers(self) -> dict[Stage, str]:
        """Those that serve."""
        return {seat.stage: seat.serving.worker for seat in self._seats.values() if seat.serving is not None}

    @property
    def epoch(self) -> int:
        """Of the record's owner, as its last agent said."""
        return self._seats["agent"].epoch

    # the first placement

    async def place(self, *stages: Stage) -> None:
        """These at once; returns when each was taken. Raises StageUnavailable, BadInput; the call is over then.

        Their workers are chosen in this turn of the loop: of a crowd nobody counts on a place that another has.
        """
        chosen: dict[Stage, str] = {}
        tasks: list[asyncio.Task[None]] = []
        try:
            for stage in stages:
                chosen[stage] = self._roster.choose(stage, self._call_id, new=self._new).worker
            tasks += [asyncio.create_task(self._place(self._seats[stage], chosen[stage])) for stage in stages]
            await asyncio.gather(*tasks)
        except BaseException:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            for stage, worker in chosen.items():  # a task that has not begun never comes to it
                self._roster.answered(stage, worker, self._call_id, taken=False)
            raise

    async def _place(self, seat: _Seat, worker: str) -> None:
        """worker: chosen to be asked first."""
        refusals: dict[str, Declined] = {}
        for _ in range(ATTEMPTS):
            if refusals:
                try:
                    exclude = refusals.keys()
                    worker = self._roster.choose(seat.stage, self._call_id, exclude=exclude, new=self._new).worker
                except StageUnavailable as unavailable:
                    raise _explained(unavailable, refusals) from unavailable
            refusal = await self._ask(seat, worker)
            if self._released:  # nobody would hold what is placed
                raise StageUnavailable(seat.stage, "the call ended while it was placed")
            if refusal is None:
                return
            if refusal.reason == "unknown_agent":
                allowed = "the name of an agent, or an alias of one"
                raise BadInput("model", refusal.detail or "no such agent", allowed, code="model_not_found")
            refusals[worker] = refusal
        raise _explained(StageUnavailable(seat.stage, "none took it"), refusals)

    def fill(self, *stages: Stage, reason: str) -> None:
        """By and by, as if their workers had been lost. reason: why the call needs them."""
        if self._released:
            return
        for stage in stages:
            seat = self._seats[stage]
            seat.kind, seat.reason, seat.since_s = "gone", reason, self._now_s()
            seat.task = asyncio.create_task(self._fill(seat), name=f"staffing-{stage}")

    # signs

    def look(self, sound: Collection[str]) -> None:
        """Now and then: at heartbeats, drains and progress. sound: as of Roster, now."""
        self._looks += 1
        looks_at_progress = self._looks % STALL_LOOKS == 0
        for seat in self._seats.values():
            asked, serving = seat.asked, seat.serving
            if asked is not None and asked.link.peer not in sound and self._roster.lost(seat.stage, asked.worker):
                asked.decline(NO_ANSWER)
            if serving is None:
                continue
            if serving.link.peer in sound:
                if looks_at_progress and seat.post.stalled:
                    self._relieve_stalled(seat, serving.worker)
            elif self._roster.lost(seat.stage, serving.worker):
                self._lose(seat, "silent", "no heartbeat")
            else:
                self._relieve_draining(seat, serving.worker)

    def gone(self, stage: Stage, worker: str, reason: str) -> None:
        """A worker is known to be gone; it needn't be one of this call's."""
        seat = self._seats.get(stage)
        if seat is None:
            return
        if seat.asked is not None and seat.asked.worker == worker:
            seat.asked.decline(NO_ANSWER)
        if seat.serving is not None and seat.serving.worker == worker:
            self._lose(seat, "gone", reason)

    def takes_nothing(self, attach: int, reason: str) -> None:
        """The worker of this placement acknowledges nothing of what it is told."""
        for seat in self._seats.values():
            if seat.serving is not None and seat.serving.link.attach == attach:
                self._lose(seat, "failed", reason)

    def release(self, reason: str) -> None:
        """The call is over here; once. reason: for the record, unless it is `moved`: then it goes on elsewhere."""
        self._released = reason
        agent = self._seats["agent"] if self._on_record else None
        if agent is not None and agent.taken and reason != "moved":
            contested = agent.abandoned  # one of these may have the record, and not who serves
            last, post = agent.asked or (None if contested else agent.serving), agent.post
            self.farewell = Farewell(self._call_id, self._placer, self._roster, post, last, reason, self._now_s)
            agent.asked = None  # if it takes the call, it learns the rest there
            post.declined()
        for seat in self._seats.values():
            self._reliefs.end(seat)  # a task that has not begun never comes to it
            self._roster.seeks_no_more(seat.stage, self._call_id)
            if seat.task is not None:
                seat.task.cancel()
            if seat.asked is not None:
                seat.abandoned.append(seat.asked)
                seat.asked.decline(NO_ANSWER)
            for placement in seat.abandoned:  # an agent that was only asked doesn't know all that its record must have
                placement.release("moved" if seat is agent and self.farewell is not None else reason)
            seat.abandoned.clear()
            if seat.serving is not None:
                seat.serving.release(reason)
            seat.serving = None

    # what the workers say

    def _hear(self, placement: Placement, message: Message, headers: Headers | None) -> None:
        seat = self._seats[placement.stage]
        if self.farewell is not None:
            self.farewell.hear(placement, message, headers)
            return
        match message:
            case Superseded(attach=attach) if self._placer.outranked_by(attach):
                if not self._released:
                    self._on_superseded()
            case Superseded() if placement is seat.serving:  # by one that was asked and forgotten
                self._lose(seat, "failed", "superseded")
            case Superseded():
                pass
            case CallFailed(reason=reason) if placement is seat.serving:
                self._lose(seat, "failed", reason)
            case CallFailed(reason=reason):
                placement.decline(Declined("unready", reason))
            case Declined():
                placement.decline(message)
            case Accepted() | Attached() if placement is seat.asked and placement.asked:
                self._take(seat, placement, message)
            case _ if placement is seat.serving:
                seat.post.hear(message, headers)

    def _take(self, seat: _Seat, placement: Placement, answer: Accepted | Attached) -> None:
        if placement.link.peer_epoch < seat.epoch:
            log.warning("owner of an epoch that is over", call_id=self._call_id, refused=placement.worker)
            placement.decline(NO_ANSWER)
            return
        seat.epoch = placement.link.peer_epoch
        placement.accept()
        last, seat.serving, seat.asked, seat.taken = seat.serving, placement, None, True
        seat.avoided.pop(placement.worker, None)
        log.info("placed", call_id=self._call_id, placed_at=placement.worker, stage=seat.stage, reason=placement.reason)
        if placement.reason:
            metrics.moves.labels(seat.stage, seat.kind).inc()
            metrics.moving_s.labels(seat.stage).observe(self._now_s() - seat.since_s)
        seat.post.taken(placement, answer)
        for other in (*seat.abandoned, *([last] if last else [])):
            other.release("moved")
        seat.abandoned.clear()

    # another worker

    def _lose(self, seat: _Seat, kind: Kind, reason: str) -> None:
        lost, seat.serving = seat.serving, None
        if lost is None:
            return
        log.warning("stage lost", call_id=self._call_id, stage=seat.stage, lost=lost.worker, kind=kind, reason=reason)
        lost.release("moved")
        self._roster.seeks(seat.stage, self._call_id)
        seat.post.lost()
        self._move(seat, lost.worker, kind, reason)

    # relieved: the worker stays until another has taken the call, and for good if there is no other

    def _relieve_draining(self, seat: _Seat, worker: str) -> None:
        if self._relievable(seat) and seat.post.movable and self._reliefs.begin(seat):
            seat.patient_until_s = self._now_s() + DRAIN_MOVE_S
            self._move(seat, worker, "draining", "draining")

    def _relieve_stalled(self, seat: _Seat, worker: str) -> None:
        if self._relievable(seat) and self._bus.connected_s > STALL_LIMIT_S:
            seat.patient_until_s = self._now_s() + STALL_MOVE_S
            self._move(seat, worker, "stalled", "no progress")

    def _relievable(self, seat: _Seat) -> bool:
        return seat.task is None and self._now_s() >= seat.patient_until_s

    def _move(self, seat: _Seat, worker: str, kind: Kind, reason: str) -> None:
        seat.kind, seat.reason, seat.since_s = kind, f"{worker}: {reason}", self._now_s()
        seat.avoided[worker] = self._now_s() + AVOID_S
        if seat.task is None and not self._released:
            seat.task = asyncio.create_task(self._fill(seat), name=f"staffing-{seat.stage}")

    async def _fill(self, seat: _Seat) -> None:
        """The one task of a seat: until somebody serves; with somebody to be relieved, until nobody else is there."""
        try:
            await self._find(seat)
        except Exception as error:  # the rim of a call's task
            self._on_failure(error)
        finally:
            seat.task = None
            self._reliefs.end(seat)
            self._roster.seeks_no_more(seat.stage, self._call_id)

    async def _find(self, seat: _Seat) -> None:
        pause_s, vacant_s = PAUSE_S, 0.0
        while vacant_s < REPLACE_LIMIT_S:
            begun_s = self._now_s()
            worker = self._choose(seat)
            if worker is None and seat.serving is None:
                await asyncio.sleep(pause_s)
                pause_s = min(pause_s * 2, PAUSE_LIMIT_S)
                worker = self._choose(seat) or self._choose(seat, anybody=True)
            if worker is not None:
                self._roster.seeks_no_more(seat.stage, self._call_id)
                await self._ask(seat, worker)
            if seat.serving is None and not self._released:
                self._roster.seeks(seat.stage, self._call_id)
            if seat.serving is not None or self._released:
                return
            if self._bus.connected:  # while it isn't, nobody could be found
                vacant_s += self._now_s() - begun_s
        self._on_given_up(seat.stage, seat.reason)

    def _choose(self, seat: _Seat, *, anybody: bool = False) -> str | None:
        """anybody: even one that has just failed the call or declined it."""
        now_s = self._now_s()
        seat.avoided = {worker: until_s for worker, until_s in seat.avoided.items() if until_s > now_s}
        try:
            avoided = () if anybody else seat.avoided.keys()
            return self._roster.choose(seat.stage, self._call_id, exclude=avoided).worker
        except StageUnavailable:
            return None

    async def _ask(self, seat: _Seat, worker: str) -> Declined | None:
        """None once the worker serves."""
        taken = False
        try:
            placement = self._placer.ask(seat.stage, worker, seat.post.order(seat.reason), self._hear, seat.reason)
            seat.asked = placement
            refusal = await placement.outcome()
            taken = refusal is None
        finally:
            self._roster.answered(seat.stage, worker, self._call_id, taken=taken)
        if refusal is None or self._released:
            return refusal
        seat.asked = None
        seat.post.declined()
        seat.avoided[worker] = self._now_s() + refusal.retry_after_s
        if refusal is NO_ANSWER:
            seat.abandoned.append(placement)
        else:
            placement.link.close()
        log.info("worker declined", call_id=self._call_id, declined_by=worker, reason=refusal.reason)
        return refusal


def _explained(unavailable: StageUnavailable, refusals: Mapping[str, Declined]) -> StageUnavailable:
    """With what the last worker that was asked said."""
    if not refusals:
        return unavailable
    last = list(refusals.values())[-1]
    reason = f"{last.reason} {last.detail}".strip()
    why: Why = last.reason if last.reason in ("full", "draining") else "declined"
    return StageUnavailable(unavailable.stage, reason, max(r.retry_after_s for r in refusals.values()), why=why)
