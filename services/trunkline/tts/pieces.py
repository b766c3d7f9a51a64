"""Cuts text that is too long for one run of an engine; nothing is lost but white space at the cuts. Pure."""

import re

_CUTS = (re.compile(r"[.!?]\s"), re.compile(r"[,;:]\s"), re.compile(r"\s"))


def pieces(text: str, limit_chars: int) -> list[str]:
    """Pieces of at most limit_chars, none empty, each as long as a sentence's end, a clause's or a word's allows."""
    found: list[str] = []
    rest = text.strip()
    while len(rest) > limit_chars:
        cut = _cut(rest, limit_chars)
        found.append(rest[:cut].rstrip())
        rest = rest[cut:].lstrip()
    return [*found, rest] if rest else found


def _cut(text: str, limit_chars: int) -> int:
    """Where to cut a text longer than the limit: the last of the best places within it."""
    for pattern in _CUTS:
        places = [match.end() for match in pattern.finditer(text, 0, limit_chars + 1)]
        if places:
            return min(places[-1], limit_chars)
    return limit_chars
