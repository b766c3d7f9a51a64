"""What all calls of a gateway share."""

from collections.abc import Callable
from typing import NamedTuple

from trunkline.bus.exchange import Exchange
from trunkline.gateway.edge import Edge
from trunkline.gateway.ticker import Ticker
from trunkline.placement.roster import Roster

RELIEFS = 4  # at a time: a call's next words wait while its worker is relieved


class Reliefs:
    """A worker that drains serves on meanwhile, so few calls move away from such at a time, and each at once."""

    def __init__(self) -> None:
        self._under_way: set[object] = set()

    def begin(self, who: object) -> bool:
        if len(self._under_way) >= RELIEFS:
            return False
        self._under_way.add(who)
        return True

    def end(self, who: object) -> None:
        """Whether it had begun or not."""
        self._under_way.discard(who)


class Shared(NamedTuple):
    """answers: whether the record of a call, by its id, takes what it is given, as far as is known: it is no time to
    move the call while it doesn't."""

    exchange: Exchange
    roster: Roster
    ticker: Ticker
    edge: Edge
    reliefs: Reliefs
    answers: Callable[[str], bool]
