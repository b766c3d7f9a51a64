"""Pacing and heard extents: arithmetic on a clock that the test turns."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline.audio import g711
from trunkline.gateway.played import QUIET
from trunkline.gateway.playout import DELTA_SAMPLES, LEAD_SAMPLES, RECENT_SAMPLES, Playout, Segment
from trunkline.gateway.script import heard_ms, require_sent, shorten
from trunkline.proto.errors import BadInput

BEAT = 480  # 20 ms


def audio(first: int, samples: int) -> bytes:
    return (np.arange(first, first + samples) % 30_000).astype("<i2").tobytes()


def segment(samples: int, number: int = 1) -> Segment:
    made = Segment(number, "item_1", number - 1)
    made.arrive(0, audio(0, samples), True)
    return made


def test_the_first_audio_goes_at_once_and_fills_the_lead() -> None:
    playout, one = Playout(), segment(24_000)

    assert len(playout.take(one, 0)) // 2 == LEAD_SAMPLES
    assert playout.take(one, 0) == b""
    assert playout.take(one, DELTA_SAMPLES - 1) == b""
    assert len(playout.take(one, DELTA_SAMPLES)) // 2 == DELTA_SAMPLES


def test_what_was_heard_follows_the_clock() -> None:
    playout, one = Playout(), segment(4_000)
    playout.take(one, 1_000)

    assert playout.advance(3_000) == []
    assert one.heard == 2_000
    assert playout.advance(5_000) == [one]
    assert one.heard == 4_000


def test_a_hold_stops_what_is_sent_and_a_resume_goes_on_there() -> None:
    playout, one = Playout(), segment(24_000)
    playout.take(one, 0)
    playout.held = True
    assert playout.take(one, 20_000) == b""
    playout.held = False

    assert playout.take(one, 20_000) == audio(LEAD_SAMPLES, LEAD_SAMPLES)


def test_a_flush_counts_only_what_was_heard() -> None:
    playout, one = Playout(), segment(24_000)
    playout.take(one, 0)
    playout.flush(1_234)

    assert one.heard == 1_234
    assert playout.lead(1_234) == 0
    assert playout.advance(99_999) == []


def test_a_chunk_after_a_gap_is_left_out_and_overlaps_are_trimmed() -> None:
    one = Segment(1, "item_1", 0)

    assert one.arrive(0, audio(0, 100), False)
    assert not one.arrive(150, audio(150, 50), True)
    assert one.arrive(50, audio(50, 100), False)
    assert one.arrive(0, audio(0, 20), False)
    assert one.arrive(150, audio(150, 50), True)
    assert one.take(1_000) == audio(0, 200)
    assert one.all_sent


def test_what_played_lately_has_silence_where_nothing_played() -> None:
    playout, one = Playout(), segment(2_400)
    playout.take(one, 1_000)
    playout.advance(10_000)

    window = g711.decode_mulaw(playout.recent(5_000, 5_000)).astype(int)
    assert not window[:333].any()
    assert np.abs(window[334:1_132] - range(4, 2_397, 3)).max() <= 65  # half a step of mu-law up there
    assert not window[1_133:].any()
    assert playout.played_lately(10_000)
    assert not playout.played_lately(60_000)


def test_nothing_is_kept_of_what_can_have_no_echo_any_more() -> None:
    playout, one = Playout(), segment(2_400)
    playout.take(one, 0)
    playout.advance(2_400)
    assert playout.moves_at == 2_400 + RECENT_SAMPLES + 1
    playout.advance(playout.moves_at)

    assert playout.moves_at is None
    assert playout.recent(2_400, 2_400) == QUIET * 800


def test_a_client_shortens_over_the_segments_of_an_item_in_order() -> None:
    one, two = segment(24_000, 1), segment(24_000, 2)
    for each in (one, two):
        each.take(24_000)
        each.heard = 24_000

    assert shorten([one, two], 1_500)
    assert (one.heard, two.heard) == (24_000, 12_000)
    assert not shorten([one, two], 1_800)
    assert heard_ms([one, two]) == 1_500
    with pytest.raises(BadInput):
        require_sent([one, two], 2_002)


def test_a_client_may_count_what_it_was_sent_up_to_the_next_millisecond() -> None:
    one = segment(24_001, 1)
    one.take(24_001)

    require_sent([one], 1_001)
    with pytest.raises(BadInput, match="0 to 1001"):
        require_sent([one], 1_003)


def test_a_client_that_sums_the_lengths_of_deltas_as_floats_may_be_a_millisecond_beyond() -> None:
    """As the OpenAI Agents SDK does."""
    deltas = [4_404, 1_294, 398]
    one = segment(sum(deltas), 1)
    one.take(sum(deltas))
    counted_ms = math.ceil(sum(delta / 24_000 * 1_000 for delta in deltas))

    require_sent([one], counted_ms)

    assert counted_ms * 24 == sum(deltas) + 24


CHUNKS = st.lists(st.integers(1, 6_000), min_size=1, max_size=12)


@given(CHUNKS, st.lists(st.sampled_from(["beat", "hold", "resume", "chunk", "again"]), max_size=80))
def test_every_sample_is_sent_once_in_order_and_heard_never_exceeds_sent(sizes: list[int], steps: list[str]) -> None:
    playout, one = Playout(), Segment(1, "item_1", 0)
    total = sum(sizes)
    bounds = [sum(sizes[:i]) for i in range(len(sizes))]
    waiting = list(zip(bounds, sizes, strict=True))
    sent = b""
    now = 0
    finish = ["resume"] + ["chunk"] * len(sizes) + ["beat"] * (total // BEAT + 50)
    for step in steps + finish:
        now += BEAT
        if step == "chunk" and waiting:
            position, size = waiting.pop(0)
            assert one.arrive(position, audio(position, size), position + size == total)
        elif step == "again" and one.received:
            one.arrive(0, audio(0, min(one.received + 1, sizes[0])), False)
        playout.held = (playout.held or step == "hold") and step != "resume"
        sent += playout.take(one, now)
        playout.advance(now)
        assert one.heard <= one.sent <= one.received
        assert playout.lead(now) <= LEAD_SAMPLES

    assert sent == audio(0, total)
    assert one.heard == total
