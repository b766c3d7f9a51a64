"""Tool runners on a bus: orders in, results out, and what happens to bytes that are no order."""

import asyncio
import json
from pathlib import Path

import pytest
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from prometheus_client import REGISTRY

from support.virtual import run_virtual
from tool_runner.desk import an_order
from trunkline.bus.exchange import Exchange
from trunkline.bus.memory import MemoryBroker, MemoryBus
from trunkline.bus.port import Received
from trunkline.proto import subjects
from trunkline.proto.envelope import Message
from trunkline.proto.errors import BadInput, BadSettings
from trunkline.proto.tool import DescribeTools, RunTool, ToolDeclined, ToolResult, ToolsDescribed, ToolStarted
from trunkline.record import MemoryClaimStore
from trunkline.runtime.process import Context
from trunkline.telemetry import tracing
from trunkline.tool_runner.service import ToolRunnerService, ToolRunnerSettings

CALL = "rtc_00_stack"
FAR_US = 2**60
DESK = """
import asyncio
from trunkline.agents import Agent, ToolContext, tool

@tool
async def greet(name: str) -> str:
    '''Greet.'''
    return f"Hello {name}."

@tool
async def hang() -> None:
    '''Hang.'''
    await asyncio.Event().wait()

desk = Agent("desk", tools=[greet, hang])
"""


@pytest.fixture
def desk_file(tmp_path: Path) -> str:
    path = tmp_path / "desk.py"
    path.write_text(DESK)
    return str(path)


class Agent:
    """The agent's side of the bus."""

    def __init__(self, broker: MemoryBroker) -> None:
        self.bus = MemoryBus(broker)
        self.exchange = Exchange(self.bus, "agent", "agent-1")
        self.heard: list[Message] = []
        self.exchange.on_loose = lambda envelope, headers: self.heard.append(envelope.message)

    def order(self, order: RunTool, headers: dict[str, str] | None = None) -> None:
        self.exchange.post(subjects.tool(order.name, CALL), CALL, order, headers=headers)


class Runners:
    """Processes of the tool runner on one broker, without the processes."""

    def __init__(self, agent_file: str, workers: tuple[str, ...] = ("runner-1",)) -> None:
        self.broker = MemoryBroker()
        self.claims = MemoryClaimStore()
        self.agent = Agent(self.broker)
        self.services: list[ToolRunnerService] = []
        self._exchanges: list[Exchange] = []
        for worker in workers:
            bus = MemoryBus(self.broker)
            exchange = Exchange(bus, "tool_runner", worker)
            settings = ToolRunnerSettings(agent_file=agent_file)
            self.services.append(ToolRunnerService(Context(bus, exchange, worker, settings), settings, self.claims))
            self._exchanges.append(exchange)
        self.digest = self.services[0].digest

    async def __aenter__(self) -> "Runners":
        await self.agent.exchange.start()
        for exchange, service in zip(self._exchanges, self.services, strict=True):
            await exchange.start()
            await service.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        for exchange, service in zip(self._exchanges, self.services, strict=True):
            await service.drain(0.1)
            await service.stop()
            await exchange.stop()
        await self.agent.exchange.stop()

    def an_order(self, name: str, arguments: str = "{}", *, n: int = 1) -> RunTool:
        return an_order(name, arguments, n=n, digest=self.digest, deadline_us=FAR_US)


def test_an_order_reaches_one_of_two_runners_and_its_result_the_agent(desk_file: str) -> None:
    async def scenario() -> None:
        async with Runners(desk_file, ("runner-1", "runner-2")) as runners:
            for n in range(4):
                runners.agent.order(runners.an_order("greet", f'{{"name":"number {n}"}}', n=n))
            await asyncio.sleep(1)

            heard = runners.agent.heard
            results = [message for message in heard if isinstance(message, ToolResult)]
            assert [json.loads(r.output) for r in results] == [f"Hello number {n}." for n in range(4)]
            assert {r.runner for r in results} == {"runner-1", "runner-2"}
            assert [m.runner for m in heard if isinstance(m, ToolStarted)] == [r.runner for r in results]

    run_virtual(scenario())


def test_an_order_for_another_agent_file_is_declined(desk_file: str) -> None:
    async def scenario() -> None:
        async with Runners(desk_file) as runners:
            runners.agent.order(an_order("greet", digest="another", deadline_us=FAR_US))
            await asyncio.sleep(1)

            assert runners.agent.heard == [ToolDeclined("call_1", "digest", "runner-1")]

    run_virtual(scenario())


def test_bytes_that_are_no_order_are_shown_as_dead_and_the_next_order_runs(desk_file: str) -> None:
    async def scenario() -> None:
        async with Runners(desk_file) as runners:
            dead: list[Received] = []
            await runners.agent.bus.subscribe(subjects.ALL_DEAD, dead.append)
            runners.agent.bus.publish(subjects.tool("greet", CALL), b"\xc1garbage")
            runners.agent.order(runners.an_order("greet", '{"name":"Ann"}'))
            await asyncio.sleep(1)

            assert [message.data for message in dead] == [b"\xc1garbage"]
            assert isinstance(runners.agent.heard[-1], ToolResult)

    run_virtual(scenario())


