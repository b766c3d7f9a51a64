"""Limits of the record: a call is forgotten whole, and a full stream refuses what is new and keeps what it has."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from nats.js import JetStreamContext

from support.nats_server import NatsServer, running
from trunkline.proto import subjects
from trunkline.proto.errors import BadSettings
from trunkline.proto.ids import SHARDS
from trunkline.proto.record import CallerSaid, CallSummary, Claim
from trunkline.record import (
    Attempt,
    LimitRefused,
    NatsClaimStore,
    NatsRecordStore,
    Recorder,
    ShardRoom,
    StoreFull,
    checked_kept_s,
    checked_response_bytes,
    checked_store_bytes,
    read_call,
)

from .conftest import OpenStore

SHARD_BYTES = 64 * 1024
SHARD = 7  # of the fixture's calls


@asynccontextmanager
async def store_on(server: NatsServer, limit_bytes: int = 0) -> AsyncIterator[tuple[NatsRecordStore, JetStreamContext]]:
    client = await server.connect()
    store = NatsRecordStore(client, limit_bytes=limit_bytes)
    await store.ensure()
    yield store, client.jetstream()
    await store.close()
    await client.close()


async def fill(store: NatsRecordStore, call: str) -> int:
    """How many entries of 8 KiB went in."""
    seq = count = 0
    while True:
        try:
            seq = await store.append(call, bytes(8192), expected_seq=seq, entry=f"{call}_{count}")
        except StoreFull:
            return count
        count += 1


def test_a_call_that_is_forgotten_is_gone_and_others_are_not(open_store: OpenStore, call: str) -> None:
    async def main() -> None:
        async with open_store() as store:
            other = f"{call}b"
            for one in (call, other):
                await store.append(one, b"one", expected_seq=0, entry=f"{one}_1")
                await store.put_summary(CallSummary(one, "frontdesk", started_us=1, ended_us=2, status="ended"))

            await store.forget(call)
            await store.forget(call)

            assert await store.read(call) == []
            assert [entry.data for entry in await store.read(other)] == [b"one"]
            known = [line.call for line in await store.summaries() if line.call.startswith(call)]
            assert known == [other]

    asyncio.run(main())


@pytest.mark.nats
def test_nothing_of_a_forgotten_call_stays_in_any_stream(nats_server: NatsServer, call: str) -> None:
    async def main() -> None:
        async with store_on(nats_server) as (store, jetstream):
            client = await nats_server.connect()
            claims = NatsClaimStore(client)
            await claims.ensure()
            await store.append(call, b"one", expected_seq=0, entry=f"{call}_1")
            await claims.claim(Attempt(call, "call_1"), Claim(1, "runner-a", 1))
            await store.put_summary(CallSummary(call, "frontdesk", started_us=1, ended_us=2, status="ended"))
            names = (subjects.stream(SHARD), f"KV_{subjects.INDEX_BUCKET}")
            before = [(await jetstream.stream_info(name)).state.messages for name in names]

            await store.forget(call)

            after = [(await jetstream.stream_info(name)).state.messages for name in names]
            assert [before[0] - 2, before[1] - 1] == after
            await claims.close()
            await client.close()

    asyncio.run(main())


@pytest.mark.nats
def test_a_full_stream_refuses_at_once_and_keeps_what_it_has(tmp_path: Path, call: str) -> None:
    async def main(server: NatsServer) -> None:
        async with store_on(server, SHARDS * SHARD_BYTES) as (store, _):
            began_s = asyncio.get_running_loop().time()
            stored = await fill(store, call)

            assert 0 < stored < SHARD_BYTES // 8192
            assert len(await store.read(call)) == stored
            assert asyncio.get_running_loop().time() - began_s < 10.0  # and not after the limit of trouble, 12 s

    with running(tmp_path / "nats") as server:
        asyncio.run(main(server))


@pytest.mark.nats
def test_a_store_tells_how_full_each_shard_is(tmp_path: Path, call: str) -> None:
    async def main(server: NatsServer) -> None:
        async with store_on(server, SHARDS * SHARD_BYTES) as (store, _):
            await store.append(call, bytes(SHARD_BYTES // 2), expected_seq=0, entry=f"{call}_1")

            rooms = {room.shard: room for room in await store.room()}

            assert sorted(rooms) == list(range(SHARDS))
            assert {room.limit_bytes for room in rooms.values()} == {SHARD_BYTES}
            assert 0.5 < rooms[SHARD].fill < 0.6
            assert rooms[SHARD + 1] == ShardRoom(SHARD + 1, 0, SHARD_BYTES)

    with running(tmp_path / "nats") as server:
        asyncio.run(main(server))


@pytest.mark.nats
def test_a_call_goes_on_while_its_stream_is_full_and_is_written_once_there_is_room(
    tmp_path: Path, call: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trunkline.record.call_log.FULL_RETRY_S", 0.05)

    async def main(server: NatsServer) -> None:
        async with store_on(server, SHARDS * SHARD_BYTES) as (store, _):
            other = f"{call}b"
            log = await Recorder(store).take(call, "agent-a", "frontdesk", "digest", attach=1)
            await fill(store, other)
            log.append(CallerSaid(1, 1, "item_1", "x" * 20_000, "speech"))
            with pytest.raises(StoreFull):
                await log.durable()
            assert log.view.items["item_1"].text
            await store.forget(other)
            log.append(CallerSaid(2, 2, "item_2", "And now?", "speech"))
            stored = asyncio.Event()
            log.on_durable = stored.set
            while log.stored < log.view.event_count:
                stored.clear()
                await stored.wait()

            found = await read_call(store, call)
            assert found is not None
            assert list(found[0].items) == ["item_1", "item_2"]
            await log.close()

    with running(tmp_path / "nats") as server:
        asyncio.run(main(server))


@pytest.mark.nats
def test_streams_without_a_limit_get_the_settings_and_others_keep_theirs(tmp_path: Path) -> None:
    async def main(server: NatsServer) -> None:
        async with store_on(server):
            pass
        async with store_on(server, SHARDS * SHARD_BYTES) as (store, jetstream):
            assert {room.limit_bytes for room in await store.room()} == {SHARD_BYTES}
            edited = (await jetstream.stream_info(subjects.stream(SHARD))).config
            await jetstream.update_stream(edited.evolve(max_bytes=3 * SHARD_BYTES))
        async with store_on(server, 2 * SHARDS * SHARD_BYTES) as (store, _):
            limits = {room.shard: room.limit_bytes for room in await store.room()}

            assert limits == dict.fromkeys(range(SHARDS), SHARD_BYTES) | {SHARD: 3 * SHARD_BYTES}

    with running(tmp_path / "nats") as server:
        asyncio.run(main(server))


@pytest.mark.nats
@pytest.mark.parametrize("made", [False, True], ids=["made with it", "made before"])
def test_a_limit_that_the_server_has_no_room_for_is_told_with_its_reason(tmp_path: Path, made: bool) -> None:
    async def main(server: NatsServer) -> None:
        if made:
            async with store_on(server):
                pass
        client = await server.connect()
        store = NatsRecordStore(client, limit_bytes=SHARDS * 2**50, trouble_limit_s=0.5)
        with pytest.raises(LimitRefused) as refused:
            await store.ensure()
        await store.close()
        await client.close()

        said = str(refused.value)
        assert "(TRUNKLINE_RECORD_STORE_BYTES) can't be limited to 1125899906842624 bytes: insufficient" in said
        assert "choose a smaller limit, or 0 for none, or give each NATS server more room" in said

    with running(tmp_path / "nats") as server:
        asyncio.run(main(server))


@pytest.mark.parametrize("kept_s", [-1.0, 30.0, float("nan")])
def test_calls_are_kept_for_ever_or_a_minute_at_least(kept_s: float) -> None:
    assert [checked_kept_s(0.0), checked_kept_s(60.0)] == [0.0, 60.0]
    with pytest.raises(BadSettings, match="TRUNKLINE_RECORD_KEPT_S"):
        checked_kept_s(kept_s)


def test_room_for_records_has_no_limit_or_one_that_holds_a_call() -> None:
    assert [checked_store_bytes(0), checked_store_bytes(2**30)] == [0, 2**30]
    with pytest.raises(BadSettings, match="TRUNKLINE_RECORD_STORE_BYTES"):
        checked_store_bytes(1000)


def test_room_for_responses_has_no_limit_or_one_that_holds_some() -> None:
    assert [checked_response_bytes(0), checked_response_bytes(2**30)] == [0, 2**30]
    with pytest.raises(BadSettings, match="TRUNKLINE_RESPONSE_STORE_BYTES"):
        checked_response_bytes(1000)
