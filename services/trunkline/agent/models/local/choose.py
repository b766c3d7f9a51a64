"""Which of an agent's tools shares the most telling words with what was said.

Pure. A word that many tools share tells little; a choice needs both a telling word and a fair share of the utterance.
"""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple

from trunkline.agent.models.local.numbers import runs_of
from trunkline.agent.models.local.parameters import parameters_of
from trunkline.agent.models.local.words import STOP_WORDS, name_words, sound, stem, words_of
from trunkline.agent.models.seam import ToolOffer

NAME_WEIGHT = 2.0
DESCRIPTION_WEIGHT = 1.0
VALUE_WEIGHT = 0.8  # a value of an argument supports a choice, it doesn't make one
SOUND_SHARE = 0.7  # of a word that only sounds like the tool's
SCORE_LIMIT = 0.9
COVERAGE_LIMIT = 0.24  # share of the utterance's own words that speak of the tool


class Choice(NamedTuple):
    """matched: the words of the utterance that spoke of the tool, in lower case."""

    tool: ToolOffer
    score: float
    matched: frozenset[str]


def choose(utterance: str, tools: Sequence[ToolOffer]) -> Choice | None:
    """The tool that fits best, or None where none fits well enough. Equal scores: the first tool."""
    best: Choice | None = None
    for tool in tools:
        choice = _score(utterance, tool, tools)
        if choice is not None and (best is None or choice.score > best.score):
            best = choice
    return best


def _score(utterance: str, tool: ToolOffer, tools: Sequence[ToolOffer]) -> Choice | None:
    index = _index(tool.name, tool.description)
    others = [_index(other.name, other.description) for other in tools]
    values = _value_keys(tool)
    words = {word.lower for word in words_of(utterance)} - STOP_WORDS
    number_words = {word.lower for run in runs_of(utterance) for word in words_of(utterance[run.start : run.end])}
    counted = words - number_words
    score = 0.0
    matched: set[str] = set()
    supported: set[str] = set()
    scored_keys: set[str] = set()
    for word in sorted(counted):
        key, share = _best_key(word, index)
        if key in values or stem(word) in values:
            supported.add(word)
        if not key or key in scored_keys:
            matched.update({word} if key else ())
            continue
        scored_keys.add(key)
        matched.add(word)
        score += share * index[key] / sum(key in other for other in others)
    if not matched:
        return None
    if supported or (number_words and _takes_numbers(tool)):
        score += VALUE_WEIGHT
    coverage = (len(matched | supported)) / max(1, len(counted))
    if score < SCORE_LIMIT or coverage < COVERAGE_LIMIT:
        return None
    return Choice(tool, score, frozenset(matched))


def _best_key(word: str, index: Mapping[str, float]) -> tuple[str, float]:
    """The tool's word that this one is, and how surely."""
    root = stem(word)
    if root in index:
        return root, 1.0
    heard = sound(word)
    if heard:
        for key in index:
            if sound(key) == heard:
                return key, SOUND_SHARE
    return "", 0.0


@lru_cache(maxsize=1024)
def _index(name: str, description: str) -> Mapping[str, float]:
    """Weight of each word that speaks of a tool, by stem."""
    weights: dict[str, float] = {}
    for word in words_of(description):
        if word.lower not in STOP_WORDS:
            weights[stem(word.lower)] = DESCRIPTION_WEIGHT
    for part in name_words(name):
        if part not in STOP_WORDS:
            weights[stem(part)] = NAME_WEIGHT
    return weights


def _value_keys(tool: ToolOffer) -> frozenset[str]:
    values = [value for parameter in parameters_of(tool) for value in parameter.values]
    return frozenset(stem(word.lower) for value in values for word in words_of(str(value)))


def _takes_numbers(tool: ToolOffer) -> bool:
    return any(
        need.kind in ("integer", "number") or r"\d" in need.pattern or "0-9" in need.pattern
        for need in parameters_of(tool)
    )