def test_a_runner_that_drains_leaves_the_queue_to_the_others(desk_file: str) -> None:
    async def scenario() -> None:
        async with Runners(desk_file, ("runner-1", "runner-2")) as runners:
            await runners.services[0].drain(0.1)
            for n in range(4):
                runners.agent.order(runners.an_order("greet", '{"name":"Ann"}', n=n))
            await asyncio.sleep(1)

            answers = [m for m in runners.agent.heard if isinstance(m, ToolResult | ToolDeclined)]
            assert [type(m) for m in answers] == [ToolResult] * 4
            assert {m.runner for m in answers} == {"runner-2"}

    run_virtual(scenario())


def test_a_run_is_a_span_beneath_the_agents(desk_file: str) -> None:
    exporter = InMemorySpanExporter()

    async def scenario() -> None:
        async with Runners(desk_file) as runners:
            asked = tracing.start_span("ask", parent=tracing.call_context(CALL))
            runners.agent.order(runners.an_order("greet", '{"name":"Ann"}'), headers=tracing.inject(asked))
            await asyncio.sleep(1)
            asked.end()

    tracing.configure("test", "test-1", exporter)
    try:
        run_virtual(scenario())
    finally:
        tracing.shutdown()
    run, asked = exporter.get_finished_spans()
    assert run.parent is not None
    assert run.parent.span_id == asked.context.span_id
    assert run.name == "execute_tool greet"
    assert run.attributes is not None
    assert run.attributes["gen_ai.operation.name"] == "execute_tool"
    assert run.attributes["gen_ai.tool.name"] == "greet"


def test_runs_are_counted_by_tool_and_status_and_not_by_call(desk_file: str) -> None:
    def counted() -> float:
        sample = {"tool": "greet", "status": "ok"}
        return REGISTRY.get_sample_value("trunkline_tool_runner_runs_total", sample) or 0.0

    async def scenario() -> None:
        async with Runners(desk_file) as runners:
            runners.agent.order(runners.an_order("greet", '{"name":"Ann"}'))
            await asyncio.sleep(1)

    before = counted()
    run_virtual(scenario())

    assert counted() == before + 1


def test_a_runner_without_an_agent_file_says_which_setting_is_missing() -> None:
    async def scenario() -> None:
        with pytest.raises(BadSettings, match="TRUNKLINE_AGENT_FILE: is not set"):
            Runners("")

    run_virtual(scenario())


def test_a_runner_whose_agent_file_does_not_load_says_why(tmp_path: Path) -> None:
    path = tmp_path / "desk.py"
    path.write_text("x = = 1\n")

    async def scenario() -> None:
        with pytest.raises(BadInput, match="line 1: invalid syntax"):
            Runners(str(path))

    run_virtual(scenario())


SERVED = """
from trunkline.agents import Agent, McpServer

orders = McpServer("orders", allow=["search"], command=["no-such-command"], env={"TOKEN": "$SHOP_TOKEN"})
desk = Agent("desk", tool_servers=[orders])
"""


@pytest.fixture
def served_file(tmp_path: Path) -> str:
    path = tmp_path / "served.py"
    path.write_text(SERVED)
    return str(path)


def test_runners_of_the_same_agent_file_say_what_tools_a_server_has_and_others_keep_silent(
    served_file: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SHOP_TOKEN", "hush")

    async def scenario() -> None:
        async with Runners(served_file, ("runner-1", "runner-2")) as runners:
            await asyncio.sleep(1)  # so that they have tried
            for server, digest in (("orders", runners.digest), ("orders", "another"), ("unheard-of", runners.digest)):
                question = DescribeTools(server, digest)
                runners.agent.exchange.post(subjects.describe(server), subjects.NO_CALL, question)
            await asyncio.sleep(1)

            answer = ToolsDescribed("orders", runners.digest, (), "there is no command 'no-such-command'")
            assert runners.agent.heard == [answer, answer]

    run_virtual(scenario())


def test_a_call_to_a_server_that_is_away_was_not_run(served_file: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOP_TOKEN", "hush")

    async def scenario() -> None:
        async with Runners(served_file) as runners:
            order = runners.an_order("orders_search")
            runners.agent.order(order)
            runners.agent.order(runners.an_order("orders_drop_tables", n=2))
            await asyncio.sleep(11)

            said = "orders_search was not run: the tool server orders is away (there is no command 'no-such-command')."
            results = [m for m in runners.agent.heard if isinstance(m, ToolResult)]
            assert [(r.status, json.loads(r.output)) for r in results] == [("error", said)]
            assert ToolDeclined("call_2", "unknown_tool", "runner-1") in runners.agent.heard

    run_virtual(scenario())


def test_a_variable_that_a_tool_server_needs_is_named_when_the_runner_starts(served_file: str) -> None:
    async def scenario() -> None:
        with pytest.raises(BadInput, match=r"McpServer orders: env.TOKEN: \$SHOP_TOKEN is not set"):
            Runners(served_file)

    run_virtual(scenario())
