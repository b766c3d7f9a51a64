"""The end of a call, until it is on record: an agent writes that, and the call's own may be gone before it has.

Nobody waits for it: it is looked at now and then, like the heartbeats of calls that go on.
"""

from collections.abc import Callable
from typing import Protocol

from trunkline.bus.port import Headers
from trunkline.gateway.placing import Placement, Placer
from trunkline.placement.roster import Roster
from trunkline.proto.envelope import Message
from trunkline.proto.errors import StageUnavailable
from trunkline.proto.placement import Accepted, CallFailed, Declined, Superseded
from trunkline.proto.response import Attached
from trunkline.telemetry import logs

PATIENCE_S = 2.0  # for one agent to acknowledge that the call is over, before another is asked to write it down
TELLS_THE_END = 8  # from this wire on an agent says when it is on record
REFUSALS = 3  # by agents that cannot take the call: its record has its end already, or can't be written
REFUSED_S = 1.0  # before another is asked then
FAREWELL_LIMIT_S = 20.0  # adoption sees to what is left then; an agent itself tries for 15
WHY = "the call is over"

log = logs.get(__name__)


class Post(Protocol):
    """As the agent's post in `staffing`."""

    def order(self, reason: str) -> Message: ...

    def taken(self, placement: Placement, answer: Accepted | Attached) -> None: ...


class Farewell:
    """last: the agent that was just released, or is being asked; None when there is none that may have the record.

    reason: for the record.
    """

    def __init__(
        self,
        call_id: str,
        placer: Placer,
        roster: Roster,
        post: Post,
        last: Placement | None,
        reason: str,
        now_s: Callable[[], float],
    ) -> None:
        self.unwritten = False  # it is over, and perhaps not on record
        self._call_id = call_id
        self._placer = placer
        self._roster = roster
        self._post = post
        self._last = last
        self._reason = reason
        self._now_s = now_s
        self._tried: set[str] = set()
        self._refusals = 0
        self._over = False
        self._recorded = False  # says the last
        self._until_s = now_s() + FAREWELL_LIMIT_S
        self._next_s = now_s() + (PATIENCE_S if last else 0.0)  # when another is asked

    def look(self) -> bool:
        """Whether nothing is left to do."""
        last, now_s = self._last, self._now_s()
        known = last is not None and last.link.closed and last.link.state.settled
        if self._over or (known and (self._recorded or not self._will_tell)):
            return True
        if now_s > self._until_s:
            log.error("nobody could write the end of the call", call_id=self._call_id, reason=self._reason)
            self.unwritten = True
            if last is not None:
                last.release("moved")
            return True
        if (now_s >= self._next_s and not known) or (last is not None and self._roster.lost("agent", last.worker)):
            self._ask_another()
        return False

    def stored(self, call_id: str, attach: int) -> None:
        """All that the agent of this placement was told and said is on record; it may be another call's."""
        last = self._last
        self._recorded = self._recorded or (last is not None and (call_id, attach) == (self._call_id, last.link.attach))

    @property
    def _will_tell(self) -> bool:
        """Agents of earlier wires say nothing behind a call's end."""
        return self._last is not None and self._roster.wire("agent", self._last.worker) >= TELLS_THE_END

    def _ask_another(self) -> None:
        if self._last is not None:
            self._last.release("moved")  # it may yet take the call, and doesn't know all that the record must have
            self._tried.add(self._last.worker)
            self._last = None
        try:
            worker = self._roster.choose("agent", exclude=self._tried).worker
        except StageUnavailable:
            self._tried.clear()
            return
        self._next_s = self._now_s() + PATIENCE_S
        self._last = self._placer.ask("agent", worker, self._post.order(WHY), self.hear, WHY)
        log.info("agent asked to end the call", call_id=self._call_id, asked=worker)

    def hear(self, placement: Placement, message: Message, headers: Headers | None) -> None:
        """What an agent that was asked, here or before the end, says."""
        if placement is not self._last or placement.link.closed:
            return
        match message:
            case Attached():
                self._post.taken(placement, message)
                placement.release(self._reason)
            case Superseded(attach=attach):
                self._over = self._placer.outranked_by(attach)
                if self._over:
                    placement.link.close()
            case Declined():
                self._forget(placement)
            case CallFailed():
                self._forget(placement)
                self._next_s += REFUSED_S
                self._refusals += 1
                self._over = self.unwritten = self._refusals >= REFUSALS

    def _forget(self, placement: Placement) -> None:
        placement.link.close()
        self._tried.add(placement.worker)
        self._last, self._next_s = None, self._now_s()
