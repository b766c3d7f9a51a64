"""One Realtime client on its WebSocket: reads its events, answers each, and writes what the call tells.

Every event is answered in one turn of the loop, in order; a bad one gets an `error` with its event_id and changes
nothing. Reading ends with the client, the call or a message that is too large. A client that says goodbye has ended its
call; one whose socket just breaks has not.
"""

import asyncio
import contextlib
from itertools import count

import msgspec
from aiohttp import WebSocketError, WSMsgType, web

from trunkline.gateway import metrics
from trunkline.gateway.asking import already_active
from trunkline.gateway.call import Call
from trunkline.gateway.call_events import CallEvent, CallOver, ResponseOpened
from trunkline.gateway.dialects.realtime import events_in, events_out, restoring
from trunkline.gateway.dialects.realtime.edge_audio import Ear
from trunkline.gateway.dialects.realtime.events_in import BadEvent, ClientEvent
from trunkline.gateway.dialects.realtime.outbox import FINISH_LIMIT_S, Outbox
from trunkline.gateway.dialects.realtime.projection import Projection
from trunkline.gateway.dialects.realtime.resume_event import SAMPLES_PER_MS, ResumeEvent
from trunkline.gateway.dialects.realtime.session import Session, merge, new_session, wishes
from trunkline.gateway.resuming import TakenUp, is_told_again
from trunkline.proto.errors import BadInput
from trunkline.proto.ids import is_id, new_event_id, new_item_id
from trunkline.telemetry import logs

GREETING_LIMIT_S = 1.0  # that a client's first event waits for an announced greeting to open
SETTLED_S = 0.5  # at least between two words on which of its audio a client needn't keep
CLOSE_NORMAL, CLOSE_TOO_LARGE, CLOSE_FAILED = 1000, 1009, 1011
CLOSE_MOVED = 4000  # the call goes on elsewhere: a client's code, and the gateway's
CLOSE_GOING_AWAY = 1001  # the call can go on elsewhere

log = logs.get(__name__)


class Terms(msgspec.Struct, frozen=True):
    """How a client comes. model: as it spelt it. ours: it can come back by itself. limit_bytes: of one event."""

    model: str
    token: str
    limit_bytes: int
    ours: bool = False


