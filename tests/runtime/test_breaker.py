"""What fails again and again is left alone for a while, then one tries; on a clock that the test moves."""

import pytest

from trunkline.proto.errors import BadSettings
from trunkline.runtime.breaker import KNOWN_LIMIT, Breaker, Breakers, Rules, State, rules_of

RULES = Rules(failures=3, rest_s=10.0)


def failing(breaker: Breaker, times: int, now_s: float = 0.0) -> Breaker:
    for _ in range(times):
        breaker.failed(now_s)
    return breaker


def test_it_opens_with_so_many_failures_in_a_row_and_not_before() -> None:
    breaker = failing(Breaker(RULES), 2)

    assert (breaker.state, breaker.lets_through(0.0)) == (State.CLOSED, True)
    breaker.failed(0.0)
    assert (breaker.state, breaker.lets_through(9.9)) == (State.OPEN, False)


def test_a_success_between_failures_begins_the_count_anew() -> None:
    breaker = failing(Breaker(RULES), 2)
    breaker.succeeded()
    failing(breaker, 2)

    assert breaker.state is State.CLOSED


def test_once_it_has_rested_one_tries_and_nobody_else() -> None:
    breaker = failing(Breaker(RULES), 3)

    assert [breaker.lets_through(10.0) for _ in range(3)] == [True, False, False]
    assert breaker.state is State.HALF_OPEN


def test_a_try_that_succeeds_closes_it_and_one_that_fails_opens_it_for_as_long_again() -> None:
    breaker = failing(Breaker(RULES), 3)
    breaker.lets_through(10.0)
    breaker.failed(12.0)

    assert [breaker.lets_through(now_s) for now_s in (21.9, 22.0)] == [False, True]
    breaker.succeeded()
    assert (breaker.state, breaker.lets_through(22.0)) == (State.CLOSED, True)


def test_a_try_that_tells_nothing_is_followed_by_another_and_so_is_one_of_which_nothing_is_heard() -> None:
    breaker = failing(Breaker(RULES), 3)
    breaker.lets_through(10.0)
    breaker.left(11.0)

    assert breaker.lets_through(11.0)
    assert [breaker.lets_through(now_s) for now_s in (20.9, 21.0)] == [False, True]


def test_what_began_before_it_opened_changes_nothing_by_failing_and_closes_it_by_succeeding() -> None:
    breaker = failing(Breaker(RULES), 3)
    failing(breaker, 5, now_s=9.0)

    assert breaker.lets_through(10.0)
    breaker.succeeded()
    assert breaker.state is State.CLOSED


def test_without_a_number_of_failures_it_never_opens() -> None:
    assert failing(Breaker(Rules(failures=0)), 1000).lets_through(0.0)


def test_each_name_has_its_own_and_what_works_is_forgotten() -> None:
    breakers = Breakers("tool", RULES, lambda: 0.0)
    for _ in range(3):
        breakers.failed("lookup", "no answer")
        breakers.succeeded("weather")

    assert [breakers.lets_through(name) for name in ("lookup", "weather")] == [False, True]
    breakers.succeeded("lookup")
    assert breakers._known == {}


def test_of_many_names_as_many_are_known_as_there_is_room_for() -> None:
    breakers = Breakers("model", Rules(failures=1), lambda: 0.0)
    for number in range(2 * KNOWN_LIMIT):
        breakers.failed(f"name-{number}", "")

    assert len(breakers._known) == KNOWN_LIMIT
    assert breakers.state("name-0") is State.CLOSED
    assert breakers.state(f"name-{2 * KNOWN_LIMIT - 1}") is State.OPEN


@pytest.mark.parametrize(
    ("failures", "rest_s", "named"),
    [(-1, 10.0, "TRUNKLINE_BREAKER_FAILURES"), (6, 0.0, "TRUNKLINE_BREAKER_REST_S")],
)
def test_a_bad_setting_is_named(failures: int, rest_s: float, named: str) -> None:
    with pytest.raises(BadSettings, match=named):
        rules_of(failures, rest_s)
