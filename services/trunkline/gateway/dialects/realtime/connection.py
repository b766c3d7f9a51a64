"""One Realtime client on its WebSocket: what it says goes to its peer until the client or the call is over.

A client that says goodbye has ended its call; one whose socket just breaks has not.
"""

import asyncio
from collections.abc import Callable

from trunkline.gateway.dialects.realtime import coming_back
from trunkline.gateway.dialects.realtime.backlog import nothing
from trunkline.gateway.dialects.realtime.peer import CLOSE_FAILED, CLOSE_MOVED, CLOSE_NORMAL, Peer
from trunkline.gateway.dialects.realtime.resume_event import ResumeEvent
from trunkline.gateway.resuming import TakenUp
from trunkline.gateway.socket import Socket

GREETING_LIMIT_S = 1.0  # that a client's first event waits for an announced greeting to open


class Connection:
    """socket: the peer's wire. on_gone: its client is gone; the call has ended, or may go on."""

    def __init__(self, peer: Peer, socket: Socket, on_gone: Callable[[], None]) -> None:
        self._peer = peer
        self._call = peer.call
        self._socket = socket
        self._on_gone = on_gone
        self._greeting: asyncio.TimerHandle | None = None  # waits to open

    def start(self, taken: TakenUp | None = None, told: ResumeEvent | None = None) -> None:
        """taken: of a call that goes on here. told: by a client of ours that comes back."""
        try:
            self._begin(taken, told)
        except Exception as error:  # the rim of a call: others don't notice
            self._call.fail(error)
            self._socket.finish(CLOSE_FAILED, "server_error")
        self._socket.listen(self, self._call.edge.gather)
        if self._peer.entered:
            self._let_greeting_open()

    def _begin(self, taken: TakenUp | None, told: ResumeEvent | None) -> None:
        peer = self._peer
        peer.greet()
        if taken is not None:
            coming_back.restore(peer, taken, told)
        peer.enter()
        if taken is not None and told is not None:
            coming_back.make_up(peer, taken, told)
        peer.on_greeted = self._let_speak
        peer.backlog.on_room = self._read_on

    def _let_greeting_open(self) -> None:
        """So that nothing that the client says next comes before it."""
        if not self._peer.greeted and self._greeting is None:
            self._greeting = asyncio.get_running_loop().call_later(GREETING_LIMIT_S, self._peer.has_greeted)
            self._socket.hold()

    def _let_speak(self) -> None:
        if self._greeting is not None:
            self._greeting.cancel()
            self._greeting = None
            self._read_on()

    def _read_on(self) -> None:
        if self._greeting is None and not self._peer.backlog.full:
            self._socket.release()

    # the client's side

    def on_text(self, data: bytes | bytearray) -> bool:
        peer = self._peer
        if self._call.ended:
            return self._let_go()
        heard = peer.take(data)
        if peer.backlog.waits and peer.backlog.full:
            self._socket.hold()
        if not peer.greeted and peer.entered:
            self._let_greeting_open()
        return heard

    def on_binary(self, data: bytes | bytearray) -> bool:
        peer = self._peer
        if self._call.ended:
            return self._let_go()
        heard = peer.take_audio(bytes(data))
        if peer.backlog.waits and peer.backlog.full:
            self._socket.hold()
        return heard

    def _let_go(self) -> bool:
        """Of no effect on a client that was told the end, as all are unless a bug met that."""
        self._socket.finish(CLOSE_NORMAL, "")
        return False

    def on_gone(self, code: int | None) -> None:
        self._peer.on_greeted = self._peer.backlog.on_room = nothing
        if self._greeting is not None:
            self._greeting.cancel()
        try:
            self._peer.leave()
            if code is not None and code != CLOSE_MOVED:
                self._call.end("caller_hung_up")
            self._call.suspend()
        except Exception as error:  # the rim of a call: nobody else would end it
            self._call.fail(error)
        self._socket.finish(CLOSE_NORMAL, "")
        self._on_gone()
