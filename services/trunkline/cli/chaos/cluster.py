"""The NATS cluster under test, as its nodes' monitoring tells of it: who answers, leads, and is connected where.

Nothing is asked of a node by its clients' way: that would be one more user who is moved. Format: nats-server's
monitoring, /healthz, /connz and /jsz.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime

import aiohttp
import msgspec

from trunkline.cli.stack import NatsNode

ASK_LIMIT_S = 0.5  # a node that hangs answers nothing
LOOK_S = 0.25


class _Replica(msgspec.Struct):
    name: str
    current: bool = False
    offline: bool = False


class _Group(msgspec.Struct):
    leader: str = ""
    replicas: list[_Replica] = []


class _Stream(msgspec.Struct):
    name: str
    cluster: _Group = msgspec.field(default_factory=_Group)


class _Account(msgspec.Struct):
    streams: list[_Stream] = msgspec.field(default_factory=list, name="stream_detail")


class _JetStream(msgspec.Struct):
    accounts: list[_Account] = msgspec.field(default_factory=list, name="account_details")


class _Connection(msgspec.Struct):
    start: str
    name: str = ""


class _Connections(msgspec.Struct):
    connections: list[_Connection] = []


class Led(msgspec.Struct, frozen=True):
    """A stream, by the word of its leader. level: every copy is there and up to date."""

    level: bool


class NodeView(msgspec.Struct, frozen=True):
    """A node that answers. healthy: its copies are all level with their leaders. users: by worker, since when it is
    connected. streams: all that it has a copy of. leads: those of them that it leads."""

    healthy: bool
    users: Mapping[str, float]
    streams: frozenset[str]
    leads: Mapping[str, Led]


class View(msgspec.Struct, frozen=True):
    """nodes: by name, those that answer; of count there are. at_s: when they were asked."""

    at_s: float
    count: int
    nodes: Mapping[str, NodeView]

    @property
    def leaders(self) -> dict[str, str]:
        """By stream: the node that says that it leads it."""
        return {stream: name for name, node in self.nodes.items() for stream in node.leads}

    @property
    def users(self) -> dict[str, list[str]]:
        return {name: sorted(node.users) for name, node in self.nodes.items()}

    @property
    def led(self) -> bool:
        """Every stream has a leader that answers."""
        known = {stream for node in self.nodes.values() for stream in node.streams}
        return bool(known) and known <= self.leaders.keys()

    @property
    def whole(self) -> bool:
        """Every node is there and every copy level: another node may be lost."""
        nodes = self.nodes.values()
        level = all(led.level for node in nodes for led in node.leads.values())
        return len(nodes) == self.count and all(node.healthy for node in nodes) and self.led and level

    def connected_since(self, worker: str, since_s: float) -> float:
        """When this worker connected to a node after since_s, 0 if it isn't seen to have."""
        starts = (node.users[worker] for node in self.nodes.values() if worker in node.users)
        return min((start_s for start_s in starts if start_s > since_s), default=0.0)


class Cluster:
    """Enter it to ask. now_s: the run's clock."""

    def __init__(self, nodes: Sequence[NatsNode], now_s: Callable[[], float]) -> None:
        self.nodes = nodes
        self._now_s = now_s
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> "Cluster":
        self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=ASK_LIMIT_S))
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._session is not None:
            await self._session.close()

    async def look(self) -> View:
        at_s = self._now_s()
        views = await asyncio.gather(*(self._look_at(node) for node in self.nodes))
        there = {node.name: view for node, view in zip(self.nodes, views, strict=True) if view is not None}
        return View(at_s, len(self.nodes), there)

    async def until(self, holds: Callable[[View], bool]) -> View:
        """Looks again and again; without end, unless it is cancelled."""
        while not holds(view := await self.look()):  # noqa: ASYNC110  # they tell only when asked
            await asyncio.sleep(LOOK_S)
        return view

    async def _look_at(self, node: NatsNode) -> NodeView | None:
        try:
            (status, _), (_, users), (_, streams) = await asyncio.gather(
                self._get(f"{node.monitor_url}/healthz"),
                self._get(f"{node.monitor_url}/connz"),
                self._get(f"{node.monitor_url}/jsz?accounts=true&streams=true"),
            )
            return read(node.server, status == 200, users, streams)
        except (aiohttp.ClientError, OSError, TimeoutError, msgspec.MsgspecError):
            return None

    async def _get(self, url: str) -> tuple[int, bytes]:
        assert self._session is not None
        async with self._session.get(url) as answer:
            return answer.status, await answer.read()


def read(server: str, healthy: bool, connections: bytes, streams: bytes) -> NodeView:
    """server: as the node calls itself. connections, streams: its /connz and /jsz. Raises msgspec.MsgspecError."""
    users: dict[str, float] = {}
    for one in msgspec.json.decode(connections, type=_Connections).connections:
        users[one.name] = max(users.get(one.name, 0.0), seconds_of(one.start))
    copies = [
        stream for account in msgspec.json.decode(streams, type=_JetStream).accounts for stream in account.streams
    ]
    leads = {
        stream.name: Led(all(each.current and not each.offline for each in stream.cluster.replicas))
        for stream in copies
        if stream.cluster.leader == server
    }
    return NodeView(healthy, users, frozenset(stream.name for stream in copies), leads)


def seconds_of(time: str) -> float:
    """RFC 3339, in nanoseconds, of which microseconds are kept; since the epoch."""
    return datetime.fromisoformat(time).timestamp()
