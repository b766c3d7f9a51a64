"""Between a subscription's callback and the work: a bounded queue that drops its oldest audio, and nothing else.

What finds the queue empty is handled at once; a flood is handled in slices, so that the loop's timers get their turn.
"""

import asyncio
from collections import deque
from collections.abc import Callable

from prometheus_client import Counter

from trunkline.bus.port import Received
from trunkline.proto import subjects
from trunkline.telemetry import logs

INBOX_MESSAGES = 8192  # of audio: 20 ms batches of a few hundred calls for seconds
SLICE_MESSAGES = 128

log = logs.get(__name__)
_dropped = Counter("trunkline_bus_inbox_audio_dropped_total", "Audio messages dropped from a full inbox, oldest first")
_failed = Counter("trunkline_bus_inbox_errors_total", "Messages whose handling raised")


class Inbox:
    def __init__(self, handle: Callable[[Received], None], limit_messages: int = INBOX_MESSAGES) -> None:
        self._handle = handle
        self._limit = limit_messages
        self._waiting: deque[Received] = deque()
        self._audio = 0
        self._at_once = SLICE_MESSAGES  # until the loop gets its turn
        self._scheduled: asyncio.Handle | None = None

    def __len__(self) -> int:
        return len(self._waiting)

    def put(self, received: Received) -> None:
        """In a turn of the loop's own: never from within a handler."""
        if self._scheduled is None and self._at_once:
            self._at_once -= 1
            self._try(received)
            return
        if _is_audio(received):
            self._audio += 1
            if self._audio > self._limit:
                self._drop_oldest_audio()
        self._waiting.append(received)
        if self._scheduled is None:
            self._scheduled = asyncio.get_running_loop().call_soon(self._work)

    def close(self) -> None:
        if self._scheduled is not None:
            self._scheduled.cancel()
        self._waiting.clear()

    def _work(self) -> None:
        for _ in range(min(SLICE_MESSAGES, len(self._waiting))):
            received = self._waiting.popleft()
            if _is_audio(received):
                self._audio -= 1
            self._try(received)
        self._scheduled = asyncio.get_running_loop().call_soon(self._work) if self._waiting else None
        self._at_once = SLICE_MESSAGES

    def _try(self, received: Received) -> None:
        try:
            self._handle(received)
        except Exception as error:  # the rim of every handler: one message, not what waits behind it
            _failed.inc()
            log.error("message not handled", subject=received.subject, error=repr(error), exc_info=error)

    def _drop_oldest_audio(self) -> None:
        for i, received in enumerate(self._waiting):
            if _is_audio(received):
                del self._waiting[i]
                self._audio -= 1
                _dropped.inc()
                return


def _is_audio(received: Received) -> bool:
    return received.subject.endswith("." + subjects.AUDIO)
