"""Laws of what is cut, held and resampled: no sample is lost, doubled or moved."""

import numpy as np
import pytest
import soxr  # type: ignore[import-untyped]  # ships no types
from hypothesis import given
from hypothesis import strategies as st

from trunkline.audio.pcm import Samples, from_bytes
from trunkline.audio.rechunk import Rechunker
from trunkline.audio.resample import Resampler, push_together, resample
from trunkline.audio.ring import Ring

SIZES = st.lists(st.integers(0, 700), max_size=30)


def numbered(samples: int, start: int = 0) -> Samples:
    """Each sample tells its position."""
    return (np.arange(start, start + samples) % 30_000).astype(np.int16)


@given(sizes=SIZES, frame_samples=st.integers(1, 400))
def test_rechunking_keeps_every_sample(sizes: list[int], frame_samples: int) -> None:
    whole, rechunker, at = numbered(sum(sizes)), Rechunker(frame_samples), 0
    frames: list[Samples] = []
    for size in sizes:
        frames += rechunker.push(whole[at : at + size])
        at += size

    assert {frame_samples} >= {len(frame) for frame in frames}
    assert np.array_equal(whole, np.concatenate([*frames, rechunker.flush()]))
    assert rechunker.waiting_samples == 0


@given(sizes=SIZES, first=st.integers(0, 2**40), limit=st.integers(1, 20_000))
def test_a_ring_holds_exactly_the_newest_samples_at_their_positions(sizes: list[int], first: int, limit: int) -> None:
    ring, at = Ring(limit, first), first
    for size in sizes:
        held = len(ring)
        pushed_out = ring.append(numbered(size, at))
        at += size

        assert pushed_out == held + size - len(ring)
    assert (ring.end, len(ring)) == (first + sum(sizes), min(limit, sum(sizes)))
    assert np.array_equal(numbered(len(ring), ring.first), ring.read(ring.first, ring.end))


@given(sizes=st.lists(st.integers(1, 9_000), min_size=1, max_size=12), kept=st.integers(0, 3_000))
def test_a_trimmed_ring_keeps_what_was_not_trimmed(sizes: list[int], kept: int) -> None:
    ring, at = Ring(64_000), 0
    for size in sizes:
        ring.append(numbered(size, at))
        at += size
        ring.trim(at - kept)

        assert len(ring) == min(kept, at)
        assert np.array_equal(numbered(len(ring), ring.first), ring.read(ring.first, ring.end))


def test_a_ring_refuses_positions_it_does_not_hold() -> None:
    ring = Ring(100)
    ring.append(numbered(150))

    for extent in [(49, 60), (60, 151), (70, 60)]:
        with pytest.raises(ValueError, match="not within 50 to 150"):
            ring.read(*extent)


def test_trimming_beyond_either_end_stops_there() -> None:
    ring = Ring(100, 1000)
    ring.append(numbered(50))
    ring.trim(10)
    assert (ring.first, ring.end) == (1000, 1050)

    ring.trim(5000)

    assert (ring.first, ring.end) == (1050, 1050)


def test_a_ring_goes_on_after_a_gap_only_forwards() -> None:
    ring = Ring(100)
    ring.append(numbered(50))
    with pytest.raises(ValueError):
        ring.skip(49)
    ring.skip(80)
    ring.append(numbered(5))

    assert (ring.first, ring.end) == (80, 85)


RATES_HZ = st.sampled_from([8_000, 11_025, 16_000, 22_050, 24_000, 44_100, 48_000])


@given(from_hz=RATES_HZ, to_hz=RATES_HZ, sizes=SIZES)
def test_resampling_gives_as_many_samples_as_the_rates_say(from_hz: int, to_hz: int, sizes: list[int]) -> None:
    stream = Resampler(from_hz, to_hz)
    samples = sum(len(stream.push(numbered(size))) for size in sizes) + len(stream.flush())

    assert samples == (2 * sum(sizes) * to_hz + from_hz) // (2 * from_hz)


LINES = st.lists(
    st.tuples(st.sampled_from([8_000, 24_000, 48_000]), st.lists(st.integers(0, 700), max_size=12), st.integers(0, 6)),
    min_size=1,
    max_size=8,
)


