"""From a seed to a plan of a call: what the caller says, what becomes of the network, and which process dies when.

The seed is all there is: whoever has it has the history.
"""

import random
from typing import Literal

import msgspec

from sim.acts import ACTS, Act, number_of
from sim.network import Trouble
from trunkline.proto.approval import Choice
from trunkline.proto.subjects import Stage

FaultKind = Literal["kill", "stop", "term"]
Moment = Literal["listening", "thinking", "tool", "answering", "between"]
MOMENTS: tuple[Moment, ...] = ("listening", "thinking", "tool", "answering", "between")
# where a stage has work of the call in hand, so that a fault there hurts most
IN_HAND: dict[Stage, tuple[Moment, ...]] = {
    "gateway": ("listening", "thinking", "tool", "answering"),
    "stt": ("listening",),
    "agent": ("thinking", "tool", "answering"),
    "tool_runner": ("tool",),
    "tts": ("answering",),
}


FAULTY: tuple[Stage, ...] = ("gateway", "stt", "agent", "tool_runner", "tts")  # stages in which faults happen
TYPED = 0.1  # of the turns
POLICED = 0.25  # of the histories: with policy, approvals, handoffs and the end of the call by the agent
ACTED = 0.7  # of the turns of those
PEOPLE = ("anna", "ben")
ENDINGS = ("end", "thrown out")  # acts that end the call
VANISHING = 0.02  # of the histories with faults of gateways: the caller is gone in mid-call


class DecisionPlan(msgspec.Struct, frozen=True):
    """A person's, after_s from when he sees what waits. text: said instead of an answer, None for that itself."""

    by: str
    choice: Choice
    after_s: float
    text: str | None = None


class TurnPlan(msgspec.Struct, frozen=True):
    """number: from 1; the words tell it, and the act. frames: of speech. sentences: of the answer. tools: that are
    called before it, in turn.

    cut_after_s: of the reply's first audio the caller begins his next turn; 0: he hears it to the end.
    cough_after_s: likewise he coughs. cancel_after_s: likewise his client ends the response. typed: he doesn't speak.
    pause_s: before he goes on. act: what it is about. decisions: of people, over what waits for them in this turn.
    """

    number: int
    frames: int
    sentences: int = 1
    tools: int = 0
    tool_before_ms: int = 0
    tool_after_ms: int = 0
    cut_after_s: float = 0.0
    cough_after_s: float = 0.0
    cancel_after_s: float = 0.0
    pause_s: float = 0.1
    typed: bool = False
    act: Act = ""
    decisions: list[DecisionPlan] = []

    @property
    def spoken(self) -> int:
        """The number in the words."""
        return number_of(self.number, self.act)

    @property
    def kind(self) -> str:
        return (
            "cut"
            if self.cut_after_s or self.cancel_after_s
            else self.act
            if self.act
            else "tool"
            if self.tools
            else "long"
            if self.sentences > 2
            else "plain"
        )


class FaultPlan(msgspec.Struct, frozen=True):
    """after_s: from the moment in that turn. lasts_s: until a stopped process goes on, or a killed one's heir starts.

    anyone: a worker by chance rather than the one that has the call.
    """

    kind: FaultKind
    stage: Stage
    turn: int
    moment: Moment
    after_s: float
    lasts_s: float
    anyone: bool = False


class Vanishing(msgspec.Struct, frozen=True):
    """The caller's machine is gone, after_s from the moment in that turn."""

    turn: int
    moment: Moment
    after_s: float


class History(msgspec.Struct, frozen=True):
    """agent: the one that answers, of the policed desk; empty for the plain one."""

    seed: int
    turns: list[TurnPlan]
    faults: list[FaultPlan]
    trouble: Trouble
    repeatable: bool = True
    store_unsure: float = 0.0
    vanishing: Vanishing | None = None
    agent: str = ""


