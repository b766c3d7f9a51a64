"""How far each call was judged, said to its gateway for all its calls at once.

Rule: what is said here changes nothing that was said on a call's link, and may be lost: the next says it again.
"""

import asyncio
from typing import Protocol

from trunkline.bus.exchange import Exchange
from trunkline.proto import subjects
from trunkline.proto.speech import Heard, HeardCall

HEARD_S = 0.5  # the gateway keeps so much more of each call's audio
HEARD_CALLS = 512  # in one message


class Judged(Protocol):
    hub: str  # `gateway.<worker>`

    def heard(self) -> HeardCall: ...


class Telling:
    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self._loop = asyncio.get_running_loop()
        self._noted: dict[Judged, None] = {}
        self._due: asyncio.TimerHandle | None = None

    def note(self, call: Judged) -> None:
        """Something of it was judged."""
        self._noted[call] = None
        if self._due is None:
            self._due = self._loop.call_later(HEARD_S, self._tell)

    def forget(self, call: Judged) -> None:
        self._noted.pop(call, None)

    def stop(self) -> None:
        self._noted.clear()
        if self._due is not None:
            self._due.cancel()

    def _tell(self) -> None:
        self._due = None
        hubs: dict[str, list[HeardCall]] = {}
        for call in self._noted:
            hubs.setdefault(call.hub, []).append(call.heard())
        self._noted.clear()
        for hub, calls in hubs.items():
            subject = subjects.inbox_of(hub, subjects.NO_CALL)
            for at in range(0, len(calls), HEARD_CALLS):
                self._exchange.post(subject, subjects.NO_CALL, Heard(calls[at : at + HEARD_CALLS]), peer=hub)
