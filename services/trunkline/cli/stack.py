"""Where a stack is: its run directory, or an address and a key.

The run directory's stack.json is written by `trunkline up` and is readable by its owner only: it holds the key.
"""

import argparse
import os
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import msgspec

from trunkline.cli.parser import DEFAULT_DIR
from trunkline.proto.errors import BadInput

STACK_FILE = "stack.json"
ALONE = "nats"  # name of the only NATS server; a cluster's nodes have numbers behind it
_SCHEMES = {"ws": "http", "wss": "https", "http": "http", "https": "https"}


class NatsNode(msgspec.Struct, frozen=True):
    """A server of the stack's NATS. name: of its files in the run directory. server: as it calls itself, which is how
    streams name their leaders. url: for clients. monitor_url: of its HTTP monitoring."""

    name: str
    server: str
    url: str
    monitor_url: str

    @property
    def pid_file(self) -> str:
        """In the run directory: of the process that runs now."""
        return f"{self.name}.pid"


class Stack(msgspec.Struct, frozen=True):
    """url: of the gateways, http://host:port. pid: of `trunkline up`. nats_url: of the first NATS server.

    vault_key: of the agents and the tool runners. nats_nodes: all NATS servers; none in a file of a release before."""

    url: str
    key: str
    pid: int = 0
    nats_url: str = ""
    vault_key: str = ""
    nats_nodes: tuple[NatsNode, ...] = ()

    @property
    def nats_urls(self) -> list[str]:
        """For a client, which uses one and moves to another when that is gone."""
        return [node.url for node in self.nats_nodes] or [self.nats_url]


class Address(msgspec.Struct, frozen=True):
    """base: http(s)://host:port of a gateway, without a path. key may be empty."""

    base: str
    key: str

    @property
    def realtime(self) -> str:
        """Where the Realtime WebSocket is."""
        return f"ws{self.base.removeprefix('http')}/v1/realtime"


def write(directory: Path, stack: Stack) -> None:
    path = directory / STACK_FILE
    fresh = path.with_suffix(".new")
    handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "wb") as file:
        file.write(msgspec.json.format(msgspec.json.encode(stack)) + b"\n")
    fresh.replace(path)


def read(directory: Path) -> Stack | None:
    """None when no stack was ever started there. Raises BadInput."""
    path = directory / STACK_FILE
    try:
        return msgspec.json.decode(path.read_bytes(), type=Stack)
    except FileNotFoundError:
        return None
    except (OSError, msgspec.MsgspecError) as error:
        raise BadInput(str(path), f"can't be read ({error})", "the file that trunkline up writes") from error


def find(options: argparse.Namespace, environ: Mapping[str, str] = os.environ) -> Address:
    """--url, else --dir, else TRUNKLINE_URL, else the default directory. Raises BadInput."""
    url = options.url or ("" if options.dir else environ.get("TRUNKLINE_URL", ""))
    if url:
        return Address(base_of(url), options.key or environ.get("TRUNKLINE_KEY", ""))
    directory = Path(options.dir or DEFAULT_DIR)
    stack = read(directory)
    if stack is None:
        raise BadInput("--dir", f"{directory} holds no stack", "the --dir given to trunkline up, or --url and --key")
    return Address(stack.url, options.key or stack.key)


def base_of(url: str) -> str:
    """The address of a gateway in any of its forms: ws:// or http://, with or without the Realtime path."""
    parts = urlsplit(url)
    if parts.scheme not in _SCHEMES or not parts.hostname:
        raise BadInput("--url", f"{url!r} is no address", "ws://host:port or http://host:port")
    path = parts.path.rstrip("/").removesuffix("/realtime").removesuffix("/v1")
    return urlunsplit((_SCHEMES[parts.scheme], parts.netloc, path, "", ""))
