"""What is said in place of a value, or of its token: "your card ending in 1 1 1 1", "your phone number"."""

import re

from trunkline.agents.sensitive.spans import TOKEN, Kind, Span

WORDS: dict[Kind, str] = {"card": "your card", "phone": "your phone number", "email": "your e-mail address"}
_NAMED: dict[Kind, re.Pattern[str]] = {  # what is said already needn't be said again
    "card": re.compile(r"\b(?:your|the) (?:credit |debit |bank )?card(?: number)?,?\s*$", re.IGNORECASE),
    "phone": re.compile(r"\b(?:your|the) (?:phone |mobile |telephone )?number,?\s*$", re.IGNORECASE),
    "email": re.compile(r"\b(?:your|the) e-?mail(?: address)?,?\s*$", re.IGNORECASE),
}
KNOWN = "that you gave me"
LAST_DIGITS = 4


def in_words(span: Span, before: str) -> str:
    """Of a value that was found behind `before`."""
    ending = f"ending in {' '.join(span.value[-LAST_DIGITS:])}" if span.kind == "card" else ""
    return _words(span.kind, before, ending)


def spoken(text: str, before: str = "") -> str:
    """text with its tokens in words; nothing else is changed."""
    if "_" not in text:
        return text
    pieces: list[str] = []
    at = 0
    for match in TOKEN.finditer(text):
        pieces.append(text[at : match.start()])
        kind: Kind = match.group(2)  # type: ignore[assignment]  # the pattern has no others
        pieces.append(_words(kind, before + "".join(pieces)[-64:], ""))
        at = match.end()
    return "".join((*pieces, text[at:]))


def _words(kind: Kind, before: str, ending: str) -> str:
    if _NAMED[kind].search(before[-64:]):
        return ending or KNOWN
    return f"{WORDS[kind]} {ending}".strip()
