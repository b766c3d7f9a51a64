"""What is said in a run: the kinds of turns, what the agent answers to each, and the numbers that callers say.

Every answer names the number that was said, so a turn that is lost, doubled or answered twice reads wrong. Pure.
"""

from typing import get_args

import msgspec

from trunkline.cli.chaos.evidence import FaultKind, Target
from trunkline.proto.response import Phase
from trunkline.proto.subjects import STAGES, Stage

Step = dict[str, object]  # of the scripted model

WORDS = "{words}"  # stands for the caller's last words
TOOL = "note_number"
WORKERS: dict[Stage, int] = {"gateway": 3, "stt": 3, "agent": 3, "tool_runner": 3, "tts": 3}
FAULTS: tuple[tuple[FaultKind, Target], ...] = tuple((kind, stage) for kind in get_args(FaultKind) for stage in STAGES)
RARE: tuple[tuple[FaultKind, Target], ...] = (("kill", "nats"), ("stop", "nats"))  # only where asked for by name


class Kind(msgspec.Struct, frozen=True):
    """A kind of turn: the rounds of the reply. cut: the caller speaks over it."""

    name: str
    rounds: list[list[Step]]
    cut: bool = False


def _say(text: str, phase: Phase = "final_answer") -> Step:
    return {"type": "say", "text": f"{text} ", "phase": phase}


def _note() -> Step:
    return {"type": "tool", "name": TOOL, "arguments": {"number": WORDS}}


def _wait(seconds: float) -> Step:
    return {"type": "wait", "seconds": seconds}


_STORY = [
    _say(f"This is the long story of {WORDS}."),
    _wait(0.3),
    _say("First it was only a number."),
    _wait(0.3),
    _say("Then somebody said it aloud."),
    _wait(0.3),
    _say("Nobody had asked for it."),
    _say(f"But here it is, {WORDS}."),
]
_ONE = [_say("One moment please.", "commentary"), _note()]
KINDS = (
    Kind("short", [[_wait(0.2), _say(f"You said {WORDS}.")]]),
    Kind("tool", [_ONE, [_say(f"I have noted {WORDS}.")]]),
    Kind("long", [_STORY]),
    Kind("tools", [_ONE, [_say("And once more.", "commentary"), _note()], [_wait(0.1), _say(f"Noted {WORDS} twice.")]]),
    Kind("cut", [_STORY], cut=True),
)


def kind_of(turn: int) -> Kind:
    """turn: from 1. The model's script begins again after its last turn, and so do the kinds."""
    return KINDS[(turn - 1) % len(KINDS)]


def script() -> bytes:
    """For TRUNKLINE_MODEL_SCRIPT."""
    return msgspec.json.encode([kind.rounds for kind in KINDS])


def reply(kind: Kind, words: str) -> str:
    """The whole reply, its items joined with one space."""
    texts = [str(step["text"]).strip() for steps in kind.rounds for step in steps if step["type"] == "say"]
    return " ".join(texts).replace(WORDS, words)


def number(caller: int, call: int, turn: int) -> str:
    """Six digits that nobody else says in this run, as long as each part is below 100."""
    return f"{caller % 100:02d}{call % 100:02d}{turn % 100:02d}"
