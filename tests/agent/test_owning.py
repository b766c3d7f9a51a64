"""Who owns a call, and what its owner tells of the record."""

import asyncio

from agent.scene import CALL, Scene
from agent.test_session import LONG, LOOKS_UP, HoldingStore
from support.virtual import run_virtual
from trunkline.proto import record
from trunkline.proto.envelope import attach_number
from trunkline.proto.placement import CallFailed, Superseded
from trunkline.proto.response import Converse, Stored
from trunkline.record import MemoryRecordStore


def test_a_new_owner_is_recorded_with_its_placement_and_the_reason() -> None:
    async def scenario() -> None:
        store = MemoryRecordStore()
        async with Scene(store=store) as old, Scene(store=store, worker="ag2") as new:
            await old.place()
            await new.place(attach=2, order=Converse(hub=1, gateway="gw", reason="agent ag is gone"))

            took = [event for event in await new.events() if isinstance(event, record.OwnerTook)]
            assert [(one.worker, one.attach, one.reason) for one in took] == [
                ("ag", attach_number(1, 1), ""),
                ("ag2", attach_number(1, 2), "agent ag is gone"),
            ]

    run_virtual(scenario())


def test_an_earlier_placement_is_told_who_has_the_call_and_writes_nothing() -> None:
    async def scenario() -> None:
        store = MemoryRecordStore()
        async with Scene(store=store) as new, Scene(store=store, worker="ag2") as old:
            await new.place(attach=2)
            before = await store.read(CALL)
            await old.place(attach=1)

            assert [Superseded(attach_number(1, 2))] == old.told
            assert old.service.load() == (0, 10)
            assert await store.read(CALL) == before

    run_virtual(scenario())


def test_of_two_that_take_a_call_at_once_the_later_placement_has_it() -> None:
    async def scenario(first: int, second: int) -> None:
        store = MemoryRecordStore()
        async with Scene(store=store) as one, Scene(store=store, worker="ag2") as other:
            await asyncio.gather(one.place(attach=first), other.place(attach=second))
            one.says("Hello?")
            other.says("Hello?")
            await asyncio.sleep(1)

            view = await one.view()
            winner, loser = (one, other) if first > second else (other, one)
            assert (view.attach, view.owner) == (attach_number(1, 2), winner.exchange.worker)
            assert len(winner.finished) == 1
            assert isinstance(loser.told[-1], CallFailed | Superseded)

    run_virtual(scenario(1, 2))
    run_virtual(scenario(2, 1))


def test_the_gateway_is_told_what_is_stored_and_not_before() -> None:
    async def scenario() -> None:
        store = HoldingStore()
        async with Scene([LOOKS_UP], store=store) as scene:
            await scene.place()
            store.holds = True
            scene.says("Where is it?")
            await asyncio.sleep(1)
            assert [Stored(1, 1)] == scene.of(Stored)  # Converse and Attached

            store.holds = False
            store.let_go()
            await asyncio.sleep(1)

            last = scene.of(Stored)[-1]
            assert isinstance(last, Stored)
            assert last.received == scene.link.state.sent
            assert scene.told[last.said - 1] == scene.finished[-1]

    run_virtual(scenario())


def test_what_is_stored_is_told_a_few_times_a_second_at_most() -> None:
    async def scenario() -> None:
        async with Scene([LONG]) as scene:
            await scene.place()
            scene.says("Count.")
            for index in range(100):
                scene.played("item_x", index)
                await asyncio.sleep(0.01)

            assert 4 <= len(scene.of(Stored)) <= 6

    run_virtual(scenario())
