"""What a tool server says beside the protocol, in the log: a few short lines a minute, without secrets."""

import time
from collections.abc import Callable

from trunkline.telemetry import logs
from trunkline.tool_runner.servers.place import Place

LINE_CHARACTERS = 300
LINES = 20  # of one kind
WINDOW_S = 60.0

log = logs.get(__name__)


class Chatter:
    """server: its name. kind: what its lines are."""

    def __init__(self, server: str, kind: str, place: Place, now_s: Callable[[], float] = time.monotonic) -> None:
        self._server = server
        self._kind = kind
        self._place = place
        self._now_s = now_s
        self._since_s = now_s()
        self._lines = 0

    def hear(self, line: bytes) -> None:
        """Of a line that is longer its beginning."""
        if self._now_s() - self._since_s >= WINDOW_S:
            if self._lines > LINES:
                log.info("tool server said more", server=self._server, kind=self._kind, lines=self._lines - LINES)
            self._since_s, self._lines = self._now_s(), 0
        self._lines += 1
        if self._lines <= LINES:
            text = self._place.without_secrets(line[: 4 * LINE_CHARACTERS].decode(errors="replace"))
            shortened = "".join(c if c.isprintable() else " " for c in text)[:LINE_CHARACTERS].strip()
            log.info("tool server said", server=self._server, kind=self._kind, line=shortened)
