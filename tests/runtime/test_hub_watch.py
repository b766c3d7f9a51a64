"""A worker closes the calls of a gateway that is gone, and its own when it was gone itself."""

import asyncio
from collections.abc import Awaitable, Callable

from runtime.stage import Stage, scenario
from support.virtual import stand_still
from trunkline.placement.beats import Beats
from trunkline.proto.placement import Accepted, Beat, CallFailed, Release
from trunkline.runtime.hub_watch import HUB_LIMIT_S, LOOK_S, HubWatch

WINDOW_S = 15.0


def watched(body: Callable[[Stage, Beats], Awaitable[None]], *, lost_window_s: float = 0.0) -> None:
    """A call "a" of a gateway that beats has been there for a second."""

    async def main(stage: Stage) -> None:
        watch = HubWatch(stage.worker)
        await watch.start()
        hub = Beats(stage.hub.bus, lambda: Beat("gateway", "gw", 0, 0, False, "0"))
        hub.start()
        stage.place("a")
        await asyncio.sleep(1)
        await body(stage, hub)
        hub.stop()
        await watch.stop()

    scenario(main, lost_window_s=lost_window_s)


def test_a_call_stays_while_its_gateway_beats() -> None:
    async def body(stage: Stage, hub: Beats) -> None:
        await asyncio.sleep(HUB_LIMIT_S * 10)
        assert stage.opened["a"].closed == []

    watched(body)


def test_calls_of_a_gateway_that_is_gone_free_their_places() -> None:
    async def body(stage: Stage, hub: Beats) -> None:
        hub.stop()
        await asyncio.sleep(HUB_LIMIT_S - LOOK_S)
        assert stage.pool.calls == 1
        await asyncio.sleep(3 * LOOK_S)
        assert stage.opened["a"].closed == ["lost"]
        assert stage.pool.calls == 0

    watched(body)


def test_a_call_that_another_gateway_may_take_waits_for_it_as_long_as_agreed() -> None:
    async def body(stage: Stage, hub: Beats) -> None:
        hub.stop()
        await asyncio.sleep(HUB_LIMIT_S + WINDOW_S - 2 * LOOK_S)
        assert stage.opened["a"].closed == []
        await asyncio.sleep(4 * LOOK_S)
        assert stage.opened["a"].closed == ["lost"]

    watched(body, lost_window_s=WINDOW_S)


def test_a_gateway_that_is_heard_again_keeps_its_calls_and_the_next_silence_starts_anew() -> None:
    async def body(stage: Stage, hub: Beats) -> None:
        for _ in range(3):
            hub.stop()
            await asyncio.sleep(WINDOW_S)
            hub.start()
            await asyncio.sleep(1)
        assert stage.opened["a"].closed == []

    watched(body, lost_window_s=WINDOW_S)


def test_calls_stay_while_the_bus_is_away_and_its_time_is_no_silence() -> None:
    async def body(stage: Stage, hub: Beats) -> None:
        hub.stop()
        await asyncio.sleep(HUB_LIMIT_S + 1)
        stage.worker_bus.away = True
        await asyncio.sleep(WINDOW_S * 10)
        assert stage.pool.calls == 1
        stage.worker_bus.away = False
        await asyncio.sleep(WINDOW_S + 1)
        assert stage.pool.calls == 0

    watched(body, lost_window_s=WINDOW_S)


def test_a_worker_that_was_cut_off_frees_the_call_that_was_moved_meanwhile_and_keeps_the_other() -> None:
    async def body(stage: Stage, hub: Beats) -> None:
        stage.hub.on_stray = lambda envelope: Release("moved")
        moved = stage.place("b")
        await asyncio.sleep(1)
        stage.worker_bus.away = True
        moved.close()  # the Release is lost with the connection
        await asyncio.sleep(40)
        assert stage.pool.calls == 2
        stage.worker_bus.away = False
        await asyncio.sleep(2 * LOOK_S)
        assert (stage.opened["a"].closed, stage.opened["b"].closed) == ([], ["moved"])

    watched(body, lost_window_s=WINDOW_S)


def test_a_worker_that_stood_still_gives_up_its_calls_and_tells_a_hub_that_still_counts_on_it() -> None:
    async def body(stage: Stage, hub: Beats) -> None:
        stand_still(HUB_LIMIT_S + LOOK_S + 0.1)
        await asyncio.sleep(0.1)
        assert stage.opened["a"].closed == ["superseded"]
        assert stage.heard["a"] == [Accepted(), CallFailed("superseded")]
        stage.place("a", number=2)
        await asyncio.sleep(HUB_LIMIT_S + 1)
        assert stage.pool.calls == 1

    watched(body, lost_window_s=WINDOW_S)


def test_a_worker_that_was_slow_for_a_moment_keeps_its_calls() -> None:
    async def body(stage: Stage, hub: Beats) -> None:
        stand_still(HUB_LIMIT_S - 0.1)
        await asyncio.sleep(1)
        assert stage.opened["a"].closed == []

    watched(body)
