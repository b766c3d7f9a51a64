"""Phone numbers, with some care: an order number that is taken for a phone can't be spoken any more.

Counts by itself: a + and 8 to 15 digits (ITU-T E.164); 00 likewise; groups that begin with a trunk 0; groups of 3, 3
and 4 digits (North America). Digits in one piece, or said one by one, count where a word before them says phone.
"""

import re
from collections.abc import Iterator, Sequence
from itertools import pairwise

from trunkline.agents.sensitive.numbers import Group, Run, digits_of
from trunkline.agents.sensitive.spans import Span, speaks_of_a_phone

E164_LEAST, E164_MOST = 8, 15
_TRUNK = re.compile(r"0[1-9]\d{7,10}")
_ABROAD = re.compile(r"00[1-9]\d{7,14}")
_NORTH_AMERICA = re.compile(r"1?[2-9]\d{9}")
_GAP = re.compile(r"[\s\-‐‑–./()]{0,3}")


def phones_in(run: Run, before: str) -> Iterator[Span]:
    """before: the text that leads to the run. At most one for each + in it, else one."""
    plus = [at for at, group in enumerate(run) if group.plus]
    for first, end in pairwise([*plus, len(run)]):
        if found := _international(run[first:end]):
            yield found
    if not plus and (found := _national(run, before)):
        yield found


def _international(run: Sequence[Group]) -> Span | None:
    """As many groups as a number can have."""
    digits, count = "", 0
    for group in run[: E164_MOST + 1]:
        parted = count and not (group.spoken or _GAP.fullmatch(group.gap))
        if parted or len(digits) + len(group.digits) > E164_MOST:
            break
        digits += group.digits
        count += 1
    return _span(run[:count], "+" + digits) if len(digits) >= E164_LEAST else None


def _national(run: Run, before: str) -> Span | None:
    says = speaks_of_a_phone(before)
    if says is False:
        return None
    digits = digits_of(run)
    grouped = len(run) > 1 and all(_GAP.fullmatch(group.gap) for group in run[1:])
    spoken = all(group.spoken for group in run)
    if _ABROAD.fullmatch(digits) and (grouped or spoken or says):
        return _span(run, "+" + digits[2:])
    if _TRUNK.fullmatch(digits) and (says or (spoken and len(digits) in (10, 11)) or (grouped and not spoken)):
        return _span(run, digits)
    if _NORTH_AMERICA.fullmatch(digits) and says:
        return _span(run, digits)
    return _in_threes(run) if not spoken else None


def _in_threes(run: Run) -> Span | None:
    """3, 3 and 4 digits in a row, a 1 before them or not."""
    for at in range(len(run) - 2):
        groups = run[at : at + 3]
        fits = [len(group.digits) for group in groups] == [3, 3, 4] and not any(group.spoken for group in groups)
        if fits and _NORTH_AMERICA.fullmatch(digits_of(groups)) and all(_GAP.fullmatch(g.gap) for g in groups[1:]):
            first = at - 1 if at and run[at - 1].digits == "1" else at
            return _span(run[first : at + 3], digits_of(run[first : at + 3]))
    return None


def _span(run: Sequence[Group], value: str) -> Span:
    """With its + if it has one."""
    return Span("phone", run[0].start, run[-1].end, value)
