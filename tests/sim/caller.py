"""A caller with a client of ours: says his turns, waits for the replies, and tells what he met with.

The client is the real one, and so is the gateway's end of it; only the socket between them is simulated. So whatever a
client does when its gateway dies, hangs or drains is in every history.
"""

import asyncio
from contextlib import suppress

from sim.acts import FORBIDDEN
from sim.history import ENDINGS, History, Moment, TurnPlan
from sim.loop import Life
from sim.model import reply
from sim.sound import FRAME_S, SILENCE, cough, is_of, sent, utterance, words_of
from sim.world import KEY, WINDOW_S, World
from trunkline.audio.pcm import Samples
from trunkline.cli.chaos.evidence import Account, Ending, Piece, Said
from trunkline.client import Call, ClientError, ServerEvent, connect
from trunkline.proto.audio import SAMPLE_BYTES, SPEECH_RATE_HZ
from trunkline.proto.ids import new_item_id

URL = "ws://sim/v1/realtime"
PLACE_LIMIT_S = 10.0
TURN_LIMIT_S = 35.0  # more than any turn may take
COUGH_FRAMES = 1
END_LIMIT_S = 15.0  # for an agent that has said goodbye to hang up
MARGIN_S = 1e-4
_SILENCE = sent(SILENCE)


class CallerGaveUp(Exception):
    pass


