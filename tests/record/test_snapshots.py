"""What was kept in one NATS is there in another, as it was, and is gone on with. By the commands, on real servers."""

import asyncio
import shutil
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pytest
from nats.aio.subscription import Subscription

from support.nats_server import NatsServer, running
from trunkline.cli.main import run
from trunkline.cli.manifest import MANIFEST_FILE
from trunkline.proto import subjects
from trunkline.proto.ids import new_call_id, new_file_id
from trunkline.proto.record import RECORD_VERSION, CallSummary, Claim, RecordEntry, encode_entry
from trunkline.record import (
    META_FILE,
    Attempt,
    FileFacts,
    NatsBucket,
    NatsClaimStore,
    NatsFileStore,
    NatsRecordStore,
    NatsSnapshots,
    SnapshotFailed,
    WrongSequence,
    read_call,
    to_json,
)
from trunkline.record.store import new_entry_id

from .events import weather_call

pytestmark = pytest.mark.nats
CALLS = [new_call_id(shard) for shard in (3, 3, 7)]
PICTURE = bytes(range(256)) * 8192  # 2 MiB: many messages and many chunks


class Kept:
    """The stores of one NATS."""

    def __init__(self, server: NatsServer) -> None:
        self.server = server

    @asynccontextmanager
    async def open(self) -> AsyncIterator["Kept"]:
        client = await self.server.connect()
        self.records = NatsRecordStore(client)
        self.claims = NatsClaimStore(client)
        self.files = NatsFileStore(client, subjects.FILES_BUCKET, limit_bytes=64 * 1024 * 1024)
        self.responses = NatsBucket(client, subjects.RESPONSES_BUCKET, ttl_s=3600.0)
        stores = (self.records, self.claims, self.files, self.responses)
        for store in stores:
            await store.ensure()
        try:
            yield self
        finally:
            for store in stores:
                await store.close()
            await client.close()

    async def everything(self) -> dict[str, object]:
        """As people and programs read it."""
        calls = {call: await read_call(self.records, call) for call in CALLS}
        return {
            "calls": {call: to_json(*found) for call, found in calls.items() if found is not None},
            "index": sorted(await self.records.summaries(), key=lambda line: line.call),
            "claim": await self.claims.read(Attempt(CALLS[0], "call_a")),
            "response": await self.responses.get("resp_a"),
            "files": [(one, await self.files.get(one.id)) for one in await self.files.all()],
        }


async def fill(kept: Kept) -> None:
    for call in CALLS:
        seq = 0
        for index, event in enumerate(weather_call()):
            entry = RecordEntry(RECORD_VERSION, 1, index, new_entry_id(), [event])
            seq = await kept.records.append(call, encode_entry(entry), expected_seq=seq, entry=entry.entry)
        await kept.records.put_summary(CallSummary(call, "frontdesk", 1_790_000_000_000_000, turns=1, status="ended"))
    await kept.claims.claim(Attempt(CALLS[0], "call_a"), Claim(1, "tool_runner-x", 1))
    await kept.responses.put("resp_a", b"what was asked and answered")
    await kept.files.put(
        FileFacts(new_file_id(), "cat.png", "vision", "image/png", len(PICTURE), 1, 0, 64, 48), PICTURE
    )


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NatsServer]:
    with running(tmp_path_factory.mktemp("full")) as server:

        async def main() -> None:
            async with Kept(server).open() as kept:
                await fill(kept)

        asyncio.run(main())
        yield server


@pytest.fixture
def empty(tmp_path: Path) -> Iterator[NatsServer]:
    with running(tmp_path / "empty") as server:
        yield server


