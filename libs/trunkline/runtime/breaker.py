"""Circuit breakers: what fails again and again is left alone for a while, then one tries whether it works again.

A breaker is pure: it decides by what it is told, on a clock given from outside. Only what the other side is to blame
for is told as a failure; a bad argument is not.
"""

from collections.abc import Callable
from enum import Enum

import msgspec
from prometheus_client import Counter, Gauge

from trunkline.proto.errors import BadSettings
from trunkline.runtime.settings import variable
from trunkline.telemetry import logs

KNOWN_LIMIT = 200  # that have failed lately; beyond, the one that failed first is forgotten

log = logs.get(__name__)
_open = Gauge(
    "trunkline_worker_breaker_open", "1 while a model endpoint, a tool or a tool server is left alone", ["what"]
)
_spared = Counter(
    "trunkline_worker_breaker_spared_total", "Attempts that were not made since a breaker is open", ["what"]
)


class Rules(msgspec.Struct, frozen=True):
    """failures: in a row that open it, 0 for never. rest_s: that it is left alone before one tries again."""

    failures: int = 6
    rest_s: float = 10.0


def rules_of(failures: int, rest_s: float) -> Rules:
    """From the settings of these names. Raises BadSettings."""
    if failures < 0:
        raise BadSettings(variable("breaker_failures"), f"{failures}", "0 or more")
    if not 0.1 <= rest_s <= 3600:
        raise BadSettings(variable("breaker_rest_s"), f"{rest_s:g}", "0.1 to 3600")
    return Rules(failures, rest_s)


class State(Enum):
    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half open"  # one tries


class Breaker:
    """now_s: monotonic, each time."""

    def __init__(self, rules: Rules) -> None:
        self.state = State.CLOSED
        self._rules = rules
        self._failures = 0  # in a row
        self._next_s = 0.0  # when one may try, while it isn't closed

    def lets_through(self, now_s: float) -> bool:
        """An attempt, whose outcome is told. A try of which nothing is told is followed by another."""
        if self.state is State.CLOSED:
            return True
        if now_s < self._next_s:
            return False
        self.state, self._next_s = State.HALF_OPEN, now_s + self._rules.rest_s
        return True

    def succeeded(self) -> None:
        self.state, self._failures = State.CLOSED, 0

    def failed(self, now_s: float) -> None:
        """Of attempts that began before it opened nothing changes."""
        self._failures += 1
        tripped = self.state is State.CLOSED and 0 < self._rules.failures <= self._failures
        if tripped or self.state is State.HALF_OPEN:
            self.state, self._next_s = State.OPEN, now_s + self._rules.rest_s

    def left(self, now_s: float) -> None:
        """The attempt told nothing of the other side: it was given up, or what was asked was at fault."""
        if self.state is State.HALF_OPEN:
            self._next_s = now_s


class Breakers:
    """One for each name, of a process. kind: begins its name in metrics and logs."""

    def __init__(self, kind: str, rules: Rules, now_s: Callable[[], float]) -> None:
        self._kind = kind
        self._rules = rules
        self._now_s = now_s
        self._known: dict[str, Breaker] = {}  # those that have failed since they last succeeded

    def lets_through(self, name: str) -> bool:
        breaker = self._known.get(name)
        if breaker is None or breaker.lets_through(self._now_s()):
            return True
        _spared.labels(self._kind).inc()
        return False

    def state(self, name: str) -> State:
        breaker = self._known.get(name)
        return State.CLOSED if breaker is None else breaker.state

    def succeeded(self, name: str) -> None:
        breaker = self._known.pop(name, None)
        if breaker is not None and breaker.state is not State.CLOSED:
            self._tell_closed(name, "works again")

    def failed(self, name: str, why: str) -> None:
        """why: for the log."""
        if name not in self._known and len(self._known) >= KNOWN_LIMIT:
            forgotten = next(iter(self._known))
            if self._known.pop(forgotten).state is not State.CLOSED:
                self._tell_closed(forgotten, "forgotten")
        breaker = self._known.setdefault(name, Breaker(self._rules))
        before = breaker.state
        breaker.failed(self._now_s())
        if breaker.state is State.OPEN and before is not State.OPEN:
            _open.labels(f"{self._kind} {name}").set(1)
            log.warning("left alone for a while", what=f"{self._kind} {name}", rest_s=self._rules.rest_s, why=why)

    def left(self, name: str) -> None:
        if (breaker := self._known.get(name)) is not None:
            breaker.left(self._now_s())

    def _tell_closed(self, name: str, how: str) -> None:
        _open.remove(f"{self._kind} {name}")
        log.info("no longer left alone", what=f"{self._kind} {name}", how=how)
