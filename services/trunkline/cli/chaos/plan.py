"""Which fault hits which stage when, from a seed alone; who it hits is found out at that time (aim.py). Pure."""

import random
from collections.abc import Sequence

import msgspec

from trunkline.cli.chaos.evidence import FaultKind, Target

LEAD_S = 4.0  # for the first calls to get going
TAIL_S = 3.0  # in which nothing is done any more
SPACING_S = 2.5  # between two faults, on average; a process that was killed is back in about that time
JITTER = 0.3  # of the spacing
UNAIMED = 4  # every so many-th fault takes any process of its stage
SHORTEST_STOP_S, LONGEST_STOP_S = 0.6, 4.0
NODE_SPACING_S = 10.0  # a node is back in about that time, and level with the others; one in lame duck in 20 s
NODE_STOP_S = (3.0, 9.0)  # longer than a client takes to miss it; longer than an election in some


class Planned(msgspec.Struct, frozen=True):
    """at_s: since the callers began. aimed: at a process that holds a call in mid-turn. stop_s: until it may go on."""

    at_s: float
    kind: FaultKind
    stage: Target
    aimed: bool
    stop_s: float = 0.0


def plan(seed: int, seconds: float, faults: Sequence[tuple[FaultKind, Target]]) -> list[Planned]:
    """Each of the faults once before any a second time; as many as the time allows."""
    return _spread(f"plan {seed}", seconds, faults, SPACING_S, (SHORTEST_STOP_S, LONGEST_STOP_S))


def node_plan(seed: int, seconds: float, faults: Sequence[tuple[FaultKind, Target]]) -> list[Planned]:
    """Of a cluster, beside the others: each comes at its time or later, once the node before is back."""
    return _spread(f"nodes {seed}", seconds, faults, NODE_SPACING_S, NODE_STOP_S)


def _spread(
    seed: str,
    seconds: float,
    faults: Sequence[tuple[FaultKind, Target]],
    spacing_s: float,
    stops_s: tuple[float, float],
) -> list[Planned]:
    rng = random.Random(seed)
    count = max(1, int((seconds - LEAD_S - TAIL_S) / spacing_s))
    pairs: list[tuple[FaultKind, Target]] = []
    while faults and len(pairs) < count:
        again = list(faults)
        rng.shuffle(again)
        pairs += again
    planned = []
    for number, (kind, stage) in enumerate(pairs[:count]):
        at_s = LEAD_S + (number + rng.uniform(0.0, JITTER)) * spacing_s
        stop_s = rng.uniform(*stops_s) if kind == "stop" else 0.0
        planned.append(Planned(round(at_s, 3), kind, stage, number % UNAIMED != UNAIMED - 1, round(stop_s, 3)))
    return planned
