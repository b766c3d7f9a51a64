"""A worker's place on the bus: its one inbox, and the links and audio of all its calls.

Everything of one worker arrives by one wildcard subscription, in order, and is handled in turns of the event
loop; a handler is synchronous, and its exception concerns its own link alone.
"""

import asyncio
import contextlib
import time
from collections import OrderedDict
from collections.abc import Callable

import msgspec
from prometheus_client import Counter

from trunkline.bus.adaptive_window import WIDEST_S
from trunkline.bus.dead import bury, skip
from trunkline.bus.inbox import Inbox
from trunkline.bus.link import UNACKED_LIMIT, Arrived, LinkKey, LinkState, PeerTakesNothing, Sent
from trunkline.bus.port import SETTLED_S, Bus, Headers, Received, Subscription
from trunkline.bus.upkeep import Upkeep
from trunkline.bus.windows import AudioWindows
from trunkline.proto import subjects
from trunkline.proto.audio import AudioChunk, decode_batch
from trunkline.proto.envelope import Envelope, Message, decode, encode
from trunkline.proto.errors import Undecodable, UnknownTag
from trunkline.proto.placement import Acknowledge, CallFailed, Release, Superseded
from trunkline.proto.subjects import Stage
from trunkline.telemetry import logs

LINGER_S = 2.0  # a closed link's last words may take this long to be acknowledged
CLOSED_LINKS = 4096  # remembered, so that a late message does not open a ghost of a call

log = logs.get(__name__)
_stale = Counter("trunkline_bus_stale_total", "Messages and chunks of no current placement, dropped")
_unheard = Counter("trunkline_bus_unheard_total", "Messages to a peer at whose inbox nobody listened")

LinkHandler = Callable[[Message, Headers | None], None]
AudioHandler = Callable[[AudioChunk], None]
LastWord = CallFailed | Superseded | Release  # loose, it says that the sender hasn't this placement; never answered


class Link:
    """One call, one peer, one placement. What is sent arrives in order and once, or the link is closed.

    epoch: of the record's owner, as far as this side knows; goes out with every message.
    """

    def __init__(self, exchange: "Exchange", key: LinkKey, handler: LinkHandler) -> None:
        self.call, self.peer, self.attach = key
        self.epoch = 0
        self.peer_epoch = 0
        self.handler = handler
        self._exchange = exchange
        self.key = key
        self._handles: list[int] = []
        self._subject = subjects.inbox_of(self.peer, self.call)
        self._unheard = subjects.unheard(exchange.stage, exchange.worker, self.peer)
        self._overfull = False
        self.state = LinkState()
        self.closed = False
        self.carried_until_s = float("inf")  # once it is closed

    def send(self, message: Message, *, headers: Headers | None = None) -> None:
        """Nothing once the link is closed. Raises PayloadTooLarge, and ValueError for text that UTF-8 can't hold."""
        if self.closed:
            return
        exchange = self._exchange
        sent = self.state.send(message, headers, exchange.now_s())
        try:
            self.transmit(sent)
        except Exception:
            self.state.withdraw()  # or it would be tried, and raise, with every resend
            raise
        exchange.upkeep.add(self)
        if self.state.waiting > UNACKED_LIMIT and not self._overfull:
            self._overfull = True
            self.fail_soon(PeerTakesNothing(self.peer, self.state.waiting))

    def send_loose(self, message: Message) -> None:
        """Outside the sequence: at once or never, and not repeated."""
        self._exchange.publish(self._subject, self._envelope(0, message), reply=self._unheard)

    def send_audio(self, chunk: AudioChunk) -> None:
        if not self.closed:
            self._exchange.windows.add(self.peer, chunk)

    def flush_audio(self) -> None:
        """What was sent and waits for company goes now: before a message that is about it."""
        self._exchange.windows.flush(self.peer)

    def hasten(self) -> None:
        """What was sent goes out though this turn of the loop has more to do: a caller waits for it."""
        self._exchange.bus.hasten()

    def bind_audio(self, handle: int, on_chunk: AudioHandler) -> None:
        """Audio of this handle from this peer and placement goes to on_chunk until the link is closed."""
        self._handles.append(handle)
        self._exchange.bind_audio(self, handle, on_chunk)

    def close(self, linger_s: float = LINGER_S) -> None:
        """Nothing is received any more; what was sent is still carried to its acknowledgement, for linger_s."""
        if self.closed:
            return
        self.closed = True
        self.carried_until_s = self._exchange.now_s() + linger_s
        for handle in self._handles:
            self._exchange.unbind_audio(self, handle)
        self._exchange.upkeep.add(self)

    def transmit(self, sent: Sent) -> None:
        envelope = self._envelope(sent.seq, sent.message)
        self._exchange.publish(self._subject, envelope, reply=self._unheard, headers=sent.headers)

    def acknowledge(self, gap: bool) -> None:
        self.send_loose(Acknowledge(gap))

    def fail_soon(self, error: Exception) -> None:
        """In a later turn of the loop: whoever noticed is in the middle of using the link."""
        self._exchange.fail_soon(self, error)

    def _envelope(self, seq: int, message: Message) -> Envelope:
        return Envelope(
            call=self.call,
            sender=self._exchange.address,
            epoch=self.epoch,
            attach=self.attach,
            seq=seq,
            ack=self.state.received,
            sent_us=time.time_ns() // 1000,
            message=message,
        )


