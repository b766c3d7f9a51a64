"""The calls at one stage worker: accepts placements, and contains a call that fails."""

import asyncio
import contextlib
from collections.abc import Callable
from typing import Protocol

from prometheus_client import Counter, Gauge

from trunkline.bus.exchange import Exchange, Link, LinkHandler
from trunkline.bus.port import Headers
from trunkline.proto.envelope import Envelope, Message
from trunkline.proto.placement import CallFailed, Declined, DeclineReason, Release, Superseded, limit_of
from trunkline.telemetry import logs

BROKE = "broke here: "  # begins the reason by which a session is closed that failed here and goes on elsewhere

log = logs.get(__name__)
_calls = Gauge("trunkline_worker_calls", "Calls placed at this worker")
_declined = Counter("trunkline_worker_declined_total", "Placements declined", ["reason"])
_failures = Counter("trunkline_worker_call_failures_total", "Calls that failed and were contained")
RETRY_AFTER_S = 1.0


class Session(Protocol):
    """One call at one worker. Everything is called on the event loop and must not block."""

    def on_message(self, message: Message, headers: Headers | None) -> None: ...

    def close(self, reason: str) -> None:
        """Once: Release came, the call failed here, or the process ends."""
        ...


OpenSession = Callable[[Link, Message, Headers | None], Session | Declined]


class CallPool:
    """capacity: calls at a time, 0 for no limit; a quarter of it is for calls alone: requests are refused first.

    lost_window_s: a call waits so long for another gateway to come.
    """

    def __init__(
        self, exchange: Exchange, *, capacity: int, open_session: OpenSession, lost_window_s: float = 0.0
    ) -> None:
        self.capacity = capacity
        self._lost_window_s = lost_window_s
        self.draining = False
        self._open_session = open_session
        self._sessions: dict[str, tuple[Link, Session]] = {}
        self._empty = asyncio.Event()
        self._empty.set()
        exchange.on_placement = self._place
        exchange.on_stray = self._answer_stray
        exchange.on_failure = self._contain
        exchange.on_lost = self._lose
        exchange.on_stood_still = self._stood_still

    @property
    def calls(self) -> int:
        return len(self._sessions)

    def session(self, call: str) -> Session | None:
        placed = self._sessions.get(call)
        return placed[1] if placed else None

    def sessions(self) -> list[Session]:
        return [session for _, session in self._sessions.values()]

    def fail(self, link: Link, error: BaseException) -> None:
        """For a session's own tasks: this call can't go on here; no other notices, least of all a later placement."""
        placed = self._sessions.get(link.call)
        if placed is not None and placed[0] is link:
            self._contain(link, error)

    def drop(self, link: Link, reason: str) -> None:
        """As fail, for a call that goes on elsewhere: the hub has been told what there is to tell."""
        placed = self._sessions.get(link.call)
        if placed is not None and placed[0] is link:
            self._remove(link.call, reason)

    async def drain(self, grace_s: float) -> None:
        """Takes no new call; returns when the last one is gone or grace_s is over."""
        self.draining = True
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._empty.wait(), grace_s)

    def close(self, reason: str) -> None:
        """All calls; their hubs are told, and place them elsewhere."""
        for call, (link, _) in list(self._sessions.items()):
            link.send(CallFailed(reason))
            self._remove(call, reason)

    def _place(self, link: Link, message: Message, headers: Headers | None) -> LinkHandler | None:
        placed = self._sessions.get(link.call)
        if placed is not None and placed[0].attach > link.attach:
            return _decline(link, "superseded", "a later placement of this call is here")
        if self.draining:
            return _decline(link, "draining", "")
        if placed is not None:
            placed[0].send_loose(Superseded(link.attach))
            self._remove(link.call, "superseded")
        limit = limit_of(self.capacity, link.call)
        if self.capacity and self.calls >= limit:
            return _decline(link, "full", f"{limit} calls")
        session = self._open_session(link, message, headers)
        if isinstance(session, Declined):
            return _decline(link, session.reason, session.detail, session.retry_after_s)
        self._sessions[link.call] = (link, session)
        self._empty.clear()
        _calls.set(self.calls)

        def handle(message: Message, headers: Headers | None) -> None:
            if isinstance(message, Release):
                self._remove(link.call, message.reason)
            else:
                session.on_message(message, headers)

        return handle

    def _answer_stray(self, envelope: Envelope) -> Message | None:
        """To a hub that believes its placement to be here: a zombie, or one that talks to a restarted worker."""
        if envelope.seq <= 1:  # a late order, or an acknowledgement: it may just be on its way out
            return None
        placed = self._sessions.get(envelope.call)
        if placed is not None and placed[0].attach > envelope.attach:
            return Superseded(placed[0].attach)
        return CallFailed("the call is not here")

    def _contain(self, link: Link, error: BaseException) -> None:
        _failures.inc()
        log.error("call failed", call_id=link.call, error=repr(error), exc_info=error)
        link.send(CallFailed(f"{type(error).__name__}: {error}"[:500]))
        placed = self._sessions.get(link.call)
        if placed is not None and placed[0] is link:
            self._remove(link.call, f"{BROKE}{type(error).__name__}")
        else:
            link.close()

    def _lose(self, hub: str, beyond_s: float) -> None:
        """Calls of a gateway that is gone: nobody will release them."""
        if beyond_s < self._lost_window_s:
            return
        for call, (link, _) in list(self._sessions.items()):
            if link.peer == hub:
                log.warning("gateway of the call is lost", call_id=call, hub=hub)
                self._remove(call, "lost")

    def _stood_still(self) -> None:
        """Hubs have moved the calls; one that hasn't is told, and does."""
        self.close("superseded")

    def _remove(self, call: str, reason: str) -> None:
        link, session = self._sessions.pop(call)
        if not self._sessions:
            self._empty.set()
        _calls.set(self.calls)
        try:
            session.close(reason)
        except Exception as error:  # the rim of a call: its end must not take the others along
            log.error("call did not close cleanly", call_id=call, error=repr(error), exc_info=error)
        link.close()


def _decline(
    link: Link, reason: DeclineReason, detail: str, retry_after_s: float = RETRY_AFTER_S
) -> LinkHandler | None:
    _declined.labels(reason).inc()
    link.send(Declined(reason, detail, retry_after_s))
    link.close()
    return None
