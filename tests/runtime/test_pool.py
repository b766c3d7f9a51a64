"""The call pool places, declines, contains and releases."""

import asyncio
from collections.abc import Awaitable, Callable

from support.virtual import run_virtual
from trunkline.bus.exchange import Exchange, Link
from trunkline.bus.memory import MemoryBroker, MemoryBus
from trunkline.bus.port import Headers
from trunkline.placement.beats import Beats
from trunkline.proto.audio import AudioChunk
from trunkline.proto.envelope import Message, attach_number
from trunkline.proto.placement import Accepted, Beat, CallFailed, Declined, Release, Superseded
from trunkline.proto.speech import Discard, Listen, Silent, TurnRules
from trunkline.runtime.hub_watch import HUB_LIMIT_S, HubWatch
from trunkline.runtime.pool import CallPool

LISTEN = Listen(handle=1, from_sample=0, rules=TurnRules())


class FakeSession:
    """Raises on Discard, records the rest."""

    def __init__(self, link: Link) -> None:
        self.got: list[Message] = []
        self.closed: list[str] = []
        link.send(Accepted())
        link.bind_audio(1, self.on_audio)

    def on_message(self, message: Message, headers: Headers | None) -> None:
        if isinstance(message, Discard):
            raise RuntimeError("broken")
        self.got.append(message)

    def on_audio(self, chunk: AudioChunk) -> None:
        raise ValueError("broken audio")

    def close(self, reason: str) -> None:
        self.closed.append(reason)


class FlakyBus(MemoryBus):
    """Hears but can't speak while it is away."""

    away = False

    def publish(self, subject: str, data: bytes, *, reply: str = "", headers: Headers | None = None) -> None:
        if not self.away:
            super().publish(subject, data, reply=reply, headers=headers)

    @property
    def connected(self) -> bool:
        return not self.away


class Stage:
    def __init__(self, capacity: int = 2) -> None:
        broker = MemoryBroker()
        self.worker_bus = FlakyBus(broker)
        self.hub = Exchange(MemoryBus(broker), "gateway", "gw")
        self.worker = Exchange(self.worker_bus, "stt", "w")
        self.opened: dict[str, FakeSession] = {}
        self.pool = CallPool(self.worker, capacity=capacity, open_session=self._open)
        self.heard: dict[str, list[Message]] = {}

    def _open(self, link: Link, message: Message, headers: Headers | None) -> FakeSession | Declined:
        if not isinstance(message, Listen):
            return Declined("bad_request", f"a call begins with Listen, not {type(message).__name__}")
        self.opened[link.call] = FakeSession(link)
        return self.opened[link.call]

    def place(self, call: str, number: int = 1, first: Message = LISTEN) -> Link:
        heard = self.heard.setdefault(call, [])
        link = self.hub.link(call, "stt.w", attach_number(1, number), lambda message, headers: heard.append(message))
        link.send(first)
        return link


def scenario(body: Callable[[Stage], Awaitable[None]], capacity: int = 2) -> None:
    async def main() -> None:
        stage = Stage(capacity)
        await stage.hub.start()
        await stage.worker.start()
        await body(stage)
        for side in (stage.hub, stage.worker):
            await side.stop()

    run_virtual(main())


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
        assert stage.opened["a"].closed == ["failed: RuntimeError"]
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


def test_calls_of_a_gateway_that_is_gone_free_their_places() -> None:
    async def body(stage: Stage) -> None:
        watch = HubWatch(stage.worker)
        await watch.start()
        hubs = Beats(stage.hub.bus, lambda: Beat("gateway", "gw", 0, 0, False, "0"))
        hubs.start()
        stage.place("a")
        await asyncio.sleep(HUB_LIMIT_S * 3)
        assert stage.pool.calls == 1

        hubs.stop()
        await asyncio.sleep(HUB_LIMIT_S + 1)

        assert stage.opened["a"].closed == ["lost"]
        assert stage.pool.calls == 0
        await watch.stop()

    scenario(body)


def test_calls_stay_while_the_bus_is_away() -> None:
    async def body(stage: Stage) -> None:
        watch = HubWatch(stage.worker)
        await watch.start()
        hubs = Beats(stage.hub.bus, lambda: Beat("gateway", "gw", 0, 0, False, "0"))
        hubs.start()
        stage.place("a")
        await asyncio.sleep(1)
        hubs.stop()
        stage.worker_bus.away = True
        await asyncio.sleep(HUB_LIMIT_S * 10)
        assert stage.pool.calls == 1
        await watch.stop()

    scenario(body)
