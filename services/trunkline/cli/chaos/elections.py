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


class ToolsWaited(msgspec.Struct, frozen=True):
    """told: how many of those intents had commentary that said so. longest_ms: for its record."""

    waited: int
    told: int
    longest_ms: float


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
    """From dialling to the session, refusals included: of calls dialled during elections, and of the others."""
    spans = [(fault.at_s, fault.election_over_s) for fault in of_nodes(evidence.run.faults)]
    found: defaultdict[str, list[float]] = defaultdict(list)
    for call in evidence.calls:
        account = call.account
        if account.dialled_s and account.let_in_s:
            during = any(begin_s <= account.dialled_s <= end_s for begin_s, end_s in spans)
            found["in elections" if during else "otherwise"].append(account.let_in_s - account.dialled_s)
    return {name: figures(took) for name, took in sorted(found.items())}


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
