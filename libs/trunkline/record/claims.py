"""Claims of tool executions: who runs one attempt of a tool call, and what came of it. See docs/adr/0010-claims.md.

Of all who create an attempt's claim exactly one does; it is read from where it was written, never from a copy that
may lag behind.
"""

from typing import NamedTuple, Protocol

from trunkline.proto.record import Claim


class Attempt(NamedTuple):
    """One execution of a tool call. key: its idempotency key, unique within the call. number: from 1."""

    call: str
    key: str
    number: int = 1


class StoredClaim(NamedTuple):
    """seq: of the store, rising with every write."""

    seq: int
    claim: Claim


class ClaimStore(Protocol):
    async def ensure(self) -> None:
        """Call it before anything else; the streams are the record's, and made with it."""
        ...

    async def close(self) -> None:
        """What is still in flight ends as StoreUnavailable."""
        ...

    async def claim(self, attempt: Attempt, claim: Claim) -> StoredClaim:
        """Creates the claim if there is none; gives what is there then, which is `claim` for the one who created it.

        The same claim created again is still its creator's. Raises StoreUnavailable: it may yet be written.
        """
        ...

    async def settle(self, attempt: Attempt, claim: Claim, *, expected_seq: int) -> int:
        """Replaces the claim that expected_seq is of; gives the new seq.

        Raises WrongSequence, StoreUnavailable, EntryTooLarge.
        """
        ...

    async def read(self, attempt: Attempt) -> StoredClaim | None:
        """As of now. Raises StoreUnavailable."""
        ...
