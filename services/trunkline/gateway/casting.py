"""Which agent of the file a client's session names: told once, whatever the session repeats.

Rule: what the client has got once is not asked for again, or it would undo a handoff since. Pure.
"""

from collections.abc import Callable

from trunkline.proto.response import Summon
from trunkline.record import CallView


class Casting:
    """tell: the agent."""

    def __init__(self, tell: Callable[[Summon], None]) -> None:
        self._tell = tell
        self._own = ""
        self._named = ""  # by the client, last; empty for the call's own
        self._been: set[str] = set()  # agents that had the call, until the client's session is known here

    def attached(self, agent: str) -> None:
        """The call's own."""
        self._own = agent

    def go_on(self, view: CallView) -> None:
        """What came of it at an earlier gateway; before the client's session is known here."""
        self._been = {handoff.event.to for handoff in view.handoffs}

    def wish(self, agent: str) -> None:
        """As the client's session stands. agent: empty for the call's own."""
        agent = "" if agent == self._own else agent
        been, self._been = self._been, set()
        if agent != self._named and agent not in been:
            self._tell(Summon(agent or self._own))
        self._named = agent
