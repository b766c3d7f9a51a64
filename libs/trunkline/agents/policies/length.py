"""How long a message may be."""

import re
from collections.abc import Sequence

from trunkline.agents.guardrail import SAFE_REPLY, Check, Guardrail, On, Verdict, block, rewrite
from trunkline.agents.policies.seen import points, said
from trunkline.agents.policies.words import JSON_POINTS
from trunkline.proto.errors import BadInput

_SENTENCE = re.compile(r"[.!?…][\"')\]}”’»*_]*(?=\s|$)")


def length_limit(
    characters: int,
    *,
    on: On | Sequence[On] = "output",
    shorten: bool = False,
    reply: str = SAFE_REPLY,
    name: str = "length",
    tools: Sequence[str] = (),
) -> Guardrail:
    """Blocks a text of more characters; of an answer, all of the message counts, not each segment by itself.

    shorten: leaves out what is too much instead, from the end of the last sentence that fits; if none does, from the
    last word that fits. Only of words, not of tools' JSON. Raises BadInput.
    """
    if isinstance(characters, bool) or not isinstance(characters, int) or characters < 1:
        raise BadInput(f"{name}: characters", f"is {characters!r:.80}", "a number, 1 or more")
    where = points(name, on)
    if shorten and any(point in JSON_POINTS for point in where):
        raise BadInput(f"{name}: shorten", "is set", 'only with on="input" and on="output": the rest is JSON')

    def judge(check: Check) -> Verdict | None:
        length = len(check.before) + len(check.text)
        if length <= characters:
            return None
        reason = f"it has {length} characters, more than {characters}"
        if not shorten:
            return block(reply, reason=reason)
        return rewrite(_shortened(check, max(characters - len(check.before), 0)), reason=reason)

    return Guardrail(name, judge, where, tuple(tools), reply=said(name, reply), inline=True)


def _shortened(check: Check, room: int) -> str:
    """What was said before ends a sentence, or the caller hears at least whole words."""
    fits = check.text[:room]
    ends = [match.end() for match in _SENTENCE.finditer(check.text, 0, room + 1) if match.end() <= room]
    if ends:
        return fits[: ends[-1]]
    if not check.before.strip() or not _SENTENCE.search(check.before.rstrip()[-8:]):
        return fits[: max(fits.rfind(" "), 0)]
    return ""