class Caller:
    """call_id: empty until the call is placed. moments: what the caller's turn is at, for faults that aim."""

    def __init__(self, world: World, history: History) -> None:
        self.world = world
        self.life = Life("caller", world.loop)
        self.call_id = ""
        self.problem = ""
        self.gone = asyncio.Event()  # he won't do anything any more
        self.reached: dict[tuple[int, Moment], asyncio.Event] = {}
        self._history = history
        self._loop = world.loop
        self._call: Call
        self._frames: list[Samples] = []
        self._said: list[Said] = []
        self._transcripts: dict[str, str] = {}  # by item: another gateway may understand something else
        self._heard: list[Piece] = []
        self._interruptions_s: list[float] = []
        self._end: Ending = "unaware"
        self._ended_s = 0.0
        self._turn = 0
        self._plan: TurnPlan
        self._answers = 0  # the turn that the response answers which he hears now
        self._typed = "", ""  # the last item of his that he didn't speak
        self._placed = asyncio.Event()
        self._first_audio = asyncio.Event()
        self._response_over = asyncio.Event()
        self._over = asyncio.Event()
        self._play_until_s = 0.0
        self._leaks: list[str] = []
        self._ask_again = False
        self._texts: dict[tuple[str, int], str] = {}  # of each item, by segment

    def reach(self, turn: int, moment: Moment) -> asyncio.Event:
        return self.reached.setdefault((turn, moment), asyncio.Event())

    def account(self) -> Account:
        return Account(
            said=self._said,
            transcripts=list(self._transcripts.values()),
            heard=self._heard,
            interruptions_s=self._interruptions_s,
            end=self._end,
            ended_s=self._ended_s,
            resumed=self._call.resumed if self.call_id else 0,
            resume_gaps_s=self._call.gaps_s if self.call_id else [],
            problem=self.problem,
            leaks=self._leaks,
        )

    async def run(self) -> None:
        """The whole call."""
        live = self.life.spawn(self._live())
        gone = self._loop.create_task(self.gone.wait())
        await asyncio.wait((live, gone), return_when=asyncio.FIRST_COMPLETED)
        gone.cancel()
        if live.done():
            live.result()

    def vanish(self) -> None:
        """His machine is gone, and nobody comes back for the call."""
        self._end, self._ended_s = "vanished", self.world.wall_s()
        self._said = [said for said in self._said if said.answered_s]
        self.life.kill()
        self.world.front.lost(self.life)
        self.gone.set()

    async def _live(self) -> None:
        try:
            async with connect(URL, KEY, window_s=WINDOW_S, binary=self._history.seed % 2 == 1) as self._call:
                listening = self._loop.create_task(self._listen())
                try:
                    await self._talk()
                finally:
                    if self._end == "unaware":
                        self._end, self._ended_s = "hung_up", self.world.wall_s()
            await listening
        except (CallerGaveUp, ClientError) as failure:
            if self._agent_ended and isinstance(failure, CallerGaveUp):
                self._close_his_account()
            else:
                self.problem = self.problem or str(failure)

    async def _talk(self) -> None:
        await self._until(self._placed, "no session was created", PLACE_LIMIT_S)
        microphone = self._loop.create_task(self._speak())
        try:
            for number, turn in enumerate(self._history.turns):
                await self._take(turn, last=number == len(self._history.turns) - 1)
        finally:
            microphone.cancel()

    async def _speak(self) -> None:
        """The microphone: a frame at a time, in real time, silence between what is said."""
        begun_s = self._loop.now_s
        frames_sent = 0
        while True:
            self._call.append_audio(sent(self._frames.pop(0)) if self._frames else _SILENCE)
            frames_sent += 1
            await asyncio.sleep(begun_s + frames_sent * FRAME_S - self._loop.now_s)

    # his turns

    async def _take(self, turn: TurnPlan, *, last: bool) -> None:
        self._turn = turn.number
        self._plan = turn
        self._first_audio.clear()
        self._response_over.clear()
        self.reach(turn.number, "listening").set()
        words = words_of(turn.spoken, turn.frames)
        if turn.typed:
            self._type(words)
        else:
            await self._say(utterance(turn.spoken, turn.frames))
        said = Said(words, self.world.wall_s(), kind=turn.kind)
        if self._history.repeatable:
            said = Said(said.words, said.ended_s, reply=reply(turn), kind=turn.kind)
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
        if turn.cancel_after_s:
            await self._for(turn.cancel_after_s)
            if not self._response_over.is_set():
                self._interruptions_s.append(self.world.wall_s())
                self._call.send({"type": "response.cancel"})
        if turn.cough_after_s:
            await self._for(turn.cough_after_s)
            await self._say(cough(COUGH_FRAMES))
        await self._until(self._response_over, "the answer never ended")
        while self._play_until_s > self._loop.now_s + MARGIN_S:
            await self._for(self._play_until_s - self._loop.now_s + MARGIN_S)
        self._answered()
        self.reach(turn.number, "between").set()
        if turn.act in ENDINGS:
            await self._see_the_end()
        await self._for(turn.pause_s)

    def _close_his_account(self) -> None:
        """What he was saying came too late, what was said to him is over."""
        if self._plan.act not in ENDINGS:
            self._said = [said for said in self._said if said.answered_s]
        elif self._said and not self._said[-1].answered_s:
            self._answered()

    @property
    def _agent_ended(self) -> bool:
        """The call is over, and the agent had said goodbye: whoever wanted to speak over that came too late."""
        return self._end == "closed" and any(turn.act in ENDINGS for turn in self._history.turns[: self._turn])

    async def _see_the_end(self) -> None:
        """The agent said goodbye, and nobody spoke since."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._over.wait(), END_LIMIT_S)
        if not self._over.is_set() and self._history.repeatable and not self._history.store_unsure:
            self.problem = self.problem or "the agent said goodbye, and the call went on"
        raise CallerGaveUp("")

    def _answered(self) -> None:
        said = self._said[-1]
        self._said[-1] = Said(said.words, said.ended_s, self.world.wall_s(), said.reply, said.kind)

    def _type(self, words: str) -> None:
        self._typed = new_item_id(), words
        part = {"type": "input_text", "text": words}
        item = {"id": self._typed[0], "type": "message", "role": "user", "content": [part]}
        self._call.send({"type": "conversation.item.create", "item": item})
        self._call.send({"type": "response.create"})

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

    # what he sees

    async def _listen(self) -> None:
        try:
            async for event in self._call:
                self._see(event)
        except ClientError as error:
            self.problem = self.problem or str(error)
        if self._end == "unaware":
            self._end, self._ended_s = "closed", self.world.wall_s()
        self._over.set()

    def _see(self, event: ServerEvent) -> None:
        if event.type == "response.done" and self._ask_again:
            self._ask_again = False
            self._call.send({"type": "response.create"})
        if event.type != "response.output_audio.delta" and any(word in event.text for word in FORBIDDEN):
            self._leaks.append(event.text)
        match event.type:
            case "session.created":
                self.call_id = self._call.id.removeprefix("sess_")
                self._placed.set()
            case "conversation.item.input_audio_transcription.completed":
                self._transcripts[event.item_id] = event.transcript
            case "conversation.item.added" if event.item.id == self._typed[0]:
                self._transcripts[event.item.id] = self._typed[1]
            case "response.created":
                self._answers = len(self._transcripts)
                self._response_over.clear()
            case "response.output_item.added" if event.item.phase == "commentary" and self._answers == self._turn:
                self.reach(self._turn, "tool").set()
            case "response.output_audio_transcript.delta":
                self._texts[event.item_id, event.segment] = event.delta
            case "response.output_audio.delta":
                self._hear(event)
            case "response.done" if self._answers == self._turn and (
                event.response.status != "cancelled" or self._plan.cancel_after_s
            ):
                self._response_over.set()
            case "error" if event.error.code == "conversation_already_has_active_response":
                self._ask_again = True  # the agent had news
            case "error" if event.error.code == "response_cancel_not_active":
                """The response ended as the client was about to end it."""
            case "error":
                self.problem = self.problem or event.error.message

    def _hear(self, event: ServerEvent) -> None:
        pcm = event.audio
        samples = len(pcm) // SAMPLE_BYTES
        self._play_until_s = max(self._play_until_s, self._loop.now_s) + samples / SPEECH_RATE_HZ
        self._heard.append(Piece(event.item_id, event.segment, event.position, samples, self.world.wall_s()))
        text = self._texts.get((event.item_id, event.segment))
        if text is not None and not is_of(pcm, text, event.position):
            self.problem = self.problem or f"segment {event.segment} of {event.item_id} doesn't sound like its words"
        if self._answers == self._turn:
            self._first_audio.set()
