"""One Realtime client, whatever carries its events: each of them is answered, and what the call tells goes out.

Every event is answered in one turn of the loop, in order; a bad one gets an `error` with its event_id and changes
nothing. Only one that shows pictures takes longer, and those behind it wait for it.
"""

import asyncio
from collections.abc import Callable, Iterable
from functools import partial
from itertools import count
from typing import Protocol

from trunkline.gateway import metrics
from trunkline.gateway.call import Call
from trunkline.gateway.call_events import AudioSaid, CallEvent, CallOver, ResponseEnded, ResponseOpened, Silenced
from trunkline.gateway.dialects.realtime import events_in, events_out
from trunkline.gateway.dialects.realtime.backlog import AUDIO_BYTES, Backlog, Step, nothing
from trunkline.gateway.dialects.realtime.edge_audio import ear_of
from trunkline.gateway.dialects.realtime.events_in import BadEvent, ClientEvent
from trunkline.gateway.dialects.realtime.images_in import (
    NO_IMAGES,
    SHOWS,
    Images,
    Pictures,
    WantedImage,
    take,
    wanted_by,
)
from trunkline.gateway.dialects.realtime.items_in import ItemWords
from trunkline.gateway.dialects.realtime.offer import Offer
from trunkline.gateway.dialects.realtime.open_response import manner_of
from trunkline.gateway.dialects.realtime.projection import Projection
from trunkline.gateway.dialects.realtime.responses_in import ResponseWords, Sessions
from trunkline.gateway.dialects.realtime.session import Session, merge, new_session, wishes
from trunkline.gateway.dialects.realtime.session_tracing import attributes_of
from trunkline.gateway.dialects.realtime.settled import SettledAudio
from trunkline.gateway.dialects.realtime.streams import Streams
from trunkline.gateway.dialects.realtime.terms import Terms
from trunkline.gateway.edge import Inlet
from trunkline.proto.errors import BadInput, StageUnavailable
from trunkline.proto.ids import is_id, new_event_id
from trunkline.record import StoreUnavailable
from trunkline.telemetry import logs, tracing

GREETING_PAUSE_S = 0.5  # for a client to say first that it wants no greeting
TAKE_IN_LIMIT_S = 10.0  # for all pictures of one event
CLOSE_NORMAL, CLOSE_TOO_LARGE, CLOSE_FAILED = 1000, 1009, 1011
CLOSE_MOVED = 4000  # the call goes on elsewhere: a client's code, and the gateway's
CLOSE_GOING_AWAY = 1001  # the call can go on elsewhere
CLOSE_BUSY = 1013  # there is no room for it now (IANA: Try Again Later)

log = logs.get(__name__)


class Wire(Protocol):
    """Carries events to the client; synchronous, and bounded."""

    def put(self, data: bytes) -> bool:
        """data: one event as JSON. False: the client is too slow, and is cut off."""

    def put_binary(self, data: bytes) -> bool:
        """As `put`, of a message that is no event; only to a client that asked for the binary dialect."""

    def finish(self, code: int, reason: str) -> None:
        """What waits is sent, nothing put later is. code: as of a WebSocket's closing handshake (RFC 6455, 7.4)."""


