"""The NATS of `trunkline up`: one server, or three as a cluster that keeps each record three times.

JetStream knows a record's copies by the servers' names: in a cluster those outlive the stack, in the run directory.
"""

import asyncio
import secrets
from collections.abc import Mapping, Sequence
from pathlib import Path

from trunkline.cli.embedded_nats import HOST, EmbeddedNats, free_ports
from trunkline.cli.stack import ALONE, NatsNode
from trunkline.cli.supervisor import Job
from trunkline.proto.errors import BadInput, BadSettings
from trunkline.record.durability import MONITOR, SYNC, sync_s

REPLICAS = "TRUNKLINE_RECORD_REPLICAS"
CLUSTER_FILE = "nats-cluster"  # in the run directory: the cluster's name
_CLUSTER = """\
lame_duck_grace_period: "5s"
cluster {{
  name: {name}
  listen: {host}:{port}
  routes: [{routes}]
}}
"""


class NatsNodes:
    """All of one stack."""

    def __init__(self, directory: Path, count: int, environ: Mapping[str, str]) -> None:
        """environ: theirs too, of which `check` has seen the settings. Raises StartFailed."""
        sync, own = environ.get(SYNC, ""), dict(environ)
        if count == 1:
            self.nodes = [EmbeddedNats(directory, own, sync=sync)]
        else:
            name, ports = _cluster_name(directory), free_ports(HOST, 3 * count)
            blocks = _cluster_blocks(name, ports[:count])
            self.nodes = [
                EmbeddedNats(
                    directory,
                    own,
                    _node(number),
                    server=f"{name}-{number}",
                    cluster=block,
                    sync=sync,
                    ports=ports[count + number - 1 :: count],
                )
                for number, block in enumerate(blocks, 1)
            ]

    @property
    def jobs(self) -> list[Job]:
        return [node.job for node in self.nodes]

    @property
    def told(self) -> tuple[NatsNode, ...]:
        """What the stack's file says of them."""
        return tuple(each.node for each in self.nodes)

    @property
    def environ(self) -> dict[str, str]:
        """Of the services: where the nodes are."""
        return {
            "TRUNKLINE_NATS_URL": ",".join(node.url for node in self.told),
            MONITOR: ",".join(node.monitor_url for node in self.told),
        }

    async def answer(self) -> None:
        """Returns when all of them take clients, under one leader. Raises StartFailed."""
        await asyncio.gather(*(node.answers() for node in self.nodes))


def check(directory: Path, count: int, environ: Mapping[str, str]) -> None:
    """Records stay with the number of nodes that made them: a cluster takes none over from a single server, nor the
    other way round. Raises BadInput."""
    made = 1 if (directory / ALONE).is_dir() else 3 if (directory / _node(1)).is_dir() else count
    if made != count:
        raise BadInput(
            "--nats-nodes", f"the records in {directory} were made with {made} of them", f"{made}, or another --dir"
        )
    wanted = environ.get(REPLICAS, "")
    if count == 1 and wanted not in ("", "1"):
        raise BadSettings(REPLICAS, f"one NATS server can't keep {wanted} copies", "1, or --nats-nodes 3")
    sync_s(environ.get(SYNC, ""))


def replicas(count: int, environ: Mapping[str, str]) -> dict[str, str]:
    """What the services are told, unless the operator has told them: as many copies as there are nodes."""
    return {} if REPLICAS in environ or count == 1 else {REPLICAS: str(count)}


def _node(number: int) -> str:
    return f"{ALONE}-{number}"


def _cluster_name(directory: Path) -> str:
    """The one that the directory's records know, else a new one."""
    file = directory / CLUSTER_FILE
    if not file.exists():
        file.write_text(f"trunkline-{secrets.token_hex(4)}")
    return file.read_text().strip()


def _cluster_blocks(name: str, ports: Sequence[int]) -> list[str]:
    """One per node; each knows the others."""
    return [
        _CLUSTER.format(
            name=name,
            host=HOST,
            port=own,
            routes=", ".join(f'"nats://{HOST}:{other}"' for other in ports if other != own),
        )
        for own in ports
    ]
