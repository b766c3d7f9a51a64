"""Claims on JetStream, in the streams of the calls' records: one subject for each attempt of a tool call."""

import asyncio
import hashlib

from nats.aio.client import Client

from trunkline.proto import subjects
from trunkline.proto.ids import shard_of
from trunkline.proto.record import Claim, decode_claim, encode_claim
from trunkline.record.claims import Attempt, StoredClaim
from trunkline.record.nats_writes import ACK_LIMIT_S, NatsWrites, Write, backoff
from trunkline.record.store import StoreUnavailable, WrongSequence

TROUBLE_LIMIT_S = 3.0  # whoever claims or reads has another way to go on
SETTLE_LIMIT_S = 12.0  # a result is worth the wait for an election (5 s)


class NatsClaimStore:
    """client: connected; it stays the caller's."""

    def __init__(
        self, client: Client, *, ack_limit_s: float = ACK_LIMIT_S, trouble_limit_s: float = TROUBLE_LIMIT_S
    ) -> None:
        self._writes = NatsWrites(client, ack_limit_s=ack_limit_s)
        self._trouble_limit_s = trouble_limit_s

    async def ensure(self) -> None:
        await self._writes.start()

    async def close(self) -> None:
        await self._writes.close()

    async def claim(self, attempt: Attempt, claim: Claim) -> StoredClaim:
        try:
            seq = await self._writes.put(_write(attempt, claim, 0), limit_s=self._trouble_limit_s)
        except WrongSequence:
            found = await self.read(attempt)
            if found is None:  # somebody deleted it by hand in between
                raise StoreUnavailable(attempt.key, 0.0) from None
            return found
        return StoredClaim(seq, claim)

    async def settle(self, attempt: Attempt, claim: Claim, *, expected_seq: int) -> int:
        return await self._writes.put(_write(attempt, claim, expected_seq), limit_s=SETTLE_LIMIT_S)

    async def read(self, attempt: Attempt) -> StoredClaim | None:
        subject = subjects.claim(*attempt)
        for wait_s in backoff(self._trouble_limit_s):
            last = await self._writes.last(subjects.stream(shard_of(attempt.call)), subject)
            if last is not None:
                return StoredClaim(last.seq, decode_claim(last.data)) if last.seq else None
            await asyncio.sleep(wait_s)
        raise StoreUnavailable(attempt.key, self._trouble_limit_s)


def _write(attempt: Attempt, claim: Claim, expected_seq: int) -> Write:
    """Its id is of what it says, and where: the stream forgets a repeated id whatever the subject."""
    subject, data = subjects.claim(*attempt), encode_claim(claim)
    entry = f"claim_{hashlib.sha256(subject.encode() + data).hexdigest()[:20]}"
    return Write(attempt.call, subjects.stream(shard_of(attempt.call)), subject, data, expected_seq, entry)
