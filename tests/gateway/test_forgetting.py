"""Calls are forgotten when they have been over for long enough, by the gateway that leads, and no other call is."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from support.virtual import run_virtual
from trunkline.gateway.forgetting import LATEST_S, Forgetting
from trunkline.proto.record import CallSummary
from trunkline.record import MemoryRecordStore, StoreUnavailable

DAY_S = 86_400.0
BEGAN_S = 1_800_000_000.0


class Store(MemoryRecordStore):
    """away: it answers nobody. stuck: calls that it can't forget."""

    away = False
    stuck: frozenset[str] = frozenset()

    async def forget(self, call: str) -> None:
        if call in self.stuck:
            raise StoreUnavailable(f"what is kept of {call}", 1.0)
        await super().forget(call)

    async def summaries(self) -> list[CallSummary]:
        if self.away:
            raise StoreUnavailable("the index", 1.0)
        return await super().summaries()

    async def keep(self, call: str, ended_s: float | None) -> None:
        """ended_s: None for a call that goes on."""
        await self.append(call, b"one", expected_seq=0, entry=f"{call}_1")
        ended_us = int(1e6 * ended_s) if ended_s is not None else 0
        status = "live" if ended_s is None else "ended"
        await self.put_summary(CallSummary(call, "desk", started_us=1, ended_us=ended_us, status=status))

    async def calls(self) -> set[str]:
        return {line.call for line in await super().summaries()}


@asynccontextmanager
async def forgetting(store: Store, kept_s: float = DAY_S, *, leads: bool = True) -> AsyncIterator[None]:
    loop = asyncio.get_running_loop()
    kept = Forgetting(store, kept_s, lambda: leads, lambda: BEGAN_S + loop.time())
    kept.start()
    try:
        yield
    finally:
        await kept.stop()


def test_a_call_is_forgotten_a_day_after_its_end_and_not_sooner() -> None:
    async def main() -> None:
        store = Store()
        await store.keep("rtc_00_over", BEGAN_S)
        async with forgetting(store):
            await asyncio.sleep(DAY_S - 1)
            assert await store.calls() == {"rtc_00_over"}
            await asyncio.sleep(LATEST_S + 2)

            assert await store.calls() == set()
            assert await store.read("rtc_00_over") == []

    run_virtual(main())


def test_a_call_that_goes_on_is_kept_however_old_it_is() -> None:
    async def main() -> None:
        store = Store()
        await store.keep("rtc_00_live", None)
        async with forgetting(store):
            await asyncio.sleep(3 * DAY_S)

            assert await store.calls() == {"rtc_00_live"}

    run_virtual(main())


def test_a_gateway_that_does_not_lead_forgets_nothing() -> None:
    async def main() -> None:
        store = Store()
        await store.keep("rtc_00_over", BEGAN_S)
        async with forgetting(store, leads=False):
            await asyncio.sleep(2 * DAY_S)

            assert await store.calls() == {"rtc_00_over"}

    run_virtual(main())


def test_by_default_calls_are_kept_for_ever() -> None:
    async def main() -> None:
        store = Store()
        await store.keep("rtc_00_over", 1.0)
        async with forgetting(store, kept_s=0.0):
            await asyncio.sleep(30 * DAY_S)

            assert await store.calls() == {"rtc_00_over"}

    run_virtual(main())


def test_a_store_that_was_away_is_looked_at_again() -> None:
    async def main() -> None:
        store = Store()
        await store.keep("rtc_00_over", 1.0)
        store.away = True
        async with forgetting(store):
            await asyncio.sleep(3 * LATEST_S)
            store.away = False
            await asyncio.sleep(LATEST_S + 1)

            assert await store.calls() == set()

    run_virtual(main())


def test_a_call_that_cannot_be_forgotten_keeps_no_other_and_is_tried_again(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        store = Store()
        names = [f"rtc_00_{number}" for number in range(5)]
        for name in names:
            await store.keep(name, 1.0)
        store.stuck = frozenset(names[1:3])
        async with forgetting(store):
            await asyncio.sleep(5 * LATEST_S)
            assert await store.calls() == store.stuck
            store.stuck = frozenset(names[1:2])
            await asyncio.sleep(LATEST_S + 1)

            assert await store.calls() == store.stuck

    run_virtual(main())

    told = [record.__dict__["facts"]["call"] for record in caplog.records if record.levelname == "WARNING"]
    assert sorted(told) == ["rtc_00_1", "rtc_00_2"]


def test_of_calls_that_cannot_be_forgotten_a_bounded_number_is_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trunkline.gateway.forgetting.REMEMBERED", 3)

    async def main() -> None:
        store = Store()
        store.stuck = frozenset(f"rtc_00_{number}" for number in range(10))
        for name in sorted(store.stuck):
            await store.keep(name, 1.0)
        kept = Forgetting(store, DAY_S, lambda: True, lambda: BEGAN_S)

        await kept.look()
        await kept.look()

        assert len(kept.stuck) == 3

    run_virtual(main())
