"""Calls whose gateway is gone and whose client stays away get their end from one gateway, a window later."""

from gateway.past_call import CALL, put
from gateway.scene import Scene, settle
from support.virtual import run_virtual
from trunkline.bus.memory import MemoryBus
from trunkline.gateway.adoption import Adoption
from trunkline.gateway.resuming import Resumption
from trunkline.placement.beats import Beats
from trunkline.proto import response as r
from trunkline.proto.placement import Beat
from trunkline.proto.record import CallSummary
from trunkline.record import BrokenRecord, CallView, MemoryRecordStore, StoreUnavailable

WINDOW_S = 15.0


class Adopting(Scene):
    """gateway-1 looks after calls that nobody has."""

    def __init__(self) -> None:
        super().__init__()
        self.store = MemoryRecordStore()
        self.resumption = Resumption(self.calls, self.store)
        self.adoption = Adoption(
            "gateway-1", self.calls, self.resumption, self.roster, self.store, WINDOW_S, self.exchange.now_s
        )
        self.others: list[Beats] = []

    def other(self, worker: str) -> Beats:
        """Another gateway that lives."""
        beats = Beats(MemoryBus(self.broker), lambda: Beat("gateway", worker, 1, 0, False, "test"))
        beats.start()
        self.others.append(beats)
        return beats

    async def __aexit__(self, *error: object) -> None:
        await self.adoption.stop()
        for beats in self.others:
            beats.stop()
        await super().__aexit__(*error)

    @property
    def taken(self) -> list[tuple[bool, str]]:
        """Placements of an agent: whether under a higher hub number, and how they ended."""
        return [
            (isinstance(session.order, r.Converse) and session.order.hub > 1, session.closed)
            for session in self.agent.sessions
        ]


def test_a_call_whose_gateway_is_gone_is_ended_after_the_window() -> None:
    async def main() -> None:
        async with Adopting() as scene:
            await put(scene.store)
            scene.adoption.start()
            await settle(WINDOW_S - 1)
            assert scene.taken == []
            await settle(WINDOW_S)
            assert scene.taken[0] == (True, "lost")
            assert len(scene.calls) == 0

    run_virtual(main())


def test_a_call_whose_gateway_lives_is_let_be_and_adopted_when_that_dies() -> None:
    async def main() -> None:
        async with Adopting() as scene:
            gone = scene.other("gateway-gone")
            await put(scene.store)
            scene.adoption.start()
            await settle(5 * WINDOW_S)
            assert scene.taken == []
            gone.stop()
            await settle(WINDOW_S)
            assert scene.taken == []
            await settle(WINDOW_S)
            assert scene.taken[0] == (True, "lost")

    run_virtual(main())


def test_another_gateways_calls_are_adopted_by_the_lowest_id_alone() -> None:
    async def main() -> None:
        async with Adopting() as scene:
            scene.other("gateway-0")
            await put(scene.store)
            scene.adoption.start()
            await settle(5 * WINDOW_S)

            assert scene.taken == []

    run_virtual(main())


def test_the_index_is_read_only_by_the_gateway_that_may_adopt() -> None:
    async def main() -> None:
        async with Adopting() as scene:
            lowest, gone = scene.other("gateway-0"), scene.other("gateway-gone")
            await put(scene.store)
            looks = 0
            summaries = scene.store.summaries

            async def counted() -> list[CallSummary]:
                nonlocal looks
                looks += 1
                return await summaries()

            scene.store.summaries = counted  # type: ignore[method-assign]
            scene.adoption.start()
            gone.stop()
            await settle(5 * WINDOW_S)
            assert looks == 0
            lowest.stop()
            await settle(2 * WINDOW_S)
            assert looks > 0
            assert scene.taken[0] == (True, "lost")

    run_virtual(main())


def test_a_client_that_comes_back_in_time_keeps_its_call() -> None:
    async def main() -> None:
        async with Adopting() as scene:
            await put(scene.store)
            scene.adoption.start()
            await settle(WINDOW_S / 2)
            await scene.resumption.take_up(await scene.resumption.find(CALL), None)
            view = await put(MemoryRecordStore())
            view.gateway = "gateway-1"
            await scene.store.put_summary(view.summary())
            await settle(5 * WINDOW_S)

            assert scene.taken == [(True, "")]
            scene.calls.stop()
            for call in list(scene.calls._calls.values()):
                call.end("caller_hung_up")
            await settle()

    run_virtual(main())


def test_an_ended_call_and_a_store_that_is_away_disturb_nothing() -> None:
    async def main() -> None:
        async with Adopting() as scene:
            await put(scene.store)
            await put(scene.store, "rtc_08_over", ended="caller_hung_up")
            summaries = scene.store.summaries
            scene.store.summaries = _unavailable  # type: ignore[method-assign]
            scene.adoption.start()
            await settle(2 * WINDOW_S)
            assert scene.taken == []
            scene.store.summaries = summaries  # type: ignore[method-assign]
            await settle(2 * WINDOW_S)
            assert {session.link.call for session in scene.agent.sessions} == {CALL}

    run_virtual(main())


def test_a_record_that_cannot_be_read_keeps_no_other_from_its_end() -> None:
    async def main() -> None:
        async with Adopting() as scene:
            await put(scene.store, "rtc_06_broken")
            await put(scene.store)
            find = scene.resumption.find

            async def find_whole(call: str) -> CallView:
                if call != CALL:
                    raise BrokenRecord(call, 3, 5)
                return await find(call)

            scene.resumption.find = find_whole  # type: ignore[method-assign]
            scene.adoption.start()
            await settle(2 * WINDOW_S)

            assert scene.taken[0] == (True, "lost")

    run_virtual(main())


def test_a_call_whose_agent_died_before_it_wrote_the_end_is_adopted() -> None:
    async def main() -> None:
        async with Adopting() as scene:
            second = scene.make("agent")
            await second.start()
            scene.adoption.start()
            await settle(WINDOW_S)
            view = await put(scene.store)
            view.gateway = "gateway-1"
            await scene.store.put_summary(view.summary())
            await second.kill()
            await settle(2 * WINDOW_S)

            assert scene.taken[0] == (True, "lost")

    run_virtual(main())


async def _unavailable() -> list[object]:
    raise StoreUnavailable("summaries", 2.0)
