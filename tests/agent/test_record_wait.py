"""While its shard elects a leader a call speaks and listens; a tool waits for its intent, and is spoken of."""

import asyncio
import gc
import time
from collections.abc import Awaitable, Callable, Sequence
from unittest import mock

import pytest
from msgspec.structs import replace

from agent.scene import CALL, Scene, lookup
from support.virtual import run_virtual
from trunkline.agent.models.scripted import Call, Script, Step, Words
from trunkline.agent.record_wait import RECORD_WAIT_S, WAITING
from trunkline.agent.rounds import Rounds
from trunkline.agents import Agent, Fillers
from trunkline.bus.port import Headers
from trunkline.proto.envelope import Envelope
from trunkline.proto.record import AssistantItem, CallerSaid, ToolFinished, ToolIntended, decode_entry
from trunkline.proto.response import Converse, ItemStarted
from trunkline.proto.tool import ToolResult, ToolStarted
from trunkline.record import MemoryRecordStore, StoredClaim

ELECTION_S = 6.0
TIMEOUT_S = lookup.timeout_s  # less than the election takes
SURE: Sequence[Sequence[Step]] = [[Words("Sure.", "final_answer")]]
LOOKS_UP: Sequence[Sequence[Step]] = [[Call("lookup", {"order": "7"})], [Words("Done.", "final_answer")]]


def wall_ns() -> int:
    return 1_700_000_000_000_000_000 + round(asyncio.get_running_loop().time() * 1e9)


class Electing(MemoryRecordStore):
    """Takes nothing between `stand_still` and `go_on`; then all that was asked of it, in order."""

    def __init__(self) -> None:
        super().__init__()
        self._waiting: list[Callable[[], None]] | None = None

    def append(self, call: str, data: bytes, *, expected_seq: int, entry: str) -> asyncio.Future[int]:
        if self._waiting is None:
            return super().append(call, data, expected_seq=expected_seq, entry=entry)
        answer: asyncio.Future[int] = asyncio.get_running_loop().create_future()

        def store() -> None:
            stored = super(Electing, self).append(call, data, expected_seq=expected_seq, entry=entry)
            answer.set_result(stored.result())

        self._waiting.append(store)
        return answer

    def stand_still(self) -> None:
        self._waiting = []

    def go_on(self) -> None:
        waiting, self._waiting = self._waiting or [], None
        for store in waiting:
            store()


def on(script: Script, body: Callable[[Scene, Electing], Awaitable[None]], fillers: Fillers | None = None) -> None:
    async def main() -> None:
        store = Electing()
        with mock.patch.object(time, "time_ns", wall_ns):
            await scene_of(store)

    async def scene_of(store: Electing) -> None:
        async with Scene(script, agent=Agent("desk", tools=[lookup], fillers=fillers), store=store) as scene:
            await scene.place()
            store.stand_still()
            await body(scene, store)

    run_virtual(main())


def test_a_call_whose_shard_is_in_election_speaks_and_listens_and_its_record_is_whole_and_in_order_afterwards() -> None:
    async def body(scene: Scene, store: Electing) -> None:
        for turn in range(1, 4):
            scene.says(f"turn {turn}")
            await asyncio.sleep(ELECTION_S / 3)
            assert scene.said == ["Sure."] * turn
        before = [event for event in await scene.events() if isinstance(event, CallerSaid)]
        store.go_on()
        await asyncio.sleep(0.1)

        after = [event.text for event in await scene.events() if isinstance(event, CallerSaid)]
        assert (before, after) == ([], ["turn 1", "turn 2", "turn 3"])

    on([SURE, SURE, SURE], body)


@pytest.mark.parametrize("words", ["", "Hm, one second."])
def test_a_tool_waits_for_its_intent_and_the_caller_is_told_once_in_commentary(words: str) -> None:
    async def body(scene: Scene, store: Electing) -> None:
        began_s = asyncio.get_running_loop().time()
        scene.says("Where is order 7?")
        await asyncio.sleep(ELECTION_S)
        assert scene.runner.orders == []
        went_on_us = wall_ns() // 1000
        store.go_on()
        await asyncio.sleep(0.5)

        (order,) = scene.runner.orders
        assert order.deadline_us == pytest.approx(went_on_us + TIMEOUT_S * 1e6, abs=1e5)  # its time began with its run
        assert scene.said == [words or WAITING, "Let me look up 7.", "Done."]
        assert scene.said_at_s[0][0] - began_s == pytest.approx(RECORD_WAIT_S, abs=0.05)
        first = next(message for message in scene.told if isinstance(message, ItemStarted))
        assert (first.phase, first.source) == ("commentary", "filler")
        (tool,) = (await scene.view()).tools.values()
        assert tool.status == "ok"

    on([LOOKS_UP], body, Fillers((words,), after_s=30.0) if words else None)


