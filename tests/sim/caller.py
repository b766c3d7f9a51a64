"""A caller at the seam of a call's events: says his turns, waits for the replies, and tells what he met with.

His line to the gateway takes its time both ways. A gateway that dies takes the line with it.
"""

import asyncio
from collections.abc import Callable

from sim.history import History, Moment, TurnPlan
from sim.model import reply
from sim.network import AFTER
from sim.sound import FRAME_S, SILENCE, cough, is_of, utterance, words_of
from sim.world import Worker, World
from trunkline.audio.pcm import Samples
from trunkline.cli.chaos.evidence import Account, Ending, Piece, Said
from trunkline.gateway import call_events as ev
from trunkline.gateway.call import Call
from trunkline.proto.audio import SAMPLE_BYTES, SPEECH_RATE_HZ
from trunkline.proto.errors import TrunklineError

LINE_S = 0.002  # one way
PLACE_LIMIT_S = 10.0
TURN_LIMIT_S = 35.0  # more than any turn may take
COUGH_FRAMES = 1
MARGIN_S = 1e-4


class CallerGaveUp(Exception):
    pass


class Caller:
    """moments: what the caller's turn is at, for faults that aim; set by what he sees and does."""

    def __init__(self, world: World, history: History) -> None:
        self.world = world
        self.call: Call | None = None
        self.gateway: Worker | None = None
        self.problem = ""
        self.reached: dict[tuple[int, Moment], asyncio.Event] = {}
        self._history = history
        self._loop = world.loop
        self._frames: list[Samples] = []
        self._said: list[Said] = []
        self._transcripts: list[str] = []
        self._heard: list[Piece] = []
        self._interruptions_s: list[float] = []
        self._end: Ending = "unaware"
        self._ended_s = 0.0
        self._turn = 0
        self._answers = 0  # the turn that the response answers which he hears now
        self._up_s = self._down_s = 0.0  # when what was sent last arrives
        self._frames_sent = 0
        self._first_audio = asyncio.Event()
        self._response_over = asyncio.Event()
        self._over = asyncio.Event()
        self._play_until_s = 0.0
        self._texts: dict[str, list[str]] = {}  # of each item, by segment

    def reach(self, turn: int, moment: Moment) -> asyncio.Event:
        return self.reached.setdefault((turn, moment), asyncio.Event())

    def account(self) -> Account:
        return Account(
            said=self._said,
            transcripts=self._transcripts,
            heard=self._heard,
            interruptions_s=self._interruptions_s,
            end=self._end,
            ended_s=self._ended_s,
            problem=self.problem,
        )

    async def run(self) -> None:
        """The whole call."""
        try:
            await self._dial()
            microphone = self._loop.create_task(self._speak())
            try:
                for number, turn in enumerate(self._history.turns):
                    await self._take(turn, last=number == len(self._history.turns) - 1)
            finally:
                microphone.cancel()
            await self._hang_up()
        except CallerGaveUp as given_up:
            self.problem = self.problem or str(given_up)
            await self._hang_up()

    # his line

    async def _dial(self) -> None:
        gateways = self.world.of("gateway")
        gateway = self.gateway = gateways[0]
        placing = gateway.life.spawn(gateway.service.calls.place(""))
        await asyncio.wait([placing], timeout=PLACE_LIMIT_S)
        if not placing.done():
            raise CallerGaveUp("the call was not placed")
        if error := placing.exception():
            raise CallerGaveUp(f"refused: {error}") if isinstance(error, TrunklineError) else error
        self.call = placing.result()
        self._to_gateway(self.call.start, self)

    def _to_gateway(self, step: Callable[..., None], *args: object) -> None:
        assert self.gateway is not None
        self._up_s = max(self._up_s + AFTER, self._loop.now_s + LINE_S)
        self._loop.call_at(self._up_s, step, *args, context=self.gateway.life.context)

    def on_event(self, event: ev.CallEvent) -> None:
        """Runs at the gateway."""
        self._down_s = max(self._down_s + AFTER, self._loop.now_s + LINE_S)
        self._loop.call_at(self._down_s, self._see, event, context=self.world.outside)

    async def _speak(self) -> None:
        """The microphone: a frame at a time, in real time, silence between what is said."""
        begun_s = self._loop.now_s
        assert self.call is not None
        while True:
            frame = self._frames.pop(0) if self._frames else SILENCE
            self._to_gateway(self.call.hear, frame)
            self._frames_sent += 1
            await asyncio.sleep(begun_s + self._frames_sent * FRAME_S - self._loop.now_s)

    # his turns

    async def _take(self, turn: TurnPlan, *, last: bool) -> None:
        self._turn = turn.number
        self._first_audio.clear()
        self._response_over.clear()
        self.reach(turn.number, "listening").set()
        await self._say(utterance(turn.number, turn.frames))
        said = Said(words_of(turn.number, turn.frames), self.world.wall_s(), kind=turn.kind)
        if self._history.repeatable:
            said = Said(said.words, said.ended_s, reply=reply(turn, turn.number), kind=turn.kind)
        self._said.append(said)
        self.reach(turn.number, "thinking").set()
        await self._until(self._first_audio, "no answer")
        self.reach(turn.number, "answering").set()
        if turn.cut_after_s and not last:
            await self._for(turn.cut_after_s)
            if not self._response_over.is_set():
                self._interruptions_s.append(self.world.wall_s())
            self._answered()
            return
        if turn.cough_after_s:
            await self._for(turn.cough_after_s)
            await self._say(cough(COUGH_FRAMES))
        await self._until(self._response_over, "the answer never ended")
        while self._play_until_s > self._loop.now_s + MARGIN_S:
            await self._for(self._play_until_s - self._loop.now_s + MARGIN_S)
        self._answered()
        self.reach(turn.number, "between").set()
        await self._for(turn.pause_s)

    def _answered(self) -> None:
        said = self._said[-1]
        self._said[-1] = Said(said.words, said.ended_s, self.world.wall_s(), said.reply, said.kind)

    async def _say(self, frames: list[Samples]) -> None:
        """Until the last frame was said."""
        self._frames.extend(frames)
        await self._for((len(frames) + 1) * FRAME_S)

    async def _for(self, seconds: float) -> None:
        await self._until(asyncio.Event(), "", seconds)

    async def _until(self, event: asyncio.Event, otherwise: str, seconds: float = TURN_LIMIT_S) -> None:
        """Raises CallerGaveUp when the call ends, or with `otherwise` after so many seconds."""
        waits = [self._loop.create_task(one.wait()) for one in (event, self._over)]
        try:
            done, _ = await asyncio.wait(waits, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
        if self._over.is_set():
            raise CallerGaveUp("the call was ended")
        if not done and otherwise:
            raise CallerGaveUp(otherwise)

    async def _hang_up(self) -> None:
        if self.call is None or self._over.is_set():
            return
        self._to_gateway(self.call.end, "caller_hung_up")
        self._end, self._ended_s = "hung_up", self.world.wall_s()

    # what he sees

    def _see(self, event: ev.CallEvent) -> None:
        match event:
            case ev.Transcribed(text=text):
                self._transcripts.append(text)
            case ev.ResponseOpened():
                self._answers = len(self._transcripts)
                self._response_over.clear()
            case ev.ItemOpened(phase="commentary") if self._answers == self._turn:
                self.reach(self._turn, "tool").set()
            case ev.WordsSaid(item=item, text=text):
                self._texts.setdefault(item, []).append(text)
            case ev.AudioSaid():
                self._hear(event)
            case ev.ResponseEnded(status=status) if status != "cancelled" and self._answers == self._turn:
                self._response_over.set()
            case ev.CallOver(code=code, detail=detail):
                self._over.set()
                if self._end == "unaware":
                    self._end, self._ended_s = "closed", self.world.wall_s()
                self.problem = self.problem or detail or code

    def _hear(self, audio: ev.AudioSaid) -> None:
        samples = len(audio.pcm) // SAMPLE_BYTES
        self._play_until_s = max(self._play_until_s, self._loop.now_s) + samples / SPEECH_RATE_HZ
        self._heard.append(Piece(audio.item, audio.segment, audio.position, samples, self.world.wall_s()))
        texts = self._texts.get(audio.item, [])
        if audio.segment < len(texts) and not is_of(audio.pcm, texts[audio.segment], audio.position):
            self.problem = self.problem or f"segment {audio.segment} of {audio.item} doesn't sound like its words"
        if self._answers == self._turn:
            self._first_audio.set()
