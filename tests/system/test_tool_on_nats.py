"""A tool's way over a real server: claimed, answered, and unknown soon after its runner's connection is gone."""

import asyncio
import time
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from support.nats_server import NatsServer, running
from trunkline.agent.conversation import Conversation
from trunkline.agent.models.seam import ToolCall
from trunkline.agent.rulings import Bench, Policies
from trunkline.agent.tool_desk import ToolDesk
from trunkline.agents import load_agent_file
from trunkline.bus.exchange import Exchange
from trunkline.bus.nats import NatsBus
from trunkline.bus.port import SETTLED_S, Headers
from trunkline.proto import subjects
from trunkline.proto.ids import new_call_id
from trunkline.proto.record import ResponseOpened
from trunkline.proto.subjects import Stage
from trunkline.proto.tool import CancelTool, RunTool
from trunkline.record import Attempt, NatsClaimStore, NatsRecordStore, Recorder, ToolView
from trunkline.runtime.process import Context
from trunkline.tool_runner.service import ToolRunnerService, ToolRunnerSettings

pytestmark = pytest.mark.nats
DESK = """
import asyncio
from trunkline.agents import Agent, tool

@tool
async def greet() -> str:
    '''Greet.'''
    return "Hello."

@tool
async def hang() -> None:
    '''Hang.'''
    await asyncio.Event().wait()

desk = Agent("desk", tools=[greet, hang])
"""


@asynccontextmanager
async def on_bus(server: NatsServer, stage: Stage, worker: str) -> AsyncIterator[tuple[NatsBus, Exchange]]:
    bus = NatsBus()
    await bus.open([server.url], worker)
    exchange = Exchange(bus, stage, worker)
    await exchange.start()
    yield bus, exchange
    await exchange.stop()
    await bus.close()


class Counter:
    """An agent's desk with one call."""

    def __init__(self, server: NatsServer, desk_file: Path) -> None:
        self.file = load_agent_file(str(desk_file))
        self.server = server
        self.call = new_call_id(3)
        self._tasks: set[asyncio.Task[None]] = set()

    def _keep(self, work: Coroutine[None, None, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        return task

    async def open(self, bus: NatsBus, exchange: Exchange) -> None:
        self.records, self.claims = NatsRecordStore(bus.client), NatsClaimStore(bus.client)
        await self.records.ensure()
        await self.claims.ensure()
        self.recorder = Recorder(self.records)
        self.log = await self.recorder.take(self.call, exchange.worker, "desk", self.file.digest, attach=1)

        def post(order: RunTool | CancelTool, runner: str, headers: Headers | None) -> None:
            peer = f"tool_runner.{runner}" if runner else ""
            queue = subjects.tool(order.name, self.call) if isinstance(order, RunTool) else ""
            subject = subjects.inbox_of(peer, self.call) if peer else queue
            exchange.post(subject, self.call, order, epoch=1, peer=peer)

        def fail(error: Exception) -> None:
            raise error

        conversation = Conversation(self.log, lambda: time.time_ns() // 1000, self.file, self.file.default)
        bench = Bench(conversation, Policies(self.file))
        self.desk = ToolDesk(conversation, bench, self.file.digest, self.claims, post, self._keep, fail)
        exchange.on_loose = lambda envelope, headers: self.desk.on_message(envelope.message)
        exchange.on_no_responders = lambda call: self.desk.on_no_responders()
        exchange.on_unheard = lambda peer: self.desk.on_unheard(peer.partition(".")[2])
        conversation.append(ResponseOpened(1, "resp_1", 1))

    async def run(self, name: str) -> ToolView:
        await asyncio.wait(await self.desk.run("resp_1", [ToolCall(f"call_{name}", name, "{}")], None))
        return self.log.view.tools[f"call_{name}"]

    async def close(self) -> None:
        await self.log.close()
        await self.recorder.close()
        await self.claims.close()
        await self.records.close()


async def a_runner(bus: NatsBus, exchange: Exchange, desk_file: Path) -> ToolRunnerService:
    settings = ToolRunnerSettings(agent_file=str(desk_file))
    service = ToolRunnerService(Context(bus, exchange, exchange.worker, settings), settings, NatsClaimStore(bus.client))
    await service.start()
    return service


def test_a_tool_is_claimed_run_and_answered_and_is_unknown_once_its_runner_is_gone(tmp_path: Path) -> None:
    desk_file = tmp_path / "desk.py"
    desk_file.write_text(DESK)

    async def main(server: NatsServer) -> None:
        counter = Counter(server, desk_file)
        async with (
            on_bus(server, "agent", "agent-1") as (agent_bus, agent),
            on_bus(server, "tool_runner", "runner-1") as (runner_bus, runner),
        ):
            await counter.open(agent_bus, agent)
            service = await a_runner(runner_bus, runner, desk_file)
            greeted = await counter.run("greet")
            claimed = await counter.claims.read(Attempt(counter.call, "call_greet"))
            assert (greeted.status, greeted.output, greeted.runner) == ("ok", '"Hello."', "runner-1")
            assert claimed is not None
            assert claimed.claim.result is not None

            await asyncio.sleep(SETTLED_S)
            hanging = asyncio.create_task(counter.run("hang"))
            await asyncio.sleep(0.2)
            gone_s = time.monotonic()
            await runner_bus.client.close()
            hung = await asyncio.wait_for(hanging, 5)

            assert hung.status == "unknown"
            assert time.monotonic() - gone_s < 2.0
            await counter.close()
            await service.stop()

    with running(tmp_path / "nats") as server:
        asyncio.run(main(server))
