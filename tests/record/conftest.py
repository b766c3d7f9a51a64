"""Stores under test: the one in memory and the one on NATS pass the same tests."""

import itertools
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import pytest

from support.nats_server import NatsServer, running
from trunkline.proto import subjects
from trunkline.record import (
    Bucket,
    ClaimStore,
    FileStore,
    MemoryBucket,
    MemoryClaimStore,
    MemoryFileStore,
    MemoryRecordStore,
    NatsBucket,
    NatsClaimStore,
    NatsFileStore,
    NatsRecordStore,
    RecordStore,
)

OpenStore = Callable[[], AbstractAsyncContextManager[RecordStore]]
OpenBucket = Callable[[], AbstractAsyncContextManager[Bucket]]
OpenFiles = Callable[[], AbstractAsyncContextManager[FileStore]]
OpenClaims = Callable[[], AbstractAsyncContextManager[ClaimStore]]

BUCKET_TTL_S = 1.0  # of the stores under test
_calls = itertools.count()


@pytest.fixture
def call() -> str:
    return f"rtc_07_test{next(_calls)}"


@pytest.fixture(scope="session")
def nats_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NatsServer]:
    with running(tmp_path_factory.mktemp("nats")) as server:
        yield server


@asynccontextmanager
async def open_memory() -> AsyncIterator[RecordStore]:
    yield MemoryRecordStore()


@pytest.fixture(params=["memory", pytest.param("nats", marks=pytest.mark.nats)])
def open_store(request: pytest.FixtureRequest) -> OpenStore:
    if request.param == "memory":
        return open_memory
    server: NatsServer = request.getfixturevalue("nats_server")

    @asynccontextmanager
    async def open_nats() -> AsyncIterator[RecordStore]:
        client = await server.connect()
        store = NatsRecordStore(client)
        await store.ensure()
        yield store
        await store.close()
        await client.close()

    return open_nats


@asynccontextmanager
async def open_memory_claims() -> AsyncIterator[ClaimStore]:
    yield MemoryClaimStore()


@pytest.fixture(params=["memory", pytest.param("nats", marks=pytest.mark.nats)])
def open_claims(request: pytest.FixtureRequest) -> OpenClaims:
    if request.param == "memory":
        return open_memory_claims
    server: NatsServer = request.getfixturevalue("nats_server")

    @asynccontextmanager
    async def open_nats() -> AsyncIterator[ClaimStore]:
        client = await server.connect()
        records, claims = NatsRecordStore(client), NatsClaimStore(client)
        await records.ensure()  # makes the streams
        await claims.ensure()
        yield claims
        await claims.close()
        await records.close()
        await client.close()

    return open_nats


@asynccontextmanager
async def open_memory_bucket() -> AsyncIterator[Bucket]:
    yield MemoryBucket(ttl_s=BUCKET_TTL_S)


@pytest.fixture(params=["memory", pytest.param("nats", marks=pytest.mark.nats)])
def open_bucket(request: pytest.FixtureRequest) -> OpenBucket:
    if request.param == "memory":
        return open_memory_bucket
    server: NatsServer = request.getfixturevalue("nats_server")

    @asynccontextmanager
    async def open_nats() -> AsyncIterator[Bucket]:
        client = await server.connect()
        values = NatsBucket(client, subjects.SESSIONS_BUCKET, ttl_s=BUCKET_TTL_S)
        await values.ensure()
        yield values
        await values.close()
        await client.close()

    return open_nats


@asynccontextmanager
async def open_memory_files() -> AsyncIterator[FileStore]:
    yield MemoryFileStore()


@pytest.fixture(params=["memory", pytest.param("nats", marks=pytest.mark.nats)])
def open_files(request: pytest.FixtureRequest) -> OpenFiles:
    if request.param == "memory":
        return open_memory_files
    server: NatsServer = request.getfixturevalue("nats_server")
    name = f"FILES_{next(_calls)}"  # of this test alone: it lists them all

    @asynccontextmanager
    async def open_nats() -> AsyncIterator[FileStore]:
        client = await server.connect()
        files = NatsFileStore(client, name, limit_bytes=256 * 1024 * 1024)
        await files.ensure()
        yield files
        await files.close()
        await client.close()

    return open_nats
