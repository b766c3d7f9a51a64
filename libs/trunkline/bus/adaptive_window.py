"""How long audio may wait for that of other calls: not at all for a few calls, longer the more there are."""

from collections.abc import Iterable

NARROW_CALLS = 3  # up to here nothing waits beyond the turn of the loop that brought it
STEP_S = 0.002  # per call beyond
WIDEST_S = 0.020  # unless settings say otherwise: a frame of every caller, so that a wakeup serves them all
PERIOD_S = 0.2  # over which calls are counted


class AdaptiveWindow:
    """calls: with audio in the last period: the measure of load. wait_s: that audio may wait, see window_s."""

    __slots__ = ("_period_ends_s", "_seen", "_widest_s", "calls", "wait_s")

    def __init__(self, now_s: float, widest_s: float = WIDEST_S) -> None:
        self.calls, self.wait_s = 0, 0.0
        self._widest_s = widest_s
        self._seen: set[int] = set()
        self._period_ends_s = now_s + PERIOD_S

    def count(self, calls: Iterable[int], now_s: float) -> None:
        """calls: a number of each that brought something."""
        self._seen.update(calls)
        if now_s >= self._period_ends_s:
            self.calls, self._period_ends_s = len(self._seen), now_s + PERIOD_S
            self.wait_s = window_s(self.calls, self._widest_s)
            self._seen.clear()


def window_s(calls: int, widest_s: float = WIDEST_S) -> float:
    """Seconds that a chunk may wait for company, by the number of calls with audio."""
    return 0.0 if calls <= NARROW_CALLS else min(widest_s, STEP_S * (calls - NARROW_CALLS))
