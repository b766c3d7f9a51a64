"""Guardrails that come with Trunkline: words, patterns, topics, length, and what nobody may keep or speak.

    guardrails=[pii(), banned_words(["lawsuit"], on="input", reply="Let me get a colleague."), length_limit(400)]

Each is made when the agent file loads, and refuses then, with BadInput, what it can't use. What an answer is made of is
seen segment by segment, with what of the message passed before: a phrase that straddles two is found in the second,
and what the first said of it is said. With `approve="answer"` nothing is.
"""

from trunkline.agents.policies.length import length_limit
from trunkline.agents.policies.patterns import banned_patterns
from trunkline.agents.policies.pii import pii
from trunkline.agents.policies.topics import topics
from trunkline.agents.policies.words import banned_words

__all__ = ["banned_patterns", "banned_words", "length_limit", "pii", "topics"]
