"""One tool server and this process: a connection that stays open, is made again when it was lost, and calls tools.

A server's every step has a limit; what it does or doesn't do costs its own tools, never another's.
"""

import asyncio
import contextlib
import math
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager

import anyio
from mcp.client import ClientSession
from mcp.client._transport import TransportStreams  # what transports yield; no public module names it
from mcp_types import (
    CallToolRequest,
    CallToolRequestParams,
    CallToolResult,
    Implementation,
    PaginatedRequestParams,
    Tool,
    ToolListChangedNotification,
)
from prometheus_client import Counter, Gauge
from pydantic import ValidationError

from trunkline.agents import ToolServer
from trunkline.runtime.process import VERSION
from trunkline.telemetry import logs
from trunkline.tool_runner.servers.listing import Listing, listing_of
from trunkline.tool_runner.servers.place import Place
from trunkline.tool_runner.servers.stdio import stdio
from trunkline.tool_runner.servers.streamable import streamable

PAGES = 20  # of a list of tools
OFFERED = 5000  # tools of a list that are looked at
LIST_AGAIN_S = 1.0  # after a list, at the earliest
BACKOFF_S = 0.25  # before a lost connection is made again; doubled each time
BACKOFF_LIMIT_S = 30.0
STEADY_S = 10.0  # after which a connection that is lost is made again at once
ENDED = "it ended the connection"
WORDS = 300  # characters of a problem

log = logs.get(__name__)
_connections = Counter(
    "trunkline_tool_runner_server_connections_total", "Connections to tool servers", ["server", "outcome"]
)
_connected = Gauge("trunkline_tool_runner_servers_connected", "1 while the tool server is connected", ["server"])
_changes = Counter(
    "trunkline_tool_runner_server_changes_total", "Tools that their server describes in another way", ["server"]
)


class Unreachable(Exception):
    """The server is of no use at present: nothing was sent."""


