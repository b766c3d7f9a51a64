"""What tools an agent's tool servers have, as tool runners describe them, and as the model is told of them.

A description is believed once: what is described in another way later isn't offered any more until this process is
started anew, so that nobody can change under a model's hands what a tool says of itself.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

from prometheus_client import Counter, Gauge

from trunkline.agents import Agent, AgentFile, Tool, ToolServer
from trunkline.proto.errors import BadInput
from trunkline.proto.tool import DescribedTool, ToolsDescribed
from trunkline.telemetry import logs

ASK_S = 0.5  # between two askings until there is an answer; doubled each time
ASK_LIMIT_S = 5.0
ASK_AGAIN_S = 60.0  # once there is one: servers gain and lose tools

log = logs.get(__name__)
_undescribed = Gauge("trunkline_agent_undescribed_tool_servers", "Tool servers whose tools can't be offered yet")
_changes = Counter(
    "trunkline_agent_changed_tools_total", "Tools withdrawn since their server describes them otherwise", ["server"]
)


@dataclass(slots=True)
class _Served:
    """What is known of one server. believed: by name, as described first. changed: by name, the pin that isn't."""

    server: ToolServer
    believed: dict[str, Tool] = field(default_factory=dict)
    changed: dict[str, str] = field(default_factory=dict)
    offered: tuple[Tool, ...] = ()
    described: bool = False
    problem: str = ""
    askings: int = 0
    timer: asyncio.TimerHandle | None = None

    def wait_s(self) -> float:
        return ASK_AGAIN_S if self.described else min(ASK_LIMIT_S, ASK_S * 2 ** min(self.askings - 1, 16))


class Catalog:
    """ask: has all tool runners asked for the tools of a server by its name; answers come by `on_described`."""

    def __init__(self, file: AgentFile, ask: Callable[[str], None]) -> None:
        self._digest = file.digest
        self._ask = ask
        self._served = {name: _Served(server) for name, server in file.tool_servers.items()}

    def start(self) -> None:
        for served in self._served.values():
            self._ask_for(served)
        self._count()

    def stop(self) -> None:
        for served in self._served.values():
            if served.timer is not None:
                served.timer.cancel()

    def tools_of(self, agent: Agent) -> tuple[Tool, ...]:
        """All that its model is told of: its own tools, handoffs, and what its servers have as far as that is known."""
        own = {tool.name for tool in agent.offered}
        served = (tool for server in agent.tool_servers for tool in self._served[server.name].offered)
        return (*agent.offered, *(tool for tool in served if tool.name not in own))

    def tool(self, agent: Agent, name: str) -> Tool | None:
        return next((tool for tool in self.tools_of(agent) if tool.name == name), None)

    def on_described(self, told: ToolsDescribed) -> None:
        """Of several runners that answer one asking, too."""
        served = self._served.get(told.server)
        if served is None or told.digest != self._digest:
            return
        if told.problem:
            self._note(served, told.problem)
            return
        self._note(served, "")
        tools = (self._believed(served, described) for described in told.tools)
        served.offered = tuple(tool for tool in tools if tool is not None)
        if not served.described:
            served.described = True
            log.info("tools described", server=told.server, tools=[tool.name for tool in served.offered])
            self._wait(served)
            self._count()

    # what is believed

    def _believed(self, served: _Served, described: DescribedTool) -> Tool | None:
        name = described.name
        if name not in served.server.tool_names:
            log.warning("described tool isn't allowed", server=served.server.name, tool=name[:80])
            return None
        try:
            tool = served.server.tool(described, _at_a_runner)
        except (BadInput, RecursionError) as error:
            log.warning("described tool can't be used", server=served.server.name, tool=name, error=str(error)[:300])
            return None
        believed = served.believed.setdefault(name, tool)
        if believed.pin == tool.pin:
            return believed
        if served.changed.get(name) != tool.pin:
            served.changed[name] = tool.pin
            _changes.labels(server=served.server.name).inc()
            log.warning("tool is described in another way, so it is withdrawn", server=served.server.name, tool=name)
        return None

    def _note(self, served: _Served, problem: str) -> None:
        if problem and problem != served.problem:
            log.warning("tools of a tool server aren't known", server=served.server.name, problem=problem[:300])
        served.problem = problem

    # when to ask

    def _ask_for(self, served: _Served) -> None:
        self._ask(served.server.name)
        served.askings += 1
        if served.askings == 4 and not served.described:
            self._note(served, served.problem or "no tool runner of this agent file answers")
        self._wait(served)

    def _wait(self, served: _Served) -> None:
        if served.timer is not None:
            served.timer.cancel()
        served.timer = asyncio.get_running_loop().call_later(served.wait_s(), self._ask_for, served)

    def _count(self) -> None:
        _undescribed.set(sum(not served.described for served in self._served.values()))


async def _at_a_runner(**_: object) -> None:
    raise RuntimeError("a tool runner carries this out")
