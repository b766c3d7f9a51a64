"""Two ends of a link under whatever a network may do, driven step by step: in order, once, and in the end all of it."""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from trunkline.bus.link import RESEND_LIMIT_S, Arrived, LinkState, Sent
from trunkline.proto.speech import Silent

TICK_S = 0.05
ENDS = st.sampled_from((0, 1))


class Flight:
    """One envelope on the wire. sent: None for a bare acknowledgement. to: which end."""

    def __init__(self, to: int, sent: Sent | None, ack: int, gap: bool) -> None:
        self.to, self.sent, self.ack, self.gap = to, sent, ack, gap


class TwoEnds(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.now_s = 0.0
        self.ends = (LinkState(), LinkState())
        self.said: tuple[list[int], list[int]] = ([], [])
        self.heard: tuple[list[int], list[int]] = ([], [])
        self.wire: list[Flight] = []

    @rule(end=ENDS, count=st.integers(1, 5))
    def send(self, end: int, count: int) -> None:
        for _ in range(count):
            number = len(self.said[end])
            self.said[end].append(number)
            self._transmit(end, self.ends[end].send(Silent(number), None, self.now_s))

    @precondition(lambda self: self.wire)
    @rule(data=st.data())
    def deliver_any(self, data: st.DataObject) -> None:
        self._deliver(self.wire.pop(data.draw(st.integers(0, len(self.wire) - 1))))

    @precondition(lambda self: self.wire)
    @rule(data=st.data())
    def lose_one(self, data: st.DataObject) -> None:
        self.wire.pop(data.draw(st.integers(0, len(self.wire) - 1)))

    @precondition(lambda self: self.wire)
    @rule(data=st.data())
    def double_one(self, data: st.DataObject) -> None:
        self.wire.append(self.wire[data.draw(st.integers(0, len(self.wire) - 1))])

    @rule(ticks=st.integers(1, 40))
    def wait(self, ticks: int) -> None:
        for _ in range(ticks):
            self._tick()

    @invariant()
    def what_was_heard_is_a_beginning_of_what_was_said(self) -> None:
        for end in (0, 1):
            heard = self.heard[1 - end]
            assert heard == self.said[end][: len(heard)]

    def teardown(self) -> None:
        """The network is well again: everything arrives, is acknowledged, and nothing is due any more."""
        left_s = 2 * RESEND_LIMIT_S + 1.0
        while left_s > 0:
            while self.wire:
                self._deliver(self.wire.pop(0))
            self._tick()
            left_s -= TICK_S

        for end in (0, 1):
            assert self.heard[1 - end] == self.said[end]
            assert self.ends[end].settled
            assert self.ends[end].due_s == float("inf")

    def _tick(self) -> None:
        self.now_s += TICK_S
        for end in (0, 1):
            again, owed, gap = self.ends[end].due(self.now_s)
            for sent in again:
                self._transmit(end, sent)
            if owed:
                self.wire.append(Flight(1 - end, None, self.ends[end].received, gap))

    def _transmit(self, end: int, sent: Sent) -> None:
        self.wire.append(Flight(1 - end, sent, self.ends[end].received, False))

    def _deliver(self, flight: Flight) -> None:
        link = self.ends[flight.to]
        link.acknowledged(flight.ack, self.now_s)
        if flight.sent is None:
            if flight.gap:
                link.peer_misses(self.now_s)
            return
        for arrived in link.receive(flight.sent.seq, Arrived(flight.sent.message, None), self.now_s):
            assert isinstance(arrived.message, Silent)
            self.heard[flight.to].append(arrived.message.to_sample)


TestTwoEnds = TwoEnds.TestCase
TestTwoEnds.settings = settings(stateful_step_count=40)
