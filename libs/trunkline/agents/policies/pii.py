"""What nobody may keep or speak: card numbers, phone numbers, e-mail addresses."""

from collections.abc import Sequence

from trunkline.agents.guardrail import Check, Guardrail, On, Verdict, block, rewrite
from trunkline.agents.policies.seen import Edit, points, said, written_over
from trunkline.agents.sensitive import KINDS, Kind, Span, find_sensitive, in_words, spoken
from trunkline.proto.errors import BadInput

BEFORE_CHARACTERS = 400  # of what passed before, that a number may begin in
REPLY = "I am sorry, I can't say that."


def pii(
    kinds: Sequence[Kind] = KINDS,
    *,
    on: On | Sequence[On] = ("input", "tool_result", "output"),
    reply: str = REPLY,
    name: str = "pii",
    tools: Sequence[str] = (),
) -> Guardrail:
    """Keeps card numbers, phone numbers and e-mail addresses out of the record, the model and the loudspeaker.

    At the input and in results of tools each is replaced by a token such as `[card_k3jqx2a7]` before anything else sees
    it; a tool whose arguments hold the token gets the value. At the output, a token or a value is put into words: "your
    card ending in 1 1 1 1". Found are cards of 12 to 19 digits by their check digit, in any grouping or spoken; phones
    where their form or the words before them say so; addresses, also "anna at example dot com". See docs/policy.md for
    what isn't. Raises BadInput.
    """
    if isinstance(kinds, str) or not kinds or any(kind not in KINDS for kind in kinds):
        raise BadInput(f"{name}: kinds", f"is {kinds!r:.80}", f"some of {', '.join(KINDS)}")
    wanted = tuple(dict.fromkeys(kinds))
    where = points(name, on)

    def find(whole: str, at: int) -> list[Edit]:
        return [_edit(whole, at, span) for span in find_sensitive(whole, wanted) if span.end > at]

    def judge(check: Check) -> Verdict | None:
        if check.on != "output":
            return None
        before = check.before[-BEFORE_CHARACTERS:]
        plain = Check(check.on, spoken(check.text, before), check.call, before=before)
        text = written_over(plain, find)
        if text is None:
            return block(reply, reason="what is left of it is sensitive again")
        return rewrite(text, reason="sensitive values") if text != check.text else None

    return Guardrail(name, judge, where, tuple(tools), reply=said(name, reply), sensitive=wanted, inline=True)


def _edit(whole: str, at: int, span: Span) -> Edit:
    before = whole[: max(span.start, at)]
    space = " " if before[-1:].isalnum() else ""  # the word before was cut
    return Edit(span.start, span.end, space + in_words(span, before))
