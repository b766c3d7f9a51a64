"""GET /v1/realtime?intent=transcription: a session of the Realtime protocol that an STT worker alone serves.

It lives as long as its socket: there is no record, and no token to come back with.
"""

import asyncio
from collections.abc import Collection

from aiohttp import web

from trunkline.gateway.auth import Admitted
from trunkline.gateway.awaited import AwaitedMessages
from trunkline.gateway.dialects.realtime.limits import Limits
from trunkline.gateway.dialects.realtime.opening import not_opened
from trunkline.gateway.dialects.realtime.peer import CLOSE_NORMAL
from trunkline.gateway.dialects.realtime.transcription_peer import TranscriptionPeer
from trunkline.gateway.dialects.realtime.transcription_session import (
    KIND,
    TranscriptionSession,
    TranscriptionSessionPatch,
    is_transcription,
    merge_transcription,
    naming,
    new_transcription_session,
    read_transcription_patch,
)
from trunkline.gateway.model_names import require_model
from trunkline.gateway.requests import Requests
from trunkline.gateway.socket import Socket
from trunkline.gateway.sockets import Sockets
from trunkline.gateway.transcribing import Transcribing
from trunkline.proto.errors import BadInput, StageUnavailable
from trunkline.proto.ids import new_request_id

IDLE_S = 900.0  # without audio: nobody speaks, and a place at STT is taken
AHEAD_MESSAGES = 16  # taken from the socket while one waits for room
INTENT = "intent"
SPAN = "transcription_session"


class TranscriptionSessions:
    """models: names that mean the recogniser. limit_bytes: of one client event."""

    def __init__(self, requests: Requests, models: Collection[str], limit_bytes: int) -> None:
        self._requests = requests
        self._models = models
        self._limit_bytes = limit_bytes

    def wanted(self, request: web.Request, admitted: Admitted) -> bool:
        """By address, or by what an ephemeral key is bound to."""
        return INTENT in request.query or is_transcription(admitted.session)

    async def serve(
        self, request: web.Request, sockets: Sockets, protocol: str | None, admitted: Admitted
    ) -> web.StreamResponse:
        """protocol: that was agreed on. Whatever can be refused is refused before the upgrade is answered."""
        response: web.StreamResponse | None = None
        try:
            session, bound = self._asked(request, admitted)
            peer = TranscriptionPeer(session, self._models, self._limit_bytes)
            heard = Transcribing(self._requests, SPAN, peer.on_event, rules=peer.rules, language=peer.language)
            async with heard:
                if bound is not None:
                    peer.session = merge_transcription(session, bound, self._models, heard.languages)
                async with sockets.upgrade(request, Limits(self._limit_bytes).hard, protocol) as (socket, response):
                    await self._run(socket, peer, heard)
                    return response
        except (StageUnavailable, BadInput) as error:
            if response is not None:
                raise
            return not_opened(error)

    def _asked(
        self, request: web.Request, admitted: Admitted
    ) -> tuple[TranscriptionSession, TranscriptionSessionPatch | None]:
        """The session as it begins, and what is bound to the key. Raises BadInput."""
        intent = request.query.get(INTENT, KIND)
        if intent != KIND:
            raise BadInput(INTENT, f"is {intent[:80]!r}", f"{KIND}, or leave it out", code="not_supported")
        model = request.query.get("model", "")
        session = new_transcription_session("sess_" + new_request_id().partition("_")[2])
        if model:
            require_model(model, self._models)
            session = merge_transcription(session, naming(model), self._models)
        if admitted.session is None or admitted.session == b"null":
            return session, None
        bound = read_transcription_patch(admitted.session)
        return merge_transcription(session, bound, self._models), bound

    async def _run(self, socket: Socket, peer: TranscriptionPeer, heard: Transcribing) -> None:
        """Until either side ends it, or nobody listens any more."""
        try:
            peer.begin(heard, socket)
            await heard.wait(_read(AwaitedMessages(socket, AHEAD_MESSAGES), peer))
        except StageUnavailable as error:
            peer.lost(error)
        except Exception as error:  # the rim of a session: no other notices
            peer.fail(error)
        finally:
            socket.finish(CLOSE_NORMAL, "")


async def _read(messages: AwaitedMessages, peer: TranscriptionPeer) -> None:
    loop = asyncio.get_running_loop()
    heard_s = loop.time()
    while not peer.over:
        try:
            async with asyncio.timeout_at(heard_s + IDLE_S):
                message = await messages.next()
        except TimeoutError:
            peer.idle(IDLE_S)
            return
        if message is None:
            return
        if message.text:
            heard_s = loop.time() if await peer.take(message.data) else heard_s
        else:
            peer.refuse(BadInput("", "a binary message is no event", "JSON as text"))
