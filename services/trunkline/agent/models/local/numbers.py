"""Numbers as callers say them and as recognisers write them, turned into digits.

Pure. "four seven one two", "47 12", "4-7-1-2" and "four thousand seven hundred and twelve" are all 4712.
"""

import re
from collections.abc import Sequence
from typing import NamedTuple

_UNIT_WORDS = "zero one two three four five six seven eight nine"
_TEEN_WORDS = "ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen"
_TEN_WORDS = "twenty thirty forty fifty sixty seventy eighty ninety"
_UNITS = {word: i for i, word in enumerate(_UNIT_WORDS.split())}
_TEENS = {word: i for i, word in enumerate(_TEEN_WORDS.split(), start=10)}
_TENS = {word: 10 * i for i, word in enumerate(_TEN_WORDS.split(), start=2)}
_SCALES = {"hundred": 100, "thousand": 1000}
_REPEATS = {"double": 2, "triple": 3}
_ZEROS = frozenset({"oh", "o"})  # only between other digits
_HOMOPHONES = {"to": "two", "too": "two", "for": "four", "fore": "four", "won": "one", "ate": "eight", "tree": "three"}
_TOKEN = re.compile(r"\d{1,3}(?:,\d{3})+(?!\d)|\d+(?:\.\d+)?|[^\W\d_]+(?:['’][^\W\d_]+)*")
_GAP = re.compile(r"[\s,.…\-–]*")  # a pause, in a run of digits


class Run(NamedTuple):
    """Digits (and letters) said one after the other; start, end: in the utterance, in characters."""

    text: str
    start: int
    end: int


class _Token(NamedTuple):
    word: str
    start: int
    end: int


def runs_of(text: str, *, letters: bool = False, homophones: bool = False) -> list[Run]:
    """letters: spelt letters belong to a run. homophones: "for" and "to" are digits too, for want of better ones."""
    groups: list[list[_Token]] = []
    for match in _TOKEN.finditer(text):
        word = match.group().lower()
        token = _Token(_HOMOPHONES.get(word, word) if homophones else word, match.start(), match.end())
        if not (_is_digits(token.word) or _continues(token.word, groups, text, match.start(), letters)):
            continue
        if groups and _adjacent(text, groups[-1][-1], token):
            groups[-1].append(token)
        else:
            groups.append([token])
    runs = [Run(_joined([token.word for token in group]), group[0].start, group[-1].end) for group in groups]
    return [run for run in runs if run.text]


def _is_digits(word: str) -> bool:
    return word[0].isdigit() or word in _UNITS or word in _TEENS or word in _TENS or word in _REPEATS


def _continues(word: str, groups: Sequence[Sequence[_Token]], text: str, start: int, letters: bool) -> bool:
    """Words that belong to a number only beside others of it."""
    if letters and len(word) == 1:
        return True
    if not groups or _GAP.fullmatch(text[groups[-1][-1].end : start]) is None:
        return False
    last = groups[-1][-1].word
    return word in _SCALES or word in _ZEROS or (word == "and" and last in _SCALES)


def _adjacent(text: str, last: _Token, token: _Token) -> bool:
    return _GAP.fullmatch(text[last.end : token.start]) is not None


def _joined(words: list[str]) -> str:
    if any(word in _SCALES for word in words):
        return str(_cardinal(words))
    joined = ""
    repeat = 1
    previous = ""
    for word in words:
        if word in _REPEATS:
            repeat = _REPEATS[word]
            continue
        digits = _digits(word)
        if previous in _TENS and word in _UNITS and word != "zero":
            joined = joined[:-1] + digits  # forty, seven
        else:
            joined += digits * repeat
        repeat = 1
        previous = word
    return joined


def _digits(word: str) -> str:
    if word in _ZEROS:
        return "0"
    for table in (_UNITS, _TEENS, _TENS):
        if word in table:
            return str(table[word])
    return "" if word == "and" else word.replace(",", "").upper()


def _cardinal(words: list[str]) -> int:
    total = part = 0
    for word in words:
        if word == "thousand":
            total, part = total + max(part, 1) * 1000, 0
        elif word == "hundred":
            part = max(part, 1) * 100
        elif (digits := _digits(word)).isdigit():
            part += int(digits)
    return total + part
