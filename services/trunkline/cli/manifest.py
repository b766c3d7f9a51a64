"""The manifest of a backup: which streams belong to it, and of each file its size and digest. Nothing but files.

Rule: it is written last, and whole: a folder that has one is a backup that came to its end.
"""

import hashlib
import importlib.metadata
import os
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import msgspec

from trunkline.proto.errors import BadInput
from trunkline.record import DATA_FILE, META_FILE, StreamState, kept_streams

MANIFEST_FILE = "manifest.json"
VERSION = 1
_FILES = (DATA_FILE, META_FILE)  # of each stream
TOLD = 8  # problems: the first of them are named
_ALLOWED = "a backup as trunkline backup left it"


class SavedFile(msgspec.Struct, frozen=True):
    """sha256: of its contents, in hexadecimal digits."""

    bytes: int
    sha256: str


class SavedStream(msgspec.Struct, frozen=True):
    """messages, bytes: that the stream held. files: by name, in the folder of the stream's name."""

    stream: str
    messages: int
    bytes: int
    files: dict[str, SavedFile]


class Manifest(msgspec.Struct, frozen=True):
    """version: of this format. trunkline: the release that made the backup."""

    version: int
    trunkline: str
    streams: tuple[SavedStream, ...]


class _Version(msgspec.Struct):
    """What every release can read of it."""

    version: int = 0


class Found(NamedTuple):
    """streams: that are to be brought back. manifest: None where the folder has none."""

    streams: list[str]
    manifest: Manifest | None


def write(folder: Path, saved: Iterable[tuple[str, StreamState]]) -> None:
    """Of the streams that lie in the folder. It is there whole, or not at all. Raises OSError."""
    streams = tuple(
        SavedStream(stream, state.messages, state.bytes, {name: _facts(folder / stream / name) for name in _FILES})
        for stream, state in saved
    )
    manifest = Manifest(VERSION, importlib.metadata.version("trunkline"), streams)
    new = folder / f"{MANIFEST_FILE}.new"
    with new.open("xb") as file:
        os.chmod(file.fileno(), 0o600)
        file.write(msgspec.json.format(msgspec.json.encode(manifest)))
        file.flush()
        os.fsync(file.fileno())
    new.replace(folder / MANIFEST_FILE)


def read(folder: Path) -> Found:
    """With every file as it was written. Without a manifest: what is whole by itself. Raises BadInput, OSError."""
    path = folder / MANIFEST_FILE
    present = [stream for stream in kept_streams() if (folder / stream).is_dir()]
    if not path.exists():
        return Found(_unlisted(folder, present), None)
    manifest = _decoded(path)
    if problems := list(_problems(folder, manifest, present)):
        more = f"; and {len(problems) - TOLD} more" if len(problems) > TOLD else ""
        raise BadInput("FOLDER", f"{folder} isn't whole: {'; '.join(problems[:TOLD])}{more}", _ALLOWED)
    listed = {saved.stream for saved in manifest.streams}
    return Found([stream for stream in kept_streams() if stream in listed], manifest)


def _unlisted(folder: Path, present: Iterable[str]) -> list[str]:
    """What came to its end: META_FILE was written last. Raises BadInput."""
    ended = [stream for stream in present if (folder / stream / META_FILE).is_file()]
    for stream in ended:
        if not (folder / stream / DATA_FILE).is_file():
            raise BadInput("FOLDER", f"{folder} isn't whole: {stream}/{DATA_FILE} is missing", _ALLOWED)
    return ended


def _decoded(path: Path) -> Manifest:
    data = path.read_bytes()
    try:
        if (version := msgspec.json.decode(data, type=_Version).version) > VERSION:
            problem = f"{path} is of version {version}, of a later release"
            raise BadInput("FOLDER", problem, f"version {VERSION} and before")
        return msgspec.json.decode(data, type=Manifest)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise BadInput("FOLDER", f"{path} can't be read: {error}", _ALLOWED) from error


def _problems(folder: Path, manifest: Manifest, present: Iterable[str]) -> Iterable[str]:
    """In words. Files are read in turn, each once."""
    listed = {saved.stream for saved in manifest.streams}
    known = set(kept_streams())
    for saved in manifest.streams:
        if saved.stream not in known:
            yield f"this release keeps no stream {saved.stream!r:.80}"
            continue
        for name in _FILES:
            if problem := _problem(folder / saved.stream / name, saved.files.get(name)):
                yield f"{saved.stream}/{name} {problem}"
    yield from (f"{stream} is not of this backup" for stream in present if stream not in listed)


def _problem(path: Path, wanted: SavedFile | None) -> str:
    """Empty for none."""
    if wanted is None:
        return "is not in the manifest"
    if not path.is_file():
        return "is missing"
    if (size := path.stat().st_size) != wanted.bytes:
        return f"has {size} bytes, not {wanted.bytes}"
    return "" if _facts(path) == wanted else "has other contents"


def _facts(path: Path) -> SavedFile:
    with path.open("rb") as file:
        return SavedFile(os.fstat(file.fileno()).st_size, hashlib.file_digest(file, "sha256").hexdigest())
