"""GET /v1/realtime: who may call, whom, and whether there is room; or whose call it is that goes on here.

Whatever can be refused is refused before the upgrade is answered. Only a client of ours that comes back is answered at
once, so that it doesn't try again, and is told on its socket when its turn has come.
"""

import asyncio
import logging
from functools import partial

import msgspec
from aiohttp import web
from msgspec import UNSET

from trunkline.gateway import metrics
from trunkline.gateway.auth import Admitted, Keys, refuse
from trunkline.gateway.awaited import AwaitedMessages
from trunkline.gateway.calls import Calls
from trunkline.gateway.dialects.realtime import events_out, resume_event
from trunkline.gateway.dialects.realtime.connection import Connection
from trunkline.gateway.dialects.realtime.events_in import BadEvent
from trunkline.gateway.dialects.realtime.images_in import Pictures
from trunkline.gateway.dialects.realtime.limits import Limits
from trunkline.gateway.dialects.realtime.offer import Offer
from trunkline.gateway.dialects.realtime.opening import Opening, bound_to, names_model, not_opened, overloaded
from trunkline.gateway.dialects.realtime.peer import CLOSE_BUSY, CLOSE_MOVED, Peer
from trunkline.gateway.dialects.realtime.resume_event import ResumeEvent
from trunkline.gateway.dialects.realtime.session import Session, merge, new_session, wishes
from trunkline.gateway.dialects.realtime.terms import OURS, Dialect, Terms
from trunkline.gateway.dialects.realtime.transcription_endpoint import TranscriptionSessions
from trunkline.gateway.resume_token import ResumeTokens
from trunkline.gateway.resuming import CallIsOver, NoSuchCall, Resumption
from trunkline.gateway.socket import Socket
from trunkline.gateway.sockets import Sockets
from trunkline.gateway.wishes import Wishes
from trunkline.proto.errors import BadInput, StageUnavailable, TrunklineError
from trunkline.proto.ids import new_event_id
from trunkline.proto.response import Attached
from trunkline.record import Reading
from trunkline.telemetry import logs

FIRST_WORD_S = 3.0  # for a client of ours to say where it stands
STATUS_GONE_AWAY = 499  # nobody reads it: the client closed the connection
TOKEN_QUERY, TOKEN_HEADER = "resume_token", "Trunkline-Resume-Token"
PROTOCOLS = (*OURS, "realtime")

NOT_SERVED = {"call_id": "a second socket to a call is not supported: a call has one client"}
"""What an address may ask for, and must not be passed over."""

log = logs.get(__name__)


