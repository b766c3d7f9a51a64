"""Runs of digits in a text, written in any grouping or spoken: "4111-11…", "four one double one", "forty one eleven".

A run ends at any word that is no digit; what stands between its groups is kept, so that forms can be told apart.
"""

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from trunkline.agents.sensitive.spans import TOKEN

_ONES = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
_TEENS = ("ten", "eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen")
_TENS = ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
SPOKEN = {
    **{word: str(value) for value, word in enumerate((*_ONES, *_TEENS))},
    **{word: f"{value}0" for value, word in enumerate(_TENS, start=2)},
    **dict.fromkeys(("oh", "o", "nought", "naught", "nil"), "0"),
}
TIMES = {"double": 2, "triple": 3, "treble": 3}
FILLERS = frozenset(("uh", "um", "er", "erm", "ah", "then", "dash", "hyphen", "space", "comma"))
FILLERS_LIMIT = 2  # in a row

_WORDS = "|".join(sorted((*SPOKEN, *TIMES, *FILLERS, "plus"), key=len, reverse=True))
_GAP = re.compile(r"[\s\-‐‑–—.,/()_*\u00ad\u200b\u2060]{0,4}")
_YEAR, _MONTH, _DAY = r"(?:19|20)\d\d", r"(?:0?[1-9]|1[0-2])", r"(?:0?[1-9]|[12]\d|3[01])"
_DATE = (
    rf"(?<![\d./-]){_YEAR}-{_MONTH}-{_DAY}(?![./-]?\d)"
    rf"|(?<![\d./-])(?:{_DAY}[./-]{_MONTH}|{_MONTH}[./-]{_DAY})[./-]{_YEAR}(?![./-]?\d)"
)
_PIECE = re.compile(
    rf"(?P<skip>{TOKEN.pattern}|{_DATE})|(?P<digits>\d+)|(?P<word>\b(?:{_WORDS})\b)|(?P<plus>\+)", re.IGNORECASE
)
MAYBE = re.compile(rf"\d|\b(?:{'|'.join(word for word in SPOKEN if len(word) > 2)})\b", re.IGNORECASE)


class Group(NamedTuple):
    """digits: ASCII. gap: what stands between it and the group before. plus: a + before it, written or spoken."""

    start: int
    end: int
    digits: str
    spoken: bool = False
    gap: str = ""
    plus: bool = False


Run = list[Group]


def runs_of(text: str) -> Iterator[Run]:
    """In order. Dates and tokens are no part of any."""
    reader = _Reader()
    for match in _PIECE.finditer(text):
        if ended := reader.read(match, text):
            yield ended
    if reader.run:
        yield reader.run


def digits_of(run: Sequence[Group]) -> str:
    return "".join(group.digits for group in run)


class _Reader:
    """run: so far. A "double", a "plus" and what fills a pause are held until the next piece tells."""

    def __init__(self) -> None:
        self.run: Run = []
        self._end = 0  # of the last piece
        self._clear()

    def _clear(self) -> None:
        self._gap = ""
        self._fillers = 0
        self._times = 0
        self._plus = False
        self._begun_at = -1  # of a "double" or a "plus"

    def read(self, match: re.Match[str], text: str) -> Run | None:
        """The run that ends before this piece, if one does."""
        kind, piece = match.lastgroup, match.group().lower()
        gap = text[self._end : match.start()] if match.start() - self._end <= 4 else None
        self._end = match.end()
        plus = kind == "plus" or piece == "plus"
        ended = None
        if gap is None or not _GAP.fullmatch(gap) or plus or kind == "skip":
            ended, self.run = self.run, []
            self._clear()
            gap = ""
        self._gap += gap
        if plus:
            self._plus, self._begun_at = True, match.start()
        elif kind == "digits":
            self._add(match, piece if piece.isascii() else "".join(str(int(digit)) for digit in piece), spoken=False)
        elif kind == "word":
            ended = self._read_word(match, piece) or ended
        return ended

    def _read_word(self, match: re.Match[str], word: str) -> Run | None:
        if word in SPOKEN:
            self._add(match, SPOKEN[word], spoken=True)
        elif word in TIMES:
            self._times = TIMES[word]
            self._begun_at = match.start() if self._begun_at < 0 else self._begun_at
        elif self.run and self._fillers < FILLERS_LIMIT:
            self._fillers += 1
        else:
            ended, self.run = self.run, []
            self._clear()
            return ended
        return None

    def _add(self, match: re.Match[str], digits: str, *, spoken: bool) -> None:
        last = self.run[-1] if self.run else None
        if last and spoken and last.spoken and not self._times and _joins(last.digits, digits):  # "forty", "one"
            self.run[-1] = last._replace(end=match.end(), digits=last.digits[0] + digits)
        else:
            if self._times and len(digits) == 1:
                digits *= self._times
            start = self._begun_at if self._begun_at >= 0 else match.start()
            self.run.append(Group(start, match.end(), digits, spoken, self._gap, self._plus))
        self._clear()


def _joins(tens: str, unit: str) -> bool:
    return len(tens) == 2 and tens[1] == "0" and tens[0] > "1" and len(unit) == 1 and unit != "0"
