"""What the agent of a simulated call does in a turn, beyond answering and noting: the number that is said tells it.

Pure, and known to all: the caller says the number, the model answers it, policy and tools see it.
"""

from typing import Literal

Act = Literal[
    "",  # as in a call without policy: an answer, or notes
    "refund",  # a tool that a person decides over
    "promise",  # an answer that a person decides over, where the agent is `careful`
    "handoff",  # by the model
    "passed on",  # by policy, for the caller's words
    "refused",  # policy blocks the caller's words
    "refused late",  # likewise, while the model answers already
    "redacted",  # policy rewrites them
    "redacted late",
    "secret",  # a segment that is blocked
    "gold",  # one that is rewritten
    "end",  # of the call, by the model
    "thrown out",  # by policy
    "search",  # a tool in the background, which tells how it goes
    "slow",  # a tool that is stopped when the caller interrupts
    "unphased",  # a model that doesn't say which phase its words are in
    "pondered",  # one that lets the caller wait for its first word
    "amended",  # policy rewrites a tool's arguments
    "withheld",  # policy blocks a tool's result
]
ACTS: tuple[Act, ...] = Act.__args__  # type: ignore[attr-defined]
TURNS = 10  # a call has fewer
SECRET, GOLD, LEAD = "secret", "gold", "lead"
FORBIDDEN = (SECRET, GOLD)
POLITELY = " please"  # what policy adds to words that it rewrites


def number_of(turn: int, act: Act) -> int:
    return turn + TURNS * ACTS.index(act)


def act_of(number: int) -> Act:
    kind = number // TURNS
    return ACTS[kind] if kind < len(ACTS) else ""