@pytest.fixture(scope="module")
def saved(full: NatsServer, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("copies") / "backup"
    assert run(["backup", str(folder), "--nats-url", full.url]) == 0
    return folder


def everything(server: NatsServer) -> dict[str, object]:
    async def main() -> dict[str, object]:
        async with Kept(server).open() as kept:
            return await kept.everything()

    return asyncio.run(main())


async def streams_of(server: NatsServer) -> list[str]:
    client = await server.connect()
    names = [info.config.name or "" for info in await client.jetstream().streams_info()]
    await client.close()
    return names


def test_what_was_kept_is_there_again_as_it_was(full: NatsServer, saved: Path, empty: NatsServer) -> None:
    assert run(["restore", str(saved), "--nats-url", empty.url]) == 0

    assert everything(empty) == everything(full)
    assert len(everything(full)["calls"]) == len(CALLS)  # type: ignore[arg-type]  # a dict


def test_a_backup_tells_what_it_holds_and_is_its_owner_s_alone(
    full: NatsServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "backup"

    assert run(["backup", str(folder), "--nats-url", full.url, "--json"]) == 0

    told = {line["stream"]: line["messages"] for line in msgspec.json.decode(capsys.readouterr().out)}
    assert told[subjects.stream(7)] == len(weather_call())
    assert told[subjects.stream(3)] == 2 * len(weather_call()) + 1  # and a claim
    assert {*told, MANIFEST_FILE} == {one.name for one in folder.iterdir()}
    assert {one.stat().st_mode & 0o777 for one in folder.iterdir() if one.is_dir()} == {0o700}
    assert (folder / MANIFEST_FILE).stat().st_mode & 0o777 == 0o600


def test_a_restored_call_goes_on_behind_its_last_entry_only(saved: Path, empty: NatsServer) -> None:
    async def main() -> None:
        async with Kept(empty).open() as kept:
            found = await kept.records.read(CALLS[2])
            entry = RecordEntry(RECORD_VERSION, 2, len(found), "entry_new", [weather_call()[0]])
            with pytest.raises(WrongSequence):
                await kept.records.append(CALLS[2], encode_entry(entry), expected_seq=found[-2].seq, entry=entry.entry)
            await kept.records.append(CALLS[2], encode_entry(entry), expected_seq=found[-1].seq, entry=entry.entry)

            assert len(await kept.records.read(CALLS[2])) == len(found) + 1

    assert run(["restore", str(saved), "--nats-url", empty.url]) == 0
    asyncio.run(main())


def test_streams_that_services_have_made_and_left_empty_give_way(
    saved: Path, empty: NatsServer, full: NatsServer
) -> None:
    assert everything(empty)["calls"] == {}

    assert run(["restore", str(saved), "--nats-url", empty.url]) == 0

    assert everything(empty) == everything(full)


def test_nothing_is_restored_where_anything_is_kept(
    saved: Path, empty: NatsServer, capsys: pytest.CaptureFixture[str]
) -> None:
    async def keep_one() -> None:
        async with Kept(empty).open() as kept:
            await kept.responses.put("resp_b", b"another's")

    asyncio.run(keep_one())

    assert run(["restore", str(saved), "--nats-url", empty.url]) == 1

    assert "NATS holds something already, in KV_RESPONSES: nothing was restored" in capsys.readouterr().err
    assert everything(empty)["calls"] == {}


def test_a_copy_that_was_cut_short_is_refused_by_the_server_too(
    saved: Path, empty: NatsServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stream = subjects.stream(3)
    torn = tmp_path / "torn" / stream
    torn.mkdir(parents=True)
    (torn / META_FILE).write_bytes((saved / stream / META_FILE).read_bytes())
    whole = (saved / stream / "stream.tar.s2").read_bytes()
    (torn / "stream.tar.s2").write_bytes(whole[: len(whole) // 2])

    assert run(["restore", str(torn.parent), "--nats-url", empty.url, "--unchecked"]) == 1

    assert f"stream {stream}: " in capsys.readouterr().err


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda copy: shutil.rmtree(copy / "CALLS_03"), "CALLS_03/stream.tar.s2 is missing"),
        (lambda copy: (copy / "KV_RESPONSES" / META_FILE).write_bytes(b"{}"), "KV_RESPONSES/backup.json has 2 bytes"),
        (lambda copy: (copy / MANIFEST_FILE).unlink(), "has no manifest.json: it was cut short, or an earlier release"),
    ],
)
def test_of_a_backup_that_is_not_whole_nothing_is_restored(
    saved: Path,
    empty: NatsServer,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    spoil: Callable[[Path], None],
    said: str,
) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(saved, copy)
    spoil(copy)

    assert run(["restore", str(copy), "--nats-url", empty.url]) == 2

    assert said in capsys.readouterr().err
    assert asyncio.run(streams_of(empty)) == []


def test_a_backup_of_an_earlier_release_is_restored_when_that_is_asked_for(
    full: NatsServer, saved: Path, empty: NatsServer, tmp_path: Path
) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(saved, copy)
    (copy / MANIFEST_FILE).unlink()

    assert run(["restore", str(copy), "--nats-url", empty.url, "--unchecked"]) == 0

    assert everything(empty) == everything(full)


def test_a_folder_is_never_written_into_twice_and_an_empty_one_is_no_backup(
    full: NatsServer, saved: Path, empty: NatsServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["backup", str(saved), "--nats-url", full.url]) == 2
    assert run(["restore", str(tmp_path / "nothing"), "--nats-url", empty.url]) == 2
    assert run(["backup", str(tmp_path / "new"), "--nats-url", empty.url]) == 1

    said = capsys.readouterr().err.splitlines()
    assert ["exists already" in said[0], "holds no backup" in said[1], "nothing of Trunkline's" in said[2]] == [
        True
    ] * 3


async def until(holds: Callable[[], bool]) -> None:
    while not holds():  # noqa: ASYNC110  # nats-py tells nobody of either
        await asyncio.sleep(0.01)


class Interrupted(NatsSnapshots):
    """The client moves to another connection when a chunk is taken and the next, or the end, has come."""

    async def _chunks(self, stream: str, arriving: Subscription) -> AsyncIterator[bytes]:
        async for chunk in super()._chunks(stream, arriving):
            yield chunk
            await until(lambda: arriving.pending_msgs > 0)
            await self._client.force_reconnect()
            await until(lambda: self._client.is_connected)


def test_a_copy_during_which_the_connection_was_lost_is_none(full: NatsServer, tmp_path: Path) -> None:
    async def main() -> None:
        client = await full.connect()
        with pytest.raises(SnapshotFailed, match="the connection was lost meanwhile"):
            await Interrupted(client).save(subjects.stream(3), tmp_path / "copy")
        await client.close()

    asyncio.run(asyncio.wait_for(main(), 60))

    assert not (tmp_path / "copy" / META_FILE).exists()
