"""Who is alive, by heartbeat, and which of them takes the next call: power of two choices on load.

Only what was heard within its limit takes calls; a placement counts at once, before a beat tells of it, and a new call
is refused while what is left is kept for calls that lose their worker (N+1).
A worker's silence is measured on a clock that stands still while nobody at all is heard: when the bus is away,
everybody falls silent and nobody is dead. Who is gone by another sign is back with its next beat.
"""

import asyncio
import random
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager

import msgspec

from trunkline.bus.port import SETTLED_S, Bus, Received, Subscription
from trunkline.proto import subjects
from trunkline.proto.errors import StageUnavailable, Why
from trunkline.proto.placement import BEAT_LIMIT_S, BEAT_S, IDLE_BEAT_S, IDLE_LIMIT_S, Beat, limit_of
from trunkline.proto.subjects import STAGES, Stage
from trunkline.telemetry import logs

LEFT_S = 30.0  # a server that was stopped for longer is cut off by the others
FORGET_S = 10.0  # a worker silent this long is no longer listed
DEAF_S = BEAT_S + 0.05  # nobody heard for longer: it is the bus, or this process that was held up
UNDER_WAY_S = 0.02  # that an order may take to its worker: a beat that comes sooner may have been sent before
RETRY_S = (1.0, 4.0)  # until a client that found all full may come again: by chance, so that not all come together

log = logs.get(__name__)
_decoder = msgspec.msgpack.Decoder(Beat)
_STAGES: dict[str, Stage] = {stage: stage for stage in STAGES}
OnGone = Callable[[Stage, str, str], None]


class _Client(msgspec.Struct):
    name: str = ""


class _Server(msgspec.Struct, frozen=True):
    name: str = ""


class _Departure(msgspec.Struct):
    """Format: nats-server's io.nats.server.advisory.v1.client_disconnect; our clients' names are worker ids."""

    client: _Client
    reason: str = ""
    server: _Server = _Server()


_departures = msgspec.json.Decoder(_Departure)
SERVER_LEFT = "Server Shutdown"  # the client is alive and connects to another server


class _Heard:
    """asked: calls for which it was chosen, that no beat tells of and that it has not answered: when, and whether a
    beat came since that may tell of it."""

    __slots__ = ("asked", "at_s", "audible_s", "beat", "gone", "taken")

    def __init__(self, beat: Beat, at_s: float, audible_s: float, asked: dict[str, tuple[float, bool]]) -> None:
        self.beat = beat
        self.at_s = at_s
        self.audible_s = audible_s  # of the clock that runs while anybody is heard
        self.asked = asked
        self.taken = 0  # since the beat
        self.gone = False  # by another sign than silence, since the beat

    @property
    def calls(self) -> int:
        return self.beat.calls + self.taken + len(self.asked)

    @property
    def limit_s(self) -> float:
        """Of its silence. Who has no call beats more rarely, until one is placed there."""
        return BEAT_LIMIT_S if self.calls else IDLE_LIMIT_S

    @property
    def load(self) -> float:
        return self.calls / self.beat.capacity if self.beat.capacity else self.calls / 1e6

    def full(self, call: str) -> bool:
        return self.beat.capacity > 0 and limit_of(self.beat.capacity, call) <= self.calls


