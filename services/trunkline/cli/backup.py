"""`trunkline backup` and `trunkline restore`: all that a deployment keeps, as files, and back into an empty one.

Both speak to NATS, not to a gateway: what is to be brought back need not run. Nothing is written over, here or there,
and nothing is brought back of a backup that isn't whole.
"""

import argparse
import asyncio
import os
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path

import msgspec

from trunkline.bus.nats import NatsBus
from trunkline.cli import manifest, stack
from trunkline.cli.errors import CommandFailed
from trunkline.cli.listing import table
from trunkline.cli.parser import DEFAULT_DIR
from trunkline.proto.errors import BadInput
from trunkline.proto.ids import new_worker_id
from trunkline.record import NatsSnapshots, SnapshotFailed, StreamState, kept_streams

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

    copied = _each(parsed, there, save)
    try:
        manifest.write(folder, copied)
    except OSError as error:
        raise CommandFailed(f"{error}; without {manifest.MANIFEST_FILE} it is no backup") from error
    return _tell(parsed, copied)


def restore(parsed: argparse.Namespace) -> int:
    folder = Path(parsed.folder)
    if parsed.replicas not in ("", *REPLICAS):
        raise BadInput("--replicas", repr(parsed.replicas), " or ".join(REPLICAS))
    replicas = int(parsed.replicas or 0)
    saved = _whole(folder, unchecked=parsed.unchecked)

    async def bring_back(snapshots: NatsSnapshots, stream: str) -> StreamState:
        return await snapshots.restore(stream, folder / stream, replicas=replicas)

    async def with_room(snapshots: NatsSnapshots) -> list[str]:
        """All of them, or none is touched."""
        states = [(stream, await snapshots.state(stream)) for stream in saved]
        if taken := [stream for stream, state in states if state is not None and state.messages]:
            raise CommandFailed(f"NATS holds something already, in {', '.join(taken)}: nothing was restored")
        return saved

    return _tell(parsed, _each(parsed, with_room, bring_back))


def _whole(folder: Path, *, unchecked: bool) -> list[str]:
    """The streams of a backup that lacks nothing. unchecked: also of one without a manifest. Raises BadInput."""
    try:
        found = manifest.read(folder)
    except OSError as error:
        raise CommandFailed(str(error)) from error
    if not found.streams:
        raise BadInput("FOLDER", f"{folder} holds no backup", "a folder that trunkline backup wrote")
    if found.manifest is None and not unchecked:
        problem = (
            f"{folder} has no {manifest.MANIFEST_FILE}: it was cut short, or an earlier release made it, and what is"
            f" missing can't be seen (there are {', '.join(found.streams)})"
        )
        raise BadInput("FOLDER", problem, "a backup that came to its end, or this one as it is with --unchecked")
    return found.streams


def _each(
    parsed: argparse.Namespace, choose: Callable[[NatsSnapshots], Awaitable[list[str]]], copy: Copy
) -> list[tuple[str, StreamState]]:
    """Of each stream that was chosen what was copied. Raises CommandFailed, also where none was."""
    urls = _nats_urls(parsed)

    async def run() -> list[tuple[str, StreamState]]:
        bus = NatsBus()
        try:
            await bus.open(urls, new_worker_id("cli"))
            snapshots = NatsSnapshots(bus.client)
            return [(stream, await copy(snapshots, stream)) for stream in await choose(snapshots)]
        finally:
            await bus.close()

    try:
        copied = asyncio.run(run())
    except (SnapshotFailed, OSError) as error:
        raise CommandFailed(str(error)) from error
    if not copied:
        raise CommandFailed("NATS holds nothing of Trunkline's")
    return copied


def _tell(parsed: argparse.Namespace, copied: list[tuple[str, StreamState]]) -> int:
    lines = [StreamLine(stream, state.messages, state.bytes) for stream, state in copied]
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
