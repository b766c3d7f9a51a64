"""Words and phrases as they are compared: whole words, without case, accents and punctuation.

"Café-Bar!" is the phrase "cafe bar". Words of scripts without spaces between them are not told apart.
"""

import re
import unicodedata
from bisect import bisect_left
from collections.abc import Collection, Iterator
from typing import NamedTuple

from trunkline.proto.errors import BadInput

_WORD = re.compile(r"[^\W_]+(?:['’`\u00ad\u200b-\u200d\u2060\ufeff\u0300-\u036f]+[^\W_]+)*[\u0300-\u036f]*")
_JOINTS = re.compile(r"['’`\u00ad\u200b-\u200d\u2060\ufeff]")
PHRASES_LIMIT = 10_000


class Found(NamedTuple):
    """phrase: folded. start, end: of the text, from its first word's first character to its last word's last."""

    phrase: str
    start: int
    end: int


def fold(word: str) -> str:
    if word.isascii():
        return word.replace("'", "").replace("`", "").lower()
    plain = unicodedata.normalize("NFKD", _JOINTS.sub("", word).casefold())
    return "".join(character for character in plain if not unicodedata.combining(character))


def folded(phrase: str) -> str:
    return " ".join(fold(word) for word in _WORD.findall(phrase))


class Phrases:
    """param: whose they are, for errors. Raises BadInput for what isn't a list of phrases with a word in each."""

    def __init__(self, param: str, phrases: Collection[str]) -> None:
        if isinstance(phrases, str) or not phrases or not all(isinstance(phrase, str) for phrase in phrases):
            raise BadInput(param, f"is {phrases!r:.80}", "a list of words or phrases")
        if len(phrases) > PHRASES_LIMIT:
            raise BadInput(param, f"has {len(phrases)} phrases", f"up to {PHRASES_LIMIT}")
        known = {folded(phrase): phrase for phrase in phrases}
        if "" in known:
            raise BadInput(param, f"has {known['']!r}", "phrases with a letter or a digit in each")
        ordered = sorted(known, key=len, reverse=True)  # of two that begin alike the longer is found
        self._pattern = re.compile(rf"(?<![^ ])(?:{'|'.join(map(re.escape, ordered))})(?![^ ])")
        self._known = frozenset(known)
        self.characters = 4 * len(ordered[0]) + 256
        """How far back a phrase may begin, punctuation included."""

    def __contains__(self, phrase: str) -> bool:
        return folded(phrase) in self._known

    def find(self, text: str, *, at: int = 0) -> Iterator[Found]:
        """Those that end behind `at`, in order and apart. Words of the text before it may be their beginning."""
        first = max(0, at - self.characters)
        words = [match for match in _WORD.finditer(text, first) if not first or match.start() > first]
        plain = [fold(match.group()) for match in words]
        starts: list[int] = []
        length = 0
        for word in plain:
            starts.append(length)
            length += len(word) + 1
        for match in self._pattern.finditer(" ".join(plain)):
            start = words[bisect_left(starts, match.start())].start()
            end = words[bisect_left(starts, match.end()) - 1].end()
            if end > at:
                yield Found(match.group(), start, end)
