"""A card number goes from the caller to the tool, and is nowhere in between."""

import asyncio
import re

import msgspec

from agent.scene import Scene, lookup
from support.virtual import run_virtual
from trunkline.agent.models.scripted import CALLERS_WORDS, Call, Script, Words
from trunkline.agents import Agent
from trunkline.agents.policies import pii
from trunkline.agents.sensitive import TOKEN
from trunkline.proto.record import ToolFinished
from trunkline.proto.tool import RunTool, ToolResult
from trunkline.record import MemoryBucket, MemoryRecordStore, StoreUnavailable
from trunkline.vault import Vault

KEY = bytes(32)
CARD = "4111 1111 1111 1111"
DIGITS = CARD.replace(" ", "")
PAYS: Script = [
    [
        [Call("lookup", {"order": msgspec.Raw(msgspec.json.encode(CALLERS_WORDS))})],
        [Words("I have noted " + CALLERS_WORDS, "final_answer")],
    ]
]


def desk() -> Agent:
    return Agent("desk", tools=[lookup], guardrails=[pii()])


async def everything(scene: Scene) -> str:
    """What is recorded, asked of the model, ordered of tools and told to the gateway, without spaces."""
    recorded = [msgspec.to_builtins(event) for event in await scene.events()]
    return re.sub(r"\s", "", repr((recorded, scene.model.requests, scene.runner.orders, scene.told)))


def test_a_card_number_never_reaches_record_model_order_or_gateway() -> None:
    async def scenario() -> None:
        vault = Vault(KEY, MemoryBucket())
        async with Scene(PAYS, agent=desk(), vault=vault) as scene:
            await scene.place()
            scene.says(f"It is {CARD}.")
            await asyncio.sleep(2)

            assert DIGITS not in await everything(scene)
            assert TOKEN.search(scene.runner.orders[0].arguments)
            assert DIGITS in await vault.resolve("rtc_00_test", scene.runner.orders[0].arguments)
            assert scene.said[-1] == "I have noted It is your card."

    run_virtual(scenario())


def test_what_a_tool_gives_is_taken_out_before_it_is_recorded() -> None:
    async def scenario() -> None:
        async with Scene(PAYS, agent=desk(), vault=Vault(KEY, MemoryBucket())) as scene:
            scene.runner.answer = lambda order: ToolResult(order.tool_call, "ok", f'{{"card": {DIGITS}, "n": 1}}', "tr")
            await scene.place()
            scene.says("What card is it?")
            await asyncio.sleep(2)

            assert DIGITS not in await everything(scene)
            outputs = [event.output for event in await scene.events() if isinstance(event, ToolFinished)]
            assert [TOKEN.sub("*", output) for output in outputs] == ['{"card": "*", "n": 1}']

    run_virtual(scenario())


def test_the_next_agent_makes_the_same_token_of_a_turn_that_is_told_again() -> None:
    async def scenario() -> None:
        tokens = []
        for _ in range(2):
            store = MemoryRecordStore()
            async with Scene(PAYS, agent=desk(), store=store, vault=Vault(KEY, MemoryBucket())) as scene:
                await scene.place()
                scene.says(f"It is {CARD}.", respond=False)
                await asyncio.sleep(1)
                tokens.append([item.text for item in (await scene.view()).items.values()])

        assert tokens[0] == tokens[1]
        assert TOKEN.search(tokens[0][0])

    run_virtual(scenario())


class SlowStore(MemoryBucket):
    def __init__(self, *, broken: bool) -> None:
        super().__init__()
        self._broken = broken

    async def put(self, key: str, value: bytes) -> None:
        await asyncio.sleep(3)
        if self._broken:
            raise StoreUnavailable(key, 3.0)
        await super().put(key, value)


def test_a_tool_is_ordered_once_it_can_have_the_value() -> None:
    async def scenario() -> None:
        async with Scene(PAYS, agent=desk(), vault=Vault(KEY, SlowStore(broken=False))) as scene:
            await scene.place()
            scene.says(f"It is {CARD}.")
            await asyncio.sleep(2)
            assert scene.runner.orders == []
            await asyncio.sleep(2)

            assert [type(order) for order in scene.runner.orders] == [RunTool]

    run_virtual(scenario())


def test_a_tool_that_could_not_have_the_value_is_not_run() -> None:
    async def scenario() -> None:
        async with Scene(PAYS, agent=desk(), vault=Vault(KEY, SlowStore(broken=True))) as scene:
            await scene.place()
            scene.says(f"It is {CARD}.")
            await asyncio.sleep(5)

            assert scene.runner.orders == []
            assert [e.status for e in await scene.events() if isinstance(e, ToolFinished)] == ["error"]
            assert scene.finished[-1].status == "completed"

    run_virtual(scenario())
