"""What a cluster's faults did to the record, to new calls and to tools, read from a run's evidence. Pure.

An entry's wait is from when its first event came to be until it was stored; while a shard elects its leader that is how
long the shard took no append. What is waited for before the fault counts from the fault.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import msgspec

from trunkline.cli.chaos.evidence import CallEvidence, Evidence, Fault
from trunkline.cli.chaos.facts import Facts
from trunkline.cli.chaos.gaps import Figures, figures
from trunkline.proto.record import AssistantItem, ToolIntended

AFTER_S = 15.0  # what comes to be later than that after a fault isn't its doing
WAITED_S = 2.0  # an intent that wasn't durable by then kept the caller waiting; he is told after 1.5 s
IN_ELECTIONS, OTHERWISE = "in elections", "otherwise"
SLOWEST = 3  # set-ups of each kind of fault that are named


class ToolsWaited(msgspec.Struct, frozen=True):
    """told: how many of those intents had commentary that said so. longest_ms: for its record."""

    waited: int
    told: int
    longest_ms: float


class SetUp(msgspec.Struct, frozen=True):
    """One call's. after_s: dialled so long after the fault of this node."""

    call: str
    took_ms: float
    after_s: float
    node: str


class _Dialled(NamedTuple):
    """fault: in whose election; None for in none."""

    call: str
    fault: Fault | None
    at_s: float
    took_s: float


class Wait(NamedTuple):
    """The longest of a call's entries after a fault of a node, in seconds."""

    fault: Fault
    call: str
    seconds: float


def of_nodes(faults: Sequence[Fault]) -> list[Fault]:
    """Those of a cluster's nodes, in order."""
    return sorted((fault for fault in faults if fault.of_cluster), key=_at_s)


def waits(evidence: Evidence) -> Iterator[Wait]:
    """Of every call that had something to append."""
    faults = of_nodes(evidence.run.faults)
    for number, fault in enumerate(faults, 1):
        until_s = min([fault.at_s + AFTER_S, *(later.at_s for later in faults[number:])])
        for call in evidence.calls:
            found = list(_waits_s(call, fault.at_s, until_s))
            if found:
                yield Wait(fault, call.call, max(found))


def _waits_s(call: CallEvidence, since_s: float, until_s: float) -> Iterator[float]:
    for one in call.entries:
        began_s = min((event.at_us for event in one.entry.events), default=0) / 1e6
        if one.stored_s > since_s and began_s < until_s:
            yield one.stored_s - max(began_s, since_s)


def appends_back(evidence: Evidence) -> dict[str, Figures]:
    """By kind: of calls whose shard the node led, how long their record took nothing."""
    by_kind: defaultdict[str, list[float]] = defaultdict(list)
    for wait in waits(evidence):
        if wait.call in wait.fault.led:
            by_kind[wait.fault.name].append(wait.seconds)
    return {name: figures(found) for name, found in sorted(by_kind.items())}


def moves(evidence: Evidence) -> dict[str, Figures]:
    """By kind: after how long the processes that used the node were connected again."""
    by_kind: defaultdict[str, list[float]] = defaultdict(list)
    for fault in of_nodes(evidence.run.faults):
        by_kind[fault.name] += (moved.at_s - fault.at_s for moved in fault.moved if moved.at_s)
    return {name: figures(found) for name, found in sorted(by_kind.items()) if found}


def set_ups(evidence: Evidence) -> dict[str, Figures]:
    """From dialling to the session, refusals included, of calls and visits: of those dialled in elections, together and
    by kind of fault, and of the others."""
    by_kind: defaultdict[str, list[float]] = defaultdict(list)
    for dialled in _dialled(evidence):
        by_kind[dialled.fault.name if dialled.fault is not None else OTHERWISE].append(dialled.took_s)
    others = by_kind.pop(OTHERWISE, [])
    together = [took_s for each in by_kind.values() for took_s in each]
    found = {IN_ELECTIONS: together, **dict(sorted(by_kind.items())), OTHERWISE: others}
    return {name: figures(took) for name, took in found.items() if took}


def slowest(evidence: Evidence) -> dict[str, list[SetUp]]:
    """By kind, the slowest first."""
    by_kind: defaultdict[str, list[SetUp]] = defaultdict(list)
    for one in sorted(_dialled(evidence), key=lambda one: -one.took_s):
        if one.fault is not None and len(by_kind[one.fault.name]) < SLOWEST:
            after_s = round(one.at_s - one.fault.at_s, 3)
            by_kind[one.fault.name].append(SetUp(one.call, round(1000 * one.took_s, 1), after_s, one.fault.worker))
    return dict(sorted(by_kind.items()))


def _dialled(evidence: Evidence) -> Iterator[_Dialled]:
    faults = of_nodes(evidence.run.faults)
    for call in (*evidence.calls, *evidence.visits):
        at_s, let_in_s = call.account.dialled_s, call.account.let_in_s
        if at_s and let_in_s:
            fault = next((fault for fault in reversed(faults) if fault.at_s <= at_s <= _felt_until_s(fault)), None)
            yield _Dialled(call.call, fault, at_s, let_in_s - at_s)


def _felt_until_s(fault: Fault) -> float:
    """Its election is over, whoever used the node is at another, and it has ended or goes on: one in lame duck is there
    for seconds."""
    return max(fault.election_over_s, fault.ended_s, *(moved.at_s for moved in fault.moved))


def tools_waited(evidence: Evidence) -> ToolsWaited | None:
    """Of those that a tool runner carries out. None where no node was hit."""
    if not of_nodes(evidence.run.faults):
        return None
    waited = told = 0
    longest_s = 0.0
    for call in evidence.calls:
        facts = Facts(call)
        excused = {item.response for item in facts.of(AssistantItem) if item.source == "filler"}
        for stored in facts.stored(ToolIntended):
            wait_s = stored.durable_s - stored.at_us / 1e6
            if wait_s >= WAITED_S and stored.event.runs == "runner":
                waited += 1
                told += stored.event.response in excused
                longest_s = max(longest_s, wait_s)
    return ToolsWaited(waited, told, round(1000 * longest_s, 1))


def _at_s(fault: Fault) -> float:
    return fault.at_s
