"""Words and phrases that nobody may say, or that nobody answers."""

from collections.abc import Collection, Sequence

from trunkline.agents.guardrail import SAFE_REPLY, Check, Guardrail, On, Verdict, block, rewrite
from trunkline.agents.policies.phrases import Phrases
from trunkline.agents.policies.seen import Edit, points, said, written_over
from trunkline.proto.errors import BadInput

JSON_POINTS = ("tool_arguments", "tool_result")


def banned_words(
    words: Collection[str],
    *,
    on: On | Sequence[On] = "output",
    reply: str = SAFE_REPLY,
    rewrite_with: str | None = None,
    name: str = "banned words",
    tools: Sequence[str] = (),
) -> Guardrail:
    """Blocks a text with one of these words or phrases in it, or writes rewrite_with over them.

    Whole words, whatever their case, accents and the punctuation between them: "Café-Bar" is "cafe bar". A phrase that
    an answer spreads over two segments is found in the second; what the first said of it is said, unless the agent has
    approve="answer". Not for scripts that put no spaces between words. Raises BadInput.
    """
    phrases = Phrases(f"{name}: words", words)
    where = points(name, on)
    _check_rewriting(name, where, rewrite_with, phrases)

    def find(whole: str, at: int) -> list[Edit]:
        return [Edit(found.start, found.end, rewrite_with or "") for found in phrases.find(whole, at=at)]

    def judge(check: Check) -> Verdict | None:
        first = next(phrases.find(check.before + check.text, at=len(check.before)), None)
        if first is None:
            return None
        reason = f"{first.phrase!r:.80} is banned"
        text = written_over(check, find) if rewrite_with is not None else None
        return block(reply, reason=reason) if text is None else rewrite(text, reason=reason)

    return Guardrail(name, judge, where, tuple(tools), reply=said(name, reply), inline=True)


def _check_rewriting(name: str, where: Sequence[On], rewrite_with: str | None, phrases: Phrases) -> None:
    if rewrite_with is None:
        return
    if not isinstance(rewrite_with, str) or next(phrases.find(rewrite_with), None):
        raise BadInput(f"{name}: rewrite_with", f"is {rewrite_with!r:.80}", "text without any of the words")
    if any(point in JSON_POINTS for point in where):
        raise BadInput(f"{name}: rewrite_with", "is set", 'only with on="input" and on="output": the rest is JSON')
