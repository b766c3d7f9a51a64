"""The hub's line to whoever is the call's agent: what either said is kept until the record has it.

Pure. So an agent can be lost at any moment: the next is told what the last said that isn't in the record, and then
again what the last was told, in the same order.
"""

from collections.abc import Callable
from itertools import dropwhile

from trunkline.bus.exchange import Link
from trunkline.bus.port import Headers
from trunkline.proto.envelope import Message
from trunkline.proto.errors import TrunklineError
from trunkline.proto.response import Recall, Respond, SegmentHeard, Stored, Turn, Utterance

KEPT_MESSAGES = 4096  # either way: far more than a call makes in any outage that it survives


class _Told:
    """seq: on the link that is there, 0 while it has not gone out there."""

    __slots__ = ("headers", "message", "seq")

    def __init__(self, message: Message, headers: Headers | None) -> None:
        self.message = message
        self.headers = headers
        self.seq = 0


class AgentLine:
    """unfinished: ids of responses whose end has not come. afresh: this hub has none of what earlier agents said.

    got: the last audio that the client had from an earlier hub, if it can tell.
    """

    got: SegmentHeard | None = None

    def __init__(self, unfinished: Callable[[], tuple[str, ...]], *, afresh: bool = False) -> None:
        self._unfinished = unfinished
        self._afresh = afresh
        self._link: Link | None = None
        self._held = False
        self._told: list[_Told] = []
        self._said: list[tuple[int, Utterance]] = []  # by the agent that is there, with its seq
        self._said_before: list[Utterance] = []  # by earlier ones
        self._recall_seq = 0  # of what told the agent that is there of them

    @property
    def kept(self) -> int:
        """Messages of either side that aren't known to be recorded."""
        return len(self._told) + len(self._said) + len(self._said_before)

    @property
    def unrecorded_from(self) -> int | None:
        """The caller's audio from here on has turns that aren't known to be recorded; None when none has."""
        told = (one.message for one in self._told)
        return min((m.from_sample for m in told if isinstance(m, Turn) and m.source == "speech"), default=None)

    def tell(self, message: Message, headers: Headers | None = None) -> None:
        """Now, or as soon as there is an agent. Raises TrunklineError when nothing was recorded for too long."""
        told = _Told(message, headers)
        self._told.append(told)
        self._require_room(len(self._told))
        self._send(told)

    def hear(self, message: Message) -> None:
        """What the agent that is there said, in order. Raises as `tell` does."""
        if isinstance(message, Stored):
            self._forget(message)
        elif isinstance(message, Utterance) and self._link is not None:
            self._said.append((self._link.state.received, message))
            self._require_room(len(self._said) + len(self._said_before))

    def placed(self, link: Link, *, recall: bool) -> None:
        """recall: this agent was told that it follows another."""
        self.lost()
        self._link = link
        if recall:
            link.send(Recall(tuple(self._said_before), self._unfinished(), self._afresh, len(self._told), self.got))
            self._recall_seq = link.state.sent
        self.go_on()

    def hold(self) -> None:
        """Another agent is about to be there: what is told waits for it, so that no answer is begun twice."""
        self._held = True

    def go_on(self) -> None:
        """What waits goes to the agent that is there, and so does the rest."""
        self._held = False
        for told in self._told:
            if not told.seq:
                self._send(told)

    def lost(self) -> None:
        self._link, self._recall_seq = None, 0
        self._said_before += [message for _, message in self._said]
        self._said.clear()
        for told in self._told:
            told.seq = 0

    def _send(self, told: _Told) -> None:
        if self._link is not None and not self._held:
            self._link.send(told.message, headers=told.headers)
            told.seq = self._link.state.sent
            if isinstance(told.message, Respond) or (isinstance(told.message, Turn) and told.message.respond):
                self._link.hasten()

    def _forget(self, stored: Stored) -> None:
        self._told = list(dropwhile(lambda one: 0 < one.seq <= stored.received, self._told))
        self._said = list(dropwhile(lambda one: one[0] <= stored.said, self._said))
        if 0 < self._recall_seq <= stored.received:
            self._said_before.clear()
            self._afresh = False

    def _require_room(self, kept: int) -> None:
        if kept > KEPT_MESSAGES:
            raise TrunklineError(f"{kept} messages between gateway and agent are not recorded")
