"""Finds what nobody may keep or speak as it is: card numbers, phone numbers, e-mail addresses; written and spoken.

Pure, in time linear in the text. What is found is replaced by a token (trunkline.vault) or by words (`spoken`).
"""

from collections.abc import Collection, Iterator

from trunkline.agents.sensitive.cards import cards_in, luhn
from trunkline.agents.sensitive.emails import emails_in
from trunkline.agents.sensitive.numbers import MAYBE, Run, runs_of
from trunkline.agents.sensitive.phones import phones_in
from trunkline.agents.sensitive.spans import CONTEXT_CHARACTERS, KINDS, TOKEN, Kind, Span, replaced
from trunkline.agents.sensitive.words import in_words, spoken

__all__ = ["KINDS", "TOKEN", "Kind", "Span", "find_sensitive", "in_words", "luhn", "replaced", "spoken"]

LEAST_DIGITS = 8


def find_sensitive(text: str, kinds: Collection[Kind] = KINDS, *, before: str = "") -> list[Span]:
    """In order and apart. before: words that lead to text, only to tell what a number is."""
    found = list(emails_in(text)) if "email" in kinds else []
    if ("card" in kinds or "phone" in kinds) and len(MAYBE.findall(text)) > 1:
        for run in runs_of(text):
            if sum(len(group.digits) for group in run) >= LEAST_DIGITS:
                cards = list(cards_in(run)) if "card" in kinds else []
                phones = list(_phones(text, run, before)) if "phone" in kinds else []
                found += (*phones, *cards) if run[0].plus else (*cards, *phones)
    return _apart(found)


def _phones(text: str, run: Run, before: str) -> Iterator[Span]:
    start = run[0].start
    for span in phones_in(run, before[-CONTEXT_CHARACTERS:] + text[max(0, start - CONTEXT_CHARACTERS) : start]):
        opened = text[max(0, span.start - 1) : span.start] == "(" and ")" in text[span.start : span.end]
        yield span._replace(start=span.start - 1) if opened else span


def _apart(spans: list[Span]) -> list[Span]:
    """The longer of two that share something, else the one found first."""
    kept: list[Span] = []
    for span in sorted(spans, key=lambda one: one.start):
        if kept and span.start < kept[-1].end:
            if span.end - span.start > kept[-1].end - kept[-1].start:
                kept[-1] = span
        else:
            kept.append(span)
    return kept
