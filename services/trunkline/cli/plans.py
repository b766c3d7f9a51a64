"""What `trunkline up` is to run, checked before anything is started.

The operator's own settings are passed on; options win over them; keys are made once and kept in the run directory.
"""

import base64
import fcntl
import os
import secrets
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import IO
from urllib.parse import quote

import msgspec

from trunkline.agents import load_agent_file
from trunkline.cli import options, stack
from trunkline.cli.embedded_nats import free_port
from trunkline.cli.errors import DirectoryTaken, PortTaken
from trunkline.cli.options import Program
from trunkline.proto.errors import BadInput

DEFAULT_GRACE_S = 30.0
NOT_PASSED_ON = (
    "TRUNKLINE_WORKER_ID",  # a worker's id is its own
    "PYTHONDONTWRITEBYTECODE",  # services start again and again, and needn't compile each time
)
VAULT_KEY = "TRUNKLINE_VAULT_KEY"
_DEFAULT_AGENT = Path(__file__).with_name("default_agent.py")


class Plan(msgspec.Struct, frozen=True):
    """What to run, checked. agent: an agent file's spec. key: of the API. grace_s: for calls at the end.

    own_key: made here, and not one of the operator's. nats_nodes: 1 or 3.
    """

    directory: Path
    host: str
    port: int
    key: str
    agent: str
    workers: dict[Program, int]
    environ: dict[str, str]
    grace_s: float
    own_key: bool = False
    nats_nodes: int = 1

    @property
    def url(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}"

    @property
    def page(self) -> str:
        """Of the page to call from the browser; with the key behind the `#`, which browsers send nowhere."""
        return f"{self.url}/#key={quote(self.key, safe='')}" if self.own_key else f"{self.url}/"


def agent_spec(spec: str) -> str:
    """An absolute spec of a file that loads. Raises BadInput."""
    path, colon, name = (spec or str(_DEFAULT_AGENT)).partition(".py:")
    spec = f"{path}{colon}{name}"
    loaded = load_agent_file(spec)
    return f"{loaded.path}:{loaded.default.name}"


def make_directory(directory: Path) -> Path:
    try:
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        (directory / "logs").mkdir(exist_ok=True)
    except OSError as error:
        raise BadInput("--dir", f"{directory}: {error.strerror}", "a directory that can be made and written") from error
    return directory


def lock(directory: Path) -> IO[str]:
    """Held for as long as the file is open, and let go by the kernel however we end. Raises DirectoryTaken."""
    file = (directory / "lock").open("a+")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        file.seek(0)
        owner = file.read().strip()
        file.close()
        raise DirectoryTaken(directory, int(owner) if owner.isdecimal() else 0) from None
    file.truncate(0)
    file.write(str(os.getpid()))
    file.flush()
    return file


def free(host: str, port: int) -> int:
    """The port, once it is known that nobody listens on it. Raises PortTaken.

    Without SO_REUSEPORT, which lets the gateways share the port, and would let a second stack share it too.
    """
    try:
        family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[
            0
        ]
        with socket.socket(family, kind) as listener:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
            listener.listen()
    except OSError as error:
        raise PortTaken(host, port, error.strerror or str(error)) from error
    return port or free_port(host)


def api_key(directory: Path, host: str, environ: Mapping[str, str]) -> str:
    """The first of the operator's keys, else the one kept in the run directory, else a new one. Raises BadInput."""
    given = given_keys(environ)
    if given:
        return given[0]
    if not options.is_loopback(host):
        raise BadInput(
            "--host", f"{host} can be reached by others, and no key is set", "TRUNKLINE_API_KEYS, or loopback"
        )
    kept = stack.read(directory)
    return kept.key if kept else f"sk-{secrets.token_urlsafe(24)}"


def given_keys(environ: Mapping[str, str]) -> list[str]:
    return [key.strip() for key in environ.get("TRUNKLINE_API_KEYS", "").split(",") if key.strip()]


def vault_key(directory: Path, environ: Mapping[str, str]) -> str:
    """The operator's, else the one kept in the run directory, else a new one. Raises BadInput."""
    kept = stack.read(directory)
    made = kept.vault_key if kept else ""
    return environ.get(VAULT_KEY) or made or base64.b64encode(secrets.token_bytes(32)).decode()


def without_key(environ: Mapping[str, str]) -> dict[str, str]:
    """For whoever may keep or pass on sensitive values, but not read them."""
    return {name: value for name, value in environ.items() if name != VAULT_KEY}


def api_keys(plan: Plan, environ: Mapping[str, str]) -> str:
    """Of the gateways: all of the operator's, else the plan's."""
    return ",".join(given_keys(environ)) or plan.key


def environment(
    environ: Mapping[str, str], host: str, port: int, agent: str, engines: Mapping[str, str], directory: Path
) -> dict[str, str]:
    """The operator's own, with what the options say: they win over variables."""
    return {
        "OPENBLAS_NUM_THREADS": "1",  # numpy's own threads spin after every product, and take a core from the calls
        **{name: value for name, value in environ.items() if name not in NOT_PASSED_ON},
        "TRUNKLINE_HOST": host,
        "TRUNKLINE_PORT": str(port),
        "TRUNKLINE_AGENT_FILE": agent,
        "TRUNKLINE_DIR": str(directory),
        "TRUNKLINE_ADMIN_PORT": "0",
        **{f"TRUNKLINE_ENGINE_{seam.upper()}": name for seam, name in engines.items()},
    }


def grace_s(environ: Mapping[str, str]) -> float:
    """The services' own setting; a bad value is theirs to refuse."""
    try:
        return float(environ.get("TRUNKLINE_DRAIN_GRACE_S", DEFAULT_GRACE_S))
    except ValueError:
        return DEFAULT_GRACE_S
