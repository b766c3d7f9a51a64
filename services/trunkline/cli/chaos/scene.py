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
TOOL, REFUND, HAND_OVER, END_CALL = "note_number", "refund_number", "hand_over", "end_call"
SECRET, GOLD, LEAD = "secret", "gold", "lead"  # policy blocks the first, and makes the third of the second
UNHEARD = "Nobody hears this"
FORBIDDEN = (SECRET, GOLD, UNHEARD)  # what a caller never gets
GOODBYE = 50  # added to the number of a turn by which policy is made to end the call
WORKERS: dict[Stage, int] = {"gateway": 3, "stt": 3, "agent": 3, "tool_runner": 3, "tts": 3}
FAULTS: tuple[tuple[FaultKind, Target], ...] = tuple((kind, stage) for kind in get_args(FaultKind) for stage in STAGES)
RARE: tuple[tuple[FaultKind, Target], ...] = (("kill", "nats"), ("stop", "nats"))  # only where asked for by name
OF_NODES: tuple[tuple[FaultKind, Target], ...] = tuple((kind, "nats") for kind in get_args(FaultKind))  # of a cluster


class Kind(msgspec.Struct, frozen=True):
    """A kind of turn: the rounds of the reply. cut: the caller speaks over it. ends: the agent hangs up, unless it is
    cut. exact: all of the reply is known before. timed: nobody is waited for."""

    name: str
    rounds: list[list[Step]]
    cut: bool = False
    ends: bool = False
    exact: bool = True
    timed: bool = True


def _say(text: str, phase: Phase = "final_answer") -> Step:
    return {"type": "say", "text": f"{text} ", "phase": phase}


def _note(tool: str = TOOL) -> Step:
    return {"type": "tool", "name": tool, "arguments": {"number": WORDS}}


def _do(tool: str) -> Step:
    return {"type": "tool", "name": tool, "arguments": {}}


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
_REFUND = [_say("Let me see about the money.", "commentary"), _note(REFUND)]
_OVER = [_say("I hand you over.", "commentary"), _do(HAND_OVER)]
_FAREWELL = [
    _say(f"That was all about {WORDS}."),
    _say("It was a pleasure to serve you."),
    _say("Do come back soon."),
    _say("And have a very nice day."),
    _say("Goodbye now."),
    _do(END_CALL),
]
_TOLD = [_say(f"This is about {WORDS}.")]
KINDS = (
    Kind("short", [[_wait(0.2), _say(f"You said {WORDS}.")]]),
    Kind("refund", [_REFUND, [_say(f"That was the money for {WORDS}.")]], timed=False),
    Kind("hand", [_OVER, [_say(f"Another one here, about {WORDS}.")]]),
    Kind("promise", [[_say(f"I promise you {WORDS}."), _say("I really do.")]], exact=False, timed=False),
    Kind("back", [_OVER, [_say(f"Here I am again, about {WORDS}.")]]),
    Kind("tool", [_ONE, [_say(f"I have noted {WORDS}.")]]),
    Kind("gone", [_REFUND, [_say(f"That was the money for {WORDS}.")]], cut=True, timed=False),
    Kind("gold", [[*_TOLD, _say(f"It is {GOLD}, {WORDS}.")]]),
    Kind("long", [_STORY]),
    Kind("goodbye", [_FAREWELL], cut=True, ends=True),
    Kind("secret", [[*_TOLD, _say(f"The {SECRET} is {WORDS}."), _say("And so on.")]], exact=False),
    Kind("tools", [_ONE, [_say("And once more.", "commentary"), _note()], [_wait(0.1), _say(f"Noted {WORDS} twice.")]]),
    Kind("refused", [[_say(f"{UNHEARD}, {WORDS}.")]], exact=False),
    Kind("cut", [_STORY], cut=True),
)


def kind_of(turn: int) -> Kind:
    """turn: from 1. The model's script begins again after its last turn, and so do the kinds."""
    return KINDS[(turn - 1) % len(KINDS)]


def script() -> bytes:
    """For TRUNKLINE_MODEL_SCRIPT."""
    return msgspec.json.encode([kind.rounds for kind in KINDS])


def reply(kind: Kind, words: str) -> str:
    """All of the model's words, its items joined with one space; empty where they depend on more than the number."""
    if not kind.exact:
        return ""
    texts = [str(step["text"]).strip() for steps in kind.rounds for step in steps if step["type"] == "say"]
    return " ".join(texts).replace(WORDS, words).replace(GOLD, LEAD)


def number(caller: int, call: int, turn: int) -> str:
    """Six digits that nobody else says in this run, as long as caller and call are below 100, and turn below 50."""
    return f"{caller % 100:02d}{call % 100:02d}{turn % 100:02d}"


def goodbye(words: str) -> str:
    """The number by which the caller is thrown out in that turn."""
    return f"{int(words) + GOODBYE:06d}"


def says_goodbye(words: str) -> bool:
    return words[-2:].isdecimal() and int(words[-2:]) > GOODBYE


def is_refused(words: str) -> bool:
    return words[-2:].isdecimal() and int(words[-2:]) > 0 and kind_of(int(words[-2:])).name == "refused"