def plan(seed: int, stages: tuple[Stage, ...] = FAULTY, most_faults: int = 3) -> History:
    """stages: in which faults happen."""
    rng = random.Random(seed)
    turns = [_turn(rng, number) for number in range(1, rng.choice((1, 1, 2, 2, 3)) + 1)]
    agent = _policed(random.Random(f"acts {seed}"), turns)
    turns[-1] = msgspec.structs.replace(turns[-1], cut_after_s=0.0)  # nothing is said after it
    for at, turn in enumerate(turns[:-1]):
        if turn.cut_after_s:  # by what is said, not typed
            turns[at + 1] = msgspec.structs.replace(turns[at + 1], typed=False)
    wanted = rng.randrange(most_faults + 1) if stages else 0
    faults = [_fault(rng, stages, turns) for _ in range(wanted)]
    trouble = _trouble(rng)
    if any(turn.kind in ("cut", *ENDINGS) for turn in turns):  # what is on the line then counts as heard (ADR 0011)
        trouble = msgspec.structs.replace(trouble, stalling=0.0)
    # words that the store can't take yet are nowhere else
    leaves_gateways = trouble.stalling > 0 or any(fault.stage == "gateway" for fault in faults)
    return History(
        seed=seed,
        turns=turns,
        faults=faults,
        trouble=trouble,
        repeatable=rng.random() < 0.75,
        store_unsure=0.0 if leaves_gateways else rng.choice((0.0, 0.0, 0.02)),
        vanishing=_vanishing(rng, turns) if "gateway" in stages else None,
        agent=agent,
    )


def late_listeners(seed: int) -> History:
    """STT workers that are stopped in mid-utterance and go on once they are replaced, on a very slow network."""
    rng = random.Random(seed)
    history = plan(seed, ())
    stops = [
        FaultPlan("stop", "stt", turn.number, "listening", rng.uniform(0.1, 0.5), rng.uniform(0.6, 1.2))
        for turn in history.turns
    ]
    return msgspec.structs.replace(history, faults=stops, trouble=_slow(history.trouble, 0.4, 0.6))


def late_writers(seed: int) -> History:
    """An agent is stopped, goes on behind the one that took the call from it, and others take it after that."""
    rng = random.Random(seed)
    stop = FaultPlan("stop", "agent", 1, "thinking", rng.uniform(0.0, 0.1), rng.uniform(0.6, 1.2))
    deaths = [
        FaultPlan("kill", "agent", 1, "answering", rng.uniform(0.0, 0.6), 0.1),
        FaultPlan("kill", "agent", 2, "thinking", rng.uniform(0.0, 0.1), 0.1),
    ]
    return msgspec.structs.replace(plan(seed, ()), faults=[stop, *deaths])


def lost_in_tools(seed: int) -> History:
    """An agent dies while a tool of its runs."""
    rng = random.Random(seed)
    history = plan(seed, ())
    turn = TurnPlan(1, frames=3, tools=1, tool_before_ms=rng.randint(0, 150), tool_after_ms=rng.randint(0, 150))
    death = FaultPlan("kill", "agent", 1, "tool", rng.uniform(0.0, 0.15), 0.1)
    return msgspec.structs.replace(history, turns=[turn, *history.turns[1:]], faults=[death])


def late_takers(seed: int) -> History:
    """An agent dies, and who takes the call up may be stopped at it until a third one has, on a slow network."""
    rng = random.Random(seed)
    history = plan(seed, ())
    death = FaultPlan("kill", "agent", 1, "thinking", 0.02, 0.1)
    after_s, lasts_s = rng.uniform(0.02, 0.12), rng.uniform(2.0, 2.9)
    stop = FaultPlan("stop", "agent", 1, "thinking", after_s, lasts_s, anyone=True)
    return msgspec.structs.replace(history, faults=[death, stop], trouble=_slow(history.trouble, 0.2, 0.3))


def about(seed: int, act: Act) -> History:
    """Each turn but the last is about this, and cut short where it ends the call; an agent may die meanwhile."""
    rng = random.Random(seed)
    turns = [_acted(rng, TurnPlan(number, frames=4), act, last=False) for number in (1, 2)]
    if act not in ENDINGS:
        turns = [msgspec.structs.replace(turn, cut_after_s=0.0) for turn in turns]
    last = TurnPlan(len(turns) + 1, frames=4)
    death = FaultPlan("kill", "agent", 1, "tool", rng.uniform(0.0, 0.3), 0.1)
    history = plan(seed, ())
    faults = [death] if act == "refund" and rng.random() < 0.5 else []
    return msgspec.structs.replace(
        history, turns=[*turns, last], faults=faults, agent="desk" if act == "secret" else "careful"
    )


def _slow(trouble: Trouble, lagging: float, lag_s: float) -> Trouble:
    return msgspec.structs.replace(trouble, lagging=lagging, lag_s=lag_s)


