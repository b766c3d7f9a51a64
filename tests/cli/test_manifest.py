"""A manifest names what of a backup is missing or differs, and is written whole or not at all."""

from pathlib import Path

import msgspec
import pytest

from trunkline.cli import manifest
from trunkline.cli.manifest import MANIFEST_FILE, VERSION
from trunkline.proto.errors import BadInput
from trunkline.record import DATA_FILE, META_FILE, StreamState

STREAMS = ("CALLS_03", "CALLS_07", "KV_RESPONSES")


@pytest.fixture
def backup(tmp_path: Path) -> Path:
    for stream in STREAMS:
        (tmp_path / stream).mkdir()
        for name in (DATA_FILE, META_FILE):
            (tmp_path / stream / name).write_text(f"{name} of {stream}")
    manifest.write(tmp_path, [(stream, StreamState(messages=2, bytes=70)) for stream in STREAMS])
    return tmp_path


def problem(folder: Path) -> str:
    with pytest.raises(BadInput) as refused:
        manifest.read(folder)
    assert refused.value.param == "FOLDER"
    return refused.value.problem


def edit(backup: Path, **changes: object) -> None:
    path = backup / MANIFEST_FILE
    path.write_bytes(msgspec.json.encode(msgspec.json.decode(path.read_bytes()) | changes))


def test_a_backup_that_is_whole_is_read_with_what_it_holds(backup: Path) -> None:
    found = manifest.read(backup)

    assert found.streams == list(STREAMS)
    assert found.manifest is not None
    assert [(one.stream, one.messages, one.bytes) for one in found.manifest.streams] == [
        (stream, 2, 70) for stream in STREAMS
    ]
    assert [one.name for one in backup.iterdir() if one.is_file()] == [MANIFEST_FILE]


def test_all_that_is_missing_or_differs_is_named(backup: Path) -> None:
    (backup / "CALLS_03" / "stream.tar.s2").unlink()
    (backup / "CALLS_07" / "stream.tar.s2").write_text("STREAM.tar.s2 of CALLS_07")
    (backup / "KV_RESPONSES" / "backup.json").write_text("short")
    (backup / "CALLS_11").mkdir()

    said = problem(backup)

    assert said.split(": ", 1)[1].split("; ") == [
        "CALLS_03/stream.tar.s2 is missing",
        "CALLS_07/stream.tar.s2 has other contents",
        "KV_RESPONSES/backup.json has 5 bytes, not 27",
        "CALLS_11 is not of this backup",
    ]


def test_of_many_problems_the_first_are_named(backup: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trunkline.cli.manifest.TOLD", 1)
    for stream in STREAMS:
        (backup / stream / "backup.json").unlink()

    assert problem(backup).endswith("CALLS_03/backup.json is missing; and 2 more")


def test_a_manifest_of_a_later_version_or_that_is_torn_is_refused(backup: Path) -> None:
    edit(backup, version=VERSION + 1, streams="in other words")
    later = problem(backup)
    (backup / MANIFEST_FILE).write_text('{"version": 1, "str')
    torn = problem(backup)

    assert "is of version 2, of a later release" in later
    assert "can't be read" in torn


def test_a_manifest_with_a_damaged_byte_is_refused_in_words(backup: Path) -> None:
    path = backup / MANIFEST_FILE
    path.write_bytes(path.read_bytes().replace(b"CALLS_07", b"CALLS_\xff7"))

    assert "can't be read" in problem(backup)


def test_a_stream_that_this_release_does_not_keep_is_never_looked_for(backup: Path) -> None:
    edit(backup, streams=[{"stream": "../CALLS_03", "messages": 1, "bytes": 1, "files": {}}])

    assert "this release keeps no stream '../CALLS_03'" in problem(backup)


def test_a_manifest_that_could_not_be_written_is_none(backup: Path) -> None:
    (backup / MANIFEST_FILE).unlink()
    (backup / "CALLS_07" / "backup.json").unlink()

    with pytest.raises(FileNotFoundError):
        manifest.write(backup, [(stream, StreamState()) for stream in STREAMS])

    assert [one.name for one in backup.iterdir() if one.is_file()] == []
    assert manifest.read(backup) == (["CALLS_03", "KV_RESPONSES"], None)


def test_without_a_manifest_a_copy_that_lacks_its_messages_is_named(backup: Path) -> None:
    (backup / MANIFEST_FILE).unlink()
    (backup / "CALLS_07" / DATA_FILE).unlink()

    assert problem(backup).endswith("isn't whole: CALLS_07/stream.tar.s2 is missing")
