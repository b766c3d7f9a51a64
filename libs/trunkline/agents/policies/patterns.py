"""Regular expressions of what nobody may say. The time that they may take is bounded, whatever their form.

Python's own engine can't be stopped, and holds up every thread while it searches; the `regex` package's can, and
doesn't.
"""

import time
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

from trunkline.agents.guardrail import SAFE_REPLY, Check, Guardrail, On, Verdict, block, rewrite
from trunkline.agents.policies.seen import Edit, points, said, written_over
from trunkline.agents.policies.words import JSON_POINTS
from trunkline.proto.errors import BadInput, TrunklineError

if TYPE_CHECKING:
    import regex

BEFORE_CHARACTERS = 1000  # of what passed before, that a match may begin in
LIMIT_CHARACTERS = 20_000
TIMEOUT_S = 0.5
TIMEOUT_LIMIT_S = 10.0
SLACK_S = 1.0  # for a thread to begin and to be heard


class TooLong(TrunklineError):
    def __init__(self, characters: int) -> None:
        super().__init__(f"a text of {characters} characters is not searched; allowed: up to {LIMIT_CHARACTERS}")


def banned_patterns(
    patterns: Collection[str],
    *,
    on: On | Sequence[On] = "output",
    reply: str = SAFE_REPLY,
    rewrite_with: str | None = None,
    name: str = "banned patterns",
    tools: Sequence[str] = (),
    timeout_s: float = TIMEOUT_S,
) -> Guardrail:
    """Blocks a text in which one of these regular expressions matches, or writes rewrite_with over what matches.

    Syntax: of the `regex` package, which is that of `re` and more; `(?i)` to ignore case. A match may begin in what
    passed before. timeout_s: of all patterns together; a search that takes longer fails, as does a text of more than
    20,000 characters, and is blocked. Raises BadInput.
    """
    compiled = _compiled(f"{name}: patterns", patterns)
    where = points(name, on)
    if not 0 < timeout_s <= TIMEOUT_LIMIT_S:
        raise BadInput(f"{name}: timeout_s", f"is {timeout_s}", f"seconds, more than 0, up to {TIMEOUT_LIMIT_S:g}")
    if rewrite_with is not None and any(point in JSON_POINTS for point in where):
        raise BadInput(f"{name}: rewrite_with", "is set", 'only with on="input" and on="output": the rest is JSON')

    def judge(check: Check) -> Verdict | None:
        if len(check.text) > LIMIT_CHARACTERS:
            raise TooLong(len(check.text))
        give_up_s = time.monotonic() + timeout_s
        check = _short(check)
        which = _first(compiled, check, give_up_s)
        if which is None:
            return None
        reason = f"pattern {which + 1} of {len(compiled)} matches"
        text = None
        if rewrite_with is not None:
            text = written_over(check, lambda whole, at: _edits(compiled, whole, at, rewrite_with, give_up_s))
        return block(reply, reason=reason) if text is None else rewrite(text, reason=reason)

    return Guardrail(name, judge, where, tuple(tools), timeout_s + SLACK_S, reply=said(name, reply))


def _compiled(param: str, patterns: Collection[str]) -> list["regex.Pattern[str]"]:
    try:
        import regex
    except ImportError as error:
        raise BadInput(param, "the package regex is missing", "an installation of trunkline[agent]") from error
    if isinstance(patterns, str) or not patterns or not all(isinstance(pattern, str) for pattern in patterns):
        raise BadInput(param, f"is {patterns!r:.80}", "a list of regular expressions")
    compiled = []
    for pattern in patterns:
        try:
            compiled.append(regex.compile(pattern))
        except regex.error as error:
            raise BadInput(param, f"{pattern!r:.80}: {error}", "a regular expression") from error
        if compiled[-1].search(""):
            raise BadInput(param, f"{pattern!r:.80} matches nothing at all", "one that needs a character")
    return compiled


def _short(check: Check) -> Check:
    return Check(check.on, check.text, check.call, before=check.before[-BEFORE_CHARACTERS:])


def _first(compiled: Sequence["regex.Pattern[str]"], check: Check, give_up_s: float) -> int | None:
    whole, at = check.before + check.text, len(check.before)
    return next((n for n, pattern in enumerate(compiled) if _edits([pattern], whole, at, "", give_up_s)), None)


def _edits(compiled: Sequence["regex.Pattern[str]"], whole: str, at: int, text: str, give_up_s: float) -> list[Edit]:
    """Of the first pattern that matches: another's matches may lie in them. Raises TimeoutError."""
    for pattern in compiled:
        left_s = max(give_up_s - time.monotonic(), 0.001)
        matches = pattern.finditer(whole, concurrent=True, timeout=left_s)
        if edits := [
            Edit(match.start(), match.end(), text) for match in matches if match.end() > max(at, match.start())
        ]:
            return edits
    return []
