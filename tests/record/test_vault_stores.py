"""Where sealed values are kept: what was put is had back for a while, by call and token. In memory and on NATS."""

import asyncio
import contextlib
from pathlib import Path

import pytest

from support.nats_server import NatsServer, running
from trunkline.record import NatsVaultStore, StoreUnavailable

from .conftest import VAULT_TTL_S, OpenVault


def test_what_was_never_kept_is_not_there(open_vault_store: OpenVault, call: str) -> None:
    async def main() -> None:
        async with open_vault_store() as values:
            assert await values.get(call, "card_aaaaaaa2") is None

    asyncio.run(main())


def test_what_was_kept_is_had_back_by_its_call_and_token(open_vault_store: OpenVault, call: str) -> None:
    async def main() -> None:
        async with open_vault_store() as values:
            await values.put(call, "card_aaaaaaa2", b"one")
            await values.put(call, "card_aaaaaaa3", b"\0two")

            assert await values.get(call, "card_aaaaaaa2") == b"one"
            assert await values.get(call, "card_aaaaaaa3") == b"\0two"
            assert await values.get(call + "x", "card_aaaaaaa2") is None

    asyncio.run(main())


def test_what_is_kept_again_takes_the_place_of_what_was(open_vault_store: OpenVault, call: str) -> None:
    async def main() -> None:
        async with open_vault_store() as values:
            await values.put(call, "card_aaaaaaa2", b"one")
            await values.put(call, "card_aaaaaaa2", b"two")

            assert await values.get(call, "card_aaaaaaa2") == b"two"

    asyncio.run(main())


def test_what_was_kept_is_forgotten_after_its_time(open_vault_store: OpenVault, call: str) -> None:
    async def main() -> None:
        async with open_vault_store() as values:
            await values.put(call, "card_aaaaaaa2", b"one")
            await asyncio.sleep(VAULT_TTL_S * 2)

            assert await values.get(call, "card_aaaaaaa2") is None

    asyncio.run(main())


@pytest.mark.nats
def test_a_bucket_that_an_operator_has_made_otherwise_stays_as_it_is(nats_server: NatsServer, call: str) -> None:
    async def main() -> None:
        client = await nats_server.connect()
        first, second = NatsVaultStore(client, ttl_s=VAULT_TTL_S), NatsVaultStore(client, ttl_s=60.0)
        await first.ensure()
        await second.ensure()
        await second.put(call, "card_aaaaaaa2", b"one")

        assert await first.get(call, "card_aaaaaaa2") == b"one"
        await first.close()
        await second.close()
        await client.close()

    asyncio.run(main())


@pytest.mark.nats
def test_a_store_that_is_away_is_told_as_such(tmp_path: Path, call: str) -> None:
    async def main(server: NatsServer) -> None:
        client = await server.connect()
        values = NatsVaultStore(client, ack_limit_s=0.1)
        await values.ensure()
        server.kill()

        with pytest.raises(StoreUnavailable):
            await values.get(call, "card_aaaaaaa2")
        await values.close()
        with contextlib.suppress(ConnectionError):
            await client.close()

    with running(tmp_path / "nats") as server:
        asyncio.run(main(server))
