"""One call's evidence made ready to be judged: its events in a row and the view that they fold to. Pure."""

from collections.abc import Iterator
from functools import cached_property
from typing import NamedTuple, TypeVar

import msgspec

from trunkline.cli.chaos.evidence import Account, CallEvidence, Claimed
from trunkline.proto.record import Event, RecordEntry, ToolFinished, ToolIntended
from trunkline.record import CallView

E = TypeVar("E")


class Violation(msgspec.Struct, frozen=True):
    """invariant: its name. call: empty for what concerns none."""

    invariant: str
    call: str
    detail: str


class Stored(NamedTuple):
    """An event where it stands: seq and time of its log message, and the epoch it was written under."""

    seq: int
    epoch: int
    stored_s: float
    event: Event


class Facts:
    def __init__(self, evidence: CallEvidence) -> None:
        self.call = evidence.call
        self.account: Account = evidence.account
        self.claims: list[Claimed] | None = evidence.claims
        self.recorded = sorted(evidence.entries, key=lambda one: one.seq)

    @property
    def entries(self) -> list[RecordEntry]:
        return [one.entry for one in self.recorded]

    @cached_property
    def events(self) -> list[Stored]:
        return [
            Stored(one.seq, one.entry.epoch, one.stored_s, event) for one in self.recorded for event in one.entry.events
        ]

    @cached_property
    def view(self) -> CallView:
        """Of everything stored: what readers would drop is told by an invariant of its own."""
        view = CallView(self.call)
        for stored in self.events:
            view.apply(stored.event)
        return view

    def of(self, kind: type[E]) -> Iterator[E]:
        return (stored.event for stored in self.events if isinstance(stored.event, kind))

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
