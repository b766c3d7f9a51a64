"""Card numbers: 12 to 19 digits whose last is their check digit (ISO/IEC 7812-1, Luhn).

A whole run of digits needs no more than that. Of a longer run, a part counts only where an issuer's numbers begin so
and are as long: one of ten numbers has a right check digit by chance.
"""

import re
from collections.abc import Iterator, Sequence
from itertools import accumulate

from trunkline.agents.sensitive.numbers import Group, Run, digits_of
from trunkline.agents.sensitive.spans import Span

LEAST, MOST = 12, 19
_DOUBLED = (0, 2, 4, 6, 8, 1, 3, 5, 7, 9)
_ISSUERS = re.compile(
    r"4(?:\d{12}|\d{15}|\d{18})"  # Visa
    r"|(?:5[1-5]\d\d|222[1-9]|22[3-9]\d|2[3-6]\d\d|27[01]\d|2720)\d{12}"  # Mastercard
    r"|3[47]\d{13}"  # American Express
    r"|(?:6011|65\d\d|64[4-9]\d|62\d\d|35(?:2[89]|[3-8]\d))\d{12,15}"  # Discover, UnionPay, JCB
    r"|(?:36|38|30)\d{12}"  # Diners Club
    r"|(?:50|5[6-9]|6\d)\d{10,17}"  # Maestro
)


def luhn(digits: str) -> bool:
    return _Sums(digits).right(0, len(digits))


def cards_in(run: Run) -> Iterator[Span]:
    """In order and apart, the leftmost and longest first. None begins with 0, which no card does."""
    digits = digits_of(run)
    if len(digits) < LEAST:
        return
    sums = _Sums(digits)
    if len(digits) <= MOST and digits[0] != "0" and sums.right(0, len(digits)):
        yield _span(run)
        return
    ends = list(accumulate(len(group.digits) for group in run))
    first = 0
    while first < len(run):
        end = _longest(digits, sums, ends, first)
        if end:
            yield _span(run[first:end])
        first = end or first + 1


class _Sums:
    """Of the digits before each place, as they are and doubled by turns: any part is checked in one step."""

    def __init__(self, digits: str) -> None:
        values = [ord(digit) - 48 for digit in digits]
        even = [_DOUBLED[value] if at % 2 else value for at, value in enumerate(values)]
        odd = [value if at % 2 else _DOUBLED[value] for at, value in enumerate(values)]
        self._sums = (list(accumulate(even, initial=0)), list(accumulate(odd, initial=0)))

    def right(self, start: int, end: int) -> bool:
        """Whether the last digit before end is the check digit of those from start."""
        sums = self._sums[(end - 1) % 2]
        return (sums[end] - sums[start]) % 10 == 0


def _longest(digits: str, sums: _Sums, ends: Sequence[int], first: int) -> int:
    """The end of the longest card that begins with this group, in groups; 0 for none."""
    start = ends[first - 1] if first else 0
    found = 0
    if digits[start] in "23456":
        for at in range(first, len(ends)):
            end = ends[at]
            if end - start > MOST:
                break
            if end - start >= LEAST and sums.right(start, end) and _ISSUERS.fullmatch(digits, start, end):
                found = at + 1
    return found


def _span(run: Sequence[Group]) -> Span:
    return Span("card", run[0].start, run[-1].end, digits_of(run))
