"""A file is there as it was put, or not at all. In memory and on NATS."""

import asyncio
import contextlib
import random
import time
from pathlib import Path

import msgspec
import pytest
from nats.js import JetStreamContext

from support.nats_server import NatsServer, running
from trunkline.proto.ids import new_file_id
from trunkline.record import FileFacts, NatsFileStore, StoreFull, StoreUnavailable
from trunkline.record.nats_files import CHUNK_BYTES

from .conftest import OpenFiles

LIMIT_BYTES = 64 * 1024 * 1024


def noise(size: int, seed: int = 1) -> bytes:
    return random.Random(seed).randbytes(size)


def facts_of(data: bytes, **changes: object) -> FileFacts:
    facts = FileFacts(new_file_id(), "cat.png", "vision", "image/png", len(data), int(time.time()), 0, 640, 480)
    return msgspec.structs.replace(facts, **changes)


@pytest.mark.parametrize("size", [0, 1, CHUNK_BYTES - 1, CHUNK_BYTES, CHUNK_BYTES + 1, 20 * 1024 * 1024])
def test_a_file_comes_back_as_it_was_put(open_files: OpenFiles, size: int) -> None:
    async def main() -> None:
        data = noise(size)
        facts = facts_of(data)
        async with open_files() as files:
            await files.put(facts, data)

            assert await files.get(facts.id) == data
            assert await files.facts(facts.id) == facts
            assert await files.all() == [facts]

    asyncio.run(main())


def test_what_was_never_put_is_not_there(open_files: OpenFiles) -> None:
    async def main() -> None:
        async with open_files() as files:
            assert await files.facts("file_none") is None
            assert await files.get("file_none") is None
            assert await files.all() == []
            assert not await files.delete("file_none")

    asyncio.run(main())


def test_a_deleted_file_is_gone_for_all_who_ask(open_files: OpenFiles) -> None:
    async def main() -> None:
        async with open_files() as files:
            gone, kept = facts_of(b"one"), facts_of(b"two")
            await files.put(gone, b"one")
            await files.put(kept, b"two")

            assert await files.delete(gone.id)
            assert await files.facts(gone.id) is None
            assert await files.get(gone.id) is None
            assert await files.all() == [kept]
            assert not await files.delete(gone.id)
            assert await files.get(kept.id) == b"two"

    asyncio.run(main())


def test_files_are_listed_newest_first(open_files: OpenFiles) -> None:
    async def main() -> None:
        async with open_files() as files:
            given = [facts_of(b"x", at_s=at_s) for at_s in (20, 30, 10)]
            for facts in given:
                await files.put(facts, b"x")

            assert [facts.at_s for facts in await files.all()] == [30, 20, 10]

    asyncio.run(main())


def test_a_file_is_gone_at_its_own_end(open_files: OpenFiles) -> None:
    async def main() -> None:
        async with open_files() as files:
            brief = facts_of(b"x", expires_s=int(time.time()) + 1)
            await files.put(brief, b"x")
            await asyncio.sleep(1.2)

            assert await files.facts(brief.id) is None
            assert await files.get(brief.id) is None
            assert await files.all() == []

    asyncio.run(main())


def test_files_put_at_the_same_time_stay_apart(open_files: OpenFiles) -> None:
    async def main() -> None:
        contents = [noise(3 * CHUNK_BYTES + number, number) for number in range(8)]
        given = [facts_of(data) for data in contents]
        async with open_files() as files:
            await asyncio.gather(*(files.put(facts, data) for facts, data in zip(given, contents, strict=True)))

            assert [await files.get(facts.id) for facts in given] == contents
            assert len(await files.all()) == 8

    asyncio.run(main())


# on NATS alone


@pytest.mark.nats
def test_two_processes_may_make_the_store_at_once_and_see_each_others_files(nats_server: NatsServer) -> None:
    async def main() -> None:
        clients = [await nats_server.connect() for _ in range(2)]
        one, other = (NatsFileStore(client, "BOTH", limit_bytes=LIMIT_BYTES) for client in clients)
        await asyncio.gather(one.ensure(), other.ensure())
        facts = facts_of(b"one")
        await one.put(facts, b"one")

        assert await other.get(facts.id) == b"one"
        for store in (one, other):
            await store.close()
        for client in clients:
            await client.close()

    asyncio.run(main())


@pytest.mark.nats
def test_any_reader_of_object_stores_reads_our_files(nats_server: NatsServer) -> None:
    async def main() -> None:
        client = await nats_server.connect()
        files = NatsFileStore(client, "REFEREE", limit_bytes=LIMIT_BYTES)
        await files.ensure()
        data = noise(2 * CHUNK_BYTES + 5)
        facts = facts_of(data)
        await files.put(facts, data)
        theirs = await client.jetstream().object_store("REFEREE")
        found = await theirs.get(facts.id)  # checks the digest too

        assert found.data == data
        assert found.info.size == len(data)
        assert msgspec.json.decode(found.info.description or "", type=FileFacts) == facts
        await theirs.delete(facts.id)
        assert await files.get(facts.id) is None
        await files.close()
        await client.close()

    asyncio.run(main())


