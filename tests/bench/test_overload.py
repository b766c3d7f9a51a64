"""What an overloaded run comes to is told from runs that count; what the crowd is told is read as it stands."""

import asyncio
from argparse import Namespace
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from bench import overload
from bench.deaf import TASK, DeafOnes, Told
from bench.overload import Plan
from bench.overload_report import (
    LEAVING_S,
    Alone,
    Crowded,
    Pair,
    Weighed,
    crowded,
    measured,
    require_counted,
    slopes,
    text,
)
from bench.storm import Stormed, Tried, answer_of, quantiles_ms, statuses
from bench.storming import joined, orders
from support.virtual import run_over_sockets
from system.whole import KEY, Whole
from trunkline.cli.errors import ProcessEnded
from trunkline.cli.load.report import Report, quantiles
from trunkline.cli.load.services import Target


def a_report(p99: float | None, failed: int = 0) -> Report:
    audio = None if p99 is None else SimpleNamespace(p99=p99)
    told = SimpleNamespace(first_audio_ms=audio, failed_calls=failed, failures={"refused": failed}, valid=True)
    return cast(Report, told)


def a_pair(
    alone: float | None = 100.0,
    crowded: float | None = 130.0,
    failed: int = 0,
    refused: int = 5,
    let_in: int = 0,
    cut: int = 1,
    late_ms: float = 1.0,
) -> Pair:
    told = {"503": refused} if refused else {"429": 1}
    storm = Crowded(
        report=a_report(crowded, failed),
        statuses=told,
        refusal_ms={"p50": 2.0, "p99": 9.0},
        burst_statuses={"101": let_in} if let_in else {},
        burst_ms={},
        late_ms=quantiles([late_ms]),
        deaf_ones=1,
        deaf=Told(cut, cut, {}),
        weighed=[Weighed(0.0, {"gateway": 2048}), Weighed(1.0, {"gateway": 1024})],
        kb_per_minute={},
    )
    return Pair(Alone(a_report(alone)), storm)


def test_a_pair_is_told_by_the_ratio_of_its_p99() -> None:
    lines = text(measured(20, [a_pair(), a_pair(crowded=150.0), a_pair(crowded=300.0)]))

    assert lines[-1] == "median ratio 1.50 (goal 1.5)"
    assert lines[1].split()[:6] == ["100", "130", "1.30", "5", "2.0", "9.0"]
    assert "pair 1: gateway 2.0 > 1.0 > 1.0 MB, too short for a slope" in lines


@pytest.mark.parametrize(
    "pair",
    [
        a_pair(failed=1),
        a_pair(alone=None),
        a_pair(crowded=None),
        a_pair(refused=0),
        a_pair(let_in=1),
        a_pair(cut=0),
    ],
)
def test_a_run_that_lost_callers_or_refused_not_all_or_cut_nobody_off_is_no_figure(pair: Pair) -> None:
    with pytest.raises(SystemExit):
        require_counted(pair)


def test_pairs_that_count_stand_though_a_later_one_does_not() -> None:
    require_counted(a_pair())

    assert text(measured(20, [a_pair()], "crowded: 1 calls failed"))[-3:] == [
        "NOT COUNTED: crowded: 1 calls failed",
        "",
        "median ratio 1.30 (goal 1.5)",
    ]
    assert text(measured(20, [], "nobody was refused")) == ["NOT COUNTED: nobody was refused"]


def test_slow_dialers_are_known_for_what_they_are() -> None:
    assert "slow themselves" in text(measured(20, [a_pair(late_ms=30.0)]))[1]
    assert "slow themselves" not in text(measured(20, [a_pair()]))[1]


def test_a_refusal_s_status_and_time_to_come_back_are_read() -> None:
    head = b"HTTP/1.1 503 Service Unavailable\r\nretry-after: 3\r\nContent-Length: 0\r\n\r\n"

    assert answer_of(head) == (503, 3.0)
    assert answer_of(b"HTTP/1.1 101 Switching Protocols\r\n\r\n") == (101, 1.0)


def test_only_refusals_are_timed_and_all_are_counted() -> None:
    tried = [Tried(0.0, 4.0, 503, 1.0), Tried(0.0, 6.0, 429, 1.0), Tried(0.0, 900.0, 101, 1.0)]

    assert quantiles_ms(tried)["p50"] == 5.0
    assert quantiles_ms(tried[2:]) == {}
    assert statuses(tried) == {"101": 1, "429": 1, "503": 1}


