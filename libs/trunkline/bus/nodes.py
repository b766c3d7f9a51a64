"""Which node of a NATS cluster a client tries next. Pure.

Rule: a node that was just left, or that just didn't answer, comes after all others; nothing is given up for good.
"""

import random
from collections import Counter
from collections.abc import Sequence

RETRY_S = 0.05  # before a node is tried again
AVOIDED_S = 30.0  # as long as a node in lame duck may still stand there


class Nodes:
    """Nodes by address. rng: seeded in tests. Times in monotonic seconds."""

    def __init__(self, rng: random.Random | None = None) -> None:
        self._rng = rng or random.Random()
        self._avoided_until_s: dict[str, float] = {}
        self._tries: Counter[str] = Counter()  # since a node was last connected to
        self._trying = ""

    def leave(self, node: str, now_s: float) -> None:
        """It ends, hangs or broke the connection."""
        self._avoided_until_s[node] = now_s + AVOIDED_S

    def connected(self, node: str) -> None:
        self._avoided_until_s.pop(node, None)
        self._tries.clear()
        self._trying = ""

    def in_order(self, nodes: Sequence[str], now_s: float) -> list[str]:
        """The likelier ones first: the least tried, then those that nothing speaks against; like ones by chance."""
        shuffled = self._rng.sample(nodes, len(nodes))
        return sorted(shuffled, key=lambda node: (self._tries[node], self._avoided_until_s.get(node, 0.0) > now_s))

    def next(self, nodes: Sequence[str], now_s: float) -> tuple[str, float]:
        """One of nodes, not empty, and the seconds to wait before; the one before it came to nothing."""
        if self._trying:
            self.leave(self._trying, now_s)
        self._trying = self.in_order(nodes, now_s)[0]
        self._tries[self._trying] += 1
        return self._trying, RETRY_S if self._tries[self._trying] > 1 else 0.0
