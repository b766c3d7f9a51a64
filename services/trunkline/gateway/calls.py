"""The calls at this gateway: places them, watches over their workers, ends them."""

import asyncio
import contextlib
from collections.abc import Callable
from itertools import count

from trunkline.bus.exchange import Exchange, Link
from trunkline.bus.link import LinkKey
from trunkline.bus.port import Headers
from trunkline.bus.pulse import next_pulse_s
from trunkline.gateway import metrics
from trunkline.gateway.call import ALL_STAGES, Call
from trunkline.gateway.edge import Edge
from trunkline.gateway.farewell import Farewell
from trunkline.gateway.key_use import KeyUse
from trunkline.gateway.requests import Requests
from trunkline.gateway.shared import Reliefs, Shared
from trunkline.gateway.ticker import Ticker
from trunkline.placement.roster import Roster
from trunkline.proto import subjects
from trunkline.proto.approval import ApprovalAnswered
from trunkline.proto.envelope import Envelope, attach_number, hub_of
from trunkline.proto.errors import StageUnavailable
from trunkline.proto.ids import new_call_id, shard_of
from trunkline.proto.placement import HangUpCall, Release, Superseded
from trunkline.proto.response import Stored
from trunkline.proto.speech import Heard, HeardCall, Listened, Silent
from trunkline.proto.subjects import Stage
from trunkline.record.shard_health import ShardHealth
from trunkline.runtime.memory import give_back
from trunkline.telemetry import logs

WATCH_S = 0.1  # between two looks at the heartbeats of the workers of all calls
FEW = 8  # calls whose memory isn't worth giving back
SHARD_TRIES = 3  # of one call, each with another id, as leaders of shards are lost while it is placed
FAREWELL_S = 0.05  # for what was said to workers and clients to get out


log = logs.get(__name__)


