"""`trunkline backup` and `trunkline restore`: all that a deployment keeps, as files, and back into an empty one.

Both speak to NATS, not to a gateway: what is to be brought back need not run. Nothing is written over, here or there.
"""

import argparse
import asyncio
import os
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path

import msgspec

from trunkline.bus.nats import NatsBus
from trunkline.cli import stack
from trunkline.cli.errors import CommandFailed
from trunkline.cli.listing import table
from trunkline.cli.parser import DEFAULT_DIR
from trunkline.proto.errors import BadInput
from trunkline.proto.ids import new_worker_id
from trunkline.record import META_FILE, NatsSnapshots, SnapshotFailed, StreamState, kept_streams

REPLICAS = ("1", "3")


class StreamLine(msgspec.Struct, frozen=True):
    """messages, bytes: that the stream held when it was saved, or holds now that it is restored."""

    stream: str
    messages: int
    bytes: int


Copy = Callable[[NatsSnapshots, str], Awaitable[StreamState]]


def backup(parsed: argparse.Namespace) -> int:
    folder = Path(parsed.folder)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise BadInput("FOLDER", f"{folder} exists already", "a new folder, or an empty one")

    async def save(snapshots: NatsSnapshots, stream: str) -> StreamState:
        return await snapshots.save(stream, folder / stream)

    async def there(snapshots: NatsSnapshots) -> list[str]:
        return [stream for stream in kept_streams() if await snapshots.state(stream) is not None]

    return _each(parsed, there, save)


def restore(parsed: argparse.Namespace) -> int:
    folder = Path(parsed.folder)
    if parsed.replicas not in ("", *REPLICAS):
        raise BadInput("--replicas", repr(parsed.replicas), " or ".join(REPLICAS))
    replicas = int(parsed.replicas or 0)
    saved = [stream for stream in kept_streams() if (folder / stream / META_FILE).is_file()]
    if not saved:
        raise BadInput("FOLDER", f"{folder} holds no backup", "a folder that trunkline backup wrote")

    async def bring_back(snapshots: NatsSnapshots, stream: str) -> StreamState:
        return await snapshots.restore(stream, folder / stream, replicas=replicas)

    async def with_room(snapshots: NatsSnapshots) -> list[str]:
        """All of them, or none is touched."""
        states = [(stream, await snapshots.state(stream)) for stream in saved]
        if taken := [stream for stream, state in states if state is not None and state.messages]:
            raise CommandFailed(f"NATS holds something already, in {', '.join(taken)}: nothing was restored")
        return saved

    return _each(parsed, with_room, bring_back)


def _each(parsed: argparse.Namespace, choose: Callable[[NatsSnapshots], Awaitable[list[str]]], copy: Copy) -> int:
    urls = _nats_urls(parsed)

    async def run() -> list[StreamLine]:
        bus = NatsBus()
        try:
            await bus.open(urls, new_worker_id("cli"))
            snapshots = NatsSnapshots(bus.client)
            states = [(stream, await copy(snapshots, stream)) for stream in await choose(snapshots)]
        finally:
            await bus.close()
        return [StreamLine(stream, state.messages, state.bytes) for stream, state in states]

    try:
        lines = asyncio.run(run())
    except (SnapshotFailed, OSError) as error:
        raise CommandFailed(str(error)) from error
    if not lines:
        raise CommandFailed("NATS holds nothing of Trunkline's")
    if parsed.json:
        print(msgspec.json.format(msgspec.json.encode(lines)).decode())
    else:
        rows = [[line.stream, str(line.messages), str(line.bytes)] for line in lines]
        print("\n".join(table(["STREAM", "MESSAGES", "BYTES"], rows)))
    return 0


def _nats_urls(parsed: argparse.Namespace, environ: Mapping[str, str] = os.environ) -> list[str]:
    """--nats-url, else --dir, else TRUNKLINE_NATS_URL, else the default directory. Raises BadInput."""
    given = parsed.nats_url or ("" if parsed.dir else environ.get("TRUNKLINE_NATS_URL", ""))
    if given:
        return [url.strip() for url in given.split(",")]
    directory = Path(parsed.dir or DEFAULT_DIR)
    found = stack.read(directory)
    if found is None or not found.nats_url:
        raise BadInput("--dir", f"{directory} holds no stack", "the --dir given to trunkline up, or --nats-url")
    return found.nats_urls
