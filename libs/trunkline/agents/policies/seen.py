"""What the built-in guardrails do alike: their points, their replies, and writing over what they found."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from trunkline.agents.guardrail import ON, Check, On
from trunkline.proto.errors import BadInput

ROUNDS = 16  # of writing over: what is left may make another that is forbidden


class Edit(NamedTuple):
    """start, end: of the text with what came before it. text: what is to stand there."""

    start: int
    end: int
    text: str


def points(param: str, on: On | Sequence[On]) -> tuple[On, ...]:
    """Raises BadInput."""
    chosen: tuple[On, ...] = (on,) if isinstance(on, str) else tuple(on)
    unknown = [point for point in chosen if point not in ON]
    if unknown or not chosen:
        raise BadInput(f"{param}: on", f"is {unknown[0] if unknown else 'empty'!r}", ", ".join(ON))
    return chosen


def said(param: str, reply: str) -> str:
    """Raises BadInput where a reply can't be spoken."""
    if not isinstance(reply, str) or not reply.strip():
        raise BadInput(f"{param}: reply", f"is {reply!r:.80}", "words that can be spoken")
    return reply


def written_over(check: Check, find: Callable[[str, int], Sequence[Edit]]) -> str | None:
    """The check's text with all that is found written over; None if there is no end to it.

    find: given the whole, and where the text begins in it, what ends behind that, in order and apart. What of it was
    said before stays as it was.
    """
    at = len(check.before)
    whole = check.before + check.text
    for _ in range(ROUNDS):
        edits = find(whole, at)
        if not edits:
            return whole[at:]
        pieces = [whole[:at]]
        done = at
        for edit in edits:
            pieces += whole[done : max(edit.start, at)], edit.text
            done = edit.end
        whole = "".join((*pieces, whole[done:]))
    return None
