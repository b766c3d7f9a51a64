"""Lines about what strangers do: some of them, then how many more there were, so that nobody fills a disk with them.

Rule: what is counted by a metric may be rationed; what is about a call or a fault of ours may not.
"""

import time
from collections.abc import Callable

from trunkline.telemetry.logs import Fact, Log

LINES = 10  # of one message
WINDOW_S = 10.0


class RationedLog:
    """messages are few and fixed; what differs is facts. left_out: said by the next line of the same message."""

    def __init__(self, log: Log, now_s: Callable[[], float] = time.monotonic) -> None:
        self._log = log
        self._now_s = now_s
        self._windows: dict[str, tuple[float, int]] = {}  # message -> when its window began, lines asked for in it

    def info(self, message: str, /, **facts: Fact) -> None:
        now_s = self._now_s()
        began_s, asked = self._windows.get(message, (now_s, 0))
        if now_s - began_s >= WINDOW_S:
            if asked > LINES:
                facts["left_out"] = asked - LINES
            began_s, asked = now_s, 0
        self._windows[message] = (began_s, asked + 1)
        if asked < LINES:
            self._log.info(message, **facts)
