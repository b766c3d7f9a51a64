"""Cutting a segment's audio into chunks, from any sample of it."""

import itertools

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from trunkline.tts.render import Rendered
from trunkline.tts.segment import CHUNK_SAMPLES, Cut, SegmentAudio


def cuts(lengths: list[int], from_sample: int) -> tuple[list[Cut], int]:
    """The chunks of a segment rendered in steps of these lengths, and its samples in all."""
    total = np.arange(sum(lengths), dtype=np.int64).astype(np.int16)
    audio, at = SegmentAudio(from_sample), 0
    found: list[Cut] = []
    for i, length in enumerate(lengths):
        found += audio.take(Rendered(total[at : at + length], last=i == len(lengths) - 1))
        at += length
    return found, audio.samples


def test_a_segment_without_audio_is_one_empty_closing_chunk() -> None:
    (chunk,), samples = cuts([0], 0)

    assert (chunk.position, len(chunk.samples), chunk.last, samples) == (0, 0, True, 0)


def test_a_segment_heard_beyond_its_new_end_closes_where_it_was_asked_from() -> None:
    (chunk,), samples = cuts([100], 500)

    assert (chunk.position, len(chunk.samples), chunk.last, samples) == (500, 0, True, 500)


@given(st.lists(st.integers(0, 3 * CHUNK_SAMPLES), min_size=1, max_size=5), st.integers(0, 4 * CHUNK_SAMPLES))
def test_chunks_join_to_the_audio_from_the_wanted_sample(lengths: list[int], from_sample: int) -> None:
    found, samples = cuts(lengths, from_sample)

    joined = np.concatenate([chunk.samples for chunk in found])
    assert np.array_equal(np.arange(sum(lengths), dtype=np.int64).astype(np.int16)[from_sample:], joined)
    assert [chunk.last for chunk in found] == [False] * (len(found) - 1) + [True]
    assert all(len(chunk.samples) <= CHUNK_SAMPLES for chunk in found)
    assert samples == found[-1].position + len(found[-1].samples) == max(sum(lengths), from_sample)
    assert all(a.position + len(a.samples) == b.position for a, b in itertools.pairwise(found))
