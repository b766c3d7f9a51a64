"""One timer for all playouts: each is pumped when it is due, and nobody wakes for those that aren't."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from support.virtual import run_virtual
from trunkline.gateway import metrics
from trunkline.gateway.ticker import PERIOD_S, Ticker


def ticking(script: Callable[[Ticker, Callable[[], float]], Awaitable[None]]) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        ticker = Ticker(loop)
        await script(ticker, loop.time)
        ticker.close()

    run_virtual(main())


def test_a_pump_is_called_once_on_the_first_beat_from_its_time_on() -> None:
    async def script(ticker: Ticker, now_s: Callable[[], float]) -> None:
        called_s: list[float] = []
        ticker.at(lambda: called_s.append(now_s()), now_s() + 0.095)
        await asyncio.sleep(0.5)
        assert len(called_s) == 1
        assert 0.095 <= called_s[0] <= 0.095 + PERIOD_S

    ticking(script)


def test_those_who_are_due_within_a_beat_are_pumped_in_one_turn() -> None:
    async def script(ticker: Ticker, now_s: Callable[[], float]) -> None:
        called_s: list[float] = []
        pumps = [lambda: called_s.append(now_s()) for _ in range(5)]
        for number, pump in enumerate(pumps):
            ticker.at(pump, 0.101 + number * 0.004)
        await asyncio.sleep(0.5)
        assert len(called_s) == 5
        assert len(set(called_s)) == 1

    ticking(script)


def test_of_several_times_the_last_counts() -> None:
    async def script(ticker: Ticker, now_s: Callable[[], float]) -> None:
        called_s: list[float] = []

        def pump() -> None:
            called_s.append(now_s())

        for due_s in (0.3, 5.0, 0.1):
            ticker.at(pump, due_s)
        await asyncio.sleep(6.0)
        assert [round(each, 3) for each in called_s] == [0.1]

    ticking(script)


def test_a_pump_that_is_due_again_by_its_own_doing_waits_for_the_next_beat() -> None:
    async def script(ticker: Ticker, now_s: Callable[[], float]) -> None:
        called_s: list[float] = []

        def pump() -> None:
            called_s.append(now_s())
            ticker.at(pump, 0.0)

        ticker.at(pump, 0.0)
        await asyncio.sleep(0.1)
        assert 4 <= len(called_s) <= 6

    ticking(script)


def test_nobody_is_pumped_who_was_removed_also_in_the_turn_in_which_he_is_due() -> None:
    async def script(ticker: Ticker, now_s: Callable[[], float]) -> None:
        called: list[str] = []

        def one() -> None:
            called.append("one")
            ticker.remove(other)

        def other() -> None:
            called.append("other")
            ticker.remove(one)

        ticker.at(one, 0.1)
        ticker.at(other, 0.1)
        await asyncio.sleep(0.5)
        assert len(called) == 1

    ticking(script)


def test_after_a_standstill_all_beats_are_made_up_for_at_once_and_with_no_other_timer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    late_s: list[float] = []
    monkeypatch.setattr(metrics.ticker_late_s, "observe", late_s.append)

    async def script(ticker: Ticker, now_s: Callable[[], float]) -> None:
        await asyncio.sleep(5.0)
        pumps: list[Callable[[], None]] = [lambda: ticker.at(pumps[0], 10.0), lambda: ticker.at(pumps[1], 9.0)]
        ticker.at(pumps[0], 1.0)
        ticker.at(pumps[1], 2.0)
        await asyncio.sleep(0.1)
        assert [round(each) for each in late_s] == [4]
        await asyncio.sleep(3.91)
        assert [round(each) for each in late_s] == [4, 0]

    ticking(script)
