"""One timer for all links of a worker: what is due is sent again or acknowledged, and closed links are given up.

It runs on multiples of TICK_S of the machine's clock and only when something is due, so that few wakeups serve many
links. A closed link is carried until all that it said is acknowledged, or until its lingering is over.
"""

import asyncio
from collections.abc import Callable
from math import floor
from typing import TYPE_CHECKING

from prometheus_client import Counter

from trunkline.telemetry import logs

if TYPE_CHECKING:
    from trunkline.bus.exchange import Link

TICK_S = 0.05  # how exactly resends and acknowledgements keep their time
NEVER_S = float("inf")

log = logs.get(__name__)
_resent = Counter("trunkline_bus_resent_total", "Messages sent again after a gap or a silence")


class Upkeep:
    """forget: gets each closed link once, when nothing more is done for it."""

    def __init__(self, forget: Callable[["Link"], None]) -> None:
        self._forget = forget
        self._busy: dict[Link, None] = {}  # in the order in which they became busy
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._runs_at_s = NEVER_S
        self._last_words = asyncio.Event()  # set whenever no closed link is at work any more

    def add(self, link: "Link") -> None:
        """Something may be due on this link, sooner or later."""
        self._busy[link] = None
        self._run_by(_due_s(link))

    def drop(self, link: "Link") -> None:
        """A closed link: its peer has no ear for its last words."""
        self._busy.pop(link, None)
        self._forget(link)
        if not any(other.closed for other in self._busy):
            self._last_words.set()

    async def last_words(self) -> None:
        """Returns once no closed link has anything to say."""
        while any(link.closed for link in self._busy):
            self._last_words.clear()
            await self._last_words.wait()

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def _run_by(self, due_s: float) -> None:
        """At the tick behind it, also where it is overdue: what can't be done now must not be tried without pause."""
        if due_s >= self._runs_at_s:
            return
        due_s = max(due_s, self._loop.time())
        at_s = (floor(due_s / TICK_S) + 1) * TICK_S if due_s < NEVER_S else NEVER_S
        if at_s < self._runs_at_s:
            if self._timer is not None:
                self._timer.cancel()
            self._runs_at_s = at_s
            self._timer = self._loop.call_at(at_s, self._run)

    def _run(self) -> None:
        self._timer, self._runs_at_s = None, NEVER_S
        now_s = self._loop.time()
        for link in list(self._busy):
            due_s = _due_s(link)
            if due_s <= now_s:
                try:
                    self._see_to(link, now_s)
                except Exception as error:  # the rim of a link: a server may take less than it took when this was sent
                    link.fail_soon(error)
            elif due_s == NEVER_S:
                del self._busy[link]
        self._run_by(min(map(_due_s, self._busy), default=NEVER_S))

    def _see_to(self, link: "Link", now_s: float) -> None:
        again, owed, gap = link.state.due(now_s)
        for sent in again:
            _resent.inc()
            link.transmit(sent)
        if owed:
            link.acknowledge(gap)
        if link.closed and link.state.settled:
            if link.state.due_s < NEVER_S:
                link.acknowledge(gap=False)
            self.drop(link)
        elif link.closed and now_s > link.carried_until_s:
            log.info("link closed before its last message was acknowledged", call_id=link.call, peer=link.peer)
            self.drop(link)


def _due_s(link: "Link") -> float:
    """When there is something to do; in the past for a closed link that is settled, infinity for never."""
    if not link.closed:
        return link.state.due_s
    return 0.0 if link.state.settled else min(link.state.due_s, link.carried_until_s)
