"""A call is taken up where it can go on, and leaves nothing behind where it can't."""

import asyncio

import msgspec
import pytest

from gateway.past_call import CALL, GATEWAY, put
from gateway.scene import Line, Scene, settle
from support.virtual import run_virtual
from trunkline.bus.exchange import Exchange
from trunkline.bus.memory import MemoryBus
from trunkline.gateway.call_events import CallOver
from trunkline.gateway.calls import Calls
from trunkline.gateway.farewell import FAREWELL_LIMIT_S
from trunkline.gateway.resuming import AT_ONCE, TURN_LIMIT_S, NoSuchCall, Progress, Resumption, next_hub
from trunkline.placement.roster import Roster
from trunkline.proto.errors import StageUnavailable
from trunkline.record import CallView, MemoryRecordStore, Reading, StoredEntry


def test_a_call_that_is_over_before_its_record_was_read_again_takes_no_worker() -> None:
    async def main() -> None:
        async with Scene() as scene:
            store = MemoryRecordStore()
            await put(store)
            resumption = Resumption(scene.calls, store)
            record = await resumption.find(CALL)
            read_on = resumption.read_on

            async def read_on_meanwhile(record: Reading) -> CallView:
                for call in list(scene.calls._calls.values()):
                    call.let_go()
                return await read_on(record)

            resumption.read_on = read_on_meanwhile  # type: ignore[method-assign]
            with pytest.raises(StageUnavailable):
                await resumption.take_up(record, None)
            await settle(1.0)

            assert [session for session in scene.stt.sessions + scene.tts.sessions if not session.closed] == []
            assert len(scene.calls) == 0

    run_virtual(main())


def test_the_gateway_that_had_the_call_lets_go_of_it_at_once() -> None:
    async def main() -> None:
        async with Scene() as scene:
            bus = MemoryBus(scene.broker)
            elsewhere = Exchange(bus, "gateway", GATEWAY)
            roster = Roster(elsewhere.now_s)
            await elsewhere.start()
            await roster.start(bus)
            await settle(1.0)
            before = Calls(elsewhere, roster, 0)
            mine = before.succeed(CALL, 1, "", "")
            other = before.succeed("rtc_00_other", 1, "", "")
            line = Line(mine)
            mine.start(line)
            store = MemoryRecordStore()
            await put(store)
            resumption = Resumption(scene.calls, store)
            taken = await resumption.take_up(await resumption.find(CALL), None)
            await settle()

            assert (mine.ended, mine.superseded, other.ended) == (True, True, False)
            assert [event.code for event in line.events if isinstance(event, CallOver)] == ["moved"]
            assert not taken.call.ended
            for call in (other, taken.call):
                call.end("caller_hung_up")
            await settle()
            before.stop()
            await roster.stop()
            await elsewhere.stop()

    run_virtual(main())


class Slow(MemoryRecordStore):
    """Each answer takes its time. asked: the calls whose records were read first, in order; most: at a time."""

    def __init__(self, answer_s: float) -> None:
        super().__init__()
        self.asked: list[str] = []
        self.now = self.most = 0
        self._answer_s = answer_s

    async def read(self, call: str, *, after_seq: int = 0) -> list[StoredEntry]:
        if call not in self.asked:
            self.asked.append(call)
        self.now += 1
        self.most = max(self.most, self.now)
        await asyncio.sleep(self._answer_s)
        self.now -= 1
        return await super().read(call, after_seq=after_seq)


def test_of_many_calls_that_come_back_a_few_are_taken_up_at_a_time_in_the_order_in_which_they_came() -> None:
    async def main() -> None:
        async with Scene() as scene:
            store = Slow(0.01)
            calls = [f"rtc_07_past{number}" for number in range(2 * AT_ONCE)]
            for call in calls:
                await put(store, call)
            resumption = Resumption(scene.calls, store)
            taken = await asyncio.gather(*(resumption.take_up(resumption.record_of(call), None) for call in calls))

            assert store.asked == calls
            assert store.most == AT_ONCE
            assert len(scene.calls) == len(calls)
            for one in taken:
                one.call.end("caller_hung_up")
            await settle()

    run_virtual(main())


def test_a_call_whose_turn_does_not_come_is_left_to_another_gateway() -> None:
    async def main() -> None:
        async with Scene() as scene:
            store = Slow(TURN_LIMIT_S + 0.1)
            resumption = Resumption(scene.calls, store)
            records = [resumption.record_of(f"rtc_07_past{number}") for number in range(AT_ONCE + 1)]
            taken = await asyncio.gather(*(resumption.take_up(one, None) for one in records), return_exceptions=True)

            assert [type(one) for one in taken] == [NoSuchCall] * AT_ONCE + [StageUnavailable]
            assert len(store.asked) == AT_ONCE

    run_virtual(main())


def test_a_later_attempt_outranks_an_earlier_one_from_the_same_record() -> None:
    base = next_hub(1)

    numbers = [next_hub(base, attempt) for attempt in range(50)]

    assert numbers == sorted(numbers)
    assert numbers[0] > base
    assert len({next_hub(base) for _ in range(20)}) > 1  # two gateways at once don't have the same


def test_a_client_that_asks_again_outranks_what_it_asked_before() -> None:
    async def main() -> None:
        async with Scene() as scene:
            store = MemoryRecordStore()
            await put(store)
            resumption = Resumption(scene.calls, store)
            progress = Progress(settled_to=0, kept_from=0, end=0)
            again = msgspec.structs.replace(progress, attempt=1)
            later = await resumption.take_up(await resumption.find(CALL), again)
            with pytest.raises(StageUnavailable, match="a later placement"):
                await resumption.take_up(await resumption.find(CALL), progress)

            assert not later.call.ended
            later.call.end("caller_hung_up")
            await settle()

    run_virtual(main())


def test_a_full_gateway_takes_back_its_own_caller() -> None:
    async def main() -> None:
        async with Scene() as scene:
            store = MemoryRecordStore()
            await put(store)
            first = scene.calls.succeed(CALL, 2, "", "the caller came back")
            await first.place("agent")
            scene.calls.capacity = 1
            resumption = Resumption(scene.calls, store)
            again = await resumption.take_up(await resumption.find(CALL), None)

            assert len(scene.calls) == 1
            with pytest.raises(StageUnavailable):
                await scene.calls.place("")
            again.call.end("caller_hung_up")
            await settle()

    run_virtual(main())


def test_a_client_that_comes_after_the_end_of_its_call_is_told_so() -> None:
    async def main() -> None:
        async with Scene() as scene:
            call = await scene.calls.place("")
            call.drain()
            line = Line(call)
            call.start(line)

            assert [event.code for event in line.events if isinstance(event, CallOver)] == ["draining"]

    run_virtual(main())


def test_an_end_that_nobody_wrote_is_left_to_adoption() -> None:
    async def main() -> None:
        async with Scene() as scene:
            call, _ = await scene.call()
            await scene.agent.kill()
            call.end("caller_hung_up")
            await settle(FAREWELL_LIMIT_S - 1.0)
            assert not scene.calls.abandoned
            await settle(2.0)

            assert scene.calls.abandoned

    run_virtual(main())
