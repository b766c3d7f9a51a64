"""Stores under test: the one in memory and the one on NATS pass the same tests."""

import itertools
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import pytest

from support.nats_server import NatsServer, running
from trunkline.record import (
    ClaimStore,
    MemoryClaimStore,
    MemoryRecordStore,
    NatsClaimStore,
    NatsRecordStore,
    RecordStore,
)

OpenStore = Callable[[], AbstractAsyncContextManager[RecordStore]]
OpenClaims = Callable[[], AbstractAsyncContextManager[ClaimStore]]

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