class Connection:
    """session: as it stands, of a client that comes back."""

    def __init__(self, call: Call, outbox: Outbox, terms: Terms, session: Session | None = None) -> None:
        attached = call.attached
        assert attached is not None, "the call is placed before its client is answered"
        self._call = call
        self._outbox = outbox
        self._terms = terms
        self._event_ids = (f"{base}_{n}" for base in (new_event_id(),) for n in count(1))
        self._own = attached.instructions, attached.voice
        self._reserved = attached.tools
        self._session = session or new_session(call.call_id, terms.model, *self._own)
        self._projection = Projection(self._next_event_id, self._session.audio.output.format, ours=terms.ours)
        self._ear = Ear(self._session.audio.input.format)
        self._greeted = asyncio.Event()
        if not attached.greeting:
            self._greeted.set()
        self._settled_ms = 0
        self._settled_at_s = 0.0
        self._hung_up = False
        self._named: set[str] = set()  # responses, by a client of ours or before

    async def run(
        self, websocket: web.WebSocketResponse, taken: TakenUp | None = None, told: ResumeEvent | None = None
    ) -> None:
        """Until either side ends it. taken: of a call that goes on here. told: by a client of ours that comes back.

        The call has ended then, or has no client.
        """
        writer = asyncio.create_task(self._outbox.write())
        try:
            token = events_out.Trunkline(self._terms.token)
            self._send(
                events_out.SessionCreated(event_id=self._next_event_id(), session=self._session, trunkline=token)
            )
            if taken is not None:
                self._restore(taken, told)
            self._call.start(self, movable=self._terms.ours)
            if taken is not None and told is not None:
                self._make_up(taken, told)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._greeted.wait(), GREETING_LIMIT_S)
            await self._read(websocket)
        finally:
            if self._hung_up:
                self._call.end("caller_hung_up")
            self._call.suspend()
            self._outbox.finish(CLOSE_NORMAL, "")
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(writer, FINISH_LIMIT_S)

    # a client that comes back

    def _restore(self, taken: TakenUp, told: ResumeEvent | None) -> None:
        self._greeted.set()
        self._named |= taken.view.responses.keys()
        if told is None:
            for event in restoring.restore(self._projection, taken.view):
                self._send(event)
            return
        self._call.pass_over(taken.view.responses.keys() - set(told.responses))
        begun = {one.item_id for one in told.begun}
        opened = [*told.responses, *({told.respond_id} & taken.view.responses.keys())]
        outputs = {one.call_id: one.item_id for one in told.outputs if is_id(one.item_id)}
        events = restoring.restore_ours(self._projection, taken.view, begun, opened, outputs)
        from_ms = taken.audio_from // SAMPLES_PER_MS
        self._send(events_out.Resumed(event_id=self._next_event_id(), audio_from_ms=from_ms))
        for event in events:
            self._send(event)

    def _make_up(self, taken: TakenUp, told: ResumeEvent) -> None:
        """What the client asked the gateway before, and the record lacks."""
        view = taken.view
        for update in told.unanswered:
            self._receive(bytes(update))
        for one in told.typed:
            if is_id(one.item_id) and not self._projection.has(one.item_id):
                try:
                    self._type(one.item_id, one.text)
                except BadInput as error:
                    self._send_error(error, one.event_id or None)
        for given in told.outputs:
            known = view.tools.get(given.call_id)
            recorded = known is not None and bool(known.runner)
            if is_id(given.item_id) and not recorded and not self._projection.has(given.item_id):
                try:
                    self._answer(given.item_id, given.call_id, given.output)
                except BadInput as error:
                    self._send_error(error, given.event_id or None)
        if told.respond is None or told.respond_id in view.responses:
            return
        name = self._new_name(told.respond_id)
        if not name and any(is_told_again(view, response) for response in view.responses.values()):
            return  # that may be it
        cut = {one.response_id for one in told.cancelled}
        try:
            if any(one.status is None and one.id not in cut for one in view.responses.values()):
                raise already_active()
            self._call.respond(told.respond, name)
        except BadInput as error:
            self._send_error(error, told.respond_id or None)

    def _new_name(self, event_id: str | None) -> str:
        """For a response that a client of ours asks for: so it gets what it asked for once. Empty if it names none."""
        if not self._terms.ours or not event_id or not event_id.startswith("resp_") or not is_id(event_id):
            return ""
        if event_id in self._named:
            return ""
        self._named.add(event_id)
        return event_id

    # the call's side

    def on_event(self, event: CallEvent) -> None:
        for translated in self._projection.translate(event):
            self._send(translated)
        if isinstance(event, ResponseOpened):
            self._greeted.set()
        elif isinstance(event, CallOver):
            self._take_leave(event)

    def _take_leave(self, over: CallOver) -> None:
        self._greeted.set()
        if self._terms.ours and over.code in ("moved", "going_away"):
            self._outbox.finish(CLOSE_MOVED if over.code == "moved" else CLOSE_GOING_AWAY, over.code)
        elif over.code:
            self._send_error(BadInput("", over.detail, "", code=over.code), None, kind="server_error")
            self._outbox.finish(CLOSE_FAILED, over.code)
        else:
            self._outbox.finish(CLOSE_NORMAL, "")

    # the client's side

    async def _read(self, websocket: web.WebSocketResponse) -> None:
        while True:
            message = await websocket.receive()
            if self._call.ended:
                return
            match message.type:
                case WSMsgType.TEXT:
                    self._take(message.data)
                case WSMsgType.CLOSE:
                    self._hung_up = message.data != CLOSE_MOVED
                    return
                case WSMsgType.ERROR if isinstance(message.data, WebSocketError):  # no client of this protocol
                    self._hung_up = True
                    return
                case WSMsgType.CLOSING | WSMsgType.CLOSED | WSMsgType.ERROR:
                    return
                case _:
                    self._send_error(BadInput("", "a binary message is no event", "JSON as text"), None)

    def _take(self, text: str) -> None:
        limit = self._terms.limit_bytes
        if len(text) <= limit:
            self._receive(text)
            return
        problem = f"the event has {len(text)} bytes"
        self._send_error(BadInput("", problem, f"{limit} bytes", code="event_too_large"), None)
        self._outbox.finish(CLOSE_TOO_LARGE, "event too large")
        self._call.end("failed: event too large")

    def _receive(self, text: str | bytes) -> None:
        try:
            event = events_in.decode(text)
        except BadEvent as bad:
            self._send_error(bad.cause, bad.event_id)
            return
        try:
            self._obey(event)
        except BadInput as error:
            self._send_error(error, event.event_id)
        except Exception as error:  # the rim of a call: other calls of this process don't notice
            self._call.fail(error)

    def _obey(self, event: ClientEvent) -> None:
        match event:
            case events_in.AppendAudio(audio=audio):
                self._call.hear(self._ear.hear(audio))
                if self._terms.ours:
                    self._tell_settled()
            case events_in.UpdateSession():
                self._update(event)
            case events_in.CommitAudio():
                self._call.hear(self._ear.rest())
                self._call.commit_audio()
            case events_in.ClearAudio():
                self._call.hear(self._ear.rest())  # positions go on for both sides alike
                self._call.clear_audio()
                self._send(events_out.Cleared(event_id=self._next_event_id()))
            case events_in.CreateItem():
                self._create_item(event)
            case events_in.RetrieveItem(item_id=item):
                found = self._projection.item(item)
                self._send(events_out.ItemRetrieved(event_id=self._next_event_id(), item=found))
            case events_in.TruncateItem():
                self._truncate(event)
            case events_in.CreateResponse(response=options):
                if options is not None and options.output_modalities not in (None, self._session.output_modalities):
                    raise _unsupported("response.output_modalities", "that of the session")
                self._call.respond((options.instructions if options else None) or "", self._new_name(event.event_id))
            case events_in.CancelResponse(response_id=response):
                self._call.cancel(response)

    def _update(self, event: events_in.UpdateSession) -> None:
        session = merge(self._session, event.session, self._reserved)
        if session.audio.input.format != self._session.audio.input.format:
            self._call.hear(self._ear.rest())
            self._ear = Ear(session.audio.input.format)
        self._projection.speak(session.audio.output.format)
        self._session = session
        self._call.configure(wishes(session, *self._own))
        self._send(events_out.SessionUpdated(event_id=self._next_event_id(), session=session))

    def _create_item(self, event: events_in.CreateItem) -> None:
        item = event.item
        answers = item.type == "function_call_output"
        if not answers and (item.type != "message" or item.role != "user"):
            what = "item.type" if item.type != "message" else "item.role"
            raise _unsupported(what, "a message of the role user, or a function_call_output")
        for i, part in enumerate(item.content):
            if part.type != "input_text":
                raise _unsupported(f"item.content[{i}].type", "input_text")
        if event.previous_item_id not in (None, self._projection.last_item):
            raise _unsupported("previous_item_id", "the last item, or leave it out")
        if item.id is not None and (not is_id(item.id) or self._projection.has(item.id)):
            raise BadInput("item.id", "is taken or not an id", "1 to 128 of letters, digits, - and _, used once")
        name = item.id or new_item_id()
        if answers:
            self._answer(name, item.call_id, item.output)
        else:
            self._type(name, "".join(part.text or "" for part in item.content))

    def _answer(self, name: str, call_id: str | None, output: str | None) -> None:
        """name: of the new item. Raises BadInput; then there is none."""
        for param, value in (("item.call_id", call_id), ("item.output", output)):
            if value is None:
                raise BadInput(param, "is missing", "text", code="missing_required_parameter")
        self._call.client_tools.answer(call_id or "", output or "")
        for told in self._projection.answered(name, call_id or "", output or ""):
            self._send(told)

    def _type(self, name: str, text: str) -> None:
        """name: of the new item. Raises BadInput; then there is none."""
        text = text.strip()
        if not text or len(text) > events_in.MAX_TEXT:
            raise BadInput("item.content", f"has {len(text)} characters of text", f"1 to {events_in.MAX_TEXT}")
        for told in self._projection.typed(name, text):
            self._send(told)
        self._call.type_text(name, text)

    def _truncate(self, event: events_in.TruncateItem) -> None:
        if event.content_index != 0:
            raise BadInput("content_index", f"is {event.content_index}", "0")
        if event.audio_end_ms < 0:
            raise BadInput("audio_end_ms", f"is {event.audio_end_ms}", "0 or more")
        self._call.truncate(event.item_id, event.content_index, event.audio_end_ms)

    # out

    def _tell_settled(self) -> None:
        now_s = asyncio.get_running_loop().time()
        settled_ms = self._call.settled_to // SAMPLES_PER_MS
        if settled_ms > self._settled_ms and now_s >= self._settled_at_s + SETTLED_S:
            self._settled_ms, self._settled_at_s = settled_ms, now_s
            self._send(events_out.Settled(event_id=self._next_event_id(), audio_end_ms=settled_ms))

    def _next_event_id(self) -> str:
        return next(self._event_ids)

    def _send(self, event: events_out.ServerEvent) -> None:
        if not self._outbox.put(events_out.encode(event)):
            log.warning("client reads too slowly", call_id=self._call.call_id)
            self._call.end("failed: slow client")

    def _send_error(self, error: BadInput, event_id: str | None, kind: str = "invalid_request_error") -> None:
        metrics.client_errors.labels(error.code).inc()
        message = f"{error.problem}; allowed: {error.allowed}" if error.allowed else error.problem
        if error.param:
            message = f"{error.param}: {message}"
        problem = events_out.Problem(
            type=kind, code=error.code, message=message, param=error.param or None, event_id=event_id
        )
        self._send(events_out.Error(event_id=self._next_event_id(), error=problem))


def _unsupported(param: str, allowed: str) -> BadInput:
    return BadInput(param, "is not supported yet", allowed, code="not_supported")
