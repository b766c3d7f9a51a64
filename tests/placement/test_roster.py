"""The roster places calls on workers that live, take calls and carry least."""

import random

import pytest

from trunkline.placement.roster import FORGET_S, Roster
from trunkline.proto.errors import StageUnavailable
from trunkline.proto.placement import BEAT_LIMIT_S, Beat


class Clock:
    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


def beat(worker: str, calls: int = 0, capacity: int = 10, draining: bool = False, stage: str = "stt") -> Beat:
    return Beat(stage, worker, calls, capacity, draining, "0")


def roster_of(*beats: Beat) -> tuple[Roster, Clock]:
    clock = Clock()
    roster = Roster(clock, random.Random(1))
    for each in beats:
        roster.hear(each)
    return roster, clock


def test_the_less_loaded_of_two_takes_the_call() -> None:
    roster, _ = roster_of(beat("busy", calls=5), beat("free", calls=1))

    assert roster.choose("stt").worker == "free"


def test_a_burst_between_two_beats_is_shared() -> None:
    roster, _ = roster_of(beat("a"), beat("b"))

    taken = [roster.choose("stt").worker for _ in range(10)]

    assert (taken.count("a"), taken.count("b")) == (5, 5)


def test_a_worker_not_heard_for_the_limit_takes_no_call_and_is_not_listed() -> None:
    roster, clock = roster_of(beat("a"))
    clock.now_s += BEAT_LIMIT_S + 0.01

    assert roster.workers() == []
    with pytest.raises(StageUnavailable, match="none is alive"):
        roster.choose("stt")


def test_a_draining_or_full_or_excluded_worker_takes_no_call() -> None:
    roster, _ = roster_of(beat("draining", draining=True), beat("full", calls=10), beat("tried"), beat("good", calls=9))

    assert roster.choose("stt", exclude={"tried"}).worker == "good"
    with pytest.raises(StageUnavailable):
        roster.choose("stt", exclude={"tried"})


def test_no_limit_means_never_full() -> None:
    roster, _ = roster_of(beat("a", calls=10_000, capacity=0))

    assert roster.choose("stt").worker == "a"


def test_another_stage_does_not_help() -> None:
    roster, _ = roster_of(beat("a", stage="tts"))

    with pytest.raises(StageUnavailable, match="stt"):
        roster.choose("stt")


def test_the_long_silent_are_forgotten() -> None:
    roster, clock = roster_of(beat("old"))
    clock.now_s += FORGET_S + 1
    roster.hear(beat("new"))

    assert [each.worker for each in roster.workers()] == ["new"]
    assert not roster.alive("stt", "old")
    assert roster.alive("stt", "new")
