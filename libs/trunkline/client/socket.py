"""One WebSocket of a call: reads it, writes the tape to it, and notices when the gateway at its other end is gone.

A gateway is gone when the socket ends without a closing handshake, or when nothing comes for a while, not even the
answer to a ping. Each time that a client leaves one too early costs the gateways more than it had been late.
"""

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from itertools import count

import aiohttp
import msgspec

from trunkline.client.events import BINARY, STREAM, AudioStream, ServerEvent, append, decode, decode_stream
from trunkline.client.tape import Fallen, Mark, Tape
from trunkline.proto.binary_dialect import unpack

PING_S = 0.2
SILENT_S = 0.4
LONGEST_SILENT_S = 3.2
STEADY_S = 10.0  # a gateway that served for so long before it fell silent wasn't just busy
CLOSE_LIMIT_S = 1.0
HUNG_UP, MOVED = 1000, 4000  # closing codes of a client; MOVED isn't the end of its call
GOING_AWAY = frozenset((1001, 1006, 1012))  # a gateway's closing codes that don't end the call


class Ending(msgspec.Struct, frozen=True):
    """Why a socket was read to its end. gone: the call isn't over, as far as this socket tells."""

    reason: str
    gone: bool
    code: int = 0
    bad: bool = False  # something came that is no event
    silent: bool = False  # nothing came any more