class Connection:
    """place: see there. listing: what the server offers, as it said last; None before it first did."""

    def __init__(self, server: ToolServer, place: Place) -> None:
        self.server = server
        self.listing: Listing | None = None
        self.problem = "it isn't connected yet"
        self._place = place
        self._session: ClientSession | None = None
        self._task: asyncio.Task[None] | None = None
        self._up = asyncio.Event()
        self._changed = asyncio.Event()
        self._ended = asyncio.Event()
        self._was_up = False
        self._life: anyio.CancelScope | None = None

    def start(self) -> None:
        self._life = anyio.CancelScope()
        self._task = asyncio.get_running_loop().create_task(self._live(self._life))

    async def stop(self) -> None:
        """Not by cancelling the task: a scope's cancellation lets a child process be ended in order."""
        if self._life is not None and self._task is not None:
            self._life.cancel()
            await asyncio.wait({self._task})

    async def ready(self, patience_s: float) -> None:
        """Returns once connected. Raises Unreachable."""
        try:
            await asyncio.wait_for(self._up.wait(), patience_s)
        except TimeoutError as error:
            raise Unreachable(self.problem) from error

    async def call(self, name: str, arguments: Mapping[str, object]) -> CallToolResult:
        """name: at the server. Raises Unreachable, MCPError, or pydantic.ValidationError for an answer of no shape."""
        if self._session is None:
            raise Unreachable(self.problem)
        request = CallToolRequest(params=CallToolRequestParams(name=name, arguments=dict(arguments)))
        return await self._session.send_request(request, CallToolResult)

    def lose(self) -> None:
        """The connection is of no more use: what is called from now on waits for the next one."""
        if self._session is not None:
            self._part(ENDED)
        self._ended.set()
        self._changed.set()

    # the connection's life

    async def _live(self, life: anyio.CancelScope) -> None:
        """The task of a connection."""
        with life:
            await self._connect_again_and_again()

    async def _connect_again_and_again(self) -> None:
        loop = asyncio.get_running_loop()
        failures = 0
        while True:
            began_s = loop.time()
            try:
                problem = await self._connect_and_watch()
            except Exception as error:  # a rim: whatever a server brings about, it is connected to again
                problem = self._said(error)
            self._down(problem)
            failures = 0 if loop.time() - began_s > self.server.connect_s + STEADY_S else failures
            await asyncio.sleep(min(BACKOFF_LIMIT_S, BACKOFF_S * 2**failures))
            failures = min(failures + 1, 16)

    async def _connect_and_watch(self) -> str:
        """Why it is over."""
        self._ended.clear()
        self._changed.clear()
        with anyio.CancelScope() as limit:
            limit.deadline = anyio.current_time() + self.server.connect_s
            async with self._open() as session:
                await session.initialize()
                await self._list(session)
                limit.deadline = math.inf
                self._is_up(session)
                try:
                    await self._watch(session)
                finally:
                    self._part(ENDED)
        if limit.cancelled_caught:
            return f"it didn't say within {self.server.connect_s:g} s what tools it has"
        return ENDED

    @asynccontextmanager
    async def _open(self) -> AsyncGenerator[ClientSession, None]:
        us = Implementation(name="trunkline", version=VERSION)
        async with (
            self._streams() as (heard, outgoing),
            ClientSession(heard, outgoing, message_handler=self._hear, client_info=us) as session,
        ):
            yield session

    def _streams(self) -> contextlib.AbstractAsyncContextManager[TransportStreams]:
        server = self.server
        if server.transport == "stdio":
            return stdio(server.name, self._place, self.lose)
        return streamable(self._place, server.connect_s, server.timeout_s)

    async def _watch(self, session: ClientSession) -> None:
        """Until the connection is lost; lists the tools again when told that they changed."""
        while True:
            await self._changed.wait()
            self._changed.clear()
            if self._ended.is_set():
                return
            with anyio.fail_after(self.server.connect_s):
                await self._list(session)
            with anyio.move_on_after(LIST_AGAIN_S):  # a server that changes all the time is not listed all the time
                await self._ended.wait()

    async def _hear(self, message: object) -> None:
        if isinstance(message, ToolListChangedNotification):
            self._changed.set()

    # its tools

    async def _list(self, session: ClientSession) -> None:
        offered: list[Tool] = []
        cursor: str | None = None
        for _ in range(PAGES):
            params = PaginatedRequestParams(cursor=cursor) if cursor else None
            try:
                page = await session.list_tools(params=params)
            except ValidationError as error:
                raise Unreachable("its list of tools is none") from error
            offered += page.tools
            cursor = page.next_cursor
            if not cursor or len(offered) >= OFFERED:
                break
        self._take(listing_of(self.server, offered[:OFFERED]))

    def _take(self, listing: Listing) -> None:
        before = self.listing.tools if self.listing is not None else {}
        for name in sorted(before.keys() & listing.tools.keys()):
            if before[name].pin != listing.tools[name].pin:
                _changes.labels(server=self.server.name).inc()
                log.warning("tool server describes a tool in another way", server=self.server.name, tool=name)
        said = self.listing.left_out if self.listing is not None else {}
        for name, why in listing.left_out.items() - said.items():
            log.warning("tool of a tool server can't be used", server=self.server.name, tool=name, reason=why)
        self.listing = listing

    def _is_up(self, session: ClientSession) -> None:
        self._session, self.problem, self._was_up = session, "", True
        self._up.set()
        _connections.labels(server=self.server.name, outcome="made").inc()
        _connected.labels(server=self.server.name).set(1)
        tools = sorted(self.listing.tools) if self.listing else []
        log.info("tool server connected", server=self.server.name, transport=self.server.transport, tools=tools)

    def _down(self, problem: str) -> None:
        self._part(problem)
        _connections.labels(server=self.server.name, outcome="lost" if self._was_up else "failed").inc()
        self._was_up = False
        _connected.labels(server=self.server.name).set(0)
        log.warning("tool server is away", server=self.server.name, problem=problem)

    def _part(self, problem: str) -> None:
        self._session, self.problem = None, problem
        self._up.clear()

    def _said(self, error: BaseException) -> str:
        """The first of whatever went wrong, in one short line without secrets."""
        while isinstance(error, BaseExceptionGroup):
            error = error.exceptions[0]
        line = " ".join(str(error).split()) or type(error).__name__
        return self._place.without_secrets(line)[:WORDS]
