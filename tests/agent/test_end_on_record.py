"""What an agent says of a call that is over: that its end is recorded, once it is, and not before."""

import asyncio

from agent.scene import Scene
from support.virtual import run_virtual
from trunkline.agent.models.scripted import Words
from trunkline.bus.port import Headers
from trunkline.proto.envelope import Envelope
from trunkline.proto.response import Stored
from trunkline.record import MemoryRecordStore, StoreUnavailable


class Electing(MemoryRecordStore):
    """Takes nothing while it elects."""

    elects = False

    def append(self, call: str, data: bytes, *, expected_seq: int, entry: str) -> asyncio.Future[int]:
        if not self.elects:
            return super().append(call, data, expected_seq=expected_seq, entry=entry)
        failed: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        failed.set_exception(StoreUnavailable(call, 1.0))
        return failed


class Gateway:
    """Notes what comes behind a call's end, as (call, attach)."""

    def __init__(self, scene: Scene) -> None:
        self.told: list[tuple[str, int]] = []
        scene.hub.on_loose = self._hear

    def _hear(self, envelope: Envelope, headers: Headers | None) -> None:
        if isinstance(envelope.message, Stored):
            self.told.append((envelope.call, envelope.attach))


def test_the_end_of_a_call_is_told_when_it_is_recorded() -> None:
    async def scenario() -> None:
        store = Electing()
        async with Scene([[[Words("Sure.", "final_answer")]]], store=store) as scene:
            gateway = Gateway(scene)
            await scene.place()
            scene.says("Hello?")
            await asyncio.sleep(0.1)
            store.elects = True
            await scene.hang_up()
            await asyncio.sleep(5.0)
            told_early = list(gateway.told)
            store.elects = False
            await asyncio.sleep(1.0)

            assert told_early == []
            assert gateway.told == [(scene.link.call, scene.link.attach)]
            ended = (await scene.view()).ended
            assert ended is not None
            assert ended.reason == "caller_hung_up"

    run_virtual(scenario())


def test_of_a_call_that_goes_on_elsewhere_no_end_is_told() -> None:
    async def scenario() -> None:
        async with Scene() as scene:
            gateway = Gateway(scene)
            await scene.place()
            await scene.hang_up("moved")
            await asyncio.sleep(1.0)

            assert gateway.told == []

    run_virtual(scenario())