class Socket:
    """on_event: each event as it comes. heard_s: loop time at which anything came last. ended: why it was given up.

    silent_s: for which nothing may come once there is something to write; before that the gateway is taking the call
    up, and may be at it for many at once.
    """

    def __init__(
        self,
        websocket: aiohttp.ClientWebSocketResponse,
        tape: Tape,
        url: str,
        on_event: Callable[["Socket", ServerEvent], None],
        silent_s: float = SILENT_S,
    ) -> None:
        self.url = url
        self._websocket = websocket
        self._tape = tape
        self._on_event = on_event
        self._silent_s = silent_s
        self._more = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self.began_s = self.heard_s = self._loop.time()
        self._mark = Mark(0, 0, 0)  # what is to be written next
        self._closing = False
        self._reading: asyncio.Task[None] | None = None
        self._writing: asyncio.Task[None] | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._fell_silent_s = 0.0  # what was heard last before
        self._stream: AudioStream | None = None  # the last that was announced
        self.ended: asyncio.Future[Ending] = self._loop.create_future()

    @property
    def protocol(self) -> str | None:
        return self._websocket.protocol

    def start(self) -> None:
        """Reads from now on."""
        self._reading = asyncio.create_task(self._read(), name="client-read")
        self._tasks.append(self._reading)

    def write(self, mark: Mark) -> None:
        """Writes the tape from there on, and from now on expects answers to pings."""
        if not self.ended.done():
            self.heard_s = self._loop.time()
            self._mark = mark
            self._start_writing()

    def revive(self, silent_s: float) -> bool:
        """Whether it was given up only for its silence and has spoken since; then it goes on, with a new `ended`.

        silent_s: for which nothing may come this time.
        """
        if not self.ended.done() or not self.ended.result().silent or self.heard_s <= self._fell_silent_s:
            return False
        self._silent_s, self.ended = silent_s, self._loop.create_future()
        self._tasks = [task for task in self._tasks if not task.done()]
        self._start_writing()
        return True

    def wake(self) -> None:
        """There is more on the tape."""
        self._more.set()

    async def send(self, said: str | bytes) -> None:
        """An event, or audio. Raises nothing: what can't be sent shows in how the socket ends."""
        try:
            if isinstance(said, str):
                await self._websocket.send_str(said)
            elif self.protocol == BINARY:
                await self._websocket.send_bytes(said)
            else:
                await self._websocket.send_str(append(said))
        except (ConnectionError, aiohttp.ClientError) as error:
            self._end(Ending(str(error) or "the socket closed", gone=True))

    async def close(self, code: int) -> bool:
        """Whether the gateway acknowledged it, as one that had the call."""
        self._closing = True  # a read that began behind this would answer with a code of its own
        self._end(Ending("closed here", gone=False, code=code))
        await self._cancel([task for task in self._tasks if task is not self._reading])
        with contextlib.suppress(aiohttp.ClientError, OSError, TimeoutError):
            async with asyncio.timeout(CLOSE_LIMIT_S):
                await self._websocket.close(code=code)  # ends the reading: cancelled, it would drop the answer
        await self._cancel([self._reading] if self._reading is not None else [])
        return self._websocket.close_code not in (None, MOVED, *GOING_AWAY)

    async def _cancel(self, tasks: Sequence[asyncio.Task[None]]) -> None:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _end(self, ending: Ending) -> None:
        """The first counts, unless it was only silence."""
        if self.ended.done() and self.ended.result().silent:
            self.ended = self._loop.create_future()
        if not self.ended.done():
            self.ended.set_result(ending)

    async def _read(self) -> None:
        while not self._closing:
            message = await self._websocket.receive()
            self.heard_s = self._loop.time()
            match message.type:
                case aiohttp.WSMsgType.TEXT | aiohttp.WSMsgType.BINARY:
                    try:
                        event = self._event(message.data)
                    except (msgspec.MsgspecError, ValueError) as error:
                        self._end(Ending(str(error), gone=False, bad=True))
                        return
                    if event is not None:
                        self._on_event(self, event)
                case aiohttp.WSMsgType.PING:
                    with contextlib.suppress(ConnectionError, aiohttp.ClientError):
                        await self._websocket.pong(message.data)
                case aiohttp.WSMsgType.CLOSE:
                    code = int(message.data)
                    self._end(Ending(f"the gateway closed the socket (code {code})", code in GOING_AWAY, code))
                    return
                case aiohttp.WSMsgType.CLOSING | aiohttp.WSMsgType.CLOSED | aiohttp.WSMsgType.ERROR:
                    self._end(Ending("the gateway's socket broke", gone=True))
                    return

    def _event(self, data: str | bytes) -> ServerEvent | None:
        """None for what is only for this socket, or of a later version. Raises MsgspecError, ValueError."""
        if isinstance(data, str):
            event = decode(data)
            if event.type != STREAM:
                return event
            self._stream = decode_stream(data)
        elif self.protocol == BINARY:
            message = unpack(data)
            if self._stream is not None and self._stream.stream == message.stream:
                return self._stream.event(message)
        return None

    def _start_writing(self) -> None:
        if self._writing is None or self._writing.done():
            self._writing = asyncio.create_task(self._write(), name="client-write")
            self._tasks.append(self._writing)
        self._tasks.append(asyncio.create_task(self._beat(), name="client-beat"))

    async def _write(self) -> None:
        try:
            while not self.ended.done():  # what is said after that waits on the tape for the next gateway
                said, self._mark = self._tape.read(self._mark)
                if said:
                    await self.send(said)
                else:
                    self._more.clear()
                    await self._more.wait()
        except Fallen:
            self._end(Ending("the gateway takes too little", gone=True))

    async def _beat(self) -> None:
        """Pings, and looks for answers; while this process itself stands still nobody is missed."""
        for number in count():
            if number % 2 == 0:
                with contextlib.suppress(ConnectionError, aiohttp.ClientError, TimeoutError):
                    async with asyncio.timeout(PING_S / 2):
                        await self._websocket.ping()
            due_s = self._loop.time() + PING_S / 2
            await asyncio.sleep(PING_S / 2)
            now_s = self._loop.time()
            if now_s > due_s + PING_S / 2:
                self.heard_s = now_s
            if now_s - self.heard_s > self._silent_s:
                self._fell_silent_s = self.heard_s
                self._end(Ending(f"the gateway said nothing for {self._silent_s:g} s", gone=True, silent=True))
                return


def next_silent_s(last_s: float, served_s: float) -> float:
    """How long the next gateway may be silent, after one was left for its silence that had served for served_s."""
    return SILENT_S if served_s >= STEADY_S else min(2 * last_s, LONGEST_SILENT_S)
