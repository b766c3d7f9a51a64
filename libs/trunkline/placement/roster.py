"""Who is alive, by heartbeat, and which of them takes the next call: power of two choices on load.

Only what was heard within BEAT_LIMIT_S takes calls; a placement counts at once, before the next beat tells of it.
A worker's silence is measured on a clock that stands still while nobody at all is heard: when the bus is away,
everybody falls silent and nobody is dead.
"""

import random
from collections.abc import Callable, Collection

import msgspec

from trunkline.bus.port import Bus, Received, Subscription
from trunkline.proto import subjects
from trunkline.proto.errors import StageUnavailable
from trunkline.proto.placement import BEAT_LIMIT_S, BEAT_S, Beat
from trunkline.proto.subjects import Stage
from trunkline.telemetry import logs

FORGET_S = 10.0  # a worker silent this long is no longer listed
DEAF_S = 2 * BEAT_S  # nobody heard for longer: it is the bus

log = logs.get(__name__)
_decoder = msgspec.msgpack.Decoder(Beat)


class _Heard:
    __slots__ = ("at_s", "audible_s", "beat", "placed")

    def __init__(self, beat: Beat, at_s: float, audible_s: float) -> None:
        self.beat = beat
        self.at_s = at_s
        self.audible_s = audible_s  # of the clock that runs while anybody is heard
        self.placed = 0  # since the beat

    @property
    def load(self) -> float:
        calls = self.beat.calls + self.placed
        return calls / self.beat.capacity if self.beat.capacity else calls / 1e6

    @property
    def full(self) -> bool:
        return 0 < self.beat.capacity <= self.beat.calls + self.placed


class Roster:
    """now_s: monotonic seconds. choice: seeded in tests."""

    def __init__(self, now_s: Callable[[], float], rng: random.Random | None = None) -> None:
        self._now_s = now_s
        self._rng = rng or random.Random()
        self._heard: dict[tuple[str, str], _Heard] = {}
        self._subscription: Subscription | None = None
        self._audible_s = 0.0
        self._last_s = now_s()

    async def start(self, bus: Bus) -> None:
        self._subscription = await bus.subscribe(subjects.ALL_BEATS, self._receive)

    async def stop(self) -> None:
        if self._subscription is not None:
            await self._subscription.stop()

    def hear(self, beat: Beat) -> None:
        self._audible_s, self._last_s = self._audible_now_s(), self._now_s()
        self._heard[beat.stage, beat.worker] = _Heard(beat, self._last_s, self._audible_s)

    def workers(self) -> list[Beat]:
        """Those heard lately, by stage and worker."""
        oldest_s = self._audible_now_s() - FORGET_S
        for key in [key for key, heard in self._heard.items() if heard.audible_s < oldest_s]:
            del self._heard[key]
        limit_s = self._now_s() - BEAT_LIMIT_S
        return [heard.beat for _, heard in sorted(self._heard.items()) if heard.at_s >= limit_s]

    def silent_s(self, stage: str, worker: str) -> float:
        """Since its last beat, on the clock that runs while anybody is heard; infinity for one that isn't known."""
        heard = self._heard.get((stage, worker))
        return self._audible_now_s() - heard.audible_s if heard is not None else float("inf")

    def lost(self, stage: str, worker: str) -> bool:
        """Fallen silent while others are heard."""
        return self.silent_s(stage, worker) > BEAT_LIMIT_S

    def choose(self, stage: Stage, *, exclude: Collection[str] = ()) -> Beat:
        """A worker for one more call. exclude: worker ids. Raises StageUnavailable, which says why."""
        limit_s = self._now_s() - BEAT_LIMIT_S
        alive = [h for h in self._heard.values() if h.beat.stage == stage and h.at_s >= limit_s]
        able = [h for h in alive if not h.beat.draining and not h.full and h.beat.worker not in exclude]
        if not able:
            raise StageUnavailable(stage, _why(alive, exclude))
        pair = self._rng.sample(able, 2) if len(able) > 2 else able
        best = min(pair, key=lambda heard: heard.load)
        best.placed += 1
        return best.beat

    def _audible_now_s(self) -> float:
        return self._audible_s + min(self._now_s() - self._last_s, DEAF_S)

    def _receive(self, received: Received) -> None:
        try:
            self.hear(_decoder.decode(received.data))
        except msgspec.MsgspecError as error:
            log.warning("undecodable heartbeat", subject=received.subject, reason=str(error))


def _why(alive: list[_Heard], exclude: Collection[str]) -> str:
    if not alive:
        return "none is alive"
    if all(heard.beat.draining for heard in alive):
        return "all are draining"
    if any(heard.beat.worker in exclude for heard in alive):
        return "the others declined"
    return "all are full"