def test_who_is_let_in_as_callers_hang_up_does_not_count() -> None:
    before = Tried(0.0, 4.0, 503, 1.0)
    behind = Tried(10.0 - LEAVING_S, 1.0, 101, 1.0)

    told = crowded(a_report(1.0), Stormed([before, behind], [behind], [0.5]), 0, Told(0, 0, {}), [], 10.0)

    assert told.statuses == {"503": 1}
    assert told.burst_statuses == {}


def test_many_dialers_are_shared_by_as_many_processes_as_there_are_cores() -> None:
    target = Target("http://127.0.0.1:1", "sk-test")

    assert [(one.dialers, one.burst) for one in orders(target, 40, 200, cores=2)] == [(40, 200)]
    assert [(one.dialers, one.burst) for one in orders(target, 1001, 3, cores=2)] == [(501, 2), (500, 1)]
    assert joined([Stormed([], [], [1.0]), Stormed([], [], [2.0])]).late_ms == [1.0, 2.0]


def test_memory_that_grows_has_a_slope_with_its_interval() -> None:
    told = slopes([Weighed(at_s, {"gateway": 1000 + 10 * at_s, "agent": 500}) for at_s in range(300)])

    assert told["gateway"].slope is not None
    assert told["gateway"].slope.per_x == pytest.approx(600)
    assert told["gateway"].verdict == "leaks"
    assert told["agent"].verdict == "flat"
    assert slopes([Weighed(at_s, {"gateway": at_s}) for at_s in range(60)]) == {}


def test_one_that_reads_nothing_is_cut_off_and_comes_back_again_and_again_and_hangs_up_at_last() -> None:
    async def main() -> None:
        async with Whole("hello", capacity=1) as stack:
            gateway = stack.gateways[0]
            async with DeafOnes(Target(stack.addresses[0].base, KEY), 1, 10.0) as deaf:
                while deaf.told.came_back < 2:  # noqa: ASYNC110  # nobody tells of it
                    await asyncio.sleep(0.1)
                assert gateway.load()[0] == 1
            while gateway.load()[0]:  # noqa: ASYNC110  # nobody tells of it
                await asyncio.sleep(0.1)

            assert deaf.told.cut >= deaf.told.came_back >= 2
            assert deaf.told.refused == {}

    run_over_sockets(main())


def test_one_that_reads_nothing_and_finds_no_place_ends_the_run() -> None:
    async def main() -> None:
        async with Whole("hello", capacity=1) as stack:
            target = Target(stack.addresses[0].base, KEY)
            async with DeafOnes(target, 1, 10.0):
                with pytest.raises(SystemExit, match="503"):
                    async with DeafOnes(target, 1, 3.0):
                        pass

    run_over_sockets(main())


def deaf_tasks() -> int:
    return sum(task.get_name() == TASK for task in asyncio.all_tasks())


def test_a_run_that_ends_before_one_is_let_in_leaves_nobody_who_dials() -> None:
    async def main() -> int:
        async with Whole("hello", capacity=1) as stack:
            target = Target(stack.addresses[0].base, KEY)
            async with DeafOnes(target, 1, 10.0):
                with pytest.raises(TimeoutError):
                    async with asyncio.timeout(1.0), DeafOnes(target, 1, 10.0):
                        pass
                return deaf_tasks()

    assert run_over_sockets(main()) == 1


def test_a_goodbye_that_nobody_answers_keeps_nobody_for_good() -> None:
    async def main() -> int:
        gone = asyncio.Semaphore(0)

        async def let_in(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(b"HTTP/1.1 101 Switching Protocols\r\n\r\nsession.created")
            await reader.read()
            writer.close()
            gone.release()

        async with await asyncio.start_server(let_in, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            async with DeafOnes(Target(f"http://127.0.0.1:{port}", KEY), 1, 10.0):
                pass
            await gone.acquire()
            return deaf_tasks()

    assert run_over_sockets(main()) == 0


@pytest.mark.parametrize("error", [SystemExit("too few"), TimeoutError("too late"), ProcessEnded("agent", 7)])
def test_a_size_that_fails_says_why_and_leaves_the_pairs_that_it_has(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, error: BaseException
) -> None:
    async def fail() -> None:
        raise error

    async def measure(plan: Plan, out: Path, made: list[Pair]) -> None:
        made.append(a_pair())
        async with asyncio.TaskGroup() as group:
            group.create_task(fail())

    monkeypatch.setattr(overload, "measure", measure)

    one = overload.of_size(20, Namespace(seconds=2.0, pairs=2, burst=0, deaf=0), tmp_path)

    assert one.why_not == str(error)
    assert one.ratio == pytest.approx(1.3)
