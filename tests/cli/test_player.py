"""The caller's loudspeaker plays everything once, in order, and knows what was heard."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from trunkline.cli.player import Cut, Player

RUNS = st.lists(st.tuples(st.integers(0, 300), st.integers(0, 400)), max_size=20)  # pause before arrival, length


def sound(length: int, level: int = 1) -> np.ndarray:
    return np.full(length, level, dtype=np.int16)


def test_audio_plays_at_once_and_what_follows_waits_for_it() -> None:
    player = Player()

    assert player.receive("item_a", sound(100), now=50) == 50
    assert player.receive("item_a", sound(100), now=60) == 150
    assert player.end == 250


def test_a_late_chunk_is_an_underrun_and_a_new_item_is_none() -> None:
    player = Player()
    player.receive("item_a", sound(100), now=0)
    player.receive("item_a", sound(100), now=130)
    player.receive("item_b", sound(100), now=500)

    assert player.underruns == 1


def test_stopping_tells_what_was_heard_of_each_item_that_lost_sound() -> None:
    player = Player()
    player.receive("item_done", sound(100), now=0)
    player.receive("item_cut", sound(100), now=0)
    player.receive("item_unheard", sound(100), now=0)

    assert player.stop(now=130) == [Cut("item_cut", 30), Cut("item_unheard", 0)]
    assert not player.sounding(now=130)
    assert player.heard("item_done", now=1000) == 100


def test_stopping_in_silence_cuts_nothing() -> None:
    player = Player()
    player.receive("item_a", sound(100), now=0)

    assert player.stop(now=100) == []


def test_sound_after_a_stop_is_played_again() -> None:
    player = Player()
    player.receive("item_a", sound(100, 1), now=0)
    player.stop(now=40)
    player.receive("item_a", sound(10, 2), now=60)

    expected = [1] * 40 + [0] * 20 + [2] * 10
    assert player.render(0, 70).tolist() == expected


@given(RUNS)
def test_every_sample_sounds_once_and_in_order(runs: list[tuple[int, int]]) -> None:
    player, now, next_sample, starts = Player(), 0, 1, []
    for pause, length in runs:
        now += pause
        chunk = np.arange(next_sample, next_sample + length, dtype=np.int16)
        starts.append((player.receive("item_a", chunk, now), now))
        next_sample += length

    rendered = player.render(0, player.end)

    assert rendered[rendered > 0].tolist() == list(range(1, next_sample))
    assert all(start >= arrived for start, arrived in starts)
    assert player.heard("item_a", player.end) == next_sample - 1


@given(RUNS, st.integers(0, 5000))
def test_what_was_heard_and_what_was_cut_make_the_whole(runs: list[tuple[int, int]], stop: int) -> None:
    player, now, received = Player(keep_sound=False), 0, 0
    for pause, length in runs:
        if now + pause > stop:
            break
        now += pause
        player.receive("item_a", sound(length), now)
        received += length
    end = player.end

    cuts = player.stop(stop)

    heard = player.heard("item_a", stop)
    assert heard <= received
    assert (heard == received) == (end <= stop or received == 0 or cuts == [])
    assert [cut.played for cut in cuts] in ([], [heard])
