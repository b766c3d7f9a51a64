"""A call to an agent that outlives its gateway: one stream of events, however many sockets it takes.

What is said goes onto the tape and from there to whichever gateway serves the call; what comes is passed on once.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping, Sequence
from types import TracebackType

import aiohttp
import msgspec

from trunkline.client.dialing import OVER, Dialer, fresh_connections
from trunkline.client.errors import CallLost, ClientError, NotAnEvent, Refused
from trunkline.client.events import OURS, ServerEvent, encode
from trunkline.client.socket import HUNG_UP, MOVED, SILENT_S, Ending, Socket, next_silent_s
from trunkline.client.story import Story, named
from trunkline.client.tape import Tape
from trunkline.proto.binary_dialect import INPUT_RATES_HZ, PCM
from trunkline.proto.errors import BadInput

WINDOW_S = 15.0  # a call that nobody comes back to for so long is over at the gateways too
AGAIN_S = 0.1  # between two gateways that couldn't take it up
GOODBYE_LIMIT_S = 1.0  # to end a call at another gateway than the one that served it, which is gone
RESUME_LIMIT_S = 3.0  # for a gateway that took the socket to take up the call; twice as long with each that doesn't
MOVE_LIMIT_S = 1.0  # likewise while the call is still served: what is said there meanwhile is kept back
FINAL = {"call_over": OVER, "call_not_found": 404}  # what a gateway calls it when nobody can go on with the call
_AGAIN = frozenset(("input_audio_buffer.commit", "input_audio_buffer.clear"))  # they act on the audio before them


def connect(
    url: str | Sequence[str],
    key: str = "",
    *,
    model: str = "",
    window_s: float = WINDOW_S,
    binary: bool = False,
    input_rate_hz: int = INPUT_RATES_HZ[0],
) -> "Call":
    """A call to be entered: `async with connect(url, key) as call`. url: one or several, ws(s)://…/v1/realtime.

    model: the agent's name, empty for the default. window_s: for which a lost gateway is searched for again.
    binary: audio as binary messages, both ways, wherever a gateway knows that. input_rate_hz: of the audio that is
    appended; 16000 only in binary. Raises BadInput for another.
    """
    allowed = INPUT_RATES_HZ if binary else INPUT_RATES_HZ[:1]
    if input_rate_hz not in allowed:
        raise BadInput("input_rate_hz", f"is {input_rate_hz}", f"{' or '.join(map(str, allowed))} with {binary=}")
    return Call([url] if isinstance(url, str) else list(url), key, model, window_s, binary, input_rate_hz)


class Call:
    """Entering dials, leaving hangs up. Iterating gives the server's events; it stops when the call is over.

    resumed: how often another gateway took the call up. gaps_s: for each, from the last that was heard of the old
    gateway to the first of the new.
    """

    def __init__(
        self,
        urls: Sequence[str],
        key: str,
        model: str,
        window_s: float,
        binary: bool = False,
        input_rate_hz: int = INPUT_RATES_HZ[0],
    ) -> None:
        self.id = ""
        self.token = ""
        self.resumed = 0
        self.gaps_s: list[float] = []
        self._urls, self._key, self._model, self._window_s = list(urls), key, model, window_s
        self._binary, self._input_rate_hz = binary, input_rate_hz
        self._tape = Tape()
        self._story = Story()
        self._events: asyncio.Queue[ServerEvent | None] = asyncio.Queue()
        self._failure: ClientError | None = None
        self._socket: Socket | None = None
        self._silent_s = SILENT_S
        self._attempts = 0  # to have the call taken up, since it last was
        self._astray = False  # a gateway that was asked and left may still take the call up, however late
        self._trouble = ""  # what the server last called an error
        self._wants_to_move = asyncio.Event()
        self._answers: dict[Socket, asyncio.Future[ServerEvent]] = {}  # of sockets that aren't the call's yet
        self._held: list[tuple[Socket, ServerEvent]] = []  # news that the next gateway wasn't told of when it was asked
        self._keeper: asyncio.Task[None] | None = None
        self._leaving: set[asyncio.Task[bool]] = set()

    async def __aenter__(self) -> "Call":
        """Raises Refused, Unreachable."""
        self._session = aiohttp.ClientSession(connector=fresh_connections())
        try:
            own_rate = self._input_rate_hz != INPUT_RATES_HZ[0]
            self._dialer = Dialer(self._session, self._urls, self._key, self._model, binary=self._binary, must=own_rate)
            websocket, url = await self._dialer.dial()
        except BaseException:
            await self._session.close()
            raise
        if own_rate:
            wanted = {"audio": {"input": {"format": {"type": PCM, "rate": self._input_rate_hz}}}}
            self.send({"type": "session.update", "session": {"type": "realtime", **wanted}})
        socket = self._socket = Socket(websocket, self._tape, url, self._on_event)
        socket.write(self._tape.begin())
        socket.start()
        self._keeper = asyncio.create_task(self._keep(socket), name="client-keep")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.hang_up()

    async def hang_up(self) -> None:
        """The call is over, for the gateway too; if that is gone, for another one."""
        goes_on = self._keeper is not None and not self._keeper.done()
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.gather(self._keeper, return_exceptions=True)
        known = self._socket is None or await self._socket.close(HUNG_UP)
        if goes_on and self.token and (not known or self._attempts):  # who was asked may have the call by now
            await self._say_goodbye()
        await asyncio.gather(*self._leaving, return_exceptions=True)
        await self._session.close()
        self._events.put_nowait(None)

    async def _say_goodbye(self) -> None:
        """To whoever can take the call up, only to end it: else it would wait for its client, and end as lost."""
        with contextlib.suppress(TimeoutError, Refused):
            async with asyncio.timeout(GOODBYE_LIMIT_S):
                websocket, url = await self._dialer.dial_again(self.token)
                socket = Socket(websocket, self._tape, url, self._on_event)
                await socket.send(encode(self._story.last_resume(self._tape, self._attempts)).decode())
                await socket.close(HUNG_UP)

    # what the client says: never waits, and goes out in this order

    def append_audio(self, audio: bytes) -> None:
        """The caller's next audio, in the session's input format (int16 LE mono at 24 kHz unless changed)."""
        self._tape.append(audio)
        self._wake()

    def send(self, event: Mapping[str, object] | msgspec.Struct) -> None:
        """Any client event but input_audio_buffer.append, for which there is append_audio."""
        said = named(event)
        number = self._tape.order(encode(said).decode(), again=said.get("type") in _AGAIN)
        self._story.said(said, number)
        self._tape.follow(self._story.input_format)
        self._wake()

    def _wake(self) -> None:
        if self._socket is not None:
            self._socket.wake()

    # what comes

    def __aiter__(self) -> AsyncIterator[ServerEvent]:
        return self._receive()

    async def _receive(self) -> AsyncIterator[ServerEvent]:
        while (event := await self._events.get()) is not None:
            yield event
        self._events.put_nowait(None)  # for whoever iterates again
        if self._failure is not None:
            raise self._failure

    def _on_event(self, socket: Socket, event: ServerEvent) -> None:
        answer = self._answers.get(socket)
        if answer is not None and event.type in ("trunkline.resumed", "error") and not answer.done():
            answer.set_result(event)
            if event.type == "trunkline.resumed":  # from here on this socket is the call's, and what follows counts
                self._socket = socket
                self._tape.release()
                socket.write(self._tape.come_back(event.audio_from_ms))
            return
        if socket is not self._socket:
            return
        match event.type:
            case "trunkline.settled":
                if not self._answers:  # a gateway that was told what is kept may ask for all of it
                    self._tape.settle(event.audio_end_ms)
                    self._story.settle(event.audio_end_ms)
                return
            case "trunkline.move":
                self._wants_to_move.set()
                return
            case _ if self._answers and self._story.is_new(event):
                self._held.append((socket, event))
                return
            case "session.created":
                self.id = event.session.id
                self.token = event.trunkline.resume_token if socket.protocol in OURS else ""
            case "error":
                self._trouble = event.error.message
        news = self._story.news(event)
        self._tape.follow(self._story.input_format)  # an update that is refused takes its format back
        if news is not None:
            self._events.put_nowait(news)

    # the life of the call

    async def _keep(self, socket: Socket) -> None:
        """From socket to socket, until the call is over."""
        try:
            while True:
                ending = await self._until_it_ends(socket)
                if ending is not None and not (self._goes_on(ending) and self.token):
                    raise _failure_of(ending, self._trouble)
                if ending is not None and ending.silent:
                    self._silent_s = next_silent_s(self._silent_s, socket.heard_s - socket.began_s)
                socket = await self._come_back(socket, ending)
        except ClientError as error:
            self._failure = None if isinstance(error, _Over) else error
        except asyncio.CancelledError:
            raise
        except Exception as error:  # the rim of the client: a bug ends the call, and says so
            self._failure = CallLost(f"the client failed: {error!r}")
            raise
        finally:
            self._events.put_nowait(None)

    async def _until_it_ends(self, socket: Socket) -> Ending | None:
        """None when the gateway asks to be left."""
        moving = asyncio.create_task(self._wants_to_move.wait())
        try:
            await asyncio.wait((socket.ended, moving), return_when=asyncio.FIRST_COMPLETED)
        finally:
            moving.cancel()
        self._wants_to_move.clear()
        return socket.ended.result() if socket.ended.done() else None

    async def _come_back(self, old: Socket, ending: Ending | None) -> Socket:
        """Another socket, with the call on it; the old one if it needn't be left. Raises ClientError: the call's end.

        ending: of the old socket, None while it serves the call.
        """
        began_s = old.heard_s
        try:
            async with asyncio.timeout(self._window_s):
                await self._search(old, ending)
        except (TimeoutError, Refused) as failure:
            if self._socket is old:
                self._stay(old, ending, failure)
        if self._socket is None or self._socket is old:
            return old
        self._attempts = 0
        self._leave(old)
        self.resumed += 1
        heard_s = old.heard_s if ending is None else began_s
        self.gaps_s.append(asyncio.get_running_loop().time() - heard_s)
        return self._socket

    def _stay(self, old: Socket, ending: Ending | None, failure: TimeoutError | Refused) -> None:
        """Nobody else took the call up. Raises ClientError when it isn't served where it was, either."""
        if ending is None and isinstance(failure, TimeoutError):  # it was served all the while, and may still be
            self._wants_to_move.set()
            return
        if not old.ended.done() or old.revive(self._silent_s):
            return
        ending = old.ended.result()
        if not self._goes_on(ending):
            raise _failure_of(ending, self._trouble) from None
        if isinstance(failure, Refused):
            raise (_Over() if failure.status == OVER else CallLost(failure.message)) from failure
        raise CallLost(f"{ending.reason}, and no gateway took it up") from None

    def _goes_on(self, ending: Ending) -> bool:
        return ending.gone or (self._astray and ending.code == MOVED)

    async def _search(self, old: Socket, ending: Ending | None) -> None:
        """Until another socket has the call, or the old one, which was only silent, speaks before another is asked."""
        avoid = old.url if ending is None else ""
        limit_s, asked = MOVE_LIMIT_S if ending is None else RESUME_LIMIT_S, False
        while True:
            websocket, url = await self._dialer.dial_again(self.token, avoid)
            socket = Socket(websocket, self._tape, url, self._on_event, self._silent_s)
            socket.start()
            if not asked and old.revive(self._silent_s):
                self._leave(socket)
                return
            try:
                if await self._take_up(socket, limit_s):
                    return
            except BaseException:
                if self._socket is not socket:
                    self._leave(socket)
                raise
            asked = True
            await socket.close(MOVED)
            limit_s *= 2
            await asyncio.sleep(AGAIN_S)

    async def _take_up(self, socket: Socket, limit_s: float) -> bool:
        """Whether this gateway goes on with the call; then the tape runs to it."""
        old, answer = self._socket, asyncio.get_running_loop().create_future()
        self._answers[socket] = answer
        self._tape.hold()
        try:
            await socket.send(encode(self._story.resume(self._tape, self._attempts)).decode())
            self._attempts += 1
            waited: set[asyncio.Future[object]] = {answer, socket.ended}  # type: ignore[arg-type]  # read below by name
            await asyncio.wait(waited, timeout=limit_s, return_when=asyncio.FIRST_COMPLETED)
            if answer.done() and (status := FINAL.get(answer.result().error.code or "")):
                raise Refused(socket.url, status, answer.result().error.message)
            return self._socket is socket
        finally:
            self._astray = self._astray or not answer.done()
            del self._answers[socket]
            self._tape.release()
            self._wake()
            held, self._held = self._held, []
            # Of no effect where the call has left that gateway: the new one says it itself. What the old one said as it
            # was let go is dropped: its agent may have lost the record before.
            for before, event in held:
                if before is not old or not old.ended.done() or old.ended.result().silent:
                    self._on_event(before, event)

    def _leave(self, socket: Socket) -> None:
        leaving = asyncio.create_task(socket.close(MOVED), name="client-leave")
        self._leaving.add(leaving)
        leaving.add_done_callback(self._leaving.discard)


class _Over(ClientError):
    """The call has ended as calls do."""


def _failure_of(ending: Ending, trouble: str) -> ClientError:
    if ending.bad:
        return NotAnEvent(ending.reason)
    if ending.code == HUNG_UP:
        return _Over()
    return CallLost(trouble or ending.reason, ending.code)
