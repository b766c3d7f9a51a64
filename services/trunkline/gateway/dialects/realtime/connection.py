"""One Realtime client on its WebSocket: reads its messages until the client, the call or a message that is too large.

A client that says goodbye has ended its call; one whose socket just breaks has not.
"""

import asyncio
import contextlib

from aiohttp import WebSocketError, WSMsgType, web

from trunkline.gateway.dialects.realtime import coming_back
from trunkline.gateway.dialects.realtime.outbox import FINISH_LIMIT_S, Outbox
from trunkline.gateway.dialects.realtime.peer import CLOSE_MOVED, CLOSE_NORMAL, Peer
from trunkline.gateway.dialects.realtime.resume_event import ResumeEvent
from trunkline.gateway.resuming import TakenUp
from trunkline.proto.errors import BadInput

GREETING_LIMIT_S = 1.0  # that a client's first event waits for an announced greeting to open


class Connection:
    """outbox: the peer's wire."""

    def __init__(self, peer: Peer, outbox: Outbox) -> None:
        self._peer = peer
        self._call = peer.call
        self._outbox = outbox
        self._hung_up = False

    async def run(
        self, websocket: web.WebSocketResponse, taken: TakenUp | None = None, told: ResumeEvent | None = None
    ) -> None:
        """Until either side ends it. taken: of a call that goes on here. told: by a client of ours that comes back.

        The call has ended then, or has no client.
        """
        writer = asyncio.create_task(self._outbox.write())
        peer = self._peer
        try:
            peer.greet()
            if taken is not None:
                coming_back.restore(peer, taken, told)
            peer.enter()
            if taken is not None and told is not None:
                coming_back.make_up(peer, taken, told)
            if peer.entered:
                await self._let_greeting_open()
            await self._read(websocket)
        finally:
            peer.leave()
            if self._hung_up:
                self._call.end("caller_hung_up")
            self._call.suspend()
            self._outbox.finish(CLOSE_NORMAL, "")
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(writer, FINISH_LIMIT_S)

    async def _let_greeting_open(self) -> None:
        """So that nothing that the client says next comes before it."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._peer.greeted.wait(), GREETING_LIMIT_S)
        self._peer.greeted.set()

    async def _read(self, websocket: web.WebSocketResponse) -> None:
        while True:
            message = await websocket.receive()
            if self._call.ended:
                return
            match message.type:
                case WSMsgType.TEXT:
                    self._peer.take(message.data)
                    if self._peer.backlog.full:
                        await self._peer.backlog.room()
                    if self._peer.entered and not self._peer.greeted.is_set():
                        await self._let_greeting_open()
                case WSMsgType.CLOSE:
                    self._hung_up = message.data != CLOSE_MOVED
                    return
                case WSMsgType.ERROR if isinstance(message.data, WebSocketError):  # no client of this protocol
                    self._hung_up = True
                    return
                case WSMsgType.CLOSING | WSMsgType.CLOSED | WSMsgType.ERROR:
                    return
                case _:
                    self._peer.send_error(BadInput("", "a binary message is no event", "JSON as text"), None)
