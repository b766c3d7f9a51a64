"""The store on NATS when answers are lost and servers die."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from support.nats_server import NatsServer, running
from trunkline.proto.record import CallerSaid, Claim
from trunkline.record import (
    Attempt,
    NatsClaimStore,
    NatsRecordStore,
    Recorder,
    StoredEntry,
    StoreUnavailable,
    WrongSequence,
    nats_writes,
    read_call,
)
from trunkline.record.nats_writes import NatsWrites

from .deaf import Deaf

pytestmark = pytest.mark.nats


class DeafStore(Deaf, NatsRecordStore):
    pass


@asynccontextmanager
async def deaf_store(server: NatsServer, *, trouble_limit_s: float = 5.0) -> AsyncIterator[DeafStore]:
    client = await server.connect()
    store = DeafStore(client, ack_limit_s=0.1, trouble_limit_s=trouble_limit_s)
    store.deafen()
    await store.ensure()
    yield store
    await store.close()
    with contextlib.suppress(ConnectionError):  # the server may be dead
        await client.close()


def test_a_lost_acknowledgement_neither_doubles_nor_fences(nats_server: NatsServer, call: str) -> None:
    async def main() -> None:
        async with deaf_store(nats_server) as store:
            store.lost = 1

            first = await store.append(call, b"one", expected_seq=0, entry=f"{call}_1")
            await store.append(call, b"two", expected_seq=first, entry=f"{call}_2")

            assert [entry.data for entry in await store.read(call)] == [b"one", b"two"]

    asyncio.run(main())


def test_a_leader_that_does_not_know_yet_that_there_is_another_fences_nobody(
    nats_server: NatsServer, call: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As one that was stopped for an election says when it goes on: it lacks what was acknowledged since."""
    past: list[StoredEntry] = []
    last = NatsWrites.last

    async def answer(writes: NatsWrites, stream: str, subject: str) -> StoredEntry | None:
        return past.pop() if past else await last(writes, stream, subject)

    async def main() -> None:
        async with deaf_store(nats_server) as store:
            first = await store.append(call, b"one", expected_seq=0, entry=f"{call}_1")
            second = await store.append(call, b"two", expected_seq=first, entry=f"{call}_2")
            past[:] = 2 * [StoredEntry(first, f"{call}_1", b"one")]
            store.lost = 1
            await store.append(call, b"three", expected_seq=second, entry=f"{call}_3")

            assert past == []
            assert [entry.data for entry in await store.read(call)] == [b"one", b"two", b"three"]

    monkeypatch.setattr(NatsWrites, "last", answer)
    asyncio.run(main())


def test_a_store_that_has_lost_what_it_acknowledged_fences(
    nats_server: NatsServer, call: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So another owner takes up what is there."""
    monkeypatch.setattr(nats_writes, "PAST_LIMIT_S", 0.3)

    async def main() -> None:
        async with deaf_store(nats_server) as store:
            first = await store.append(call, b"one", expected_seq=0, entry=f"{call}_1")

            with pytest.raises(WrongSequence):
                await store.append(call, b"three", expected_seq=first + 1, entry=f"{call}_3")

    asyncio.run(main())


def test_a_refused_claim_leaves_no_task_behind(nats_server: NatsServer, call: str) -> None:
    async def main() -> None:
        async with deaf_store(nats_server):  # makes the streams
            client = await nats_server.connect()
            claims = NatsClaimStore(client)
            await claims.ensure()
            attempt = Attempt(call, "call_1")
            first = await claims.claim(attempt, Claim(1, "runner-a", 1))
            before = asyncio.all_tasks()

            assert await claims.claim(attempt, Claim(2, "runner-b", 1)) == first
            assert {task.get_name() for task in asyncio.all_tasks() - before} == set()

            await claims.close()
            await client.close()

    asyncio.run(main())


def test_a_lost_refusal_is_still_a_refusal(nats_server: NatsServer, call: str) -> None:
    async def main() -> None:
        async with deaf_store(nats_server) as store:
            seq = await store.append(call, b"theirs", expected_seq=0, entry=f"{call}_1")
            store.lost = 1

            with pytest.raises(WrongSequence) as refused:
                await store.append(call, b"ours", expected_seq=0, entry=f"{call}_2")

            assert refused.value.found_seq == seq

    asyncio.run(main())


def test_a_lost_page_of_a_record_is_asked_for_again(nats_server: NatsServer, call: str) -> None:
    async def main() -> None:
        async with deaf_store(nats_server) as store:
            first = await store.append(call, b"one", expected_seq=0, entry=f"{call}_1")
            await store.append(call, b"two", expected_seq=first, entry=f"{call}_2")

            for lost in (1, 2, 3):  # the first message, both, both and the end mark
                store.lost = lost
                assert [entry.data for entry in await store.read(call)] == [b"one", b"two"]

    asyncio.run(main())


def test_a_store_that_stays_silent_is_unavailable(tmp_path: Path, call: str) -> None:
    async def main(server: NatsServer) -> None:
        async with deaf_store(server, trouble_limit_s=0.3) as store:
            server.kill()

            with pytest.raises(StoreUnavailable):
                await store.append(call, b"one", expected_seq=0, entry=f"{call}_1")
            with pytest.raises(StoreUnavailable):
                await store.read(call)

    with running(tmp_path / "nats") as server:
        asyncio.run(main(server))


def test_what_is_in_flight_when_a_store_closes_ends_with_it(nats_server: NatsServer, call: str) -> None:
    async def main() -> None:
        client = await nats_server.connect()
        store = NatsRecordStore(client)
        await store.ensure()
        before = asyncio.all_tasks()
        appending = store.append(call, b"one", expected_seq=0, entry=f"{call}_1")
        await store.close()

        with pytest.raises(StoreUnavailable):
            await asyncio.wait_for(appending, 1.0)
        assert asyncio.all_tasks() <= before
        await client.close()

    asyncio.run(main())


def test_a_call_goes_on_over_the_death_of_its_server(tmp_path: Path, call: str) -> None:
    async def main(server: NatsServer) -> None:
        async with deaf_store(server) as store:
            log = await Recorder(store).take(call, "agent-a", "frontdesk", "digest", attach=1)
            for turn in range(1, 61):
                log.append(CallerSaid(turn, turn, f"item_{turn}", "hello", "speech"))
                if turn == 20:
                    server.kill()
                if turn == 40:
                    server.start()
                await asyncio.sleep(0.01)
            async with asyncio.timeout(10):
                await log.durable()

            read = await read_call(store, call)

            assert read is not None
            assert [recorded.i for recorded in read[1]] == list(range(61))
            assert list(read[0].items) == [f"item_{turn}" for turn in range(1, 61)]

    with running(tmp_path / "nats") as server:
        asyncio.run(main(server))
