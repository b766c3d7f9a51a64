"""What is found in a text, the tokens that stand for it, and the context that tells a phone from an order number."""

import re
from collections.abc import Callable, Iterable
from typing import Literal, NamedTuple

Kind = Literal["card", "phone", "email"]
KINDS: tuple[Kind, ...] = ("card", "phone", "email")
CONTEXT_CHARACTERS = 48  # before a number that may say what it is

TOKEN = re.compile(r"\[?\b((card|phone|email)_[a-z2-7]{7}[2-7])\b\]?")
"""In place of a value: `[card_k3jqx2a7]`; models leave the brackets out at times. The digit at its end tells it from
words such as email_verified."""

_PHONE_WORDS = re.compile(
    r"\b(?:(?:tele)?phone|mobile|cell|cellphone|landline|tel|fax|whatsapp|call ?back|my number"
    r"|(?:call|ring|text|reach|phone|dial) (?:me|us|him|her|them)(?: back)?)\b",
    re.IGNORECASE,
)
_OTHER_WORDS = re.compile(
    r"\b(?:orders?|invoice|tracking|account|reference|booking|tickets?|case|serial|part|article|item|customer|parcel"
    r"|confirmation|code|id|isbn|number of)\b",
    re.IGNORECASE,
)


class Span(NamedTuple):
    """start, end: of the text. value: normalised: digits of a card, of a phone with its +, an address in lower case."""

    kind: Kind
    start: int
    end: int
    value: str


def speaks_of_a_phone(before: str) -> bool | None:
    """What the words before a number say of it: True, False for something else, None for nothing."""
    context = before[-CONTEXT_CHARACTERS:]
    phone = max((match.end() for match in _PHONE_WORDS.finditer(context)), default=-1)
    other = max((match.end() for match in _OTHER_WORDS.finditer(context)), default=-1)
    return None if phone == other else phone > other


def replaced(text: str, spans: Iterable[Span], by: Callable[[Span], str]) -> str:
    """spans: in order, apart. Everything between them stays as it is."""
    pieces: list[str] = []
    at = 0
    for span in spans:
        pieces += text[at : span.start], by(span)
        at = span.end
    return "".join((*pieces, text[at:]))
