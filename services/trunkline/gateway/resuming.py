"""A call goes on at this gateway: it is taken from whoever had it, and stands where the record and its client stand.

Rule: the record is read again once the agent is placed. Only then has the gateway before lost it, and what the record
says stays true.
"""

import asyncio
import secrets
from collections.abc import Callable, Mapping
from typing import NamedTuple

import msgspec

from trunkline.gateway.call import Call
from trunkline.gateway.calls import Calls
from trunkline.gateway.turns import Begun
from trunkline.gateway.wishes import Wishes
from trunkline.proto.audio import CALLER_RATE_HZ
from trunkline.proto.errors import StageUnavailable, TrunklineError
from trunkline.proto.response import Attached, CallerLost, Interrupt, SegmentHeard
from trunkline.record import CallView, ItemView, Reading, RecordStore, ResponseView, never_reached
from trunkline.telemetry import logs

AT_ONCE = 48  # calls that are taken up, most of the time waiting for agents: who came first is back first
TURN_LIMIT_S = 2.5  # for a call to wait for its turn: less than its client waits for an answer
TAKES = 2  # of the agent: another gateway may be at it too
RANDOM_BITS = 16  # of a hub number: two gateways that take a call at once never have the same
RESUMED = "the caller came back"
MS_SAMPLES = CALLER_RATE_HZ // 1000  # as exactly as a client tells positions

log = logs.get(__name__)


class NoSuchCall(TrunklineError):
    def __init__(self, call: str) -> None:
        super().__init__(f"no call {call!r}")


class CallIsOver(TrunklineError):
    def __init__(self, call: str, reason: str) -> None:
        super().__init__(f"the call {call} is over: {reason}")


class Progress(msgspec.Struct, frozen=True, kw_only=True):
    """Where a client of ours stands. Samples at CALLER_RATE_HZ; got: at SPEECH_RATE_HZ, by item and segment, in order;
    None where there is no client.

    settled_to: no audio before is needed; kept_from, end: of what it had when it asked, and it may have said more to
    the gateway before since. begun: utterances that aren't settled.
    attempt: how many gateways the client had asked before, since one last had the call.
    cancelled: (response, reason) of those whose early end it has seen.
    """

    settled_to: int
    kept_from: int
    end: int
    got: Mapping[tuple[str, int], int] | None = None
    begun: tuple[Begun, ...] = ()
    attempt: int = 0
    cancelled: tuple[tuple[str, str], ...] = ()

    @property
    def last(self) -> SegmentHeard | None:
        """Of what it has got; of no item if it has got nothing."""
        if self.got is None:
            return None
        if not self.got:
            return SegmentHeard("", 0, 0, 0)
        (item, index), samples = list(self.got.items())[-1]
        return SegmentHeard(item, index, samples, 0)


class TakenUp(NamedTuple):
    """audio_from: the sample from which on the caller's audio is wanted."""

    call: Call
    view: CallView
    audio_from: int


class Resumption:
    def __init__(self, calls: Calls, store: RecordStore) -> None:
        self._calls = calls
        self._store = store
        self._turns = asyncio.Semaphore(AT_ONCE)

    def record_of(self, call: str) -> Reading:
        """Of which nothing has been read."""
        return Reading(self._store, call)

    async def find(self, call: str) -> Reading:
        """Raises as read_on does."""
        record = self.record_of(call)
        await self.read_on(record)
        return record

    async def read_on(self, record: Reading) -> CallView:
        """Raises NoSuchCall, CallIsOver, StoreUnavailable, Undecodable, BrokenRecord."""
        view = await record.read_on()
        if not view.event_count:
            raise NoSuchCall(view.call)
        if view.ended is not None:
            raise CallIsOver(view.call, view.ended.reason)
        return view

    async def take_up(
        self,
        record: Reading,
        progress: Progress | None,
        wish: Callable[[Attached], Wishes] | None = None,
        key: str = "",
    ) -> TakenUp:
        """progress: None for a client that can't tell. wish: what its session asks of the agent that is placed.

        record: of the call, and nobody else's. key: see `Calls.place`.

        The call's agent is placed; the other stages follow by themselves. Raises StageUnavailable, and as read_on does.
        """
        try:
            async with asyncio.timeout(TURN_LIMIT_S):
                await self._turns.acquire()
        except TimeoutError:
            raise StageUnavailable("gateway", "too many calls come back to it") from None
        try:
            return await self._take_up(record, progress, wish, key)
        finally:
            self._turns.release()

    async def _take_up(
        self, record: Reading, progress: Progress | None, wish: Callable[[Attached], Wishes] | None, key: str
    ) -> TakenUp:
        attempt = progress.attempt if progress is not None else 0
        base = record.view.hub
        for take in range(TAKES):
            view = await self.read_on(record)
            if take and view.hub != base:
                raise StageUnavailable("gateway", "another gateway took the call up")
            base, before = view.hub, view.gateway
            hub = next_hub(view.hub, attempt * TAKES + take)
            call = self._calls.succeed(view.call, hub, view.agent, f"{before}: {RESUMED}", key)
            try:
                if progress is not None:
                    _believe(view, progress)
                    _tell_progress(call, view, progress)
                call.wish = wish
                call.casting.go_on(view)
                await self._calls.place_again(call, view.owner)
                break
            except StageUnavailable:
                if take == TAKES - 1:
                    raise
            except BaseException:
                call.abandon()
                raise
        try:
            self._calls.supersede(call, before)  # it is fenced, and what its agent still says is in no record
            await self.read_on(record)
            if call.ended:  # meanwhile another gateway took it, or this one went away
                raise StageUnavailable("gateway", "the call ended while it was taken up")
            if view.epoch < call.staffing.epoch:  # read from a replica that lags
                raise StageUnavailable("gateway", "its record can't be read to its end yet")
            if progress is not None:
                _believe(view, progress)
            taken = TakenUp(call, view, _go_on(call, view, progress))
        except BaseException:
            call.abandon()
            raise
        log.info("call resumed", call_id=view.call, hub=call.hub, before=before, audio_from=taken.audio_from)
        return taken


