"""A bucket gives back what was put under a key, for its time. In memory and on NATS."""

import asyncio
import contextlib
from pathlib import Path

import pytest

from support.nats_server import NatsServer, running
from trunkline.record import Bucket, LimitRefused, NatsBucket, StoreFull, StoreUnavailable

from .conftest import BUCKET_TTL_S, SMALL_BYTES, OpenBucket

VALUE = bytes(8192)


async def fill(bucket: Bucket) -> int:
    """How many values went in."""
    count = 0
    with contextlib.suppress(StoreFull):
        while True:
            await bucket.put(f"full.{count}", VALUE)
            count += 1
    return count


def test_a_key_that_nothing_was_put_under_has_no_value(open_bucket: OpenBucket, call: str) -> None:
    async def main() -> None:
        async with open_bucket() as bucket:
            assert await bucket.get(call) is None

    asyncio.run(main())


def test_each_key_has_the_value_that_was_put_last(open_bucket: OpenBucket, call: str) -> None:
    async def main() -> None:
        async with open_bucket() as bucket:
            await bucket.put(f"{call}.a", b"one")
            await bucket.put(f"{call}.b", b"\0two")
            await bucket.put(f"{call}.a", b"three")

            assert await bucket.get(f"{call}.a") == b"three"
            assert await bucket.get(f"{call}.b") == b"\0two"
            assert await bucket.get(f"{call}x.a") is None

    asyncio.run(main())


def test_a_value_is_forgotten_after_its_time(open_bucket: OpenBucket, call: str) -> None:
    async def main() -> None:
        async with open_bucket() as bucket:
            await bucket.put(call, b"one")
            await asyncio.sleep(BUCKET_TTL_S * 2)

            assert await bucket.get(call) is None

    asyncio.run(main())


def test_a_value_that_is_deleted_is_gone_and_others_stay(open_bucket: OpenBucket, call: str) -> None:
    async def main() -> None:
        async with open_bucket() as bucket:
            await bucket.put(f"{call}.a", b"one")
            await bucket.put(f"{call}.b", b"two")
            await bucket.delete(f"{call}.a")
            await bucket.delete(f"{call}.c")

            assert await bucket.get(f"{call}.a") is None
            assert await bucket.get(f"{call}.b") == b"two"

            await bucket.put(f"{call}.a", b"three")
            assert await bucket.get(f"{call}.a") == b"three"

    asyncio.run(main())


def test_a_full_bucket_names_its_limit_and_keeps_what_it_has(open_small_bucket: OpenBucket) -> None:
    async def main() -> None:
        async with open_small_bucket() as bucket:
            await bucket.require_room(len(VALUE))
            count = await fill(bucket)

            with pytest.raises(StoreFull, match=f"is full: it takes {SMALL_BYTES} bytes"):
                await bucket.require_room(len(VALUE))
            with pytest.raises(StoreFull, match=f"is full: it takes {SMALL_BYTES} bytes"):
                await bucket.put("full.again", VALUE)
            assert SMALL_BYTES // len(VALUE) - 1 <= count <= SMALL_BYTES // len(VALUE)
            assert [await bucket.get(f"full.{number}") for number in range(count)] == [VALUE] * count

    asyncio.run(main())


def test_room_is_made_in_a_full_bucket_by_what_is_deleted(open_small_bucket: OpenBucket) -> None:
    async def main() -> None:
        async with open_small_bucket() as bucket:
            await fill(bucket)
            with contextlib.suppress(StoreFull):
                for number in range(SMALL_BYTES):  # to the last byte: no marker fits
                    await bucket.put(f"dust.{number}", b"\0")
            await bucket.delete("full.0")
            await bucket.put("full.new", VALUE[:4096])

            assert await bucket.get("full.0") is None
            assert await bucket.get("full.1") == VALUE
            assert await bucket.get("full.new") == VALUE[:4096]

    asyncio.run(main())


@pytest.mark.nats
def test_a_bucket_of_an_earlier_release_gets_a_limit_and_keeps_what_is_over_it(
    nats_server: NatsServer, call: str
) -> None:
    async def main() -> None:
        client = await nats_server.connect()
        first = NatsBucket(client, "CALLS_GROWN", ttl_s=60.0)
        second = NatsBucket(client, "CALLS_GROWN", ttl_s=60.0, limit_bytes=len(VALUE))
        await first.ensure()
        for number in range(3):
            await first.put(f"{call}.{number}", VALUE)
        await second.ensure()

        with pytest.raises(StoreFull, match=str(len(VALUE))):
            await first.require_room(1)
        assert [await first.get(f"{call}.{number}") for number in range(3)] == [VALUE] * 3
        for bucket in (first, second):
            await bucket.close()
        await client.close()

    asyncio.run(main())


