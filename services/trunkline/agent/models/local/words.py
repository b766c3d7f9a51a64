"""Words as the local model compares them: stems, and the sounds that a recogniser mistakes for each other.

Pure. Everything here is a rule of thumb for English; nothing depends on the agent.
"""

import re
from functools import lru_cache
from typing import NamedTuple

_TOKEN = re.compile(r"[^\W_]+(?:['’][^\W_]+)*", re.UNICODE)
_STOP_WORDS_TEXT = """
a an the this that these those i me my mine we us our you your it its he she they them their is are was were be
been am do does did have has had can could will would shall should may might must to of in on at for from with
by about as into and or but if so not no yes what when where who whom which why how there here please hi hello
hey thanks thank just now then than like want need know tell give get got let say ask see go going would'd i'd
i'm i'll i've it's that's what's where's when's who's don't can't won't um uh er oh ok okay well very much some
any all more also too really right one s t d ll m re ve
"""
STOP_WORDS = frozenset(_STOP_WORDS_TEXT.split())
_SUFFIXES = ("ations", "ation", "ings", "ing", "ies", "ied", "ed", "es", "s", "ly")
_SPELLINGS = (("wh", "w"), ("ph", "f"), ("ck", "k"), ("gh", ""), ("kn", "n"), ("wr", "r"), ("q", "k"), ("x", "ks"))
PHONETIC_CHARACTERS = 3  # shorter keys are shared by too many words


class Word(NamedTuple):
    """start, end: in the utterance, in characters."""

    text: str
    start: int
    end: int

    @property
    def lower(self) -> str:
        return self.text.lower().replace("’", "'")

    @property
    def capital(self) -> bool:
        return self.text[:1].isupper()


def words_of(text: str) -> list[Word]:
    return [Word(match.group(), match.start(), match.end()) for match in _TOKEN.finditer(text)]


def name_words(name: str) -> list[str]:
    """`lookup_order`, `lookupOrder` -> lookup, order."""
    return [part.lower() for part in re.findall(r"[A-Z]?[a-z]+|[A-Z]+|\d+", name)]


@lru_cache(maxsize=4096)
def stem(word: str) -> str:
    """The word without an English ending: opening, opened, opens -> open. Never shorter than three letters."""
    lower = word.lower().removesuffix("'s")
    for suffix in _SUFFIXES:
        root = lower.removesuffix(suffix)
        if root != lower and len(root) >= 3 and re.search(r"[aeiouy]", root):
            if suffix in ("ies", "ied"):
                return root + "y"
            if suffix == "s" and root.endswith("s"):
                return lower
            if suffix in ("ing", "ings", "ed") and len(root) > 4 and root[-1] == root[-2] and root[-1] != "s":
                root = root[:-1]  # cancelled, planned; but called, passed
            return _without_e(root)
    return _without_e(lower)


def _without_e(word: str) -> str:
    return word.removesuffix("e") if len(word) > 3 else word


@lru_cache(maxsize=4096)
def sound(word: str) -> str:
    """The consonants that are heard: weather, whether -> wthr. "" where that tells too little."""
    lower = stem(word)
    for written, heard in (
        ("wh", "w"),
        ("ph", "f"),
        ("ck", "k"),
        ("gh", ""),
        ("kn", "n"),
        ("wr", "r"),
        ("q", "k"),
        ("x", "ks"),
    ):
        lower = lower.replace(written, heard)
    lower = re.sub(r"c(?=[eiy])", "s", lower).replace("c", "k").replace("z", "s")
    key = lower[:1] + re.sub(r"[aeiouy']", "", lower[1:])
    key = re.sub(r"(.)\1+", r"\1", key)
    return key if len(key) >= PHONETIC_CHARACTERS else ""
