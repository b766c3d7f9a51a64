"""Claims: of all who want an attempt one has it, and everybody reads the same. In memory and on NATS."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pytest

from support.nats_server import NatsServer, running
from trunkline.proto.record import Claim
from trunkline.proto.tool import ToolResult
from trunkline.record import Attempt, NatsClaimStore, NatsRecordStore, StoredClaim, StoreUnavailable, WrongSequence

from .conftest import OpenClaims
from .deaf import Deaf

MINE = Claim(at_us=1, runner="runner-1", epoch=3)
THEIRS = Claim(at_us=2, runner="runner-2", epoch=3)
RESULT = ToolResult("call_x", "ok", '"done"', "runner-1")


def test_nobody_has_claimed_what_is_new(open_claims: OpenClaims, call: str) -> None:
    async def main() -> None:
        async with open_claims() as claims:
            assert await claims.read(Attempt(call, "call_x")) is None

    asyncio.run(main())


def test_the_first_to_claim_has_it_and_the_second_is_told_who(open_claims: OpenClaims, call: str) -> None:
    async def main() -> None:
        attempt = Attempt(call, "call_x")
        async with open_claims() as claims:
            mine = await claims.claim(attempt, MINE)
            theirs = await claims.claim(attempt, THEIRS)

            assert mine.claim == MINE
            assert mine == theirs == await claims.read(attempt)

    asyncio.run(main())


def test_of_runners_that_race_exactly_one_has_the_claim(open_claims: OpenClaims, call: str) -> None:
    async def main() -> None:
        attempt = Attempt(call, "call_x")
        async with open_claims() as claims:
            wanted = [Claim(n, f"runner-{n}", 3) for n in range(20)]
            found = await asyncio.gather(*(claims.claim(attempt, claim) for claim in wanted))

            assert len({one.claim for one in found}) == 1
            assert found[0] == await claims.read(attempt)

    asyncio.run(main())


def test_a_claim_made_again_by_its_maker_is_still_the_makers(open_claims: OpenClaims, call: str) -> None:
    async def main() -> None:
        attempt = Attempt(call, "call_x")
        async with open_claims() as claims:
            first = await claims.claim(attempt, MINE)

            assert first == await claims.claim(attempt, MINE)

    asyncio.run(main())


def test_a_result_replaces_the_started_claim(open_claims: OpenClaims, call: str) -> None:
    async def main() -> None:
        attempt = Attempt(call, "call_x")
        async with open_claims() as claims:
            started = await claims.claim(attempt, MINE)
            done = msgspec.structs.replace(MINE, result=RESULT)
            seq = await claims.settle(attempt, done, expected_seq=started.seq)

            assert seq > started.seq
            assert await claims.read(attempt) == StoredClaim(seq, done)
            assert await claims.claim(attempt, THEIRS) == StoredClaim(seq, done)

    asyncio.run(main())


def test_a_result_settled_twice_stands_once(open_claims: OpenClaims, call: str) -> None:
    async def main() -> None:
        attempt = Attempt(call, "call_x")
        async with open_claims() as claims:
            started = await claims.claim(attempt, MINE)
            done = msgspec.structs.replace(MINE, result=RESULT)
            first = await claims.settle(attempt, done, expected_seq=started.seq)

            assert first == await claims.settle(attempt, done, expected_seq=started.seq)

    asyncio.run(main())


def test_what_is_settled_already_is_not_settled_otherwise(open_claims: OpenClaims, call: str) -> None:
    async def main() -> None:
        attempt = Attempt(call, "call_x")
        async with open_claims() as claims:
            started = await claims.claim(attempt, MINE)
            done = msgspec.structs.replace(MINE, result=RESULT)
            seq = await claims.settle(attempt, done, expected_seq=started.seq)

            with pytest.raises(WrongSequence):
                await claims.settle(attempt, THEIRS, expected_seq=started.seq)
            assert await claims.read(attempt) == StoredClaim(seq, done)

    asyncio.run(main())


def test_calls_keys_and_attempts_are_claimed_apart(open_claims: OpenClaims, call: str) -> None:
    async def main() -> None:
        other = call.replace("rtc_07", "rtc_08")
        attempts = [
            Attempt(call, "call_x"),
            Attempt(call, "call_y"),
            Attempt(call, "call_x", 2),
            Attempt(other, "call_x"),
        ]
        async with open_claims() as claims:
            for n, attempt in enumerate(attempts):
                await claims.claim(attempt, Claim(n, "runner-1", 3))

            assert [(await claims.claim(attempt, MINE)).claim.at_us for attempt in attempts] == [0, 1, 2, 3]

    asyncio.run(main())


def test_claims_that_say_the_same_of_two_keys_are_two(open_claims: OpenClaims, call: str) -> None:
    async def main() -> None:
        async with open_claims() as claims:
            await claims.claim(Attempt(call, "call_x"), MINE)
            await claims.claim(Attempt(call, "call_y"), MINE)

            assert await claims.read(Attempt(call, "call_y")) is not None

    asyncio.run(main())


class DeafClaims(Deaf, NatsClaimStore):
    pass


@asynccontextmanager
async def deaf_claims(server: NatsServer, *, trouble_limit_s: float = 3.0) -> AsyncIterator[DeafClaims]:
    client = await server.connect()
    records = NatsRecordStore(client)
    await records.ensure()
    claims = DeafClaims(client, ack_limit_s=0.1, trouble_limit_s=trouble_limit_s)
    claims.deafen()
    await claims.ensure()
    yield claims
    await claims.close()
    await records.close()
    with contextlib.suppress(ConnectionError):  # the server may be dead
        await client.close()


@pytest.mark.nats
def test_a_claim_whose_acknowledgement_is_lost_is_its_makers(nats_server: NatsServer, call: str) -> None:
    async def main() -> None:
        async with deaf_claims(nats_server) as claims:
            claims.lost = 1

            assert (await claims.claim(Attempt(call, "call_x"), MINE)).claim == MINE

    asyncio.run(main())


@pytest.mark.nats
def test_a_refusal_that_is_lost_is_still_a_refusal(nats_server: NatsServer, call: str) -> None:
    async def main() -> None:
        attempt = Attempt(call, "call_x")
        async with deaf_claims(nats_server) as claims:
            await claims.claim(attempt, THEIRS)
            claims.lost = 1

            assert (await claims.claim(attempt, MINE)).claim == THEIRS

    asyncio.run(main())


@pytest.mark.nats
def test_a_claim_given_up_while_the_server_was_away_can_be_made_again(tmp_path: Path, call: str) -> None:
    async def main(server: NatsServer) -> None:
        attempt = Attempt(call, "call_x")
        async with deaf_claims(server, trouble_limit_s=0.5) as claims:
            server.kill()
            with pytest.raises(StoreUnavailable):
                await claims.claim(attempt, MINE)
            with pytest.raises(StoreUnavailable):
                await claims.read(attempt)
            server.start()
            async with asyncio.timeout(10):
                while True:
                    with contextlib.suppress(StoreUnavailable):
                        found = await claims.claim(attempt, MINE)
                        break

            assert found.claim == MINE

    with running(tmp_path / "nats") as server:
        asyncio.run(main(server))
