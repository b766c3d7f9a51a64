"""One timer for all links of a worker: what is due is sent again or acknowledged, and closed links are given up.

A closed link is carried until all that it said is acknowledged, or until its lingering is over.
"""

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

from prometheus_client import Counter

from trunkline.telemetry import logs

if TYPE_CHECKING:
    from trunkline.bus.exchange import Link

TICK_S = 0.05  # how exactly resends and acknowledgements keep their time

log = logs.get(__name__)
_resent = Counter("trunkline_bus_resent_total", "Messages sent again after a gap or a silence")


class Upkeep:
    """forget: gets each closed link once, when nothing more is done for it."""

    def __init__(self, forget: Callable[["Link"], None]) -> None:
        self._forget = forget
        self._busy: dict[Link, None] = {}  # in the order in which they became busy
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._last_words = asyncio.Event()  # set whenever a tick finds no closed link at work

    def add(self, link: "Link") -> None:
        """Something may be due on this link."""
        self._busy[link] = None
        if self._timer is None:
            self._timer = self._loop.call_later(TICK_S, self._tick)

    def drop(self, link: "Link") -> None:
        """A closed link: its peer has no ear for its last words."""
        self._busy.pop(link, None)
        self._forget(link)

    async def last_words(self) -> None:
        """Returns once no closed link has anything to say."""
        while any(link.closed for link in self._busy):
            self._last_words.clear()
            await self._last_words.wait()

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def _tick(self) -> None:
        self._timer = None
        now_s = self._loop.time()
        for link in list(self._busy):
            self._see_to(link, now_s)
        if self._busy:
            self._timer = self._loop.call_later(TICK_S, self._tick)
        if not any(link.closed for link in self._busy):
            self._last_words.set()

    def _see_to(self, link: "Link", now_s: float) -> None:
        again, owed, gap = link.state.due(now_s)
        for sent in again:
            _resent.inc()
            link.transmit(sent)
        if owed:
            link.acknowledge(gap)
        if link.closed and link.state.settled:
            if link.state.due_s < float("inf"):
                link.acknowledge(gap=False)
            self.drop(link)
        elif link.closed and now_s > link.carried_until_s:
            log.info("link closed before its last message was acknowledged", call_id=link.call, peer=link.peer)
            self.drop(link)
        elif link.state.due_s == float("inf"):
            self._busy.pop(link, None)
