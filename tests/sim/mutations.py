"""Guards of a call taken away one at a time, in tests alone: who finds nothing wrong then, proves nothing.

Each is a context in which the product runs without that guard.
"""

import asyncio
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from unittest import mock

import msgspec

from trunkline.bus.exchange import Exchange, LastWord, Link
from trunkline.bus.link import LinkKey, LinkState, Sent
from trunkline.bus.port import Headers, Received
from trunkline.gateway import resuming
from trunkline.gateway.call import Call
from trunkline.gateway.listening import Listening
from trunkline.gateway.placing import Placement
from trunkline.gateway.resuming import Progress
from trunkline.gateway.staffing import Staffing, _Seat
from trunkline.proto.audio import decode_batch
from trunkline.proto.envelope import Envelope
from trunkline.proto.placement import Accepted, Acknowledge
from trunkline.proto.record import Claim, RecordEntry
from trunkline.proto.response import Attached
from trunkline.record import (
    Attempt,
    CallView,
    MemoryClaimStore,
    MemoryRecordStore,
    Reading,
    StoredClaim,
)
from trunkline.tool_runner.runner import Run, Runner

NO_WORK = LastWord | Acknowledge  # of the link itself


@contextmanager
def a_lost_message_is_never_sent_again() -> Iterator[None]:
    due = LinkState.due

    def forgetful(link: LinkState, now_s: float) -> tuple[list[Sent], bool, bool]:
        _, owed, gap = due(link, now_s)
        return [], owed, gap

    with mock.patch.object(LinkState, "due", forgetful):
        yield


@contextmanager
def appends_compare_nothing() -> Iterator[None]:
    """The record's compare-and-set is off: whoever appends, succeeds."""
    append = MemoryRecordStore.append

    def careless(
        store: MemoryRecordStore, call: str, data: bytes, *, expected_seq: int, entry: str
    ) -> asyncio.Future[int]:
        entries = store._entries[call]
        return append(store, call, data, expected_seq=entries[-1].seq if entries else 0, entry=entry)

    with mock.patch.object(MemoryRecordStore, "append", careless):
        yield


@contextmanager
def every_claim_is_granted() -> Iterator[None]:
    """The tool claim is off: whoever asks may run the tool, and nobody sees that another does."""

    async def generous(store: MemoryClaimStore, attempt: Attempt, claim: Claim) -> StoredClaim:
        store._put(attempt, claim)
        return store.claims[attempt]

    async def blind(store: MemoryClaimStore, attempt: Attempt) -> StoredClaim | None:
        return None

    with mock.patch.object(MemoryClaimStore, "claim", generous), mock.patch.object(MemoryClaimStore, "read", blind):
        yield


@contextmanager
def nothing_is_heard_again() -> Iterator[None]:
    """The replay is off: another STT worker begins with what is said from then on."""
    with mock.patch.object(Listening, "replay_from", property(lambda listening: listening.ring.end)):
        yield


@contextmanager
def nothing_is_asked_of_a_client_again() -> Iterator[None]:
    """The client's own replay is off: the gateway that takes its call up begins with what is said from then on."""
    go_on = resuming._go_on

    def forgetful(call: Call, view: CallView, progress: Progress | None) -> int:
        late = None if progress is None else msgspec.structs.replace(progress, kept_from=progress.end)
        return go_on(call, view, late)

    with mock.patch.object(resuming, "_go_on", forgetful):
        yield


@contextmanager
def gateways_take_calls_without_a_higher_number() -> Iterator[None]:
    """The hub number is off: nothing tells the gateway that has a call from the one that had it."""
    with mock.patch.object(resuming, "next_hub", lambda hub: hub):
        yield


@contextmanager
def any_epoch_is_taken() -> Iterator[None]:
    """The epoch checks are off: readers keep what a lower epoch wrote, runners and gateways listen to its owner.

    Whom the record's compare-and-set keeps out never gets so far: that is off as well.
    """
    ask_again, take = Runner._ask_again, Staffing._take

    def gullible(call: str, entries: Iterable[RecordEntry], *begin: int) -> Iterator[RecordEntry]:
        yield from entries

    def obliging(runner: Runner, run: Run, envelope: Envelope) -> None:
        run.asked = envelope
        ask_again(runner, run, envelope)

    def lenient(staffing: Staffing, seat: _Seat, placement: Placement, answer: Accepted | Attached) -> None:
        seat.epoch = 0
        take(staffing, seat, placement, answer)

    with (
        appends_compare_nothing(),
        mock.patch("trunkline.record.fold.accepted", gullible),
        mock.patch.object(Runner, "_ask_again", obliging),
        mock.patch.object(Staffing, "_take", lenient),
    ):
        yield


@contextmanager
def any_attach_is_taken() -> Iterator[None]:
    """The attach check is off: messages and audio of a placement that is over are taken as if of the one that serves.

    On both ends: by the gateway from a worker that went on after it was replaced, and by a worker. Still each once.
    """
    receive = Exchange._receive_linked
    taken: set[tuple[Exchange, LinkKey, int]] = set()

    def trusting(exchange: Exchange, envelope: Envelope, headers: Headers | None) -> None:
        key = LinkKey(envelope.call, envelope.sender, envelope.attach)
        link = exchange._links.get(key)
        again = (exchange, key, envelope.seq) in taken
        taken.add((exchange, key, envelope.seq))
        places = link is None and envelope.seq == 1 and exchange.on_placement is not None
        if not (again or places) and (link is None or link.closed) and not isinstance(envelope.message, NO_WORK):
            serving = _serving(exchange, envelope.call, envelope.sender)
            if serving is not None:
                exchange._hand(serving, envelope.message, headers)
        receive(exchange, envelope, headers)

    def credulous(exchange: Exchange, received: Received) -> None:
        batch = decode_batch(received.data)
        for chunk in batch.chunks:
            heard = [
                bound
                for (peer, handle), bound in exchange._audio.items()
                if handle == chunk.handle and _stage(peer) == _stage(batch.sender)
            ]
            for _, on_chunk, _ in sorted(heard, key=lambda bound: bound[0])[-1:]:
                on_chunk(chunk)

    with (
        mock.patch.object(Exchange, "_receive_linked", trusting),
        mock.patch.object(Exchange, "_receive_audio", credulous),
    ):
        yield


def _serving(exchange: Exchange, call: str, peer: str) -> Link | None:
    """The latest placement of the call at the peer's stage."""
    having = (link for link in exchange._links.values() if link.call == call and not link.closed)
    return max((one for one in having if _stage(one.peer) == _stage(peer)), key=lambda one: one.attach, default=None)


def _stage(peer: str) -> str:
    return peer.partition(".")[0]


@contextmanager
def any_attach_takes_the_record() -> Iterator[None]:
    """Nobody is outranked: who was placed earlier takes the record from who was placed later."""

    class Unranked(Reading):
        async def read_on(self) -> CallView:
            view = await super().read_on()
            view.attach = -1
            return view

    with mock.patch("trunkline.record.recorder.Reading", Unranked):
        yield
