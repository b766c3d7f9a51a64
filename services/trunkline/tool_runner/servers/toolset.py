"""All tool servers of an agent file, as ordinary tools: what may be used is run, everything else isn't there.

A tool is run only while its server describes it as the model was told; its order carries that as a pin.
"""

import asyncio
import logging
from collections.abc import Callable, Coroutine, Mapping

from mcp import MCPError
from mcp_types import CONNECTION_CLOSED, INVALID_REQUEST, PARSE_ERROR
from prometheus_client import Counter
from pydantic import ValidationError

from trunkline.agents import Tool, ToolContext, ToolServer
from trunkline.agents.toolserver import CONTEXT
from trunkline.proto.tool import DescribedTool, ToolsDescribed
from trunkline.telemetry import logs
from trunkline.tool_runner import outcome as outcomes
from trunkline.tool_runner.outcome import Ended
from trunkline.tool_runner.servers import answer
from trunkline.tool_runner.servers.codes import LOST, NOT_SENT, TOO_LONG
from trunkline.tool_runner.servers.connection import Connection, Unreachable
from trunkline.tool_runner.servers.listing import Listed
from trunkline.tool_runner.servers.place import place_of

PATIENCE_SHARE = 0.5  # of a call's time that its server may take to come back

log = logs.get(__name__)
_refused = Counter("trunkline_tool_runner_pin_refusals_total", "Tool calls not run: described in another way", ["tool"])

Run = Callable[..., Coroutine[None, None, object]]


class Toolset:
    """servers: of the agent file. environ: this process's environment. Raises BadInput for what isn't set there."""

    def __init__(self, servers: Mapping[str, ToolServer], digest: str, environ: Mapping[str, str]) -> None:
        self._digest = digest
        self._connections = {name: Connection(server, place_of(server, environ)) for name, server in servers.items()}
        self.tools: dict[str, Tool] = {}
        for connection in self._connections.values():
            for name, at_server in connection.server.tool_names.items():
                undescribed = DescribedTool(name, "", '{"type":"object"}')
                self.tools[name] = connection.server.tool(undescribed, self._runs(connection, name, at_server))

    def start(self) -> None:
        for name in ("mcp", "httpx2", "httpcore2"):  # they log what a server says, at any length
            logging.getLogger(name).setLevel(logging.CRITICAL)
        for connection in self._connections.values():
            connection.start()

    async def stop(self) -> None:
        await asyncio.gather(*(connection.stop() for connection in self._connections.values()))

    def describe(self, server: str) -> ToolsDescribed | None:
        """None for a server that is none of the agent file's."""
        connection = self._connections.get(server)
        if connection is None:
            return None
        if connection.listing is None or connection.problem:
            return ToolsDescribed(server, self._digest, problem=connection.problem)
        return ToolsDescribed(server, self._digest, tuple(one.described for one in connection.listing.tools.values()))

    # one call

    def _runs(self, connection: Connection, name: str, at_server: str) -> Run:
        async def run(**given: object) -> object:
            context = given.pop(CONTEXT)
            assert isinstance(context, ToolContext)
            return await self._run(connection, self.tools[name], at_server, given, context)

        return run

    async def _run(
        self, connection: Connection, tool: Tool, at_server: str, arguments: Mapping[str, object], context: ToolContext
    ) -> object:
        try:
            await connection.ready(min(context.remaining_s(), tool.timeout_s) * PATIENCE_SHARE)
            listed = self._pinned(connection, tool, context.pin)
            result = await connection.call(at_server, arguments)
        except Unreachable as error:
            outcome = outcomes.not_run(tool, f"the tool server {connection.server.name} is away ({error})")
            raise Ended(outcomes.away(outcome)) from error
        except MCPError as error:
            raise Ended(self._failed(connection, tool, error)) from error
        except ValidationError as error:
            raise Ended(outcomes.unread(tool, "its answer is none to a tool call")) from error
        if result.is_error:
            raise Ended(outcomes.refused(tool, answer.text_of(result)))
        if misfit := answer.misfit(result, listed.output):
            raise Ended(outcomes.unread(tool, misfit))
        return answer.value_of(result)

    def _pinned(self, connection: Connection, tool: Tool, pin: str) -> Listed:
        """The tool as its server describes it now, which is how the model was told."""
        listing = connection.listing
        assert listing is not None  # it is connected
        listed = listing.tools.get(tool.name)
        if listed is None:
            why = listing.left_out.get(tool.name, "the server doesn't offer it")
            raise Ended(outcomes.not_run(tool, why))
        if not pin:
            raise Ended(outcomes.not_run(tool, "its agent doesn't know yet what its server says of it"))
        if listed.pin != pin:
            _refused.labels(tool=tool.name).inc()
            log.warning("tool is described in another way than the model was told", tool=tool.name)
            raise Ended(outcomes.not_run(tool, "its server describes it in another way than before"))
        return listed

    def _failed(self, connection: Connection, tool: Tool, error: MCPError) -> outcomes.Outcome:
        match error.code:
            case code if code == NOT_SENT:
                connection.lose()
                return outcomes.away(
                    outcomes.not_run(tool, f"the tool server {connection.server.name} {error.message}")
                )
            case code if code == INVALID_REQUEST:  # so is a session that the server has forgotten
                connection.lose()
                return outcomes.not_run(tool, f"the tool server {connection.server.name} refused it ({error.message})")
            case code if code in (LOST, CONNECTION_CLOSED):
                return outcomes.away(outcomes.cut_off(tool))
            case code if code in (TOO_LONG, PARSE_ERROR):
                return outcomes.unread(tool, error.message if code == TOO_LONG else "its answer can't be read")
            case _:
                return outcomes.refused(tool, error.message)
