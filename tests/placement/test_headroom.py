"""What is kept free for calls that lose their worker, and what counts before a beat tells of it."""

import random

import pytest

from trunkline.placement.roster import RETRY_S, Roster
from trunkline.proto.errors import StageUnavailable
from trunkline.proto.placement import Beat

CALL, REQUEST = "rtc_00_a", "req_a"


def beat(worker: str, calls: int = 0, capacity: int = 8, draining: bool = False) -> Beat:
    return Beat("stt", worker, calls, capacity, draining, "0")


def roster_of(*beats: Beat, spare: bool = True) -> Roster:
    roster = Roster(lambda: 100.0, random.Random(1), spare=spare)
    for each in beats:
        roster.hear(each)
    return roster


def places(roster: Roster, call: str, *, new: bool = True) -> int:
    """How many such calls it takes, one after the other, each with a name of its own."""
    for number in range(1000):
        try:
            roster.choose("stt", f"{call}{number}", new=new)
        except StageUnavailable:
            return number
    return 1000


@pytest.mark.parametrize(
    ("capacities", "new", "replaced"),
    [((8,), 8, 8), ((8, 8), 8, 16), ((8, 8, 8), 16, 24), ((40, 8, 8), 16, 56), ((1, 1), 1, 2), ((0,), 1000, 1000)],
)
def test_as_much_as_the_largest_of_several_workers_takes_is_kept_for_calls_that_lose_theirs(
    capacities: tuple[int, ...], new: int, replaced: int
) -> None:
    workers = [beat(f"w{number}", capacity=capacity) for number, capacity in enumerate(capacities)]

    assert places(roster_of(*workers), CALL) == new
    assert places(roster_of(*workers), CALL, new=False) == replaced


def test_a_worker_without_a_limit_has_room_for_all() -> None:
    assert places(roster_of(beat("small", calls=8), beat("vast", capacity=0)), CALL) == 1000


def test_what_is_kept_can_be_switched_off() -> None:
    assert places(roster_of(beat("a"), beat("b"), spare=False), CALL) == 16


def test_a_full_worker_takes_the_call_that_it_has_again_and_no_other() -> None:
    roster = roster_of(beat("full", calls=8), beat("has", calls=8))

    with roster.taking_again("stt", "has", CALL):
        assert roster.choose("stt", CALL).worker == "has"
        with pytest.raises(StageUnavailable):
            roster.choose("stt", "rtc_00_b")
    with pytest.raises(StageUnavailable):
        roster.choose("stt", CALL)


def test_a_worker_that_drains_keeps_nothing_for_others() -> None:
    assert places(roster_of(beat("leaves", draining=True), beat("stays")), CALL) == 8


def test_requests_are_refused_before_calls_whatever_is_kept() -> None:
    roster = roster_of(beat("a"), beat("b"))
    requests = places(roster, REQUEST)

    assert requests == 6
    assert places(roster, CALL) == 2


def test_what_is_kept_is_told_apart_from_what_is_full_and_both_say_when_to_come_back() -> None:
    roster = roster_of(beat("a"), beat("b"))
    places(roster, CALL)
    with pytest.raises(StageUnavailable) as kept:
        roster.require_room("stt")
    places(roster, CALL, new=False)
    with pytest.raises(StageUnavailable) as full:
        roster.require_room("stt")

    assert (kept.value.why, full.value.why) == ("kept", "full")
    assert RETRY_S[0] <= full.value.retry_after_s <= RETRY_S[1]
    assert kept.value.retry_after_s != full.value.retry_after_s  # so that a crowd doesn't come back together


@pytest.mark.parametrize(
    ("beats", "why"),
    [([], "none"), ([beat("a", draining=True)], "draining"), ([beat("a", calls=8)], "full")],
)
def test_a_refusal_says_why(beats: list[Beat], why: str) -> None:
    with pytest.raises(StageUnavailable) as refused:
        roster_of(*beats).require_room("stt")

    assert refused.value.why == why


def test_a_call_that_its_worker_tells_of_before_it_answers_counts_once() -> None:
    now_s = 100.0
    roster = Roster(lambda: now_s, random.Random(1))
    roster.hear(beat("early", capacity=4))
    roster.choose("stt", CALL)
    roster.hear(beat("early", calls=1, capacity=4))
    roster.answered("stt", "early", CALL, taken=True)
    early = places(roster, "rtc_00_b")
    now_s += 1.0
    roster.hear(beat("early", calls=4, capacity=4))
    roster.hear(beat("late", capacity=4))
    roster.choose("stt", CALL)
    now_s += 0.1
    roster.hear(beat("late", calls=1, capacity=4))
    late = places(roster, "rtc_00_c", new=False)

    assert (early, late) == (3, 3)


def test_a_call_that_was_asked_for_counts_whatever_beats_were_under_way() -> None:
    roster = roster_of(beat("a", capacity=1))
    roster.choose("stt", CALL, new=True)
    for _ in range(3):
        roster.hear(beat("a", capacity=1))

    with pytest.raises(StageUnavailable):
        roster.require_room("stt")

    roster.answered("stt", "a", CALL, taken=False)
    roster.require_room("stt")


def test_a_call_that_was_taken_counts_until_the_beat_that_tells_of_it_and_once() -> None:
    roster = roster_of(beat("a", capacity=2))
    roster.choose("stt", CALL, new=True)
    roster.answered("stt", "a", CALL, taken=True)
    roster.answered("stt", "a", CALL, taken=False)
    before = places(roster, "rtc_00_b")
    for number in range(before):
        roster.answered("stt", "a", f"rtc_00_b{number}", taken=False)

    roster.hear(beat("a", calls=1, capacity=2))
    after = places(roster, "rtc_00_c")

    assert (before, after) == (1, 1)


def test_a_new_call_does_not_take_what_a_call_without_a_worker_waits_for() -> None:
    roster = roster_of(beat("left", calls=7))
    for _ in range(2):
        roster.seeks("stt", CALL)
    with pytest.raises(StageUnavailable):
        roster.require_room("stt")

    assert roster.choose("stt", CALL).worker == "left"
    roster.answered("stt", "left", CALL, taken=False)
    for _ in range(2):
        roster.seeks_no_more("stt", CALL)
    roster.require_room("stt")
