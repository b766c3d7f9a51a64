"""A real caller: a phone line over the Realtime WebSocket, 20 ms frames on a media clock, silence between lines.

A frame is sent when its last sample would have been captured. One task sends, one reads; both end with the call. The
call itself outlives its gateway (`trunkline.client`).
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from functools import partial
from types import TracebackType

import numpy as np

from trunkline import client
from trunkline.audio import pcm
from trunkline.audio.pcm import Samples
from trunkline.cli import realtime
from trunkline.cli.errors import CallLost, GatewaySilent, NoReply, Refused
from trunkline.cli.line import Line
from trunkline.cli.listener import HeardTurn, Listener, Moment
from trunkline.cli.player import Player
from trunkline.cli.stack import Address
from trunkline.proto.audio import FRAME_MS, SPEECH_RATE_HZ

CONNECT_LIMIT_S = 10.0
REPLY_LIMIT_S = 30.0  # from the end of a line, or from the last message that began, to the next or the reply's end
HUNG_UP = "the agent hung up"
FRAME_SAMPLES = SPEECH_RATE_HZ * FRAME_MS // 1000
_FRAME_S = FRAME_MS / 1000
LATENESS_FRAMES = 50 * 600  # the last ten minutes of a call's frames


_SILENCE = bytes(FRAME_SAMPLES * 2)  # most of what a caller sends


class Caller:
    """One call. Use as a context manager: entering dials, leaving hangs up.

    others: where else the call's gateways are.
    binary: its audio, and the agent's, are binary messages.
    echo_db: the loudspeaker leaks into the microphone at this level (-20: a tenth of the amplitude), 60 ms late.
    """

    def __init__(
        self,
        address: Address,
        *,
        others: Sequence[Address] = (),
        agent: str = "",
        tell: Callable[[Moment], None] = lambda moment: None,
        keep_sound: bool = True,
        echo_db: float | None = None,
        binary: bool = False,
    ) -> None:
        self.listener = Listener(Player(keep_sound=keep_sound or echo_db is not None), tell)
        self.lateness_s: list[float] = []  # per frame, against the media clock
        self.began_s = 0.0  # wall time of sample 0
        self._address, self._agent, self._echo_db = address, agent, echo_db
        self._binary = binary
        self._urls = [address.realtime, *(other.realtime for other in others)]
        self._call: client.Call | None = None
        self._origin_s = 0.0  # loop time of sample 0
        self._frames = self._first_frame = 0
        self._line: tuple[Line, HeardTurn] | None = None
        self._line_at = 0
        self._lost = ""
        self.hung_up_on = False  # the other side ended the call
        self._changed = asyncio.Condition()
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def call_id(self) -> str:
        return self.listener.call_id

    @property
    def resumed(self) -> int:
        """How often another gateway took the call up."""
        return self._call.resumed if self._call is not None else 0

    @property
    def gaps_s(self) -> list[float]:
        """For each of these, how long no gateway served the call."""
        return self._call.gaps_s if self._call is not None else []

    @property
    def now(self) -> int:
        """Samples at SPEECH_RATE_HZ since the call began."""
        return int((asyncio.get_running_loop().time() - self._origin_s) * SPEECH_RATE_HZ)

    async def __aenter__(self) -> "Caller":
        try:
            await self._dial()
        except BaseException:
            await self.hang_up()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.hang_up()

    async def greeting(self) -> None:
        """Until the agent's greeting, where there is one, has been heard to its end. Raises NoReply, CallLost."""
        await self._until(lambda: self.listener.quiet(self.now), REPLY_LIMIT_S, "the greeting didn't end")

    async def say(self, line: Line) -> HeardTurn:
        """Says a line in real time; returns when its last voiced sample has been sent. Raises CallLost."""
        turn = self.listener.begin_turn()
        self._line, self._line_at = (line, turn), 0
        await self._until(
            lambda: turn.speech_end >= 0, len(line.samples) / SPEECH_RATE_HZ + 5.0, "the line wasn't sent"
        )
        return turn

    async def reply(self, turn: HeardTurn, limit_s: float = REPLY_LIMIT_S) -> None:
        """Until the reply to a line has been heard to its end, or ends the call. Raises NoReply, CallLost.

        limit_s: without another message: an approval may take its time, and is told of meanwhile.
        """
        while not self._is_answered(turn):
            begun = len(turn.items)
            more = partial(lambda begun: self._is_answered(turn) or len(turn.items) > begun, begun)
            await self._until(more, limit_s, "no whole reply came")

    def _is_answered(self, turn: HeardTurn) -> bool:
        return self.hung_up_on or self.listener.answered(turn, self.now)

    async def reply_heard(self, turn: HeardTurn, for_s: float, limit_s: float = REPLY_LIMIT_S) -> None:
        """Until the reply has been sounding for so long. Raises NoReply, CallLost."""
        begun = int(for_s * SPEECH_RATE_HZ)
        await self._until(
            lambda: self.listener.reply_began(turn, self.now - begun) is not None, limit_s, "no reply came"
        )

    async def hang_up(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._call is not None:
            await self._call.hang_up()
        self.listener.player.stop(self.now)

    def sound(self) -> Samples:
        """All that the caller heard, from the call's first sample to the last that sounded."""
        return self.listener.player.render(0, self.listener.player.end)

    async def _dial(self) -> None:
        call = client.connect(self._urls, self._address.key, model=self._agent, binary=self._binary)
        try:
            async with asyncio.timeout(CONNECT_LIMIT_S):
                await call.__aenter__()
        except client.Refused as error:
            raise Refused(error.url, error.status, error.message) from error
        except client.Unreachable as error:
            raise GatewaySilent(error.url, error.reason) from error
        except TimeoutError as error:
            raise GatewaySilent(self._address.realtime, f"no answer within {CONNECT_LIMIT_S:g} s") from error
        self._call = call
        self._origin_s, self.began_s = asyncio.get_running_loop().time(), time.time()
        self._tasks.append(asyncio.create_task(self._read(call), name="caller-read"))
        await self._until(lambda: bool(self.listener.call_id), CONNECT_LIMIT_S, "no session was created")
        call.send(realtime.configure())
        await self._until(lambda: self.listener.configured, CONNECT_LIMIT_S, "the session wasn't configured")
        self._first_frame = self._frames = self.now // FRAME_SAMPLES + 1
        self._tasks.append(asyncio.create_task(self._pace(call), name="caller-pace"))

    async def _until(self, holds: Callable[[], bool], limit_s: float, complaint: str) -> None:
        try:
            async with asyncio.timeout(limit_s), self._changed:
                await self._changed.wait_for(lambda: bool(self._lost) or self.hung_up_on or holds())
        except TimeoutError:
            raise NoReply(complaint, limit_s, self._last_seen()) from None
        if self._lost:
            raise CallLost(self._lost)
        if self.hung_up_on and not holds():
            raise CallLost(HUNG_UP)

    def _last_seen(self) -> str:
        errors = self.listener.errors
        return f"{self.listener.last_event} (error: {errors[-1]})" if errors else self.listener.last_event

    async def _read(self, call: client.Call) -> None:
        """Ends with the call, leaving why in _lost, unless it ended as calls do."""
        try:
            async for event in call:
                for answer in self.listener.on_event(event, self.now):
                    call.send(answer)
                await self._notify()
            self.hung_up_on = not (self.listener.errors or self.listener.answering)
            reason = "the gateway closed the socket"
        except client.CallLost as lost:
            reason = lost.reason
        except client.ClientError as error:
            reason = str(error)
        errors = self.listener.errors
        if self.hung_up_on:
            await self._notify()
        else:
            await self._lose(errors[-1] if errors else reason)

    async def _pace(self, call: client.Call) -> None:
        loop = asyncio.get_running_loop()
        while not (self._lost or self.hung_up_on):
            due_s = self._origin_s + (self._frames + 1) * _FRAME_S
            await asyncio.sleep(max(0.0, due_s - loop.time()))
            if len(self.lateness_s) < LATENESS_FRAMES:
                self.lateness_s.append(loop.time() - due_s)
            silent = self._line is None and self._echo_db is None
            call.append_audio(_SILENCE if silent else pcm.to_bytes(self._next_frame()))
            self._frames += 1
            await self._notify()

    def _next_frame(self) -> Samples:
        frame = np.zeros(FRAME_SAMPLES, dtype=np.int16)
        if self._line is not None:
            self._speak_into(frame, *self._line)
        if self._echo_db is not None:
            leak = self.listener.player.render((self._frames - 3) * FRAME_SAMPLES, FRAME_SAMPLES)
            frame = pcm.from_float(pcm.to_float(frame) + pcm.to_float(pcm.amplify(leak, self._echo_db)))
        return frame

    def _speak_into(self, frame: Samples, line: Line, turn: HeardTurn) -> None:
        part = line.samples[self._line_at : self._line_at + FRAME_SAMPLES]
        frame[: len(part)] = part
        if self._line_at < max(1, line.voiced_end) <= self._line_at + FRAME_SAMPLES:
            self.listener.end_speech(turn, self._frames * FRAME_SAMPLES + line.voiced_end - self._line_at)
        self._line_at += FRAME_SAMPLES
        if self._line_at >= len(line.samples):
            self._line = None

    async def _lose(self, reason: str) -> None:
        self._lost = self._lost or reason
        await self._notify()

    async def _notify(self) -> None:
        async with self._changed:
            self._changed.notify_all()