@pytest.mark.nats
def test_an_upload_that_is_cut_is_never_seen_and_leaves_nothing(nats_server: NatsServer) -> None:
    async def main() -> None:
        client = await nats_server.connect()
        files = NatsFileStore(client, "TORN", limit_bytes=LIMIT_BYTES)
        await files.ensure()
        data = noise(100 * CHUNK_BYTES)
        facts = facts_of(data)
        putting = asyncio.create_task(files.put(facts, data))
        jetstream = client.jetstream()
        while await _stored(jetstream, "TORN") == 0:
            pass
        putting.cancel()
        await asyncio.wait((putting,))

        assert await files.facts(facts.id) is None
        assert await files.get(facts.id) is None
        assert await files.all() == []
        assert putting.cancelled()
        assert await _stored(jetstream, "TORN") <= 1  # a chunk that was still under way
        await files.close()
        await client.close()

    asyncio.run(main())


async def _stored(jetstream: JetStreamContext, name: str) -> int:
    return (await jetstream.stream_info(f"OBJ_{name}")).state.messages


@pytest.mark.nats
def test_a_full_store_refuses_new_files_and_keeps_what_it_has(nats_server: NatsServer) -> None:
    async def main() -> None:
        client = await nats_server.connect()
        files = NatsFileStore(client, "SMALL", limit_bytes=1024 * 1024)
        await files.ensure()
        first = noise(600 * 1024)
        kept, refused = facts_of(first), facts_of(first)
        await files.put(kept, first)
        with pytest.raises(StoreFull, match="takes 1048576 bytes"):
            await files.put(refused, first)

        assert await files.facts(refused.id) is None
        assert await files.get(kept.id) == first
        await files.delete(kept.id)
        await files.put(refused, first)
        assert await files.get(refused.id) == first
        await files.close()
        await client.close()

    asyncio.run(main())


@pytest.mark.nats
def test_bytes_are_freed_at_a_files_end_and_when_it_is_deleted(nats_server: NatsServer) -> None:
    async def main() -> None:
        client = await nats_server.connect()
        files = NatsFileStore(client, "FREED", limit_bytes=LIMIT_BYTES, kept_s=60.0)
        await files.ensure()
        data = noise(3 * CHUNK_BYTES)
        deleted, brief = facts_of(data), facts_of(data, expires_s=int(time.time()) + 2)
        for facts in (deleted, brief):
            await files.put(facts, data)
        await files.delete(deleted.id)
        jetstream = client.jetstream()

        assert await _stored(jetstream, "FREED") == 3 + 1 + 1  # the brief one whole, and that the other is gone
        await asyncio.sleep(3.5)
        assert await _stored(jetstream, "FREED") == 1
        await files.close()
        await client.close()

    asyncio.run(main())


@pytest.mark.nats
def test_a_store_that_is_away_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trunkline.record.nats_files.TROUBLE_LIMIT_S", 0.3)
    monkeypatch.setattr("trunkline.record.nats_files.READ_LIMIT_S", 0.3)

    async def main(server: NatsServer) -> None:
        client = await server.connect()
        files = NatsFileStore(client, "AWAY", limit_bytes=LIMIT_BYTES, ack_limit_s=0.1)
        await files.ensure()
        facts = facts_of(b"one")
        await files.put(facts, b"one")
        server.kill()

        for asking in (
            files.put(facts_of(b"two"), b"two"),
            files.get(facts.id),
            files.facts(facts.id),
            files.all(),
            files.delete(facts.id),
        ):
            with pytest.raises(StoreUnavailable):
                await asking
        await files.close()
        with contextlib.suppress(ConnectionError):
            await client.close()

    with running(tmp_path / "nats") as server:
        asyncio.run(main(server))


@pytest.mark.nats
def test_files_outlive_the_server(tmp_path: Path) -> None:
    async def main(server: NatsServer) -> None:
        client = await server.connect()
        files = NatsFileStore(client, "KEPT", limit_bytes=LIMIT_BYTES)
        await files.ensure()
        data = noise(2 * CHUNK_BYTES)
        facts = facts_of(data)
        await files.put(facts, data)
        server.kill()
        await asyncio.to_thread(server.start)

        assert await files.get(facts.id) == data
        await files.close()
        await client.close()

    with running(tmp_path / "nats") as server:
        asyncio.run(main(server))
