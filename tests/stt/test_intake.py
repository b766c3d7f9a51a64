"""A caller's audio as it arrives."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trunkline.stt.intake import HELD_SAMPLES, Intake, Overrun

STREAM = (np.arange(40_000) % 30_000).astype(np.int16)


def test_what_overlaps_is_taken_once() -> None:
    intake = Intake(100)

    added = [intake.take(100, STREAM[100:200]), intake.take(50, STREAM[50:250]), intake.take(100, STREAM[100:200])]

    assert added == [100, 50, 0]
    assert np.array_equal(STREAM[100:250], intake.ring.read(100, 250))


def test_a_gap_is_noticed_and_closed_by_what_is_sent_again() -> None:
    intake = Intake(0)
    intake.take(0, STREAM[:100])

    assert intake.take(200, STREAM[200:300]) == 0
    assert intake.missing
    assert intake.take(100, STREAM[100:300]) == 200
    assert not intake.missing


def test_a_gap_given_up_becomes_silence() -> None:
    intake = Intake(0)
    intake.take(0, STREAM[:100])
    intake.take(200, STREAM[200:300])
    intake.give_up()

    assert intake.take(300, STREAM[300:400]) == 300
    assert not intake.ring.read(100, 300).any()
    assert intake.take(500, STREAM[500:600]) == 0


def test_a_gap_longer_than_what_is_ever_held_is_an_overrun() -> None:
    intake = Intake(0)
    intake.give_up()

    with pytest.raises(Overrun):
        intake.take(HELD_SAMPLES + 1, STREAM[:100])


@given(chunks=st.lists(st.tuples(st.integers(0, 39_000), st.integers(0, 1_000)), max_size=60))
def test_whatever_comes_in_whatever_order_what_is_held_is_the_stream(chunks: list[tuple[int, int]]) -> None:
    intake = Intake(0)
    for position, length in chunks:
        intake.take(position, STREAM[position : position + length])

    assert np.array_equal(STREAM[: intake.ring.end], intake.ring.read(0, intake.ring.end))
