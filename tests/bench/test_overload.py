"""What an overloaded run comes to is told from runs that count; what the crowd is told is read as it stands."""

from types import SimpleNamespace
from typing import cast

import pytest

from bench.overload import Alone, Crowded, Pair, require_counted, slope_per_minute, text
from bench.storm import Tried, answer_of, quantiles_ms, statuses
from trunkline.cli.load.report import Report


def a_report(p99: float | None, failed: int = 0) -> Report:
    audio = None if p99 is None else SimpleNamespace(p99=p99)
    told = SimpleNamespace(first_audio_ms=audio, failed_calls=failed, failures={"refused": failed}, valid=True)
    return cast(Report, told)


def a_pair(alone: float | None = 100.0, crowded: float | None = 130.0, failed: int = 0, refused: int = 5) -> Pair:
    told = {"503": refused} if refused else {"101": 1}
    storm = Crowded(a_report(crowded, failed), told, {"p50": 2.0, "p99": 9.0}, {}, {}, [2048, 1024], 3.0)
    return Pair(Alone(a_report(alone)), storm)


def test_a_pair_is_told_by_the_ratio_of_its_p99() -> None:
    lines = text([a_pair(), a_pair(crowded=150.0), a_pair(crowded=300.0)])

    assert lines[-1] == "median ratio 1.50 (goal 1.5)"
    assert lines[1].split()[:6] == ["100", "130", "1.30", "5", "2.0", "9.0"]


@pytest.mark.parametrize("pair", [a_pair(failed=1), a_pair(alone=None), a_pair(crowded=None), a_pair(refused=0)])
def test_a_run_that_lost_callers_or_refused_nobody_is_no_figure(pair: Pair) -> None:
    with pytest.raises(SystemExit):
        require_counted(pair)


def test_a_refusal_s_status_and_time_to_come_back_are_read() -> None:
    head = b"HTTP/1.1 503 Service Unavailable\r\nretry-after: 3\r\nContent-Length: 0\r\n\r\n"

    assert answer_of(head) == (503, 3.0)
    assert answer_of(b"HTTP/1.1 101 Switching Protocols\r\n\r\n") == (101, 1.0)


def test_only_refusals_are_timed_and_all_are_counted() -> None:
    tried = [Tried(0.0, 4.0, 503, 1.0), Tried(0.0, 6.0, 429, 1.0), Tried(0.0, 900.0, 101, 1.0)]

    assert quantiles_ms(tried)["p50"] == 5.0
    assert quantiles_ms(tried[2:]) == {}
    assert statuses(tried) == {"101": 1, "429": 1, "503": 1}


def test_memory_that_grows_has_a_slope() -> None:
    assert slope_per_minute([100, 101, 102, 103]) == 60.0
    assert slope_per_minute([100] * 5) == 0.0
    assert slope_per_minute([100]) == 0.0