class Roster:
    """now_s: monotonic seconds. rng: seeded in tests. spare: where a stage has several workers, as much as the largest
    of them takes is kept free.

    on_gone: (stage, worker, reason in words) of a worker that is gone by another sign than silence, once per sign
    and beat; silence is for the caller to look at (`lost`). on_slow: shards of the record, as often as a worker's beat
    says that they keep it waiting.
    """

    def __init__(self, now_s: Callable[[], float], rng: random.Random | None = None, *, spare: bool = True) -> None:
        self._now_s = now_s
        self._rng = rng or random.Random()
        self._spare = spare
        self._seeking: defaultdict[Stage, set[str]] = defaultdict(set)  # calls that have lost their worker
        self._again: list[tuple[Stage, str, str]] = []  # stage, worker and the call that it has
        self._heard: dict[tuple[str, str], _Heard] = {}
        self.on_gone: OnGone | None = None
        self.on_slow: Callable[[Collection[int]], None] = _nobody_asks
        self._bus: Bus | None = None
        self._subscriptions: list[Subscription] = []
        self._left: dict[tuple[str, str], float] = {}  # worker and server -> when it was found at another
        self._audible_s = 0.0
        self._last_s = now_s()

    async def start(self, bus: Bus) -> None:
        self._bus = bus
        self._subscriptions.append(await bus.subscribe(subjects.ALL_BEATS, self._receive))
        self._subscriptions.append(await bus.subscribe(subjects.DEPARTED, self._receive_departure))

    async def listen(self) -> None:
        """As long as it takes until whoever is alive has said so: who isn't known then isn't there."""
        await asyncio.sleep(IDLE_BEAT_S + 0.05)

    async def stop(self) -> None:
        for subscription in self._subscriptions:
            await subscription.stop()

    def hear(self, beat: Beat) -> None:
        self._audible_s, self._last_s = self._audible_now_s(), self._now_s()
        before, latest_s = self._heard.get((beat.stage, beat.worker)), self._last_s - UNDER_WAY_S
        asked = before.asked if before is not None else {}
        asked = {call: (at_s, True) for call, (at_s, _) in asked.items() if at_s > latest_s}
        if before is not None and before.beat.node != beat.node:
            self._note_left(before.beat)
        self._heard[beat.stage, beat.worker] = _Heard(beat, self._last_s, self._audible_s, asked)
        if beat.slow_shards:
            self.on_slow(beat.slow_shards)

    def workers(self) -> list[Beat]:
        """Those heard lately, by stage and worker."""
        oldest_s = self._audible_now_s() - FORGET_S
        for key in [key for key, heard in self._heard.items() if heard.audible_s < oldest_s]:
            del self._heard[key]
        return [heard.beat for _, heard in sorted(self._heard.items()) if self._alive(heard)]

    def agents(self) -> set[str]:
        """Names of those that can be called now; none while nobody says."""
        return {name for beat in self.workers() for name in beat.agents}

    def silent_s(self, stage: str, worker: str) -> float:
        """Since its last beat, on the clock that runs while anybody is heard; infinity for one that isn't known."""
        heard = self._heard.get((stage, worker))
        return self._audible_now_s() - heard.audible_s if heard is not None else float("inf")

    def gone(self, stage: str, worker: str, reason: str) -> None:
        """There is a sign that it died: it takes no call and counts as lost until it beats again."""
        heard, known = self._heard.get((stage, worker)), _STAGES.get(stage)
        if heard is None or heard.gone or known is None:
            return
        heard.gone = True
        tell = log.info if heard.beat.draining else log.warning  # who drained has said goodbye
        tell("worker gone", stage=stage, gone=worker, reason=reason)
        if self.on_gone is not None:
            self.on_gone(known, worker, reason)

    def lost(self, stage: str, worker: str) -> bool:
        """Gone, or fallen silent while others are heard, and heard for long enough to tell."""
        heard = self._heard.get((stage, worker))
        if heard is None or heard.gone:
            return True
        return self._settled and self.silent_s(stage, worker) > heard.limit_s

    def sound(self) -> frozenset[str]:
        """`<stage>.<worker>` of all that are neither lost nor draining."""
        oldest_s, settled = self._audible_now_s(), self._settled
        return frozenset(
            f"{stage}.{worker}"
            for (stage, worker), heard in self._heard.items()
            if not (heard.gone or heard.beat.draining or (settled and oldest_s - heard.audible_s > heard.limit_s))
        )

    def draining(self, stage: str, worker: str) -> bool:
        """By its last beat."""
        heard = self._heard.get((stage, worker))
        return heard is not None and heard.beat.draining

    def wire(self, stage: str, worker: str) -> int:
        """By its last beat; 0 of who doesn't tell."""
        heard = self._heard.get((stage, worker))
        return heard.beat.wire if heard is not None else 0

    def require_room(self, stage: Stage, call: str = "") -> None:
        """For a call that nobody serves yet; see `choose`. Raises StageUnavailable."""
        self._able(stage, call, (), new=True)

    def choose(self, stage: Stage, call: str = "", *, exclude: Collection[str] = (), new: bool = False) -> Beat:
        """A worker for one more call, which counts there at once, and then by its beats; `answered` is to follow.

        call: which; of a request, what is for calls alone is left. exclude: worker ids. new: nobody serves it yet, so
        what is kept for those that lose their worker is left. Raises StageUnavailable, which says why.
        """
        able = self._able(stage, call, exclude, new)
        pair = self._rng.sample(able, 2) if len(able) > 2 else able
        best = min(pair, key=lambda heard: heard.load)
        if best.limit_s > BEAT_LIMIT_S:
            # Its silence counts from here: it answers with a beat.
            best.at_s, best.audible_s = self._now_s(), self._audible_now_s()
        if call:
            best.asked[call] = self._now_s(), False
        else:
            best.taken += 1
        return best.beat

    def answered(self, stage: Stage, worker: str, call: str, *, taken: bool) -> None:
        """The worker that was chosen for this call took it, or did not or is given up; again, it changes nothing."""
        heard = self._heard.get((stage, worker))
        asked = heard.asked.pop(call, None) if heard is not None else None
        if heard is not None and asked is not None:
            heard.taken += taken and not asked[1]

    def seeks(self, stage: Stage, call: str) -> None:
        """This call has lost its worker: new ones don't take what is free before it has another."""
        self._seeking[stage].add(call)

    def seeks_no_more(self, stage: Stage, call: str) -> None:
        """It has asked one, or is over; again, it changes nothing."""
        self._seeking[stage].discard(call)

    @contextmanager
    def taking_again(self, stage: Stage, worker: str, call: str) -> Iterator[None]:
        """As long as the block lasts: it has this call, which it takes again in place of itself, however full it is."""
        again = stage, worker, call
        self._again.append(again)
        try:
            yield
        finally:
            self._again.remove(again)

    def _able(self, stage: Stage, call: str, exclude: Collection[str], new: bool) -> list[_Heard]:
        """Raises StageUnavailable."""
        alive = [h for h in self._heard.values() if h.beat.stage == stage and self._alive(h)]
        takers = [h for h in alive if not h.beat.draining]
        having = {worker for at, worker, has in self._again if at == stage and has == call}
        roomy = [h for h in takers if not h.full(call) or h.beat.worker in having]
        able = [h for h in roomy if h.beat.worker not in exclude]
        if not able:
            raise self._unavailable(stage, *_why(alive, exclude))
        if new and self._is_kept(stage, takers, call):
            raise self._unavailable(stage, "kept", "what is free is kept for calls that lose their worker")
        return able

    def _is_kept(self, stage: Stage, takers: list[_Heard], call: str) -> bool:
        """Of new calls the workers take less than all, and of new requests less than of new calls."""
        capacities = [heard.beat.capacity for heard in takers]
        if 0 in capacities:  # no limit
            return False
        kept = max(capacities) if self._spare and len(capacities) > 1 else 0
        calls = sum(heard.calls for heard in takers) + len(self._seeking[stage])
        return calls >= limit_of(sum(capacities) - kept, call)

    def _unavailable(self, stage: Stage, why: Why, reason: str) -> StageUnavailable:
        full = why in ("full", "kept")
        return StageUnavailable(stage, reason, self._rng.uniform(*RETRY_S) if full else 1.0, why=why)

    def _note_left(self, beat: Beat) -> None:
        """What that server still says, once it goes on again, is of a connection that was given up: even a beat."""
        oldest_s = self._now_s() - LEFT_S
        self._left = {key: at_s for key, at_s in self._left.items() if at_s > oldest_s}
        if beat.node:
            self._left[beat.worker, beat.node] = self._now_s()

    def _alive(self, heard: _Heard) -> bool:
        return not heard.gone and heard.at_s >= self._now_s() - heard.limit_s

    def _audible_now_s(self) -> float:
        return self._audible_s + min(self._now_s() - self._last_s, DEAF_S)

    @property
    def _settled(self) -> bool:
        """After the bus was away this process may be back before others are: they aren't silent, they are late."""
        return self._bus is None or self._bus.connected_s >= SETTLED_S

    def _receive(self, received: Received) -> None:
        try:
            self.hear(_decoder.decode(received.data))
        except msgspec.MsgspecError as error:
            log.warning("undecodable heartbeat", subject=received.subject, reason=str(error))

    def _receive_departure(self, received: Received) -> None:
        try:
            departure = _departures.decode(received.data)
        except msgspec.MsgspecError as error:
            log.warning("undecodable advisory", subject=received.subject, reason=str(error))
            return
        if departure.reason == SERVER_LEFT or not self._settled:
            return
        found = [heard.beat for (_, worker), heard in self._heard.items() if worker == departure.client.name]
        if len(found) != 1:  # a name that two stages share says nothing; their silence will
            return
        left, used = departure.server.name, found[0].node
        moved = left and used and left != used
        if not (moved or (departure.client.name, left) in self._left):
            self.gone(found[0].stage, departure.client.name, f"disconnected: {departure.reason}")


def _nobody_asks(shards: Collection[int]) -> None: ...


def _why(alive: list[_Heard], exclude: Collection[str]) -> tuple[Why, str]:
    if not alive:
        return "none", "none is alive"
    if all(heard.beat.draining for heard in alive):
        return "draining", "all are draining"
    if any(heard.beat.worker in exclude for heard in alive):
        return "declined", "the others declined"
    return "full", "all are full"
