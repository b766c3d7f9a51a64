"""A link delivers in order and once, whatever the bus loses, doubles or reorders."""

import random
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from trunkline.bus.link import RESEND_MESSAGES, RESEND_S, Arrived, LinkState, Sent
from trunkline.proto.speech import Silent


def arrive(link: LinkState, sent: Sent, now_s: float = 0.0) -> list[int]:
    delivered = link.receive(sent.seq, Arrived(sent.message, sent.headers), now_s)
    return [arrived.message.to_sample for arrived in delivered if isinstance(arrived.message, Silent)]


def test_what_arrives_in_order_is_delivered_at_once() -> None:
    a, b = LinkState(), LinkState()

    got = [arrive(b, a.send(Silent(i), None, 0.0)) for i in range(3)]

    assert got == [[0], [1], [2]]


def test_what_arrives_after_a_gap_waits_for_it_and_asks() -> None:
    a, b = LinkState(), LinkState()
    first, second = a.send(Silent(1), None, 0.0), a.send(Silent(2), None, 0.0)

    assert arrive(b, second) == []
    assert b.due(0.0) == ([], True, True)
    assert arrive(b, first) == [1, 2]


def test_a_gap_report_resends_at_once() -> None:
    a = LinkState()
    sent = a.send(Silent(1), None, 0.0)
    assert a.due(0.01) == ([], False, False)

    a.peer_misses(0.02)

    assert a.due(0.02)[0] == [sent]


def test_silence_resends_and_waits_longer_each_time() -> None:
    a = LinkState()
    sent = a.send(Silent(1), None, 0.0)

    times: list[float] = []
    now_s = 0.0
    while len(times) < 4:
        now_s = round(now_s + 0.1, 1)
        if a.due(now_s)[0] == [sent]:
            times.append(now_s)

    assert times[0] == RESEND_S
    gaps = [round(b - a, 1) for a, b in pairwise(times)]
    assert gaps == sorted(gaps)
    assert gaps[-1] > gaps[0]


def test_an_acknowledged_message_is_never_sent_again() -> None:
    a = LinkState()
    a.send(Silent(1), None, 0.0)

    a.acknowledged(1, 0.1)

    assert a.settled
    assert a.due(100.0) == ([], False, False)


def test_a_message_that_came_twice_is_delivered_once_and_acknowledged_again() -> None:
    a, b = LinkState(), LinkState()
    sent = a.send(Silent(7), None, 0.0)
    assert arrive(b, sent) == [7]
    assert b.due(1.0) == ([], True, False)

    assert arrive(b, sent, 2.0) == []
    assert b.due(2.0) == ([], True, False)


@given(seed=st.integers(0, 2**32), messages=st.integers(1, 60), loss=st.floats(0, 0.6))
def test_a_lossy_doubling_reordering_bus_loses_nothing_and_doubles_nothing(
    seed: int, messages: int, loss: float
) -> None:
    rng = random.Random(seed)
    a, b = LinkState(), LinkState()
    flying: list[Sent] = []
    got: list[int] = []
    now_s = 0.0
    to_send = list(range(messages))
    while (len(got) < messages or not a.settled) and now_s < 600:
        now_s += 0.05
        if to_send and rng.random() < 0.5:
            flying.append(a.send(Silent(to_send.pop(0)), None, now_s))
        flying.extend(a.due(now_s)[0])
        rng.shuffle(flying)
        for sent in flying[: rng.randint(0, 8)]:
            flying.remove(sent)
            if rng.random() >= loss:
                got.extend(arrive(b, sent, now_s))
                if rng.random() < 0.1:
                    got.extend(arrive(b, sent, now_s))
        _, owed, gap = b.due(now_s)
        if owed and rng.random() >= loss:
            a.acknowledged(b.received, now_s)
            if gap:
                a.peer_misses(now_s)

    assert got == list(range(messages))
    assert a.settled


def test_much_unacknowledged_goes_again_a_part_at_a_time_and_the_next_with_the_acknowledgement() -> None:
    a = LinkState()
    for i in range(3 * RESEND_MESSAGES - 1):
        a.send(Silent(i), None, 0.0)

    parts: list[list[int]] = []
    now_s = RESEND_S
    while not a.settled:
        parts.append([sent.seq for sent in a.due(now_s)[0]])
        now_s += 0.1
        a.acknowledged(parts[-1][-1], now_s)

    assert [len(part) for part in parts] == [RESEND_MESSAGES, RESEND_MESSAGES, RESEND_MESSAGES - 1]
    assert [seq for part in parts for seq in part] == list(range(1, 3 * RESEND_MESSAGES))