@given(LINES)
def test_streams_that_are_resampled_together_sound_as_each_alone(
    lines: list[tuple[int, list[int], int]],
) -> None:
    """Each line has a rate, the sizes of its frames, and the turn in which it joins; it leaves when they are over."""
    noise = np.random.default_rng(1).integers(-32768, 32768, 9_000, dtype=np.int16)
    alone = [Resampler(rate_hz, 16_000) for rate_hz, _, _ in lines]
    streams = [Resampler(rate_hz, 16_000) for rate_hz, _, _ in lines]
    expected: list[list[Samples]] = [[] for _ in lines]
    made: list[list[Samples]] = [[] for _ in lines]
    for turn in range(20):
        groups: dict[tuple[object, int, int], list[tuple[int, bytes]]] = {}
        for number, (_, sizes, joins) in enumerate(lines):
            if 0 <= turn - joins < len(sizes):
                frame = noise[turn * 400 :][: sizes[turn - joins]]
                expected[number].append(alone[number].push(frame))
                stream = streams[number]
                groups.setdefault((stream.bank, len(stream.tail), len(frame)), []).append((number, frame.tobytes()))
        for group in groups.values():
            given = push_together([streams[number] for number, _ in group], [frame for _, frame in group])
            for (number, _), samples in zip(group, given, strict=True):
                made[number].append(from_bytes(samples))

    for number, stream in enumerate(streams):
        whole = np.concatenate([*expected[number], alone[number].flush()]).astype(np.int32)
        difference = np.concatenate([*made[number], stream.flush()]) - whole
        assert np.abs(difference).max(initial=0) <= 1  # sums of floats in another order, cut off


def test_equal_rates_pass_through_untouched() -> None:
    stream, samples = Resampler(16_000, 16_000), numbered(320)

    assert np.array_equal(samples, np.concatenate((stream.push(samples), stream.flush())))


def test_a_flushed_resampler_begins_a_new_stream() -> None:
    stream, tone = Resampler(24_000, 16_000), sine(440.0, 24_000)
    first = np.concatenate((stream.push(tone), stream.flush()))

    assert np.array_equal(first, np.concatenate((stream.push(tone), stream.flush())))


def test_a_tone_keeps_its_pitch_and_level_through_resampling() -> None:
    resampled = resample(sine(440.0, 24_000), 24_000, 16_000)[2_000:-2_000]

    expected = sine(440.0, 16_000)[2_000:-2_000]
    assert np.abs(resampled.astype(np.int32) - expected).max() < 60


@pytest.mark.parametrize(("from_hz", "to_hz"), [(24_000, 16_000), (8_000, 16_000), (24_000, 8_000), (22_050, 24_000)])
def test_live_audio_waits_milliseconds_and_sounds_as_the_referee_converts_it(from_hz: int, to_hz: int) -> None:
    stream, tone = Resampler(from_hz, to_hz), sine(440.0, from_hz)
    frames = np.array_split(tone, 50)
    made, waits_s = [], []
    for number, frame in enumerate(frames, 1):
        made.append(stream.push(frame))
        waits_s.append(number / 50 - sum(map(len, made)) / to_hz)
    made.append(stream.flush())

    assert max(waits_s) < 0.008
    referee = soxr.resample(tone, from_hz, to_hz, quality="VHQ")
    inner = slice(to_hz // 10, -to_hz // 10)
    assert np.abs(np.concatenate(made)[inner].astype(np.int32) - referee[inner]).max() < 20


def test_what_the_lower_rate_cannot_carry_is_gone_not_folded_down() -> None:
    resampled = resample(sine(9_600.0, 24_000), 24_000, 16_000)

    assert np.abs(resampled[200:-200]).max() < 4


def test_an_odd_ratio_is_refused_live_and_taken_as_a_clip() -> None:
    with pytest.raises(ValueError, match="5507:3000"):
        Resampler(44_056, 24_000)
    assert len(resample(sine(440.0, 44_056), 44_056, 24_000)) == 24_000


def sine(frequency_hz: float, rate_hz: int) -> Samples:
    """One second, at -6 dBFS peak."""
    wave: Samples = np.rint(16_000 * np.sin(2 * np.pi * frequency_hz * np.arange(rate_hz) / rate_hz)).astype(np.int16)
    return wave
