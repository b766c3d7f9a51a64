"""What a gateway needs no longer keep: which of its messages, and of the agent's own, have their effect in the record.

Pure. A mark is set only once all that a message brings about is appended; what is stored up to there is then covered.
"""

from typing import NamedTuple

from trunkline.proto.response import Stored


class _Mark(NamedTuple):
    events: int
    stored: Stored


class Receipts:
    """Both seqs of a Stored only rise, as do events."""

    def __init__(self) -> None:
        self._marks: list[_Mark] = []
        self._covered = self._told = Stored(0, 0)

    def mark(self, events: int, received: int, said: int) -> None:
        """events: of the record when the gateway's messages up to received and the agent's up to said had all of
        theirs appended."""
        if self._marks and self._marks[-1].events == events:
            self._marks.pop()
        self._marks.append(_Mark(events, Stored(received, said)))

    def cover(self, events: int) -> bool:
        """events: how many are stored. Whether there is something to tell."""
        while self._marks and self._marks[0].events <= events:
            self._covered = self._marks.pop(0).stored
        return self._covered != self._told

    def tell(self) -> Stored:
        self._told = self._covered
        return self._told