class RealtimeEndpoint:
    def __init__(
        self,
        calls: Calls,
        sockets: Sockets,
        resumption: Resumption,
        keys: Keys,
        tokens: ResumeTokens,
        opening: Opening,
        pictures: Pictures,
        limits: Limits,
        transcriptions: TranscriptionSessions,
    ) -> None:
        self._calls = calls
        self._resumption = resumption
        self._keys = keys
        self._tokens = tokens
        self._opening = opening
        self._pictures = pictures
        self._limits = limits
        self._sockets = sockets
        self._transcriptions = transcriptions
        logging.getLogger("aiohttp.websocket").setLevel(logging.ERROR)  # its warning of subprotocols tells a key in one

    def add_routes(self, app: web.Application) -> None:
        app.router.add_get("/v1/realtime", self.handle)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        token = request.query.get(TOKEN_QUERY, "") or request.headers.get(TOKEN_HEADER, "")
        again = self._tokens.verify(token) is not None
        try:
            admitted = await self._keys.admit(request, None if again else self._calls.require_any_place, again=again)
        except StageUnavailable as full:
            return overloaded(full)
        ready = web.WebSocketResponse(protocols=PROTOCOLS).can_prepare(request)
        if not ready:
            return refuse(426, "upgrade_required", "this address is a WebSocket")
        for name, problem in NOT_SERVED.items():
            if name in request.query:
                return refuse(400, "not_supported", problem, param=name)
        if token:
            return await self._resume(request, ready.protocol, token, admitted)
        if self._transcriptions.wanted(request, admitted):
            if Dialect.of(ready.protocol).binary:
                problem = f"{ready.protocol} has no transcription sessions"
                return refuse(400, "not_supported", problem, param="Sec-WebSocket-Protocol")
            with self._keys.use.held(admitted.key):
                return await self._transcriptions.serve(request, self._sockets, ready.protocol, admitted)
        return await self._begin(request, ready.protocol, admitted)

    async def _begin(self, request: web.Request, protocol: str | None, admitted: Admitted) -> web.StreamResponse:
        try:
            call, session, model, _, bound = await self._opening.open(admitted, request.query.get("model", ""))
        except (StageUnavailable, BadInput) as error:
            return not_opened(error)
        try:
            terms = self._terms(call.call_id, model, Dialect.of(protocol), bound)
            async with self._sockets.upgrade(request, self._limits.hard, protocol, {TOKEN_HEADER: terms.token}) as (
                socket,
                response,
            ):
                peer = Peer(call, socket, self._pictures, terms, session)
                Connection(peer, socket, partial(self._calls.wait_for_client, call)).start()
                return response
        except BaseException as error:
            if isinstance(error, Exception) and not isinstance(error, ConnectionError):
                call.fail(error)
            call.end("caller_hung_up")  # it has no token to come back with
            raise

    # a call that goes on

    async def _resume(
        self, request: web.Request, protocol: str | None, token: str, admitted: Admitted
    ) -> web.StreamResponse:
        dialect = Dialect.of(protocol)
        call_id = self._tokens.verify(token)
        if call_id is None:
            metrics.refused.labels("token", "").inc()
            return refuse(401, "invalid_resume_token", "the resume token is not one of this installation's")
        try:
            self._calls.require_room(call_id)
            record = self._resumption.record_of(call_id) if dialect.ours else await self._resumption.find(call_id)
        except TrunklineError as error:
            return _refusal(error)
        if request.transport is None or request.transport.is_closing():
            return web.Response(status=STATUS_GONE_AWAY)  # a client tries several times, and takes what answers first
        async with self._sockets.upgrade(request, self._limits.hard, protocol, {TOKEN_HEADER: token}) as (
            socket,
            response,
        ):
            told = await self._first_word(socket) if dialect.ours else None
            if told is not None or not dialect.ours:
                await self._take_up(socket, record, admitted, dialect, told)
            return response

    async def _first_word(self, socket: Socket) -> ResumeEvent | None:
        """None when it didn't come, and the socket is closed: one of several that a client tries ends like this."""
        try:
            async with asyncio.timeout(FIRST_WORD_S):
                message = await AwaitedMessages(socket).next()
            if message is not None and message.text:
                return resume_event.decode(message.data)
        except TimeoutError:
            pass
        except BadEvent as bad:
            _apologise(socket, bad.cause.code, str(bad.cause))
        socket.finish(CLOSE_MOVED, "")
        return None

    async def _take_up(
        self, socket: Socket, record: Reading, admitted: Admitted, dialect: Dialect, told: ResumeEvent | None
    ) -> None:
        call_id = record.view.call
        session: Session | None = None
        model_bound = False

        def wish(attached: Attached) -> Wishes:
            nonlocal session, model_bound
            session = new_session(call_id, record.view.agent, attached.instructions, attached.voice)
            offer = Offer.of(attached, self._opening.aliases)
            try:
                bound = bound_to(admitted)
                model_bound = names_model(bound)
                offer = Offer.of(attached, self._opening.aliases, bound=model_bound)
                if bound is not None:
                    session = merge(
                        session, msgspec.structs.replace(bound, model=UNSET), offer
                    )  # the call has its agent
                rates_hz = Offer(input_rates_hz=dialect.input_rates_hz)
                session = told.configure(session, rates_hz) if told is not None else session
            except BadInput as error:  # whatever a client wishes, its call goes on
                log.warning("session not as it was", call_id=call_id, reason=str(error))
            return wishes(session, offer)

        try:
            taken = await self._resumption.take_up(
                record, told.progress if told is not None else None, wish, admitted.key
            )
        except TrunklineError as error:
            log.warning("call not resumed", call_id=call_id, reason=str(error))
            _apologise(socket, _code(error), str(error))
            socket.finish(CLOSE_BUSY if isinstance(error, StageUnavailable) else CLOSE_MOVED, "")
            return
        try:
            terms = self._terms(call_id, record.view.agent, dialect, model_bound)
            peer = Peer(taken.call, socket, self._pictures, terms, session)
            Connection(peer, socket, partial(self._calls.wait_for_client, taken.call)).start(taken, told)
        except Exception as error:  # the rim of a call: nobody else would end it
            taken.call.fail(error)
            raise

    def _terms(self, call: str, model: str, dialect: Dialect, bound: bool) -> Terms:
        return Terms(model, self._tokens.issue(call), self._limits, dialect, self._opening.aliases, bound)


def _apologise(socket: Socket, code: str, message: str) -> None:
    problem = events_out.Problem(type="server_error", code=code, message=message)
    socket.put(events_out.encode(events_out.Error(event_id=new_event_id(), error=problem)))


def _code(error: TrunklineError) -> str:
    """Of a call that isn't taken up; the first two say that nobody will."""
    match error:
        case StageUnavailable(why="full"):
            return "overloaded"
        case NoSuchCall():
            return "call_not_found"
        case CallIsOver():
            return "call_over"
        case _:
            return "not_resumed"


def _refusal(error: TrunklineError) -> web.Response:
    match error:
        case StageUnavailable():
            return overloaded(error)
        case NoSuchCall():
            return refuse(404, _code(error), str(error), param=TOKEN_QUERY)
        case CallIsOver():
            return refuse(410, _code(error), str(error), param=TOKEN_QUERY)
        case _:
            log.warning("call can't be looked up", reason=str(error))
            return refuse(503, "store_unavailable", str(error), retry_after_s=1.0)
