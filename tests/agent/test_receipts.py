"""Which messages a record covers, as it grows."""

from hypothesis import given
from hypothesis import strategies as st

from trunkline.agent.receipts import Receipts
from trunkline.proto.response import Stored


def test_a_message_is_covered_once_its_last_event_is_stored() -> None:
    receipts = Receipts()
    receipts.mark(4, 1, 0)
    receipts.mark(6, 2, 3)

    assert not receipts.cover(3)
    assert receipts.cover(5)
    assert Stored(1, 0) == receipts.tell()
    assert not receipts.cover(5)
    assert receipts.cover(6)
    assert Stored(2, 3) == receipts.tell()


def test_a_message_that_brings_about_nothing_is_covered_with_what_was_before_it() -> None:
    receipts = Receipts()
    receipts.mark(4, 1, 2)
    receipts.mark(4, 2, 2)

    assert receipts.cover(4)
    assert Stored(2, 2) == receipts.tell()


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 1), st.integers(0, 2), st.integers(0, 3))))
def test_nothing_is_covered_before_it_is_stored(steps: list[tuple[int, int, int, int]]) -> None:
    receipts = Receipts()
    events = received = said = stored = 0
    marks = [(0, 0, 0)]
    for more_events, more_received, more_said, more_stored in steps:
        events, received, said = events + more_events, received + more_received, said + more_said
        receipts.mark(events, received, said)
        marks.append((events, received, said))
        stored = min(events, stored + more_stored)
        if receipts.cover(stored):
            told = receipts.tell()

            assert (told.received, told.said) == max((r, s) for e, r, s in marks if e <= stored)
