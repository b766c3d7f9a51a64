"""E-mail addresses, written or spoken: "anna.smith@example.com", "anna dot smith at example dot com", "a n n a at …".

A spoken one needs a name before "at" that isn't a common word: "look at example dot com" is none. Addresses of a role
(info, support, …) are no person's, and stay.
"""

import re
from collections.abc import Iterator

from trunkline.agents.sensitive.numbers import SPOKEN
from trunkline.agents.sensitive.spans import Span

_WRITTEN = re.compile(r"(?<![\w.%+-])[\w.%+'-]{1,64}@(?:[^\W_](?:[\w-]{0,61}[^\W_])?\.){1,8}[^\W\d_]{2,24}(?![\w-])")
_DOMAIN = re.compile(
    r"(?:\s{1,3}at\s{1,3}|\s{0,3}@\s{0,3})"
    r"((?:[^\W_][\w-]{0,40}(?:\s{1,3}(?:dash|hyphen)\s{1,3}|\s{1,3}dot\s{1,3}|\.)){1,4}[^\W\d_]{2,10})\b",
    re.IGNORECASE,
)
_WORD = re.compile(r"[\w.%+'-]{1,64}$")
_ENDINGS_TEXT = """
com org net info biz edu gov mil app dev io ai shop store online cloud me tv eu uk us ca au nz ie in de at ch fr be nl
lu es pt it pl cz sk hu ro bg gr se no dk fi is ee lv lt ru ua tr il za br mx ar cl co jp cn kr sg hk
"""
_ENDINGS = frozenset(_ENDINGS_TEXT.split())
_JOINTS = {"dot": ".", "point": ".", "period": ".", "underscore": "_", "dash": "-", "hyphen": "-", "minus": "-"}
_COMMON_TEXT = """
a am an and anytime are back be been but buy call check days do email emails find for from get go had have he hello her
here hi him his hours i in is it it's its later look looking mail meet more need new now o of off on online open or our
out page pages please reach right see she shop site so stay store than that the their them there they this time to today
tomorrow up us visit was we website week were what when where which who with write you your
"""
_COMMON = frozenset(_COMMON_TEXT.split())
_ROLES_TEXT = """
admin billing contact feedback hello help hr info jobs legal mail marketing noreply no-reply office order orders press
privacy returns sales security service shop support team webmaster
"""
_ROLES = frozenset(_ROLES_TEXT.split())
NAME_WORDS = 24
NAME_CHARACTERS = 70  # that are looked at for one word of a name


def emails_in(text: str) -> Iterator[Span]:
    """Written ones, then spoken ones; one address may be found as both."""
    if "@" not in text and " at " not in text.lower():
        return
    for match in _WRITTEN.finditer(text):
        address = match.group().lower()
        if address.partition("@")[0] not in _ROLES:
            yield Span("email", match.start(), match.end(), address)
    begin = 0
    for match in _DOMAIN.finditer(text):
        if found := _spoken(text, match, begin):
            begin = found.end
            yield found


def _spoken(text: str, match: re.Match[str], begin: int) -> Span | None:
    domain = re.sub(r"\s+(?:dash|hyphen)\s+", "-", match.group(1).lower())
    domain = re.sub(r"\s+dot\s+", ".", domain)
    if domain.rpartition(".")[2] not in _ENDINGS:
        return None
    name, start = _name(text, match.start(), begin)
    if not name or name in _COMMON or name in _ROLES:
        return None
    return Span("email", start, match.end(), f"{name}@{domain}")


def _name(text: str, end: int, begin: int) -> tuple[str, int]:
    """The name that ends here, and where it starts: one word, with those that joints, digits or spelling add to it."""
    name, start = "", end
    joined, spelt = True, True  # the word before belongs to it; so far it is letters and digits, one by one
    for _ in range(NAME_WORDS):
        first = max(begin, start - NAME_CHARACTERS)
        word = _WORD.search(text[first:start].rstrip())
        if word is None:
            break
        said = word.group().lower()
        joint = _JOINTS.get(said, "")
        part = joint or SPOKEN.get(said, said)
        spelt = spelt and len(part) == 1
        belongs = joint or joined or (spelt and (said not in ("a", "i") or len(name) > 1))
        if name and not belongs and not (name.isdigit() and said not in _COMMON):
            break
        name, start, joined = part + name, first + word.start(), bool(joint)
    return name.strip(".-'"), start
