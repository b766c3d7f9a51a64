"""What was heard is exact by segment, in proportion within one, and never more than was said."""

from hypothesis import given
from hypothesis import strategies as st

from trunkline.proto.response import SegmentHeard
from trunkline.record import heard_of

SEGMENTS = ("One moment, ", "let me check the weather in Tokyo.")
RATE_HZ = 24_000


def extent(index: int, heard: int, total: int) -> SegmentHeard:
    return SegmentHeard("item_1", index, heard, total)


def test_segments_heard_to_their_end_are_heard_exactly() -> None:
    heard = heard_of(SEGMENTS, {0: extent(0, RATE_HZ, RATE_HZ), 1: extent(1, 0, 0)}, ())

    assert heard == ("One moment,", RATE_HZ, False, False)


def test_a_segment_heard_in_part_is_cut_in_proportion_at_a_word() -> None:
    heard = heard_of(SEGMENTS, {0: extent(0, 100, 100), 1: extent(1, RATE_HZ, 2 * RATE_HZ)}, ())

    assert heard.text == "One moment, let me check the"
    assert heard.approximate


def test_a_segment_of_unknown_length_is_never_heard_whole() -> None:
    heard = heard_of(("Yes.",), {0: extent(0, 60 * RATE_HZ, 0)}, ())

    assert (heard.text, heard.whole) == ("", False)


def test_what_was_played_counts_where_the_interruption_says_nothing() -> None:
    assert heard_of(SEGMENTS, {}, {0})[:2] == ("One moment,", 19_200)


def test_an_interruption_may_shorten_what_was_played() -> None:
    assert heard_of(("Hello there.",), {0: extent(0, 0, 500)}, {0}).text == ""


def test_an_item_heard_whole_has_nothing_to_truncate() -> None:
    assert heard_of(SEGMENTS, {}, {0, 1}).whole


@given(st.text(max_size=200), st.integers(0, 10**6), st.integers(0, 10**6))
def test_what_was_heard_of_a_segment_is_where_it_begins(text: str, heard: int, total: int) -> None:
    assert text.startswith(heard_of((text,), {0: extent(0, heard, total)}, ()).text)
