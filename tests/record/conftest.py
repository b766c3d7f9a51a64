"""Stores under test: the one in memory, the one on NATS and the one on a cluster pass the same tests."""

import itertools
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import pytest

from support.nats_cluster import NatsCluster
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

from .replicas import LevelFiles, LevelRecords

OpenStore = Callable[[], AbstractAsyncContextManager[RecordStore]]
OpenBucket = Callable[[], AbstractAsyncContextManager[Bucket]]
OpenFiles = Callable[[], AbstractAsyncContextManager[FileStore]]
OpenClaims = Callable[[], AbstractAsyncContextManager[ClaimStore]]

FILES_BYTES = 256 * 1024 * 1024
SMALL_BYTES = 64 * 1024  # of a bucket that is to be filled
BUCKET_TTL_S = 1.0  # of the stores under test
STORES = ["memory", *(pytest.param(where, marks=pytest.mark.nats) for where in ("nats", "cluster"))]
_calls = itertools.count()


@pytest.fixture
def call() -> str:
    return f"rtc_07_test{next(_calls)}"


@pytest.fixture(scope="session")
def nats_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NatsServer]:
    with running(tmp_path_factory.mktemp("nats")) as server:
        yield server


def of(request: pytest.FixtureRequest) -> tuple[NatsServer | NatsCluster, int]:
    """Whom to connect to, and how many copies it keeps."""
    if request.param == "cluster":
        return request.getfixturevalue("nats_cluster"), 3
    return request.getfixturevalue("nats_server"), 1


@asynccontextmanager
async def open_memory() -> AsyncIterator[RecordStore]:
    yield MemoryRecordStore()


@pytest.fixture(params=STORES)
def open_store(request: pytest.FixtureRequest) -> OpenStore:
    if request.param == "memory":
        return open_memory
    server, _ = of(request)

    @asynccontextmanager
    async def open_nats() -> AsyncIterator[RecordStore]:
        client = await server.connect()
        store = LevelRecords(server, client) if isinstance(server, NatsCluster) else NatsRecordStore(client)
        await store.ensure()
        yield store
        await store.close()
        await client.close()

    return open_nats


@asynccontextmanager
async def open_memory_claims() -> AsyncIterator[ClaimStore]:
    yield MemoryClaimStore()


@pytest.fixture(params=STORES)
def open_claims(request: pytest.FixtureRequest) -> OpenClaims:
    if request.param == "memory":
        return open_memory_claims
    server, replicas = of(request)

    @asynccontextmanager
    async def open_nats() -> AsyncIterator[ClaimStore]:
        client = await server.connect()
        records, claims = NatsRecordStore(client, replicas=replicas), NatsClaimStore(client)
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


@pytest.fixture(params=STORES)
def open_bucket(request: pytest.FixtureRequest) -> OpenBucket:
    if request.param == "memory":
        return open_memory_bucket
    server, replicas = of(request)

    @asynccontextmanager
    async def open_nats() -> AsyncIterator[Bucket]:
        client = await server.connect()
        values = NatsBucket(client, subjects.SESSIONS_BUCKET, ttl_s=BUCKET_TTL_S, replicas=replicas)
        await values.ensure()
        yield values
        await values.close()
        await client.close()

    return open_nats


@asynccontextmanager
async def open_small_memory_bucket() -> AsyncIterator[Bucket]:
    yield MemoryBucket(limit_bytes=SMALL_BYTES)


@pytest.fixture(params=STORES)
def open_small_bucket(request: pytest.FixtureRequest) -> OpenBucket:
    if request.param == "memory":
        return open_small_memory_bucket
    server, replicas = of(request)
    name = f"SMALL_{next(_calls)}"  # of this test alone: it fills it

    @asynccontextmanager
    async def open_nats() -> AsyncIterator[Bucket]:
        client = await server.connect()
        values = NatsBucket(client, name, ttl_s=60.0, limit_bytes=SMALL_BYTES, replicas=replicas)
        await values.ensure()
        yield values
        await values.close()
        await client.close()

    return open_nats


@asynccontextmanager
async def open_memory_files() -> AsyncIterator[FileStore]:
    yield MemoryFileStore()


@pytest.fixture(params=STORES)
def open_files(request: pytest.FixtureRequest) -> OpenFiles:
    if request.param == "memory":
        return open_memory_files
    server, _ = of(request)
    name = f"FILES_{next(_calls)}"  # of this test alone: it lists them all

    @asynccontextmanager
    async def open_nats() -> AsyncIterator[FileStore]:
        client = await server.connect()
        if isinstance(server, NatsCluster):
            files: NatsFileStore = LevelFiles(server, client, name, FILES_BYTES)
        else:
            files = NatsFileStore(client, name, limit_bytes=FILES_BYTES)
        await files.ensure()
        yield files
        await files.close()
        await client.close()

    return open_nats