@pytest.mark.nats
def test_a_limit_that_the_server_has_no_room_for_is_named_with_the_way_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("trunkline.record.nats_bucket.TROUBLE_LIMIT_S", 0.3)
    monkeypatch.setattr("trunkline.record.nats_bucket.GIVE_LIMIT_S", 0.3)

    async def main(server: NatsServer) -> None:
        client = await server.connect()
        old = NatsBucket(client, "CALLS_OLD", ttl_s=60.0)
        await old.ensure()
        given = NatsBucket(client, "CALLS_OLD", ttl_s=60.0, limit_bytes=2**50, limit_setting="HOW_MUCH")
        await given.ensure()
        await given.put("a", b"one")
        made = NatsBucket(client, "CALLS_MADE", ttl_s=60.0, limit_bytes=2**50, limit_setting="HOW_MUCH")
        with pytest.raises(
            LimitRefused, match=r"\(HOW_MUCH\) can't be limited to 1125899906842624 bytes: insufficient"
        ):
            await made.ensure()
        for bucket in (old, given, made):
            await bucket.close()
        await client.close()

    with running(tmp_path / "nats") as server:
        asyncio.run(main(server))

    said = [one.__dict__["facts"] for one in caplog.records if one.message == "a bucket stays without a limit"]
    assert [facts["bucket"] for facts in said] == ["CALLS_OLD"]
    assert "KV_CALLS_OLD (HOW_MUCH) can't be limited to 1125899906842624 bytes: insufficient" in said[0]["reason"]


@pytest.mark.nats
def test_what_one_process_has_put_another_has_at_once(nats_server: NatsServer, call: str) -> None:
    async def main() -> None:
        clients = [await nats_server.connect() for _ in range(2)]
        one, other = (NatsBucket(client, "CALLS_TEST", ttl_s=60.0) for client in clients)
        await asyncio.gather(one.ensure(), other.ensure())
        await one.put(call, b"one")

        assert await other.get(call) == b"one"
        for bucket in (one, other):
            await bucket.close()
        for client in clients:
            await client.close()

    asyncio.run(main())


@pytest.mark.nats
def test_a_bucket_that_an_operator_has_made_otherwise_stays_as_it_is(nats_server: NatsServer, call: str) -> None:
    async def main() -> None:
        client = await nats_server.connect()
        first, second = (NatsBucket(client, "CALLS_OTHER", ttl_s=ttl_s) for ttl_s in (BUCKET_TTL_S, 60.0))
        await first.ensure()
        await second.ensure()
        await second.put(call, b"one")

        assert await first.get(call) == b"one"
        await asyncio.sleep(BUCKET_TTL_S * 2)
        assert await second.get(call) is None
        await first.close()
        await second.close()
        await client.close()

    asyncio.run(main())


@pytest.mark.nats
@pytest.mark.parametrize("verb", ["delete", "purge"])
def test_a_value_that_an_operator_takes_away_is_gone(nats_server: NatsServer, call: str, verb: str) -> None:
    async def main() -> None:
        client = await nats_server.connect()
        bucket = NatsBucket(client, "CALLS_TEST", ttl_s=60.0)
        await bucket.ensure()
        await bucket.put(call, b"one")
        operators = await client.jetstream().key_value("CALLS_TEST")
        await getattr(operators, verb)(call)

        assert await bucket.get(call) is None
        await bucket.close()
        await client.close()

    asyncio.run(main())


@pytest.mark.nats
def test_a_bucket_that_is_away_keeps_nothing_and_says_so(
    tmp_path: Path, call: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trunkline.record.nats_bucket.TROUBLE_LIMIT_S", 0.3)

    async def main(server: NatsServer) -> None:
        client = await server.connect()
        bucket = NatsBucket(client, "CALLS_TEST", ttl_s=60.0, ack_limit_s=0.1)
        await bucket.ensure()
        server.kill()

        with pytest.raises(StoreUnavailable):
            await bucket.put(call, b"one")
        with pytest.raises(StoreUnavailable):
            await bucket.get(call)
        await bucket.close()
        with contextlib.suppress(ConnectionError):
            await client.close()

    with running(tmp_path / "nats") as server:
        asyncio.run(main(server))
