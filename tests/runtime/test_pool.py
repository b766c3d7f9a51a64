"""The call pool places, declines, contains and releases."""

import asyncio

from runtime.stage import Stage, scenario
from trunkline.proto.audio import AudioChunk
from trunkline.proto.placement import Accepted, CallFailed, Declined, Release, Superseded
from trunkline.proto.speech import Discard, Silent


def test_a_full_worker_declines_and_a_release_makes_room() -> None:
    async def body(stage: Stage) -> None:
        links = [stage.place(call) for call in ("a", "b", "c")]
        await asyncio.sleep(0.1)
        assert stage.heard["c"] == [Declined("full", "2 calls", 1.0)]
        links[0].send(Release("done"))
        await asyncio.sleep(0.1)
        assert stage.opened["a"].closed == ["done"]
        stage.place("d")
        await asyncio.sleep(0.1)
        assert stage.heard["d"] == [Accepted()]
        assert stage.pool.calls == 2

    scenario(body)


def test_a_draining_worker_declines_and_keeps_its_calls() -> None:
    async def body(stage: Stage) -> None:
        link = stage.place("a")
        await asyncio.sleep(0.1)
        stage.pool.draining = True
        stage.place("b")
        link.send(Silent(1))
        await asyncio.sleep(0.1)
        assert isinstance(stage.heard["b"][0], Declined)
        assert stage.opened["a"].got == [Silent(1)]

    scenario(body)


def test_a_call_that_raises_is_closed_and_reported_and_the_other_goes_on() -> None:
    async def body(stage: Stage) -> None:
        broken, other = stage.place("a"), stage.place("b")
        await asyncio.sleep(0.1)
        broken.send(Discard(0))
        other.send(Silent(2))
        await asyncio.sleep(0.1)
        assert stage.heard["a"] == [Accepted(), CallFailed("RuntimeError: broken")]
        assert stage.opened["a"].closed == ["broke here: RuntimeError"]
        assert stage.opened["b"].got == [Silent(2)]
        assert stage.pool.calls == 1

    scenario(body)


def test_audio_that_breaks_a_call_breaks_only_that_call() -> None:
    async def body(stage: Stage) -> None:
        link = stage.place("a")
        await asyncio.sleep(0.1)
        link.send_audio(AudioChunk(1, link.attach, 0, 0, b"\0\0"))
        await asyncio.sleep(0.1)
        assert stage.heard["a"] == [Accepted(), CallFailed("ValueError: broken audio")]
        assert stage.pool.calls == 0

    scenario(body)


def test_a_later_placement_replaces_an_earlier_and_never_the_other_way() -> None:
    async def body(stage: Stage) -> None:
        stage.place("a", number=2)
        await asyncio.sleep(0.1)
        first = stage.opened["a"]
        stage.place("a", number=1)
        await asyncio.sleep(0.1)
        assert isinstance(stage.heard["a"][-1], Declined)
        stage.place("a", number=3)
        await asyncio.sleep(0.1)
        assert first.closed == ["superseded"]
        assert stage.pool.calls == 1

    scenario(body)


def test_the_hub_of_an_earlier_placement_hears_which_later_one_has_the_call() -> None:
    async def body(stage: Stage) -> None:
        stage.place("a", number=1)
        await asyncio.sleep(0.1)
        to_earlier = stage.heard.pop("a")
        later = stage.place("a", number=2)
        await asyncio.sleep(0.1)
        assert to_earlier == [Accepted(), Superseded(later.attach)]
        assert stage.heard["a"] == [Accepted()]

    scenario(body)


def test_a_hub_that_missed_it_hears_it_when_it_says_the_next_thing() -> None:
    async def body(stage: Stage) -> None:
        earlier = stage.place("a", number=1)
        await asyncio.sleep(1)
        to_earlier = stage.heard.pop("a")
        stage.worker_bus.away = True
        later = stage.place("a", number=2)
        await asyncio.sleep(5)
        stage.worker_bus.away = False
        earlier.send(Silent(1))
        await asyncio.sleep(0.1)
        assert to_earlier == [Accepted(), Superseded(later.attach)]

    scenario(body)


def test_a_hub_that_speaks_to_a_call_that_is_over_hears_that_it_is_not_here() -> None:
    async def body(stage: Stage) -> None:
        link = stage.place("a")
        await asyncio.sleep(0.1)
        stage.pool.close("stopped")
        await asyncio.sleep(5)
        link.send(Silent(1))
        await asyncio.sleep(0.1)
        assert stage.heard["a"] == [Accepted(), CallFailed("stopped"), CallFailed("the call is not here")]

    scenario(body)


def test_a_first_message_that_places_nothing_is_declined_with_the_reason() -> None:
    async def body(stage: Stage) -> None:
        stage.place("a", first=Silent(1))
        await asyncio.sleep(0.1)
        (declined,) = stage.heard["a"]
        assert isinstance(declined, Declined)
        assert (declined.reason, stage.pool.calls) == ("bad_request", 0)

    scenario(body)


def test_a_drain_waits_for_the_last_call_and_no_longer_than_its_grace() -> None:
    async def body(stage: Stage) -> None:
        loop = asyncio.get_running_loop()
        link = stage.place("a")
        await asyncio.sleep(0.1)
        begun_s = loop.time()
        await stage.pool.drain(2.0)
        assert loop.time() - begun_s == 2.0
        loop.call_later(1.0, link.send, Release("done"))
        await stage.pool.drain(20.0)
        assert loop.time() - begun_s < 3.2
        assert stage.pool.calls == 0

    scenario(body)


def test_a_quarter_of_a_worker_is_for_calls_alone() -> None:
    async def body(stage: Stage) -> None:
        for request in ("req_a", "req_b", "req_c", "req_d"):
            stage.place(request)
        stage.place("rtc_00_a")
        await asyncio.sleep(0.1)

        assert stage.heard["req_d"] == [Declined("full", "3 calls", 1.0)]
        assert stage.heard["rtc_00_a"] == [Accepted()]
        assert stage.pool.calls == 4

    scenario(body, capacity=4)