class Exchange:
    """on_placement: the first message of a call new to this worker; answers with the call's handler, or with None.
    on_stray: a message of a link that isn't here (any more); what it answers goes back outside the sequence.
    on_loose: messages outside any link. on_no_responders: nobody heard something posted for this call.
    on_unheard: nobody listens at this peer (`<stage>.<worker>`); again with every message that it gets.
    on_failure: a handler raised, or the peer takes nothing; the link is still open.
    on_lost: (a peer that is silent, for how many seconds beyond the limit); again and again while it is.
    on_placed: a call new to this worker is being placed here.
    on_stood_still: this process did nothing for so long that its peers took it for gone.
    widest_s: see AudioWindows.
    """

    def __init__(self, bus: Bus, stage: Stage, worker: str, widest_s: float = WIDEST_S) -> None:
        self.bus = bus
        self.stage = stage
        self.worker = worker
        self.address = f"{stage}.{worker}"
        self.windows = AudioWindows(bus, stage, worker, widest_s)
        self.upkeep = Upkeep(self._forget)
        self.on_placement: Callable[[Link, Message, Headers | None], LinkHandler | None] | None = None
        self.on_stray: Callable[[Envelope], Message | None] | None = None
        self.on_loose: Callable[[Envelope, Headers | None], None] | None = None
        self.on_no_responders: Callable[[str], None] | None = None
        self.on_unheard: Callable[[str], None] | None = None
        self.on_failure: Callable[[Link, Exception], None] = _log_failure
        self.on_lost: Callable[[str, float], None] | None = None
        self.on_stood_still: Callable[[], None] | None = None
        self.on_placed: Callable[[], None] = lambda: None
        self._links: dict[LinkKey, Link] = {}
        self._closed: OrderedDict[tuple[str, str, int], None] = OrderedDict()
        self._audio: dict[tuple[str, int], tuple[int, AudioHandler, Link]] = {}
        self._inbox = Inbox(self._receive)
        self._subscription: Subscription | None = None
        self._loop = asyncio.get_running_loop()
        self.now_s: Callable[[], float] = self._loop.time

    async def start(self) -> None:
        pattern = subjects.worker_inboxes(self.stage, self.worker)
        self._subscription = await self.bus.subscribe(pattern, self._inbox.put)
        await self.bus.flush()  # the server knows the inbox before anybody is told of it

    async def stop(self) -> None:
        """What is in windows goes out, and closed links carry their last words, for LINGER_S; open ones are dropped."""
        self.windows.close()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self.upkeep.last_words(), LINGER_S)
        if self._subscription is not None:
            await self._subscription.stop()
        self._inbox.close()
        self.upkeep.stop()
        self._links.clear()

    def link(self, call: str, peer: str, attach: int, handler: LinkHandler) -> Link:
        """The hub's side of a placement. peer: `<stage>.<worker>`."""
        link = Link(self, LinkKey(call, peer, attach), handler)
        self._links[link.key] = link
        return link

    @property
    def holds(self) -> int:
        """Links and streams of audio that are there now, and messages that wait to be handled: 0 at rest."""
        return len(self._links) + len(self._audio) + len(self._inbox)

    def peers(self) -> set[str]:
        """`<stage>.<worker>` of everybody at the other end of an open link."""
        return {link.peer for link in self._links.values() if not link.closed}

    def lose(self, peer: str, beyond_s: float) -> None:
        """The peer is silent: audio that waits for it is dropped, and whoever holds calls with it is told."""
        self.windows.forget(peer)
        if self.on_lost is not None:
            self.on_lost(peer, beyond_s)

    def ask(self) -> None:
        """Peers that closed a link meanwhile answer as to any stray, so that nothing is held for nobody."""
        for link in self._links.values():
            if not link.closed:
                link.acknowledge(gap=False)

    def stood_still(self) -> None:
        if self.on_stood_still is not None:
            self.on_stood_still()

    def post(
        self,
        subject: str,
        call: str,
        message: Message,
        *,
        epoch: int = 0,
        headers: Headers | None = None,
        peer: str = "",
    ) -> None:
        """Outside any sequence: may be lost, and says so through on_no_responders when nobody listens.

        peer: whose own inbox it goes to; then on_unheard says so.
        """
        envelope = Envelope(call, self.address, epoch, 0, 0, 0, time.time_ns() // 1000, message)
        own = subjects.inbox(self.stage, self.worker, call)
        reply = subjects.unheard(self.stage, self.worker, peer) if peer else own
        self.bus.publish(subject, encode(envelope), reply=reply, headers=headers)

    def hand(self, key: LinkKey, after: int, message: Message) -> None:
        """Its part of what came for many, to the link's handler; not if what was said before, up to after, lacks."""
        link = self._links.get(key)
        if link is None or link.closed:
            _stale.inc()
        elif link.state.received >= after:
            self._hand(link, message, None)

    def publish(self, subject: str, envelope: Envelope, *, reply: str = "", headers: Headers | None = None) -> None:
        self.bus.publish(subject, encode(envelope), reply=reply, headers=headers)

    def fail_soon(self, link: Link, error: Exception) -> None:
        self._loop.call_soon(self._fail, link, error)

    def _fail(self, link: Link, error: Exception) -> None:
        if not link.closed:
            self.on_failure(link, error)

    def bind_audio(self, link: Link, handle: int, on_chunk: AudioHandler) -> None:
        self._audio[link.peer, handle] = (link.attach, on_chunk, link)

    def unbind_audio(self, link: Link, handle: int) -> None:
        bound = self._audio.get((link.peer, handle))
        if bound is not None and bound[2] is link:
            del self._audio[link.peer, handle]

    # what arrives

    def _receive(self, received: Received) -> None:
        token = subjects.last_token(received.subject)
        if token == subjects.AUDIO:
            self._receive_audio(received)
        elif received.no_responders:
            self._receive_unheard(token)
        else:
            self._receive_envelope(received)

    def _receive_unheard(self, token: str) -> None:
        peer = subjects.peer_unheard(token)
        if not peer:
            if self.on_no_responders is not None:
                self.on_no_responders(token)
            return
        _unheard.inc()
        if self.bus.connected_s < SETTLED_S:
            return
        self.windows.forget(peer)
        if self.on_unheard is not None:
            self.on_unheard(peer)

    def _receive_audio(self, received: Received) -> None:
        try:
            batch = decode_batch(received.data)
        except (msgspec.MsgspecError, ValueError) as error:
            bury(self.bus, self.stage, received, str(error))
            return
        for chunk in batch.chunks:
            bound = self._audio.get((batch.sender, chunk.handle))
            if bound is None or bound[0] != chunk.attach:
                _stale.inc()
                continue
            try:
                bound[1](chunk)
            except Exception as error:  # the rim of a call's audio: other calls in the batch go on
                self.on_failure(bound[2], error)

    def _receive_envelope(self, received: Received) -> None:
        try:
            envelope = decode(received.data)
        except UnknownTag as unknown:
            skip(unknown)
            link = self._links.get(LinkKey(unknown.call, unknown.sender, unknown.attach))
            if link is not None and unknown.seq:
                link.state.acknowledged(unknown.ack, self.now_s())
                self._deliver(link, unknown.seq, Arrived(None, None))
            return
        except Undecodable as error:
            bury(self.bus, self.stage, received, error.reason)
            return
        if envelope.seq or isinstance(envelope.message, Acknowledge):
            self._receive_linked(envelope, received.headers)
        elif envelope.attach and isinstance(envelope.message, LastWord):
            self._receive_refusal(envelope, received.headers)
        elif self.on_loose is not None:
            self.on_loose(envelope, received.headers)

    def _receive_refusal(self, envelope: Envelope, headers: Headers | None) -> None:
        """The peer hasn't this placement: whoever holds the link hears so, and a closed one's last words are moot."""
        link = self._links.get(LinkKey(envelope.call, envelope.sender, envelope.attach))
        if link is None:
            _stale.inc()
        elif link.closed:
            self.upkeep.drop(link)
        else:
            self._hand(link, envelope.message, headers)

    def _receive_linked(self, envelope: Envelope, headers: Headers | None) -> None:
        key = LinkKey(envelope.call, envelope.sender, envelope.attach)
        link = self._links.get(key)
        if link is None:
            if envelope.seq == 1 and self.on_placement is not None and key not in self._closed:
                self._place(key, envelope, headers)
            else:
                self._refuse(envelope)
            return
        link.peer_epoch = envelope.epoch
        link.state.acknowledged(envelope.ack, self.now_s())
        if isinstance(envelope.message, Acknowledge):
            if envelope.message.gap:
                link.state.peer_misses(self.now_s())
            self.upkeep.add(link)
        else:
            self._deliver(link, envelope.seq, Arrived(envelope.message, headers))

    def _refuse(self, envelope: Envelope) -> None:
        _stale.inc()
        if self.on_stray is None or isinstance(envelope.message, LastWord):
            return
        answer = self.on_stray(envelope)
        if answer is not None:
            back = Envelope(envelope.call, self.address, 0, envelope.attach, 0, 0, time.time_ns() // 1000, answer)
            self.publish(subjects.inbox_of(envelope.sender, envelope.call), back)

    def _place(self, key: LinkKey, envelope: Envelope, headers: Headers | None) -> None:
        link = Link(self, key, _nothing)
        self._links[key] = link
        place = self.on_placement
        assert place is not None

        def first(message: Message, headers: Headers | None) -> None:
            link.handler = place(link, message, headers) or _nothing

        link.handler = first
        self._deliver(link, envelope.seq, Arrived(envelope.message, headers))
        self.on_placed()

    def _deliver(self, link: Link, seq: int, arrived: Arrived) -> None:
        for message, headers in link.state.receive(seq, arrived, self.now_s()):
            if message is not None and not link.closed:
                self._hand(link, message, headers)
        self.upkeep.add(link)

    def _hand(self, link: Link, message: Message, headers: Headers | None) -> None:
        try:
            link.handler(message, headers)
        except Exception as error:  # the rim of a call: contained there
            self.on_failure(link, error)

    def _forget(self, link: Link) -> None:
        if self._links.get(link.key) is link:
            del self._links[link.key]
        self._closed[link.call, link.peer, link.attach] = None  # plain tuples: the collector needn't look at them
        if len(self._closed) > CLOSED_LINKS:
            self._closed.popitem(last=False)


def _nothing(message: Message, headers: Headers | None) -> None:
    """The handler of a link that was declined or closed."""


def _log_failure(link: Link, error: Exception) -> None:
    log.error("call handler failed", call_id=link.call, peer=link.peer, error=repr(error), exc_info=error)
