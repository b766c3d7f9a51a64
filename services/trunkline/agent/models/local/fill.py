"""A tool's arguments from the words that were said: values, patterns, numbers, and what follows a preposition.

Pure. An argument that isn't found is left out; whether that matters is the caller's question.
"""

import re
from collections.abc import Sequence

from trunkline.agent.models.local.numbers import Run, runs_of
from trunkline.agent.models.local.parameters import ParameterNeed, Value
from trunkline.agent.models.local.words import STOP_WORDS, Word, sound, stem, words_of

_PREPOSITIONS_TEXT = "in for at to of from about on near around"
PREPOSITIONS = frozenset(_PREPOSITIONS_TEXT.split())
_ARTICLES = frozenset(["the", "a", "an", "my", "your", "our"])
_TRAILERS_TEXT = "please thanks thank you now today tonight tomorrow right like be will is currently again then there"
_TRAILERS = frozenset(_TRAILERS_TEXT.split())
_CLAUSE_END = re.compile(r"[.,;:!?]")
_YES = frozenset(["yes", "yeah", "yep", "sure", "true", "correct"])
_NO = frozenset(["no", "nope", "not", "false", "never"])


def fill(need: ParameterNeed, utterance: str, matched: frozenset[str], *, answering: bool = False) -> Value | None:
    """matched: words that spoke of the tool. answering: the utterance answers the question for just this argument."""
    if need.values:
        return _value(need.values, utterance)
    if need.kind == "boolean":
        return _truth(utterance) if answering else None
    if need.kind in ("integer", "number"):
        return _number(utterance, need.kind)
    if need.kind != "string":
        return None
    if need.pattern:
        return _patterned(need.pattern, utterance)
    return _phrase(utterance, matched, answering=answering)


def _value(values: Sequence[Value], utterance: str) -> Value | None:
    """The last of the allowed values that was said, whole; then one that only sounds like it."""
    for key in (stem, sound):
        said = [key(word.lower) for word in words_of(utterance)]
        found = [(_last_position(said, [key(w.lower) for w in words_of(str(value))]), value) for value in values]
        position, value = max(found, key=lambda pair: pair[0])
        if position >= 0:
            return value
    numbers = {run.text for run in runs_of(utterance)}
    return next((value for value in values if str(value) in numbers), None)


def _last_position(said: Sequence[str], wanted: Sequence[str]) -> int:
    if not all(wanted):
        return -1
    starts = range(len(said) - len(wanted), -1, -1)
    return next((i for i in starts if wanted and list(said[i : i + len(wanted)]) == list(wanted)), -1)


def _truth(utterance: str) -> bool | None:
    said = {word.lower for word in words_of(utterance)}
    if said & _NO:
        return False
    return True if said & _YES else None


def _number(utterance: str, kind: str) -> int | float | None:
    for run in reversed(runs_of(utterance)):
        try:
            return int(run.text) if kind == "integer" else float(run.text)
        except ValueError:
            continue
    return None


def _patterned(pattern: str, utterance: str) -> str | None:
    """The last thing said that matches the pattern and wasn't denied ("not 4711")."""
    inner = re.compile(pattern.removeprefix("^").removesuffix("$"), re.IGNORECASE)
    letters = re.search(r"[A-Za-z]", re.sub(r"\\.", "", pattern)) is not None
    for homophones in (False, True):
        runs = runs_of(utterance, letters=letters, homophones=homophones)
        found = [match for run in runs if (match := _match(inner, run, utterance))]
        if found:
            return found[-1]
    plain = [word.text for word in words_of(utterance) if inner.fullmatch(word.text)]
    return plain[-1] if plain else None


def _match(inner: re.Pattern[str], run: Run, utterance: str) -> str | None:
    if re.search(r"\bnot\s*$", utterance[: run.start], re.IGNORECASE):
        return None
    match = inner.fullmatch(run.text) or re.search(rf"(?<!\d)(?:{inner.pattern})(?!\d)", run.text)
    return match.group() if match else None


def _phrase(utterance: str, matched: frozenset[str], *, answering: bool) -> str | None:
    words = words_of(utterance)
    at = max((i for i, word in enumerate(words) if word.lower in matched), default=-1)
    after = [i for i, word in enumerate(words) if word.lower in PREPOSITIONS]
    for i in sorted(after, key=lambda i: (i < at, i)):  # behind the word that spoke of the tool first
        phrase = _after(words, i + 1, utterance, matched)
        if phrase:
            return phrase
    return _capitalised(words, utterance, matched) or (_whole_answer(words, utterance) if answering else None)


def _after(words: Sequence[Word], start: int, utterance: str, matched: frozenset[str]) -> str | None:
    """The words from here to the end of the clause or the next preposition, without articles and politeness."""
    taken: list[Word] = []
    for word in words[start:]:
        if taken and (_CLAUSE_END.search(utterance[taken[-1].end : word.start]) or word.lower in PREPOSITIONS):
            break
        if not taken and word.lower in _ARTICLES:
            continue
        taken.append(word)
    return _said(taken, utterance, matched)


def _said(words: Sequence[Word], utterance: str, matched: frozenset[str]) -> str | None:
    taken = list(words)
    while taken and taken[-1].lower in _TRAILERS:
        taken.pop()
    if not taken or any(word.lower in matched for word in taken) or all(w.lower in STOP_WORDS for w in taken):
        return None
    return utterance[taken[0].start : taken[-1].end]


def _capitalised(words: Sequence[Word], utterance: str, matched: frozenset[str]) -> str | None:
    """The last run of capitalised words that are no sentence's plain beginning."""
    runs: list[list[Word]] = []
    for word in words:
        if not word.capital or word.lower in STOP_WORDS or word.lower in matched:
            continue
        if runs and not utterance[runs[-1][-1].end : word.start].strip():
            runs[-1].append(word)
        else:
            runs.append([word])
    return _said(runs[-1], utterance, matched) if runs else None


def _whole_answer(words: Sequence[Word], utterance: str) -> str | None:
    """ "It's Tokyo, please." -> Tokyo"""
    taken = list(words)
    while taken and (taken[0].lower in STOP_WORDS or taken[0].lower in _TRAILERS):
        taken.pop(0)
    return _said(taken, utterance, frozenset())