class Peer:
    """session: as it stands, of a client that comes back or whose session was told beforehand.

    backlog: what the client says goes through it; pictures: takes in those that it shows.
    """

    def __init__(
        self, call: Call, wire: Wire, pictures: Pictures, terms: Terms, session: Session | None = None
    ) -> None:
        attached = call.attached
        assert attached is not None, "the call is placed before its client is answered"
        self.call = call
        self.terms = terms
        self.backlog = Backlog(call.fail, terms.limits.with_pictures + AUDIO_BYTES)  # one more picture, and audio
        self._wire = wire
        self._pictures = pictures
        self._event_ids = (f"{base}_{n}" for base in (new_event_id(),) for n in count(1))
        engines = call.speaking.voices, call.listening.languages
        self._offer = Offer.of(
            attached, terms.aliases, *engines, bound=terms.bound, input_rates_hz=terms.dialect.input_rates_hz
        )
        self._session = session or new_session(call.call_id, terms.model, attached.instructions, attached.voice)
        conversation = f"conv_{call.call_id.partition('_')[2]}"
        manner = manner_of(self._session)
        streams = Streams(self.next_event_id) if terms.dialect.binary else None
        self.projection = Projection(self.next_event_id, conversation, manner, ours=terms.dialect.ours, streams=streams)
        self.projection.caller.transcribes = self._session.audio.input.transcription is not None
        self.items = ItemWords(call, self.projection, self._send_all)
        sessions = Sessions(
            current=lambda: self._session,
            merge=lambda session, patch: merge(session, patch, self._offer),
            wishes=lambda session: wishes(session, self._offer),
        )
        self.responses = ResponseWords(call, self.projection, sessions)
        self._inlet = Inlet(call.edge, ear_of(self._session.audio.input.format), call.hear, call.fail)
        self._greeting = attached.greeting
        self.greeted = not self._greeting  # nothing that greets is still to open
        self.on_greeted: Callable[[], None] = nothing
        self.entered = False
        self._pause: asyncio.TimerHandle | None = None
        told_settled = SettledAudio(lambda: call.settled_to, asyncio.get_running_loop().time)
        self._settled = told_settled if terms.dialect.ours else None
        self.named: set[str] = set()  # responses, by a client of ours or before
        self._truncated: str | None = None  # the last response, where the client's truncation has ended it

    def greet(self) -> None:
        """The session's first event."""
        token = events_out.Trunkline(self.terms.token) if self.terms.token else None
        self.send(events_out.SessionCreated(event_id=self.next_event_id(), session=self._session, trunkline=token))

    # the call starts

    def enter(self) -> None:
        """Its call starts: at once, or, where a greeting waits, once it is known whether that is wanted.

        It isn't by a client that brings instructions of its own, or that writes or asks before anything was said.
        """
        self.call.belong(self)
        if self.terms.dialect.ours or not self._greeting:
            self._start()
        elif wishes(self._session, self._offer).instructions:
            self._start(greets=False)
        else:
            self._pause = asyncio.get_running_loop().call_later(GREETING_PAUSE_S, self._start)

    def leave(self) -> None:
        """Its line is gone: nothing starts any more."""
        self.backlog.drop()
        self._inlet.bring()
        self._enter()

    def _enter(self) -> None:
        self.entered = True
        if self._pause is not None:
            self._pause.cancel()

    def _start(self, *, greets: bool = True) -> None:
        self._enter()
        if self.call.ended:
            return
        try:
            if not greets:
                self.call.speaking.forgo(self._greeting)
                self.has_greeted()
            self.call.start(self, movable=self.terms.dialect.ours)
        except Exception as error:  # the rim of a call: it may be a timer's
            self.call.fail(error)

    def has_greeted(self) -> None:
        """Or it takes too long, or never will."""
        if not self.greeted:
            self.greeted = True
            self.on_greeted()

    def new_name(self, event_id: str | None) -> str:
        """For a response that a client of ours asks for: so it gets what it asked for once. Empty if it names none."""
        if not self.terms.dialect.ours or not event_id or not event_id.startswith("resp_") or not is_id(event_id):
            return ""
        if event_id in self.named:
            return ""
        self.named.add(event_id)
        return event_id

    # the call's side

    def on_event(self, event: CallEvent) -> None:
        if isinstance(event, AudioSaid):
            self._send_all(self.projection.speak(event))
            return
        if isinstance(event, ResponseOpened):
            self.responses.opened(event.response)
            self.has_greeted()
        self._note_truncation(event)
        self._send_all(self.projection.translate(event))
        if isinstance(event, CallOver):
            self._take_leave(event)

    def _note_truncation(self, event: CallEvent) -> None:
        match event:
            case ResponseOpened():
                self._truncated = None
            case Silenced(reason=reason):
                self._truncated = "" if reason == "truncated" else None
            case ResponseEnded(response=response) if self._truncated is not None:
                self._truncated = response

    def _take_leave(self, over: CallOver) -> None:
        self.has_greeted()
        self.backlog.drop()
        goes_on = self.terms.dialect.ours and over.code in ("moved", "going_away")  # and it asks again there
        for event_id in () if goes_on else self.responses.unanswered.values():
            self.send_error(BadInput("", "the call ended before it was answered", "", code="call_over"), event_id)
        if goes_on:
            self._wire.finish(CLOSE_MOVED if over.code == "moved" else CLOSE_GOING_AWAY, over.code)
        elif over.code:
            self.send_error(BadInput("", over.detail, "", code=over.code), None, kind="server_error")
            self._wire.finish(CLOSE_FAILED, over.code)
        else:
            self._wire.finish(CLOSE_NORMAL, "")

    # the client's side

    def take(self, text: bytes | bytearray) -> bool:
        """One message of the client's, in UTF-8. Whether it was audio, and is heard."""
        size = len(text)
        limits = self.terms.limits
        large = size if size > limits.event else 0
        if large and (size > limits.with_pictures or SHOWS not in text):
            self._refuse_large(size)
        elif not self.backlog.waits:
            return self.receive(text, large)
        else:
            self._in_turn(partial(self.receive, text, large), size)
        return False

    def take_audio(self, audio: bytes) -> bool:
        """One binary message of the client's. As `take`."""
        if not self.terms.dialect.binary:
            self.send_error(BadInput("", "a binary message is no event", "JSON as text"), None)
        elif len(audio) > self.terms.limits.event:
            self._refuse_large(len(audio))
        elif not self.backlog.waits:
            self._append(audio)
            return True
        else:
            self._in_turn(partial(self._append, audio), len(audio))
        return False

    def _in_turn(self, step: Step, size_bytes: int) -> None:
        if not self.backlog.full:
            self.backlog.put(step, size_bytes)
        else:
            problem = "more events wait for the pictures before them than can be kept"
            self.send_error(BadInput("", problem, "a pause", code="too_many_events"), None)
            self._wire.finish(CLOSE_TOO_LARGE, "too many events")
            self.call.end("failed: too many events")

    def _refuse_large(self, size_bytes: int) -> None:
        limits = self.terms.limits
        allowed = f"{limits.event} bytes"
        if limits.with_pictures > limits.event:
            allowed += f", or {limits.with_pictures} of an event that shows pictures"
        problem = f"the event has {size_bytes} bytes"
        self.send_error(BadInput("", problem, allowed, code="event_too_large"), None)
        self._wire.finish(CLOSE_TOO_LARGE, "event too large")
        self.call.end("failed: event too large")

    def receive(self, text: bytes | bytearray, large_bytes: int = 0) -> bool:
        """large_bytes: its size, if only one that shows pictures may have that. As `take`."""
        try:
            event = events_in.decode(text)
        except BadEvent as bad:
            self.send_error(bad.cause, bad.event_id)
            return False
        if type(event) is events_in.AppendAudio and self.entered and not large_bytes:
            self._append(event.audio, event.event_id)  # most of them, and nothing else is to be asked
            return True
        self._answer(event, large_bytes=large_bytes)
        return False

    def _append(self, audio: bytes, event_id: str | None = None) -> None:
        try:
            self._hear(audio)
        except BadInput as error:
            self.send_error(error, event_id)
        except Exception as error:  # as in _answer
            self.call.fail(error)

    def _hear(self, audio: bytes) -> None:
        """audio: the caller's next, in the session's input format. Raises BadInput for a torn sample."""
        self._inlet.take(audio)
        if self._settled is not None and (settled_ms := self._settled.news_ms(len(audio))):
            self.send(events_out.Settled(event_id=self.next_event_id(), audio_end_ms=settled_ms))

    def _answer(self, event: ClientEvent, images: Images | None = None, large_bytes: int = 0) -> None:
        """images: all that it shows; None where they are still to be taken in."""
        try:
            wanted = wanted_by(event) if images is None else []
            if wanted:
                if isinstance(event, events_in.CreateItem):
                    self.items.check(event)
                self.backlog.begin(lambda: self._take_in(event, wanted))
            elif large_bytes:
                self._refuse_large(large_bytes)
            else:
                self._heed(event, images or NO_IMAGES)
        except BadInput as error:
            self.send_error(error, event.event_id)
        except Exception as error:  # the rim of a call: other calls of this process don't notice
            self.call.fail(error)

    async def _take_in(self, event: ClientEvent, wanted: list[WantedImage]) -> None:
        """Who shows something has spoken first; if it is refused, a greeting waits anew."""
        pauses = self._pause is not None and not self.entered
        if pauses and self._pause is not None:
            self._pause.cancel()
        try:
            async with asyncio.timeout(TAKE_IN_LIMIT_S):
                images = await take(self._pictures, wanted)
        except BadInput as error:
            self.send_error(error, event.event_id)
        except (StoreUnavailable, TimeoutError):
            unstored = BadInput(wanted[0].param, "can't be stored now", "", code="store_unavailable")
            self.send_error(unstored, event.event_id, kind="server_error")
        except StageUnavailable as full:
            later = BadInput(wanted[0].param, full.reason, "later", code="overloaded")
            self.send_error(later, event.event_id, kind="server_error")
        except Exception as error:  # as in _answer
            self.call.fail(error)
        else:
            self._answer(event, images)
        if pauses and not self.entered:
            self._pause = asyncio.get_running_loop().call_later(GREETING_PAUSE_S, self._start)

    def _heed(self, event: ClientEvent, images: Images) -> None:
        """Raises BadInput. A first word that was refused decides nothing."""
        speaks_first = isinstance(event, events_in.CreateItem | events_in.CreateResponse)
        if not (self.entered or speaks_first or isinstance(event, events_in.UpdateSession)):
            self._start()
        self._obey(event, images)
        if not self.entered and (speaks_first or wishes(self._session, self._offer).instructions):
            self._start(greets=False)

    def _obey(self, event: ClientEvent, images: Images) -> None:
        if isinstance(event, events_in.AppendAudio):
            self._hear(event.audio)
            return
        self._inlet.bring()
        match event:
            case events_in.UpdateSession():
                self._update(event)
            case events_in.CommitAudio():
                self._inlet.follow()
                self.call.commit_audio()
            case events_in.ClearAudio():
                self._inlet.follow()  # positions go on for both sides alike
                self.call.clear_audio()
                self.send(events_out.Cleared(event_id=self.next_event_id()))
            case events_in.CreateItem():
                self.items.create(event, images)
            case events_in.DeleteItem(item_id=item):
                self.items.delete(item)
            case events_in.RetrieveItem(item_id=item):
                self.items.retrieve(item)
            case events_in.TruncateItem():
                self.items.truncate(event)
            case events_in.CreateResponse(response=options, event_id=event_id):
                self.responses.create(bytes(options), event_id, self.new_name(event_id), images)
            case events_in.CancelResponse(response_id=response):
                self._cancel(response)
            case events_in.ClearOutput():
                allowed = "response.cancel and conversation.item.truncate: what was sent is at the client"
                raise BadInput("type", "is for WebRTC alone", allowed, code="not_supported")

    def _cancel(self, response: str | None) -> None:
        """Stock clients truncate what they cancel, and some in this order: the truncation has ended it already."""
        truncated, self._truncated = self._truncated, None
        if not truncated or response not in (None, truncated):
            self.call.cancel(response)

    def _update(self, event: events_in.UpdateSession) -> None:
        session = merge(self._session, event.session, self._offer)
        if session.audio.input.format != self._session.audio.input.format:
            self._inlet.follow(ear_of(session.audio.input.format))
        self.projection.follow(manner_of(session))
        self.projection.caller.transcribes = session.audio.input.transcription is not None
        names = attributes_of(session.tracing)
        if names and session.tracing != self._session.tracing:
            tracing.start_span("session", parent=tracing.call_context(self.call.call_id), attributes=names).end()
        self._session = session
        self.call.configure(wishes(session, self._offer))
        self.send(events_out.SessionUpdated(event_id=self.next_event_id(), session=session))

    # out

    def next_event_id(self) -> str:
        return next(self._event_ids)

    def _send_all(self, told: Iterable[events_out.Told]) -> None:
        for one in told:
            self.send(one)

    def send(self, told: events_out.Told) -> None:
        wire = self._wire
        if not (wire.put_binary(told) if isinstance(told, bytes) else wire.put(events_out.encode(told))):
            # Its line is cut, so its call waits for it as for any whose line broke: whoever reads again comes back.
            log.warning("client reads too slowly", call_id=self.call.call_id)

    def send_error(self, error: BadInput, event_id: str | None, kind: str = "invalid_request_error") -> None:
        """event_id: the client's event that caused it."""
        metrics.client_errors.labels(error.code).inc()
        problem = events_out.problem_of(error, event_id, kind)
        self.send(events_out.Error(event_id=self.next_event_id(), error=problem))
