"""What callers lost to each kind of fault, against the same run's turns that no fault touched. Pure.

A turn's loss is the worst of: its first audio came later than the median of its kind; sound stopped within an item
beyond the schedule of its own samples; and, for agents and tools, the whole turn took longer than the median.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from statistics import median

import msgspec
import numpy as np

from trunkline.cli.chaos.evidence import CallEvidence, Evidence, Fault, Piece, Said
from trunkline.cli.chaos.facts import Facts
from trunkline.proto.audio import SPEECH_RATE_HZ
from trunkline.proto.record import ApprovalDecided

REACH_S = {"kill": 1.0, "stop": 1.0, "term": 3.0}  # after it, or its end, a fault no longer touches what begins
ENDED_REACH_S = 1.0  # the same, where it is known when the process had ended
CLEAR_S = 1.0  # before a turn begins
TAKES_LONGER = ("agent", "tool_runner")


class Figures(msgspec.Struct, frozen=True):
    """turns: that were touched by one fault of this kind alone."""

    p50: float
    p99: float
    worst: float
    turns: int


class Turn(msgspec.Struct, frozen=True):
    """first_s: from the last voiced sample to the first audio. hole_s: the longest silence within an item.

    took_s: to the end of the reply, 0 where the caller cut it.
    """

    call: str
    kind: str
    began_s: float
    ended_s: float
    over_s: float
    first_s: float
    hole_s: float
    took_s: float


def turns_of(call: CallEvidence) -> list[Turn]:
    """Those that were answered."""
    said = call.account.said
    ends_s = [one.began_s for one in said[1:]] + [float("inf")]
    turns = (_turn(call, one, until_s) for one, until_s in zip(said, ends_s, strict=True) if _counts(one))
    return [turn for turn in turns if turn is not None]


def _counts(said: Said) -> bool:
    return said.timed and said.answered_s > 0


def _turn(call: CallEvidence, said: Said, until_s: float) -> Turn | None:
    pieces = [piece for piece in call.account.heard if said.ended_s < piece.at_s < until_s]
    if not pieces:
        return None
    cut = any(said.ended_s <= at_s <= until_s for at_s in call.account.interruptions_s)
    took_s = 0.0 if cut else said.answered_s - said.ended_s
    first_s = pieces[0].at_s - said.ended_s
    return Turn(
        call.call, said.kind, said.began_s, said.ended_s, said.answered_s, first_s, longest_hole_s(pieces), took_s
    )


def longest_hole_s(pieces: Sequence[Piece]) -> float:
    """Within an item; between two of them a tool may run."""
    longest_s = end_s = 0.0
    item = ""
    for piece in pieces:
        if piece.item == item:
            longest_s = max(longest_s, piece.at_s - end_s)
        item, end_s = piece.item, max(end_s, piece.at_s) + piece.samples / SPEECH_RATE_HZ
    return longest_s


def near(fault: Fault, turn: Turn) -> bool:
    """Whether the turn may have felt this fault of a process that held its call, or the election that it brought: then
    it isn't undisturbed."""
    touched = turn.call in fault.held or turn.call in fault.led
    return touched and fault.at_s < turn.over_s and _reach_s(fault) > turn.began_s - CLEAR_S


def hits(fault: Fault, turn: Turn) -> bool:
    """Whether it must have: the turn went on when the process died, or before it went on or had ended."""
    over_s = _reach_s(fault) if fault.kind == "term" else max(fault.at_s, fault.until_s)
    return turn.call in fault.held and fault.at_s < turn.over_s and over_s > turn.began_s


def _reach_s(fault: Fault) -> float:
    """What begins then no longer feels it."""
    if fault.of_cluster:
        return max(fault.at_s + REACH_S[fault.kind], fault.until_s + ENDED_REACH_S, fault.election_over_s)
    if fault.ended_s:
        return fault.ended_s + ENDED_REACH_S
    return max(fault.at_s, fault.until_s) + REACH_S[fault.kind]


def measure(evidence: Evidence) -> tuple[dict[str, Figures], Figures | None]:
    """In milliseconds: by kind of fault, and of undisturbed turns, whose spread is the measure's own error.

    Under `<fault>, election`: turns that began after it, before every shard had a leader again.
    """
    turns = [turn for call in evidence.calls for turn in turns_of(call)]
    faults: defaultdict[str, list[Fault]] = defaultdict(list)
    for fault in evidence.run.faults:
        for call in {*fault.held, *fault.led}:
            faults[call].append(fault)
    touched = [(turn, [fault for fault in faults[turn.call] if near(fault, turn)]) for turn in turns]
    usual = _usual([turn for turn, by in touched if not by])
    losses: defaultdict[str, list[float]] = defaultdict(list)
    for turn, by in touched:
        if len(by) == 1 and turn.kind in usual and (name := _name(by[0], turn)):
            losses[name].append(_loss_s(turn, usual, longer=by[0].stage in TAKES_LONGER, since_s=by[0].at_s))
    calm = [_loss_s(turn, usual, longer=False) for turn, by in touched if not by]
    return {name: figures(values) for name, values in sorted(losses.items())}, figures(calm) if calm else None


def _name(fault: Fault, turn: Turn) -> str:
    """Under which the turn counts; empty if it need not have felt anything."""
    if hits(fault, turn):
        return fault.name
    return f"{fault.name}, election" if fault.of_cluster and fault.at_s < turn.began_s < fault.election_over_s else ""


def resumes(evidence: Evidence) -> Figures | None:
    """For how long clients heard of no gateway before they were back at one."""
    gaps_s = [gap_s for call in evidence.calls for gap_s in call.account.resume_gaps_s]
    return figures(gaps_s) if gaps_s else None


def outcomes(evidence: Evidence) -> dict[str, int]:
    """How many tool calls came to what."""
    last = (found[-1].status for call in evidence.calls for found in Facts(call).outcomes.values())
    return dict(sorted(Counter(last).items()))


def decisions(evidence: Evidence) -> dict[str, int]:
    """How many approvals came to what."""
    found = [event for call in evidence.calls for event in Facts(call).of(ApprovalDecided)]
    return dict(
        sorted(Counter(f"{event.decision} by {'a person' if event.by else 'nobody'}" for event in found).items())
    )


def _usual(calm: Iterable[Turn]) -> Mapping[str, tuple[float, float]]:
    """By kind of turn: the medians of the first audio and of the whole, in seconds."""
    kinds: defaultdict[str, list[Turn]] = defaultdict(list)
    for turn in calm:
        kinds[turn.kind].append(turn)
    return {
        kind: (median(t.first_s for t in turns), median([t.took_s for t in turns if t.took_s] or [0.0]))
        for kind, turns in kinds.items()
    }


def _loss_s(turn: Turn, usual: Mapping[str, tuple[float, float]], *, longer: bool, since_s: float = 0.0) -> float:
    first_s, took_s = usual[turn.kind]
    losses = [0.0, turn.hole_s]
    if turn.ended_s + turn.first_s > since_s:
        losses.append(turn.first_s - first_s)
    if longer and turn.took_s and took_s:
        losses.append(turn.took_s - took_s)
    return max(losses)


def figures(values_s: Sequence[float]) -> Figures:
    values_ms = 1000 * np.asarray(values_s)
    p50, p99 = (round(float(np.percentile(values_ms, share)), 1) for share in (50, 99))
    return Figures(p50, p99, round(float(values_ms.max()), 1), len(values_s))