def _turn(rng: random.Random, number: int) -> TurnPlan:
    kind = rng.choice(("plain", "plain", "tool", "tool", "long", "cut", "cough", "cancel"))
    typed = rng.random() < TYPED
    base = TurnPlan(number, frames=rng.randint(3, 6), pause_s=rng.uniform(0.02, 0.3), typed=typed)
    match kind:
        case "tool":
            ms = rng.randint(0, 150), rng.randint(0, 150)
            return msgspec.structs.replace(base, tools=rng.choice((1, 1, 2)), tool_before_ms=ms[0], tool_after_ms=ms[1])
        case "long":
            return msgspec.structs.replace(base, sentences=rng.randint(3, 5))
        case "cut":
            return msgspec.structs.replace(base, sentences=4, cut_after_s=rng.uniform(0.05, 0.8))
        case "cough":
            return msgspec.structs.replace(base, sentences=2, cough_after_s=rng.uniform(0.05, 0.4))
        case "cancel":
            return msgspec.structs.replace(base, sentences=4, cancel_after_s=rng.uniform(0.05, 0.8))
        case _:
            return base


def _policed(rng: random.Random, turns: list[TurnPlan]) -> str:
    """Gives the turns acts, in some histories; the agent that answers then. The others stay as they are."""
    if rng.random() >= POLICED:
        return ""
    for at, turn in enumerate(turns):
        if rng.random() < ACTED:
            act = rng.choice([*ACTS[1:], "refund", "refund", "promise", "promise", "end"])
            turns[at] = _acted(rng, turn, act, last=at == len(turns) - 1)
    return rng.choice(("desk", "desk", "careful"))


def _acted(rng: random.Random, turn: TurnPlan, act: Act, *, last: bool) -> TurnPlan:
    if act == "thrown out" and not last:  # nobody is to say anything after it
        act = "refused"
    cut = turn.cut_after_s if act != "end" else 0.0 if last else rng.uniform(0.05, 0.8)
    with_tool = act in ("refund", "search", "slow", "unphased", "amended", "withheld")
    return msgspec.structs.replace(
        turn,
        act=act,
        tools=rng.choice((1, 1, 2)) if with_tool else 0,
        tool_before_ms=rng.randint(0, 150),
        tool_after_ms=rng.randint(0, 150),
        sentences=max(turn.sentences, 2),
        cut_after_s=cut,
        cough_after_s=0.0 if act in ENDINGS else turn.cough_after_s,
        cancel_after_s=0.0 if act in ENDINGS else turn.cancel_after_s,
        decisions=_decisions(rng) if act in ("refund", "promise") else [],
        pause_s=rng.choice((turn.pause_s, rng.uniform(0.5, 3.0))) if act in ("refund", "search") else turn.pause_s,
    )


def _decisions(rng: random.Random) -> list[DecisionPlan]:
    """Of nobody, of one person, of two at about the same time."""
    first = rng.uniform(0.0, 1.5)
    people = rng.choice((0, 1, 1, 1, 2))
    return [
        DecisionPlan(
            by=by,
            choice=rng.choice(("approve", "approve", "deny")),
            after_s=first + rng.uniform(0.0, 0.02),
            text="I promise less." if rng.random() < 0.2 else None,
        )
        for by in PEOPLE[:people]
    ]


def _fault(rng: random.Random, stages: tuple[Stage, ...], turns: list[TurnPlan]) -> FaultPlan:
    stage = rng.choice(stages)
    kind: FaultKind = rng.choice(("kill", "kill", "stop", "term"))
    aimed = rng.random() < 0.8
    moment = rng.choice(IN_HAND[stage] if aimed else MOMENTS)
    candidates = [turn.number for turn in turns if turn.tools] if moment == "tool" else []
    return FaultPlan(
        kind=kind,
        stage=stage,
        turn=rng.choice(candidates or [turn.number for turn in turns]),
        moment=moment,
        after_s=rng.uniform(0.0, 0.3),
        lasts_s=rng.uniform(0.05, 1.0) if kind == "kill" else rng.uniform(0.3, 4.0),
        anyone=not aimed and rng.random() < 0.5,
    )


def _vanishing(rng: random.Random, turns: list[TurnPlan]) -> Vanishing | None:
    if rng.random() >= VANISHING:
        return None
    return Vanishing(rng.choice(turns).number, rng.choice(MOMENTS), rng.uniform(0.0, 0.5))


def _trouble(rng: random.Random) -> Trouble:
    bad = rng.random()
    if bad < 0.4:
        return Trouble(advisories=rng.random() < 0.5)
    worst = 0.005 if bad < 0.8 else 0.03
    return Trouble(
        dropped=rng.uniform(0.0, worst),
        doubled=rng.uniform(0.0, worst),
        lagging=rng.uniform(0.0, 0.05),
        lag_s=rng.uniform(0.01, 0.2),
        advisories=rng.random() < 0.5,
        stalling=rng.choice((0.0, 0.002)),
    )