class Calls:
    """capacity: calls at a time, 0 for no limit. window_s: that a call waits for a client who lost the connection.

    shards: of the record, for new calls; without it all are well.
    on_answered: an agent's answer to a person's decision.
    """

    def __init__(
        self,
        exchange: Exchange,
        roster: Roster,
        capacity: int,
        window_s: float = 15.0,
        shards: ShardHealth | None = None,
        key_use: KeyUse | None = None,
    ) -> None:
        self.capacity = capacity
        self._shards = shards or ShardHealth(_always_well)
        self.key_use = key_use or KeyUse()
        self._window_s = window_s
        self._waiting: dict[Call, asyncio.TimerHandle] = {}  # for their clients
        self.draining = False
        self.on_answered: Callable[[ApprovalAnswered], None] = lambda answered: None
        self.abandoned = False  # a call may lack its end on record; set back by who looks for such
        self._roster = roster
        loop = asyncio.get_running_loop()
        edge = Edge(loop, exchange.windows.widest_s)
        self._shared = Shared(exchange, roster, Ticker(loop), edge, Reliefs(), self._record_answers)
        self._calls: dict[tuple[str, int], Call] = {}  # by id and hub number: a call may come back to its gateway
        self._peak = self._most = 0  # calls at a time, since there were none, and since memory was last given back
        self._leaving: list[Farewell] = []  # of calls that are over
        self._handles = count(1)
        self.requests = Requests(self._shared, self._handles, self._note_empty)
        self._watcher: asyncio.TimerHandle | None = None
        self._empty = asyncio.Event()
        exchange.on_failure = self._contain
        exchange.on_stray = lambda envelope: Release("moved")  # the worker holds a call for nobody
        exchange.on_unheard = self._unheard
        exchange.on_loose = self._loose
        roster.on_gone = self._gone

    def __len__(self) -> int:
        return len(self._calls)

    def start(self) -> None:
        self._watch()

    async def place(self, agent: str, line: str = "websocket", key: str = "") -> Call:
        """agent: by name, empty for the default. line: how the caller comes, for the trace. key: it counts for, by tag.

        Raises StageUnavailable, KeyRefused, and BadInput for an unknown agent. Where there is no room nothing is made
        or asked.
        """
        self.require_places(key)
        with metrics.placing_s.time():
            for _ in range(SHARD_TRIES):
                shard = await self._shards.choose()
                self.require_places(key)  # others may have come while it was waited for
                call = self._make(new_call_id(shard), agent, key=key)
                call.line = line
                try:
                    placed = await self._shards.unless_silent(shard, call.place())
                except BaseException:
                    call.end("failed: not placed")  # also a call that was, as whoever wanted it was cancelled
                    raise
                if not placed:
                    continue  # nobody has been told its id
                if call.ended:  # lost a worker in the very turn in which it was placed
                    raise StageUnavailable("gateway", "the call failed while it was placed")
                return call
        raise StageUnavailable("gateway", "shards of the record were lost while it was placed")

    def require_room(self, call_id: str = "") -> None:
        """call_id: of a call that is taken up; what is here of it makes room. Raises StageUnavailable."""
        if self.draining:
            raise StageUnavailable("gateway", "it is draining", why="draining")
        if self.capacity and sum(known != call_id for known, _ in self._calls) >= self.capacity:
            raise StageUnavailable("gateway", f"it has its {self.capacity} calls", why="full")

    def require_places(self, key: str = "") -> None:
        """For a new call, here and at every stage, by what beats say. Raises StageUnavailable, KeyRefused."""
        self.key_use.require(key)
        self.require_room()
        for stage in ALL_STAGES:
            self._roster.require_room(stage)

    def require_any_place(self, key: str) -> None:
        """For whatever a client may want to open here: STT hears it. Raises StageUnavailable, KeyRefused."""
        self.key_use.require(key)
        self._roster.require_room("stt")

    def has(self, call_id: str) -> bool:
        return any(known == call_id for known, _ in self._calls)

    def succeed(self, call_id: str, hub: int, agent: str, reason: str, key: str = "") -> Call:
        """A call that another gateway, or this one, has had; it is to be placed. Raises StageUnavailable."""
        return self._make(call_id, agent, hub, reason, key)

    async def place_again(self, call: Call, owner: str) -> None:
        """The agent of a call that is taken up. owner: who has it by its record. Raises StageUnavailable."""
        with self._roster.taking_again("agent", owner, call.call_id):
            await call.place("agent")

    def hang_up(self, call_id: str) -> bool:
        """By order. Whether it is here."""
        found = [call for call in self._calls.values() if call.call_id == call_id]
        for call in found:
            call.end("hung_up")
        return bool(found)

    def supersede(self, call: Call, gateway: str) -> None:
        """It has been taken up here: what that gateway, or this one itself, has of it from before is over."""
        self._let_go(call.call_id, call.hub)
        exchange = self._shared.exchange
        if gateway not in ("", exchange.worker):
            subject = subjects.inbox("gateway", gateway, call.call_id)
            exchange.post(subject, call.call_id, Superseded(attach_number(call.hub, 1)), peer=f"gateway.{gateway}")

    def _let_go(self, call_id: str, hub: int) -> None:
        """hub: that has the call now."""
        for earlier in [call for call in self._calls.values() if call.call_id == call_id and call.hub < hub]:
            earlier.let_go()

    def wait_for_client(self, call: Call) -> None:
        """It has lost its connection and may come back, here or elsewhere."""
        if not call.ended:
            call.suspend()
            log.info("client away", call_id=call.call_id, window_s=self._window_s)
            self._waiting[call] = asyncio.get_running_loop().call_later(self._window_s, call.end, "lost")

    async def drain(self, grace_s: float) -> None:
        """Takes no call; returns when the last has ended or moved; after grace_s those left are ended or let go."""
        self.draining = self.requests.draining = True
        self._ask_to_leave()
        self._note_empty()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._empty.wait(), grace_s)
        for call in list(self._calls.values()):
            call.drain()
        for request in self.requests:
            request.fail(StageUnavailable("gateway", "it is going down"))
        await asyncio.sleep(FAREWELL_S)

    def _ask_to_leave(self) -> None:
        """Each client once; not while its call's record elects a leader: who took it up would have to wait for that."""
        for call in list(self._calls.values()):
            if not call.leaving and self._record_answers(call.call_id):
                try:
                    call.ask_to_leave()
                except Exception as error:  # the rim of a call: the others are asked all the same
                    call.fail(error)

    def _record_answers(self, call_id: str) -> bool:
        return not self._shards.doubts(shard_of(call_id))

    def stop(self) -> None:
        if self._watcher is not None:
            self._watcher.cancel()
        for timer in self._waiting.values():
            timer.cancel()
        self._shared.ticker.close()
        self._shared.edge.close()

    def _make(self, call_id: str, agent: str, hub: int = 1, resumed: str = "", key: str = "") -> Call:
        self.require_room(call_id)
        call = Call(
            call_id,
            next(self._handles),
            self._shared,
            agent=agent,
            hub=hub,
            resumed=resumed,
            on_end=self._forget,
        )
        call.key = key
        self._add(call)
        return call

    def _add(self, call: Call) -> None:
        """From here on a drain sees it, and its workers are watched."""
        self._calls[call.call_id, call.hub] = call
        self.key_use.take(call.key)
        self._peak, self._most = max(self._peak, len(self)), max(self._most, len(self))
        metrics.calls.set(len(self))
        if self._watcher is not None and len(self) == 1:  # not with the next pulse only
            self._watcher.cancel()
            self._watch_later()

    def _forget(self, call: Call) -> None:
        self._calls.pop((call.call_id, call.hub), None)
        self.key_use.give_back(call.key)
        self.abandoned = self.abandoned or call.abandoned
        waiting = self._waiting.pop(call, None)
        if waiting is not None:
            waiting.cancel()
        if call.staffing.farewell is not None:
            self._leaving.append(call.staffing.farewell)
        metrics.calls.set(len(self))
        self._note_empty()

    def _note_empty(self) -> None:
        if self.draining and not self._calls and not self._leaving and not len(self.requests):
            self._empty.set()

    def _loose(self, envelope: Envelope, headers: Headers | None) -> None:
        match envelope.message:
            case Heard(calls=calls):
                self._heard(envelope.sender, calls)
            case Superseded(attach=attach):
                self._let_go(envelope.call, hub_of(attach))
            case HangUpCall():
                self.hang_up(envelope.call)
            case ApprovalAnswered():
                self.on_answered(envelope.message)
            case Stored():
                for farewell in self._leaving:
                    farewell.stored(envelope.call, envelope.attach)

    def _heard(self, worker: str, calls: list[HeardCall]) -> None:
        """Each as if its own link had brought it; requests are among them."""
        for call in calls:
            told = Silent(call.silent_to, call.judged_to) if call.silent_to else Listened(call.judged_to)
            self._shared.exchange.hand(LinkKey(call.call, worker, call.attach), call.after, told)

    def _contain(self, link: Link, error: Exception) -> None:
        held = self._calls.get((link.call, hub_of(link.attach))) or self.requests.find(link.call)
        if held is not None:
            held.contain(link, error)

    def _gone(self, stage: Stage, worker: str, reason: str) -> None:
        for call in list(self._calls.values()):
            call.staffing.gone(stage, worker, reason)
        for request in self.requests:
            request.gone(stage, worker, reason)

    def _unheard(self, peer: str) -> None:
        stage, _, worker = peer.partition(".")
        self._roster.gone(stage, worker, "nobody listens at its inbox")

    def _watch(self) -> None:
        sound = self._roster.sound()
        for held in (*self._calls.values(), *self.requests):
            try:
                held.look(sound)
            except Exception as error:  # the rim of a call: the others are still watched
                held.fail(error)
        if self.draining:
            self._ask_to_leave()
        self._leaving = [farewell for farewell in self._leaving if not self._is_over(farewell)]
        self._note_empty()
        self._give_back()
        self._watch_later()

    def _is_over(self, farewell: Farewell) -> bool:
        try:
            over = farewell.look()
        except Exception as error:  # the rim of a call that is over: those that go on are still watched
            log.error("the end of a call failed", error=repr(error), exc_info=True)
            over = farewell.unwritten = True
        self.abandoned = self.abandoned or (over and farewell.unwritten)
        return over

    def _watch_later(self) -> None:
        """With the next pulse while nothing is here."""
        loop = asyncio.get_running_loop()
        busy = self._calls or self._leaving or len(self.requests)
        self._watcher = loop.call_at(loop.time() + WATCH_S if busy else next_pulse_s(loop.time()), self._watch)

    def _give_back(self) -> None:
        """When most calls have ended, and when all have."""
        if self._peak <= FEW:
            return
        if not self._calls:
            give_back(collect=True)
            self._peak = self._most = 0
        elif 2 * len(self) < self._most:
            give_back(collect=False)
            self._most = len(self)


async def _always_well(shard: int) -> bool:
    return True
