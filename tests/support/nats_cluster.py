"""Three nats-servers of the test's own as one cluster, on free loopback ports, each with a store that outlives it.

Connect with a node's `connect`: it checks that the server that answers is the one that was started here.
"""

import secrets
import signal
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
from nats.aio.client import Client

from support.nats_server import NatsServer
from support.network import Network
from trunkline.cli.embedded_nats import HOST, free_ports

NODES = 3
LEADER_LIMIT_S = 60.0
_CONFIG = """\
http: "127.0.0.1:-1"
ping_interval: "2s"
ping_max: 2
lame_duck_grace_period: "1s"
lame_duck_duration: "30s"
cluster {{
  name: {name}
  listen: "127.0.0.1:{port}"
  routes: [{routes}]
  {more}
}}
"""
_UNKNOWN = f'advertise: "{HOST}:1"'  # nodes tell each other where they are, and would connect by themselves


class NatsCluster:
    """Ready when made, and again after `ready`. A node is killed, hung or stopped by itself; `start` brings it back."""

    def __init__(self, directory: Path, network: Network | None = None) -> None:
        """network: between the first node and the other two, and nothing else leads there."""
        ports, name = free_ports(HOST, NODES), f"test-{secrets.token_hex(4)}"
        ways = dict(zip(ports, map(network.way, ports), strict=True)) if network is not None else {}
        more = _UNKNOWN if network is not None else ""
        self.nodes = []
        for number, port in enumerate(ports, 1):
            apart = {ports[0], port} if number > 1 else set(ports)  # whom it reaches by the network alone
            others = [ways.get(other, other) if other in apart else other for other in ports if other != port]
            routes = ", ".join(f'"nats://{HOST}:{other}"' for other in others)
            config = _CONFIG.format(name=name, port=port, routes=routes, more=more)
            self.nodes.append(NatsServer(directory / f"node-{number}", config))
        for node in self.nodes:
            node.start()
        self.ready()

    @property
    def urls(self) -> list[str]:
        return [node.url for node in self.nodes]

    def ready(self) -> None:
        """Waits until JetStream has a leader that every node is level with, and every stream its own. Raises
        TimeoutError."""
        give_up_s = time.monotonic() + LEADER_LIMIT_S
        waiting = list(self.nodes)
        while waiting := [node for node in waiting if not _healthy(node)]:
            if time.monotonic() > give_up_s:
                raise TimeoutError(f"no leader within {LEADER_LIMIT_S} s; see {waiting[0].store_dir}/server.log")
            time.sleep(0.05)

    async def connect(self, number: int = 0) -> Client:
        """To the node of this number, from 0."""
        return await self.nodes[number].connect()

    def until_kept(self, node: NatsServer, stream: str, messages: int) -> None:
        """Waits until the node's own copy of the stream holds so many. Raises TimeoutError."""
        give_up_s = time.monotonic() + LEADER_LIMIT_S
        while _messages_at(node, stream) != messages:
            if time.monotonic() > give_up_s:
                raise TimeoutError(f"{stream} doesn't hold {messages} messages at {node.name}")
            time.sleep(0.05)

    def until_level(self, stream: str) -> None:
        """Waits until every node's own copy is the same: all then answer what their leader does, while nobody writes.
        Raises TimeoutError."""
        give_up_s = time.monotonic() + LEADER_LIMIT_S
        while len(copies := {_copy_at(node, stream) for node in self.nodes}) > 1:
            if time.monotonic() > give_up_s:
                raise TimeoutError(f"copies of {stream} differ: {copies} messages and last of them")
            time.sleep(0.005)

    def named(self, name: str) -> NatsServer:
        """As streams name their leaders."""
        return next(node for node in self.nodes if node.name == name)

    def lame_duck(self, node: NatsServer) -> None:
        """It asks its clients to go, and cuts those off that stay, over 30 s."""
        node.signal(signal.SIGUSR2)

    def stop(self) -> None:
        for node in self.nodes:
            node.signal(signal.SIGCONT)
            node.signal(signal.SIGTERM)
        for node in self.nodes:
            node.stop()


@contextmanager
def running_cluster(directory: Path, network: Network | None = None) -> Iterator[NatsCluster]:
    cluster = NatsCluster(directory, network)
    try:
        yield cluster
    finally:
        cluster.stop()


def _healthy(node: NatsServer) -> bool:
    try:
        with urllib.request.urlopen(f"{node.monitor_url}/healthz", timeout=2) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, TimeoutError):
        return False


def _messages_at(node: NatsServer, stream: str) -> int:
    """Of the node's own copy; -1 where it has none."""
    return _copy_at(node, stream)[0]


def _copy_at(node: NatsServer, stream: str) -> tuple[int, int]:
    """Messages and last sequence of its own copy; -1 where it has none. Source: nats-server's monitoring, /jsz."""
    with urllib.request.urlopen(f"{node.monitor_url}/jsz?accounts=1&streams=1", timeout=2) as answer:
        told = msgspec.json.decode(answer.read())
    copies = [copy for account in told.get("account_details", []) for copy in account.get("stream_detail", [])]
    states = (copy["state"] for copy in copies if copy["name"] == stream)
    return next(((int(state["messages"]), int(state["last_seq"])) for state in states), (-1, -1))
