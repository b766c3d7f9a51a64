"""What must hold of a run whose NATS nodes failed, and of a rolling restart. Pure; each check yields what breaks it."""

from collections.abc import Iterator, Mapping

from trunkline.cli.chaos import elections
from trunkline.cli.chaos.evidence import Evidence, Fault, FaultKind
from trunkline.cli.chaos.facts import Violation

APPENDS_LIMIT_S = 10.0
LEFT_LIMIT_S: Mapping[FaultKind, float] = {
    "kill": 3.0,
    "stop": 3.0,  # a client asks for a sign of life for 1.6 s at most, and tries each of the others for half a second
    "term": 5.0,  # of its grace: then a node in lame duck cuts whoever is left
}
REACH_S = 10.0  # a process that was asked to end may drain so long


def appends_return(evidence: Evidence) -> Iterator[Violation]:
    """A call's record takes appends again soon after a node is lost, whichever node led its shard."""
    for wait in elections.waits(evidence):
        if wait.seconds > APPENDS_LIMIT_S:
            where = f"after {wait.fault.name} ({wait.fault.worker})"
            yield Violation("appends_return", wait.call, f"{where} an entry waited {wait.seconds:.1f} s for its shard")


def nodes_are_left(evidence: Evidence) -> Iterator[Violation]:
    """Whoever uses a node that dies, hangs or is in lame duck is at another soon, unless he was hit himself."""
    faults = evidence.run.faults
    for fault in elections.of_nodes(faults):
        hit = {one.worker for one in faults if _overlap(one, fault)}
        for moved in fault.moved:
            after_s = moved.at_s - fault.at_s if moved.at_s else float("inf")
            if moved.worker not in hit and after_s > LEFT_LIMIT_S[fault.kind]:
                came = f"after {after_s:.1f} s" if moved.at_s else "not at all"
                yield Violation("nodes_are_left", "", f"{fault.name} ({fault.worker}): {moved.worker} moved {came}")


def _overlap(one: Fault, node: Fault) -> bool:
    """Whether a process's own fault may have kept it from moving, or ended it."""
    over_s = max(one.at_s, one.until_s)
    return one.stage != "nats" and over_s > node.at_s - REACH_S and one.at_s < max(node.election_over_s, node.ready_s)


def everything_is_replaced(evidence: Evidence) -> Iterator[Violation]:
    """In a rolling restart each process ended when it was asked to, and what came after it became ready."""
    asked = {fault.worker: fault for fault in evidence.run.faults if fault.kind == "term"}
    for name in evidence.run.to_replace:
        fault = asked.get(name)
        if fault is None:
            yield Violation("everything_is_replaced", "", f"{name} was never asked to end")
        elif not fault.ended_s:
            yield Violation("everything_is_replaced", "", f"{name} was asked to end, and didn't")
        elif not fault.ready_s:
            yield Violation("everything_is_replaced", "", f"{name} ended, and nothing came after it")
