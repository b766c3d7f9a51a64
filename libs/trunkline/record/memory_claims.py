"""Claims in memory, for tests: passes the conformance suite of the claims on NATS."""

import asyncio

from trunkline.proto.record import Claim
from trunkline.record.claims import Attempt, StoredClaim
from trunkline.record.store import WrongSequence


class MemoryClaimStore:
    def __init__(self) -> None:
        self.claims: dict[Attempt, StoredClaim] = {}
        self._seq = 0

    async def ensure(self) -> None:
        """Nothing is missing."""

    async def close(self) -> None:
        """Nothing is in flight."""

    async def claim(self, attempt: Attempt, claim: Claim) -> StoredClaim:
        await asyncio.sleep(0)  # others write meanwhile, as they may while a real answer is under way
        if attempt not in self.claims:
            self._put(attempt, claim)
        return self.claims[attempt]

    async def settle(self, attempt: Attempt, claim: Claim, *, expected_seq: int) -> int:
        await asyncio.sleep(0)
        found = self.claims.get(attempt)
        if found is not None and found.claim == claim:
            return found.seq
        if found is None or found.seq != expected_seq:
            raise WrongSequence(attempt.call, expected_seq, found.seq if found else 0)
        return self._put(attempt, claim)

    async def read(self, attempt: Attempt) -> StoredClaim | None:
        found = self.claims.get(attempt)
        await asyncio.sleep(0)
        return found

    def _put(self, attempt: Attempt, claim: Claim) -> int:
        self._seq += 1
        self.claims[attempt] = StoredClaim(self._seq, claim)
        return self._seq