def test_a_tool_whose_time_began_late_has_it_under_the_next_owner_of_the_call_too() -> None:
    async def body(scene: Scene, store: Electing) -> None:
        scene.runner.answer = lambda order: None
        scene.says("Where is order 7?")
        await asyncio.sleep(ELECTION_S)
        store.go_on()
        await asyncio.sleep(0.1)
        ((attempt, claimed),) = scene.claims.claims.items()
        scene.claims.claims[attempt] = StoredClaim(2, replace(claimed.claim, at_us=wall_ns() // 1000))
        unfinished = tuple((await scene.view()).responses)
        others = await copied(store)
        async with Scene([[LOOKS_UP[1]]], store=others, claims=scene.claims, worker="ag2") as after:
            asked: list[Envelope] = []

            def again(envelope: Envelope, headers: Headers | None) -> None:
                asked.append(envelope)
                after.runner.tell(envelope, ToolStarted(attempt.key, "tr"))

            after.runner.exchange.on_loose = again
            await after.place(attach=2, order=Converse(1, "gw", reason="agent ag is gone"))
            after.link.send(after.recall(unfinished=unfinished))
            await asyncio.sleep(TIMEOUT_S - 1.0)  # far behind what is recorded as its deadline
            after.runner.tell(asked[-1], ToolResult(attempt.key, "ok", '"Found."', "tr"))
            await asyncio.sleep(0.1)

            events = await after.events()
            assert [event.status for event in events if isinstance(event, ToolFinished)] == ["ok"]
            assert after.said[-1] == "Done."

    on([LOOKS_UP], body)


async def copied(store: MemoryRecordStore) -> MemoryRecordStore:
    """Of the call, as it stands."""
    copy = MemoryRecordStore()
    for seq, stored in enumerate(await store.read(CALL)):
        await copy.append(CALL, stored.data, expected_seq=seq, entry=decode_entry(stored.data).entry)
    return copy


def test_nothing_is_said_of_a_record_that_is_quick_enough() -> None:
    async def body(scene: Scene, store: Electing) -> None:
        scene.says("Where is order 7?")
        await asyncio.sleep(RECORD_WAIT_S - 0.2)
        store.go_on()
        await asyncio.sleep(3)

        assert scene.said == ["Let me look up 7.", "Done."]

    on([LOOKS_UP], body)


def test_a_tool_that_is_slow_after_its_intent_is_none_of_the_records_doing() -> None:
    async def body(scene: Scene, store: Electing) -> None:
        store.go_on()
        scene.runner.took_s = 4.0
        scene.says("Where is order 7?")
        await asyncio.sleep(5)

        assert scene.said == ["Let me look up 7.", "Done."]

    on([LOOKS_UP], body)


def test_what_was_said_of_the_wait_stands_behind_the_intent_in_the_record() -> None:
    async def body(scene: Scene, store: Electing) -> None:
        scene.says("Where is order 7?")
        await asyncio.sleep(ELECTION_S)
        store.go_on()
        await asyncio.sleep(0.5)

        kinds = [type(event) for event in await scene.events()]
        view = await scene.view()
        (told,) = [item for item in view.items.values() if item.text == WAITING]
        behind = kinds[kinds.index(ToolIntended) :]
        assert AssistantItem in behind
        assert (told.phase, told.source, told.status) == ("commentary", "filler", "completed")

    on([LOOKS_UP], body)


@pytest.mark.parametrize("turn", [SURE, LOOKS_UP], ids=["says", "looks up"])
def test_an_answer_that_is_over_leaves_nothing_for_the_garbage_collector(turn: Sequence[Sequence[Step]]) -> None:
    def answers() -> int:
        return sum(isinstance(one, Rounds) for one in gc.get_objects())

    async def body(scene: Scene, store: Electing) -> None:
        store.go_on()
        for _ in range(3):
            scene.says("Where is order 7?")
            await asyncio.sleep(0.5)
            assert answers() == 0

        assert scene.said[-1] in ("Sure.", "Done.")

    gc.collect()  # what other tests left
    gc.disable()
    try:
        on([turn] * 3, body)
    finally:
        gc.enable()
