"""One direction-pair between two workers for one placement: what is sent arrives in order, once.

Pure: no loop, no bus; times are monotonic seconds given by the caller. Each envelope carries a cumulative
acknowledgement; after a gap or a silence the unacknowledged is sent again.
"""

from collections.abc import Iterator
from typing import NamedTuple

from trunkline.bus.port import Headers
from trunkline.proto.envelope import Message

RESEND_S = 0.3  # first silence after which something is sent again
RESEND_LIMIT_S = 2.0  # silences double up to this
ACK_DELAY_S = 0.1  # an acknowledgement waits this long for something to ride on
HELD_MESSAGES = 256  # arrived after a gap; the rest is sent again anyway
RESEND_MESSAGES = 64  # at a time; the next go as soon as these are acknowledged
UNACKED_LIMIT = 4096  # a peer that takes nothing for so long is as good as dead


class PeerTakesNothing(Exception):
    """Nothing of what was said on a link is acknowledged."""

    def __init__(self, peer: str, messages: int) -> None:
        super().__init__(f"{peer} has not acknowledged {messages} messages")
        self.peer, self.messages = peer, messages


class LinkKey(NamedTuple):
    call: str
    peer: str
    attach: int


class Sent(NamedTuple):
    seq: int
    message: Message
    headers: Headers | None


class Arrived(NamedTuple):
    message: Message | None  # None: a message of a later release, acknowledged and skipped
    headers: Headers | None


class LinkState:
    """received: everything of the peer up to this seq has arrived and been delivered."""

    def __init__(self) -> None:
        self.received = 0
        self._next_seq = 1
        self._unacked: list[Sent] = []  # an empty deque has 760 bytes
        self._held: dict[int, Arrived] = {}
        self._resend_at_s = float("inf")
        self._resend_after_s = RESEND_S
        self._resent_to = 0  # the last seq of a resend that left something for the next, 0 for none
        self._ack_at_s = float("inf")
        self._gap = False

    @property
    def settled(self) -> bool:
        """All that was sent is acknowledged."""
        return not self._unacked

    @property
    def waiting(self) -> int:
        """Messages sent and not acknowledged."""
        return len(self._unacked)

    @property
    def sent(self) -> int:
        """The seq of the last message that was sent; 0 before the first."""
        return self._next_seq - 1

    @property
    def due_s(self) -> float:
        """When the next call of `due` has something to do; infinity for never."""
        return min(self._resend_at_s, self._ack_at_s)

    def send(self, message: Message, headers: Headers | None, now_s: float) -> Sent:
        sent = Sent(self._next_seq, message, headers)
        self._next_seq += 1
        if not self._unacked:
            self._resend_after_s = RESEND_S
            self._resend_at_s = now_s + RESEND_S
        self._unacked.append(sent)
        if not self._gap:  # what goes out carries the acknowledgement, but cannot tell of a gap
            self._ack_at_s = float("inf")
        return sent

    def withdraw(self) -> None:
        """What was sent last can never go out (too large, not encodable): its number is free again."""
        self._unacked.pop()
        self._next_seq -= 1
        if not self._unacked:
            self._resend_at_s = float("inf")

    def receive(self, seq: int, arrived: Arrived, now_s: float) -> Iterator[Arrived]:
        """What can now be delivered, in order. seq: from 1."""
        if seq <= self.received:  # sent again since our acknowledgement was lost
            self._ack_at_s = now_s
            return
        if seq > self.received + 1:
            if not self._held:
                self._gap, self._ack_at_s = True, now_s
            if len(self._held) < HELD_MESSAGES:
                self._held[seq] = arrived
            return
        self._ack_at_s = min(self._ack_at_s, now_s + ACK_DELAY_S)
        self.received = seq
        yield arrived
        while self.received + 1 in self._held:
            self.received += 1
            yield self._held.pop(self.received)

    def acknowledged(self, ack: int, now_s: float) -> None:
        progress = bool(self._unacked) and self._unacked[0].seq <= ack
        if progress:
            del self._unacked[: ack - self._unacked[0].seq + 1]  # numbered without a gap
        if not self._unacked:
            self._resend_at_s = float("inf")
        elif progress:
            self._resend_after_s = RESEND_S
            took_all = 0 < self._resent_to < self._unacked[0].seq
            self._resend_at_s = now_s if took_all else now_s + RESEND_S

    def peer_misses(self, now_s: float) -> None:
        """The peer saw a gap: what is unacknowledged goes again at once."""
        if self._unacked:
            self._resend_at_s = now_s

    def due(self, now_s: float) -> tuple[list[Sent], bool, bool]:
        """(to send again, whether a bare acknowledgement is owed, whether it tells of a gap)."""
        again: list[Sent] = []
        if now_s >= self._resend_at_s:
            again = self._unacked[:RESEND_MESSAGES]
            self._resent_to = again[-1].seq if len(again) < len(self._unacked) else 0
            self._resend_at_s = now_s + self._resend_after_s
            self._resend_after_s = min(self._resend_after_s * 2, RESEND_LIMIT_S)
        owed, gap = now_s >= self._ack_at_s, self._gap
        if owed:
            self._ack_at_s, self._gap = float("inf"), False
        return again, owed, gap
