"""One call's evidence made ready to be judged: its events in a row and the view that they fold to. Pure."""

from collections.abc import Iterator
from functools import cached_property
from typing import Generic, NamedTuple, TypeVar

import msgspec

from trunkline.cli.chaos.evidence import Account, CallEvidence, Claimed, Run
from trunkline.proto.record import Event, RecordEntry, ToolFinished, ToolIntended
from trunkline.record import CallView

E = TypeVar("E", covariant=True)


class Violation(msgspec.Struct, frozen=True):
    """invariant: its name. call: empty for what concerns none."""

    invariant: str
    call: str
    detail: str


class Stored(NamedTuple, Generic[E]):
    """An event where it stands: seq and time of its log message, the epoch it was written under, and its place in all.

    at_us: as its writer saw it.
    """

    seq: int
    epoch: int
    stored_s: float
    event: E
    place: int
    at_us: int

    @property
    def durable_s(self) -> float:
        return self.stored_s or self.at_us / 1e6


NOTHING = Run()


class Facts:
    """run: all but the calls."""

    def __init__(self, evidence: CallEvidence, run: Run = NOTHING) -> None:
        self.run = run
        self.call = evidence.call
        self.account: Account = evidence.account
        self.claims: list[Claimed] | None = evidence.claims
        self.recorded = sorted(evidence.entries, key=lambda one: one.seq)

    @property
    def entries(self) -> list[RecordEntry]:
        return [one.entry for one in self.recorded]

    @cached_property
    def events(self) -> list[Stored[Event]]:
        found: list[Stored[Event]] = []
        for one in self.recorded:
            for event in one.entry.events:
                found.append(Stored(one.seq, one.entry.epoch, one.stored_s, event, len(found), event.at_us))
        return found

    @cached_property
    def view(self) -> CallView:
        """Of everything stored: what readers would drop is told by an invariant of its own."""
        view = CallView(self.call)
        for stored in self.events:
            view.apply(stored.event)
        return view

    def of(self, kind: type[E]) -> Iterator[E]:
        return (stored.event for stored in self.events if isinstance(stored.event, kind))

    def stored(self, kind: type[E]) -> Iterator[Stored[E]]:
        return (stored for stored in self.events if isinstance(stored.event, kind))  # type: ignore[misc]  # it is one

    @cached_property
    def intents(self) -> dict[str, ToolIntended]:
        """By tool call."""
        return {intent.tool_call: intent for intent in self.of(ToolIntended)}

    @cached_property
    def outcomes(self) -> dict[str, list[ToolFinished]]:
        """By tool call, in order."""
        found: dict[str, list[ToolFinished]] = {}
        for outcome in self.of(ToolFinished):
            found.setdefault(outcome.tool_call, []).append(outcome)
        return found
