"""New calls go to shards of the record that answer."""

import asyncio
import random
from collections.abc import Awaitable, Callable

import pytest

from support.virtual import run_virtual
from trunkline.proto.errors import RecordUnavailable
from trunkline.proto.ids import SHARDS
from trunkline.record.shard_health import ASK_AGAIN_S, PATIENCE_S, Doubts, ShardHealth

LIMIT_S = 0.3  # that a question takes which nobody answers
WAY_S = 0.002


class Leaders:
    """Of all shards; who is in `away` answers nothing. asked: the shards, in order."""

    def __init__(self) -> None:
        self.away: set[int] = set()
        self.asked: list[int] = []

    async def probe(self, shard: int) -> bool:
        self.asked.append(shard)
        if shard in self.away:
            await asyncio.sleep(LIMIT_S)
            return False
        await asyncio.sleep(WAY_S)
        return True

    @property
    def rounds(self) -> int:
        return len(self.asked) // SHARDS


def on(body: Callable[[ShardHealth, Leaders], Awaitable[None]]) -> None:
    async def main() -> None:
        leaders = Leaders()
        health = ShardHealth(leaders.probe, random.Random(1))
        await body(health, leaders)
        await health.stop()

    run_virtual(main())


async def chosen(health: ShardHealth) -> set[int]:
    return {await health.choose() for _ in range(400)}


def now_s() -> float:
    return asyncio.get_running_loop().time()


def test_without_a_doubt_nobody_is_asked_and_all_shards_take_calls() -> None:
    async def body(health: ShardHealth, leaders: Leaders) -> None:
        assert await chosen(health) == set(range(SHARDS))
        assert leaders.asked == []

    on(body)


def test_while_all_are_in_doubt_a_call_waits_for_the_first_that_answers() -> None:
    async def body(health: ShardHealth, leaders: Leaders) -> None:
        leaders.away = set(range(1, SHARDS))
        health.doubt_all()

        assert (await health.choose(), round(now_s(), 4)) == (0, WAY_S)

    on(body)


def test_a_shard_that_does_not_answer_takes_no_call_until_it_does_and_then_nobody_is_asked_any_more() -> None:
    async def body(health: ShardHealth, leaders: Leaders) -> None:
        leaders.away = {3, 7}
        health.doubt_all()
        await asyncio.sleep(LIMIT_S + 0.01)
        assert await chosen(health) == set(range(SHARDS)) - {3, 7}
        leaders.away = set()
        await asyncio.sleep(ASK_AGAIN_S)
        assert await chosen(health) == set(range(SHARDS))
        rounds = leaders.rounds
        await asyncio.sleep(10)

        assert (rounds, leaders.rounds) == (2, 2)

    on(body)


def test_when_no_shard_answers_a_call_is_refused_and_told_when_to_come_again() -> None:
    async def body(health: ShardHealth, leaders: Leaders) -> None:
        leaders.away = set(range(SHARDS))
        health.doubt_all()

        with pytest.raises(RecordUnavailable) as refused:
            await health.choose()
        took_s = now_s()
        with pytest.raises(RecordUnavailable):
            await health.choose()

        assert (round(took_s, 3), now_s()) == (LIMIT_S, took_s)  # the next is refused at once
        assert str(refused.value) == "no call can be taken at present: no shard of the record answers"
        assert refused.value.retry_after_s > 0

    on(body)


def test_shards_that_somebody_waits_for_are_asked_at_most_once_a_second() -> None:
    async def body(health: ShardHealth, leaders: Leaders) -> None:
        leaders.away = {5}
        for _ in range(30):
            health.doubt([5])
            assert 5 not in await chosen(health)
            await asyncio.sleep(0.1)

        assert leaders.rounds == 3

    on(body)


def test_servers_that_come_and_go_have_all_asked_at_once() -> None:
    async def body(health: ShardHealth, leaders: Leaders) -> None:
        health.doubt_all()
        await asyncio.sleep(0.1)
        health.doubt_all()
        await asyncio.sleep(0.1)

        assert leaders.rounds == 2

    on(body)


def test_once_it_is_stopped_nobody_is_asked_though_servers_still_come_and_go() -> None:
    async def body(health: ShardHealth, leaders: Leaders) -> None:
        await health.stop()
        health.doubt_all()
        health.doubt([5])
        await asyncio.sleep(ASK_AGAIN_S)

        assert leaders.asked == []

    on(body)


def test_work_for_a_shard_that_falls_silent_is_cancelled_and_for_another_it_is_not() -> None:
    async def body(health: ShardHealth, leaders: Leaders) -> None:
        async def work() -> None:
            await asyncio.sleep(2)

        on_five = asyncio.create_task(health.unless_silent(5, work()))
        on_six = asyncio.create_task(health.unless_silent(6, work()))
        await asyncio.sleep(1)
        leaders.away = {5}
        health.doubt([5])

        assert (await on_five, round(now_s(), 2)) == (False, 1 + LIMIT_S)
        assert (await on_six, round(now_s(), 2)) == (True, 2.0)

    on(body)


def test_a_shard_for_which_work_waits_is_asked_though_nobody_doubts_and_all_others_if_it_is_silent() -> None:
    async def body(health: ShardHealth, leaders: Leaders) -> None:
        leaders.away = {5, 6}

        done = await health.unless_silent(5, asyncio.sleep(2))
        took_s = now_s()
        usable = await chosen(health)
        waited_s = now_s() - took_s

        assert (done, round(took_s, 3)) == (False, PATIENCE_S + LIMIT_S)
        assert (usable, round(waited_s, 3)) == (set(range(SHARDS)) - {5, 6}, WAY_S)

    on(body)


def test_work_that_takes_its_time_goes_on_when_its_shard_answers() -> None:
    async def body(health: ShardHealth, leaders: Leaders) -> None:
        leaders.away = {5}

        assert (await health.unless_silent(6, asyncio.sleep(2)), now_s()) == (True, 2.0)
        assert leaders.asked == [6]

    on(body)


def test_work_that_is_done_at_once_has_nobody_asked() -> None:
    async def body(health: ShardHealth, leaders: Leaders) -> None:
        leaders.away = {5}

        assert await health.unless_silent(5, asyncio.sleep(PATIENCE_S / 2))
        assert leaders.asked == []

    on(body)


def test_what_the_work_raises_is_raised() -> None:
    async def body(health: ShardHealth, leaders: Leaders) -> None:
        async def work() -> None:
            raise ValueError("no")

        with pytest.raises(ValueError, match="no"):
            await health.unless_silent(5, work())

    on(body)


def test_an_answer_to_a_question_from_before_the_doubt_settles_nothing() -> None:
    doubts = Doubts()
    doubts.about([4])
    asked = doubts.number
    doubts.about([4])

    doubts.answered(4, asked)
    before = 4 in doubts.well
    doubts.answered(4, doubts.number)

    assert (before, 4 in doubts.well, bool(doubts)) == (False, True, False)


def test_numbers_that_are_no_shards_are_nothing_to_doubt() -> None:
    doubts = Doubts()

    doubts.about([-1, SHARDS, 99])

    assert not doubts
