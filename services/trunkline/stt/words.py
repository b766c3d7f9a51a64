"""Whether a caller's words look finished: what decides between a short and a long wait for more.

Pure, and careful in one direction: a wrong "unfinished" costs a moment, a wrong "finished" cuts somebody off.
"""

import re
from functools import lru_cache

# Words that nobody ends on, but for effect: articles, possessives, conjunctions, prepositions, hesitations.
_HANGING_WORDS = """
    a an the my your his its our their
    and or but because cause since although though while whereas unless until than whether
    of to for with at from into onto about between during without as
    um uh erm er uhm i'm i'd i'll it's that's there's
"""
_LINKING_WORDS = "is are am was were"  # hang after a noun ("my number is"), not in "yes, I am" or "where my order is"
_SUBJECT_WORDS = "i you he she it we they that this there"
_QUESTION_WORDS = "what where when who how why which"
_DIGIT_WORDS = "zero one two three four five six seven eight nine"
_TEEN_WORDS = "ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen"
_TEN_WORDS = "twenty thirty forty fifty sixty seventy eighty ninety"

_HANGING = frozenset(_HANGING_WORDS.split())
_LINKING = frozenset(_LINKING_WORDS.split())
_SUBJECTS = frozenset(_SUBJECT_WORDS.split())
_QUESTIONS = frozenset(_QUESTION_WORDS.split())
_DIGITS = {word: str(value) for value, word in enumerate(_DIGIT_WORDS.split())} | {"oh": "0", "nought": "0"}
_TEENS = {word: str(value) for value, word in enumerate(_TEEN_WORDS.split(), start=10)}
_TENS = dict(zip(_TEN_WORDS.split(), "23456789", strict=True))
_REPEATS = {"double": 2, "triple": 3}
_TOKENS = re.compile(r"\d+|[a-z]+(?:'[a-z]+)?", re.IGNORECASE)
_SENTENCE_ENDS = re.compile(r"[.?!]\s")
_FILLERS = ("0", "A")  # what stands for a digit or letter that is still to come
_LONGEST_DICTATION = 20


def looks_unfinished(text: str, dictations: tuple[str, ...] = ()) -> bool:
    """dictations: as in TurnRules; an invalid expression is as good as none."""
    text = text.strip()
    if not text:
        return False
    state = _dictated(tuple(_spelled(text)), dictations)
    if state is not None:
        return not state
    if text.endswith((",", "-", "–", "—", ":", ";", "…", "...")):
        return True
    sentence = _SENTENCE_ENDS.split(text.lower().rstrip(".?! "))[-1]
    words = _TOKENS.findall(sentence)
    return bool(words) and not text.endswith(("?", "!")) and _hangs(words)


def _hangs(words: list[str]) -> bool:
    if words[-1] in _LINKING:
        return len(words) > 1 and words[-2] not in _SUBJECTS and _QUESTIONS.isdisjoint(words)
    return words[-1] in _HANGING


def _spelled(text: str) -> list[str]:
    """The digits and spelled letters that the text ends in, a token each; number words are digits.

    A capital that stands alone or in a group of capitals ("AB") is spelled; "I" and "A" only beside others.
    """
    run: list[str] = []
    for token in reversed(_TOKENS.findall(text)):
        spelled = _compact(token)
        if spelled is None:
            break
        run.insert(0, spelled)
    while run and run[0] in ("I", "A"):
        run.pop(0)
    return _compose(run)


def _compact(token: str) -> str | None:
    word = token.lower()
    if token.isdigit():
        return token
    if word in _DIGITS:
        return _DIGITS[word]
    if word in _TEENS or word in _TENS or word in _REPEATS:
        return word
    return token if token.isupper() and len(token) <= 4 else None


def _compose(run: list[str]) -> list[str]:
    """twenty one -> 21, double seven -> 77."""
    composed: list[str] = []
    at = 0
    while at < len(run):
        token, following = run[at], run[at + 1] if at + 1 < len(run) else ""
        at += 1
        if token in _TENS:
            unit = following if len(following) == 1 and following in "123456789" else ""
            composed.append(_TENS[token] + (unit or "0"))
            at += bool(unit)
        elif token in _REPEATS:
            composed.append(following[:1] * _REPEATS[token] + following[1:])
            at += 1
        else:
            composed.append(_TEENS.get(token, token))
    return composed


@lru_cache(maxsize=1024)
def _dictated(spelled: tuple[str, ...], dictations: tuple[str, ...]) -> bool | None:
    """True: the end is a whole dictation. False: it is the proper prefix of one. None: it is neither."""
    endings = ["".join(spelled[at:]).upper() for at in range(len(spelled))]
    patterns = [pattern for pattern in map(_compile, dictations) if pattern is not None]
    if any(pattern.fullmatch(ending) for pattern in patterns for ending in endings if ending):
        return True
    if any(_is_prefix(ending, pattern) for pattern in patterns for ending in endings if ending):
        return False
    return None


@lru_cache(maxsize=256)
def _compile(dictation: str) -> re.Pattern[str] | None:
    try:
        return re.compile(dictation, re.IGNORECASE)
    except re.error:
        return None


def _is_prefix(ending: str, pattern: re.Pattern[str]) -> bool:
    return any(
        pattern.fullmatch(ending + shape[len(ending) :]) for shape in _shapes(pattern) if len(shape) > len(ending)
    )


@lru_cache(maxsize=256)
def _shapes(pattern: re.Pattern[str]) -> tuple[str, ...]:
    """What a dictation can look like, 0 for a digit and A for a letter: found by trial: `re` has no partial match.

    Up to three groups of digits and letters in turn, _LONGEST_DICTATION characters in all; literal letters and
    digit ranges that leave out 0 are beyond it, and then the plain rules decide.
    """
    shapes = set()
    for first, second in (_FILLERS, _FILLERS[::-1]):
        for a in range(1, _LONGEST_DICTATION + 1):
            for b in range(_LONGEST_DICTATION + 1 - a):
                for c in range((_LONGEST_DICTATION - a - b if b else 0) + 1):
                    shape = first * a + second * b + first * c
                    if pattern.fullmatch(shape):
                        shapes.add(shape)
    return tuple(sorted(shapes, key=len))
