"""Cuts a text, streaming or whole, into segments to be spoken, at the boundaries of clauses.

Pure. The segments of a text join back to it without loss, and are the same however the text was streamed.
"""

import re
from collections.abc import Iterator
from typing import NamedTuple

FIRST_WORDS = 8  # a first segment without punctuation is cut once it has this many
FIRST_JOINT_WORDS = 5  # ... at the joint nearest to here
FIRST_CLAUSE_WORDS = 2  # "One moment," may be spoken alone, "Well," may not
CLAUSE_WORDS = 12  # later segments are cut at a clause's end from here on
SENTENCE_WORDS = 3  # ... and at a sentence's, so that "Yes. Sure." is one segment
LIMIT_WORDS = 25  # ... and before a joint, or anywhere, here
FIRST_LIMIT_WORDS = 12
LIMIT_CHARACTERS = 400  # of a text without spaces

# Words that begin a new phrase: a voice may breathe before them.
_JOINTS_TEXT = """
and but or so because that which who where when while if as than then for with without in into on at by from to
of about after before until over under during since
"""
JOINTS = frozenset(_JOINTS_TEXT.split())
_TITLES_TEXT = "dr. mr. mrs. ms. prof. st. rev. capt. gen. sen. e.g. i.e. approx. vs. cf."
_TITLES = frozenset(_TITLES_TEXT.split())
_ENDINGS_TEXT = "etc. a.m. p.m. inc. ltd. co. corp. jr. sr. no. nos. ave. blvd. dept. est. min. max."
_ENDINGS = frozenset(_ENDINGS_TEXT.split())
_WORD = re.compile(r"\S+\s+(?=\S)")
_CLOSERS = "\"')]}”’»*_"


class _Boundary(NamedTuple):
    """Where a word (and the space after it) ends in the buffer; words: up to here, this one included."""

    end: int
    words: int
    word: str
    following: str  # the first character of the next word


class Segmenter:
    """feed() gives each segment as soon as nothing that may follow can change it; flush() gives the rest."""

    def __init__(self) -> None:
        self._held = ""
        self._first = True

    def feed(self, text: str) -> list[str]:
        held = self._held + text
        at = 0
        segments = []
        while (length := _cut(held[at : at + LIMIT_CHARACTERS + 1], first=self._first)) > 0:
            segments.append(held[at : at + length])
            at += length
            self._first = False
        self._held = held[at:]
        return segments

    def flush(self) -> list[str]:
        """What is held, with the white space around it; nothing follows it in this text."""
        rest, self._held = self._held, ""
        return [rest] if rest else []


def _cut(text: str, *, first: bool) -> int:
    """The length of the next segment, or 0 while it can't be told. text: LIMIT_CHARACTERS and one are enough."""
    joint = 0
    previous: _Boundary | None = None
    for boundary in _boundaries(text):
        if previous is not None and _bare(boundary.word) in JOINTS:
            joint = _better_joint(joint, previous, first=first, text=text)
        if _ends_here(boundary, first=first):
            return boundary.end
        if boundary.words >= (FIRST_WORDS if first else LIMIT_WORDS):
            if joint:
                return joint
            if boundary.words >= (FIRST_LIMIT_WORDS if first else LIMIT_WORDS):
                return boundary.end
        previous = boundary
    return LIMIT_CHARACTERS if len(text) > LIMIT_CHARACTERS else 0


def _boundaries(text: str) -> Iterator[_Boundary]:
    start = len(text) - len(text.lstrip())
    for words, match in enumerate(_WORD.finditer(text, start), start=1):
        yield _Boundary(match.end(), words, match.group().rstrip(), text[match.end()])


def _better_joint(joint: int, here: _Boundary, *, first: bool, text: str) -> int:
    """The joint to cut at: for a first segment the one nearest to FIRST_JOINT_WORDS, else the last."""
    if not first:
        return here.end if here.words >= CLAUSE_WORDS else joint
    if here.words < FIRST_CLAUSE_WORDS + 1:
        return joint
    if not joint:
        return here.end
    known_words = len(text[:joint].split())
    return here.end if abs(here.words - FIRST_JOINT_WORDS) < abs(known_words - FIRST_JOINT_WORDS) else joint


def _ends_here(boundary: _Boundary, *, first: bool) -> bool:
    word = boundary.word.rstrip(_CLOSERS)
    if word.endswith((".", "!", "?", "…")):
        if word.endswith(".") and not _is_full_stop(word, boundary):
            return False
        return first or boundary.words >= SENTENCE_WORDS
    if word.endswith((",", ";", ":", "—", "–")):
        return boundary.words >= (FIRST_CLAUSE_WORDS if first else CLAUSE_WORDS)
    return False


def _is_full_stop(word: str, boundary: _Boundary) -> bool:
    """Whether a word's point ends a sentence; abbreviations, initials and list numbers don't."""
    lower = word.lstrip("\"'([{“‘«").lower()
    if lower in _TITLES or (re.fullmatch(r"[a-z]\.", lower) and lower != "i."):
        return False
    if lower in _ENDINGS:
        return boundary.following.isupper()
    return not (boundary.words == 1 and re.fullmatch(r"\d{1,2}\.", lower))


def _bare(word: str) -> str:
    return word.strip(".,;:!?\"'()[]").lower()