def next_hub(hub: int, attempt: int = 0) -> int:
    """A number above hub and above those of earlier attempts from there, and like no other's.

    What an attempt that was given up asked of an agent may be done late, and must not outrank what came of a later one.
    """
    return ((hub >> RANDOM_BITS) + 1 + attempt << RANDOM_BITS) | secrets.randbits(RANDOM_BITS)


def is_told_again(view: CallView, response: ResponseView) -> bool:
    """Whether its agent says it again to a gateway that is new to the call: not all of it was heard or cut, or its
    client has yet to answer what it was asked."""
    is_open = response.status is None or bool(view.open_at_client(response))
    return is_open or any(not _is_through(item) for item in _items(view, response))


def is_said_again(view: CallView, item: ItemView) -> bool:
    """Whether the agent says this message again, or the rest of it."""
    response = view.responses.get(item.response)
    again = response is not None and is_told_again(view, response)
    return again and (item.status == "in_progress" or not _is_through(item))


def _items(view: CallView, response: ResponseView) -> list[ItemView]:
    """Its messages; without those that the client deleted."""
    return [view.items[item] for item in response.items if item in view.items]


def _is_through(item: ItemView) -> bool:
    return item.truncated is not None or item.played.keys() >= item.segments.keys()


def _believe(view: CallView, progress: Progress) -> None:
    """What the client never got was not heard, whatever the gateway before took for heard. view: nobody else's."""
    for item, indexes in never_reached(view, progress.last).items():
        for index in indexes:
            del view.items[item].played[index]


def _tell_progress(call: Call, view: CallView, progress: Progress) -> None:
    got = progress.got or {}
    call.speaking.adopt_progress(got)
    call.agent_line.got = progress.last
    for name, reason in progress.cancelled:
        response = view.responses.get(name)
        if response is None or not is_told_again(view, response):
            continue
        heard = tuple(
            SegmentHeard(item.id, index, got.get((item.id, index), 0), 0)
            for item in _items(view, response)
            for index in item.segments
        )
        told = Interrupt(name, "turn_detected" if reason == "turn_detected" else "client_cancelled", heard)
        call.agent_line.tell(told)


def _unsaid(view: CallView, got: Mapping[tuple[str, int], int]) -> dict[str, Interrupt]:
    """What is to be told of each response that its agent is about to say again, should the call end before it does."""
    told: dict[str, Interrupt] = {}
    for name, response in view.responses.items():
        if is_told_again(view, response):
            heard = tuple(
                SegmentHeard(item.id, index, got.get((item.id, index), 0), 0)
                for item in _items(view, response)
                for index in item.segments
                if index not in item.played
            )
            asked = tuple(tool.id for tool in view.open_at_client(response))
            told[name] = Interrupt(name, "client_cancelled", heard, asked)
    return told


def _go_on(call: Call, view: CallView, progress: Progress | None) -> int:
    """Returns the sample from which on the caller's audio is wanted."""
    callers = [item for item in view.items.values() if item.role == "user"]
    wanted, audio_from = view.heard_to, view.heard_to
    begun: tuple[Begun, ...] = ()
    if progress is not None:
        call.unsaid = {} if progress.got is None else _unsaid(view, progress.got)
        # the record may have turns behind progress.end: the gateway before heard on until the agent was taken from it
        wanted = max(view.heard_to, min(progress.settled_to, progress.end))
        audio_from = max(wanted, progress.kept_from)
        begun = tuple(
            one for one in progress.begun if one.item not in view.items and one.at_sample + MS_SAMPLES > wanted
        )
    call.client_tools.go_on(view)
    call.go_on(max((item.turn for item in callers), default=0), audio_from, begun)
    if progress is None or audio_from > wanted:
        call.agent_line.tell(CallerLost(wanted))
    return audio_from
