"""Topics by their words."""

from collections.abc import Collection, Mapping, Sequence

from trunkline.agents.guardrail import SAFE_REPLY, Check, Guardrail, On, Verdict, block
from trunkline.agents.policies.phrases import Phrases
from trunkline.agents.policies.seen import points, said
from trunkline.proto.errors import BadInput

BEFORE_CHARACTERS = 2000  # of what passed before, that counts


def topics(
    words: Mapping[str, Collection[str]],
    *,
    allowed: Collection[str] | None = None,
    threshold: int = 1,
    on: On | Sequence[On] = "input",
    reply: str = SAFE_REPLY,
    name: str = "topics",
    tools: Sequence[str] = (),
) -> Guardrail:
    """Blocks a text that is about one of these topics: it has at least `threshold` different words or phrases of it.

        topics({"politics": ["election", "prime minister"], "orders": ["order", "parcel"]}, allowed=["orders"])

    allowed: topics that may be talked of, by default none; a text that has as many words of one of them passes. What is
    about no topic passes. Words are compared as banned_words does. Raises BadInput.
    """
    if not isinstance(words, Mapping) or not words:
        raise BadInput(f"{name}: words", f"is {words!r:.80}", "topics, each with a list of its words")
    known = {topic: Phrases(f"{name}: {topic}", those) for topic, those in words.items()}
    unknown = [topic for topic in allowed or () if topic not in known]
    if unknown or isinstance(allowed, str) or len(known) == len(set(allowed or ())):
        what = f"has {unknown[0]!r:.80}" if unknown else f"is {allowed!r:.80}"
        raise BadInput(f"{name}: allowed", what, f"some of {', '.join(known)}, and not all")
    if threshold < 1:
        raise BadInput(f"{name}: threshold", f"is {threshold}", "1 or more words")
    welcome = frozenset(allowed or ())

    def judge(check: Check) -> Verdict | None:
        text = check.before[-BEFORE_CHARACTERS:] + check.text
        counts = {topic: len({found.phrase for found in phrases.find(text)}) for topic, phrases in known.items()}
        most = max((topic for topic in known if topic not in welcome), key=counts.__getitem__)
        if counts[most] < threshold or any(counts[topic] >= counts[most] for topic in welcome):
            return None
        return block(reply, reason=f"it is about {most}"[:200])

    return Guardrail(name, judge, points(name, on), tuple(tools), reply=said(name, reply), inline=True)
