"""The speaking side of a call: the agent's words to TTS, its audio to the caller, what was heard back to the agent.

One response has the slot at a time, from the turn that asks for it until its end has been sent to the client.
"""

from collections.abc import Callable, Collection, Mapping

from trunkline.bus.port import Headers
from trunkline.gateway import metrics
from trunkline.gateway.call_events import AudioSaid, CallEvent, ItemCut, Silenced, WordsSaid
from trunkline.gateway.owed import Awaited, Owed
from trunkline.gateway.playout import Playout, Segment
from trunkline.gateway.script import (
    CloseItem,
    CloseResponse,
    End,
    Line,
    OpenItem,
    OpenResponse,
    Reason,
    Said,
    Style,
    Words,
    heard_ms,
    require_sent,
    shorten,
)
from trunkline.gateway.synthesis import Send, Synthesis
from trunkline.gateway.telling import Telling
from trunkline.proto.audio import SPEECH_RATE_HZ, AudioChunk
from trunkline.proto.envelope import Message
from trunkline.proto.errors import BadInput
from trunkline.proto.response import (
    HangUp,
    ItemFinished,
    ItemStarted,
    PhaseSettled,
    Played,
    ResponseFinished,
    ResponseStarted,
    Say,
    ToolAsked,
    Utterance,
)

FAREWELL_SAMPLES = SPEECH_RATE_HZ * 60 // 1000  # of a word's end: who hangs up then has heard it


class Speaking:
    """clock: in samples at SPEECH_RATE_HZ. on_free: a turn's response is over. on_hang_up: the last word is heard."""

    def __init__(
        self,
        clock: Callable[[], int],
        *,
        emit: Callable[[CallEvent], None],
        tell_agent: Callable[[Message], None],
        on_free: Callable[[int], None],
        on_hang_up: Callable[[str], None],
    ) -> None:
        self.voice, self.speed, self.audible = "", 1.0, True
        self.voices: tuple[str, ...] = ()
        self.playout = Playout()
        self._clock = clock
        self._emit = emit
        self._tell_agent = tell_agent
        self._on_free, self._on_hang_up = on_free, on_hang_up
        self._synthesis = Synthesis(clock)
        self._started = False
        self._script: list[Line] = []
        self._said = Said()
        self.owed = Owed()
        self._got: Mapping[tuple[str, int], int] = {}
        self._telling = Telling(emit, on_free)
        self._number = 0
        self._style: Style | None = None  # of the response that the agent speaks now; None for the session's
        self._response_audible = True
        self._fresh = False  # its first segment is still to come

    # the slot

    @property
    def slot_taken(self) -> bool:
        return not self.says_only(())

    def says_only(self, responses: Collection[str]) -> bool:
        """Of those that are awaited, open or about to be, none but these."""
        opened = (line for line in (self._telling.opened, *self._script) if isinstance(line, OpenResponse))
        return self.owed.awaits_only(responses) and all(line.response in responses for line in opened)

    @property
    def busy(self) -> bool:
        """A response is on its way or still being heard."""
        return self.slot_taken or bool(self._script) or self.playout.lead(self._clock()) > 0

    @property
    def due(self) -> int | None:
        """Clock from which on a pump has something to do, unless news come before; None for never."""
        if not self._started:
            return None
        now, playout = self._clock(), self.playout
        heard_at = playout.moves_at
        if not self._script:
            return heard_at
        sent_at = playout.sends_at(now)
        return sent_at if heard_at is None else min(heard_at, sent_at)

    def expect(self, turn: int, ended_at: int | None = None, response: str = "", style: Style | None = None) -> None:
        """A response is asked for. turn: 0 for a client's own. ended_at: clock of the caller's last voiced sample.

        response: the id that it shall have; without one it is known by its turn. style: None for the session's.
        """
        self.owed.ask(Awaited(turn, self._clock(), response, style=style))
        if ended_at is not None:
            self._telling.first_audio.asked(turn, ended_at)

    # the client

    def start(self) -> None:
        """The client is there: what waits goes out."""
        self._started = True
        self.pump()

    def suspend(self) -> None:
        """The client is away: what it can't have heard doesn't count, and nothing is sent until one starts."""
        now = self._clock()
        for segment in self.playout.advance(now):
            self._tell_played(segment)
        self.playout.flush(now)
        self._started = False

    def adopt_progress(self, got: Mapping[tuple[str, int], int]) -> None:
        """got: samples that the client has, from an earlier gateway, of each (item, index of a segment)."""
        self._got = got

    # who serves the call

    def tts_placed(self, tts: Send) -> None:
        """From now on this worker speaks; what the last one left incomplete is ordered again."""
        self._synthesis.placed(tts)

    def tts_lost(self) -> None:
        self._synthesis.lost()

    @property
    def tts_movable(self) -> bool:
        """Nothing is incomplete at TTS."""
        return self._synthesis.movable

    def tts_stalled(self, now_s: float) -> bool:
        """Words are ordered, and no audio comes. now_s: of the same clock."""
        return self._synthesis.stalled(int(now_s * SPEECH_RATE_HZ))

    # what the agent says

    def on_agent(self, message: Message, headers: Headers | None) -> None:
        self.learn(message, headers)
        self.pump()

    def learn(self, message: Message, headers: Headers | None) -> None:
        """What is known already changes nothing, so that another agent may say it again. The client hears of it with
        the next pump, behind the order of its words."""
        if isinstance(message, Utterance) and not self.owed.learn(message):
            return
        response = getattr(message, "response", "")
        match message:
            case ResponseStarted():
                self._begin_response(message)
            case ItemStarted(item=item, phase=phase, voice=voice):
                self._telling.settle(item, phase)
                self._said.begin(item, voice)
                self._script.append(OpenItem(response, item, phase))
            case Say():
                self._say(message, headers)
            case PhaseSettled(item=item, phase=phase):
                self._telling.settle(item, phase)
            case ItemFinished(item=item, phase=phase):
                self._telling.settle(item, phase)
                self._script.append(CloseItem(response, item))
            case ToolAsked():
                self._script.append(message)
            case ResponseFinished():
                tokens = message.input_tokens, message.output_tokens
                self._script.append(CloseResponse(response, message.status, message.detail, *tokens))
            case HangUp(reason=reason) if not self.owed.went_on:
                self._script.append(End(reason))

    def _begin_response(self, message: ResponseStarted) -> None:
        awaited = self.owed.begin(message)
        self._style = awaited.style if awaited is not None else None
        self._response_audible = self.audible if self._style is None else self._style.audible
        line = OpenResponse(message.response, message.turn, self._response_audible)
        if awaited is not None and awaited.doomed:
            self._cut(line.response, awaited.doomed)
            self._telling.end_unseen(line, awaited.doomed)
            return
        self._fresh = True
        self._script.append(line)

    def _say(self, message: Say, headers: Headers | None) -> None:
        self._number += 1
        segment = Segment(self._number, message.item, message.index, self._got.get((message.item, message.index), 0))
        style = self._style or Style(self.voice, self.speed)
        voice = self._said.voice_of(message.item) or style.voice
        words = Words(message.response, segment, message.text, self._response_audible, voice, style.speed)
        words.urgent, words.headers = self._fresh, headers
        self._fresh = False
        self._said.add(message.response, segment, message.text)
        self._script.append(words)
        if words.audible:
            self._synthesis.add(words)

    # what TTS says

    def on_tts(self, message: Message) -> None:
        self._synthesis.on_fact(message)
        self.pump()

    def on_chunk(self, chunk: AudioChunk) -> None:
        if self._synthesis.on_chunk(chunk) and self.playout.has_room(self._clock()):
            self.pump()

    # what goes out

    def hold(self) -> None:
        self.playout.held = True

    def resume(self) -> None:
        self.playout.held = False
        self.pump()

    def pump(self) -> None:
        """Sends what is due; when its time has come, and when something new came."""
        if not self._started:
            return
        now = self._clock()
        for segment in self.playout.advance(now):
            self._tell_played(segment)
        while self._script:
            line = self._script[0]
            if isinstance(line, Words) and not self._utter(line, now):
                break
            if isinstance(line, End) and self.playout.lead(now) > 0:
                break
            del self._script[0]
            self._perform(line)
        self._synthesis.order_ahead()

    def _perform(self, line: Line) -> None:
        if isinstance(line, End):
            self._on_hang_up(line.reason)
            return
        if isinstance(line, ToolAsked):
            self._said.ask(line.response, line.tool_call)
        self._telling.perform(line)

    def _utter(self, words: Words, now: int) -> bool:
        """Whether all of it was sent."""
        segment = words.segment
        if not words.audible:
            self._emit(WordsSaid(words.response, segment.item, words.text, segment.index))
            segment.close()
            self._tell_played(segment)
            return True
        late, position = self.playout.lateness(now), segment.sent
        pcm = self.playout.take(segment, now)
        if pcm or segment.all_sent:
            self._telling.begin_words(words, now, late)
        if pcm:
            self._emit(AudioSaid(words.response, segment.item, pcm, segment.index, position))
        if segment.all_sent:
            self._synthesis.sent(words)
            if segment.heard >= segment.sent:  # nothing to hear, or its length was told only now
                self._tell_played(segment)
            return True
        self._synthesis.ask_if_missing(words, now)
        return False

    def _tell_played(self, segment: Segment) -> None:
        if not segment.told:
            segment.told = True
            self._tell_agent(Played(segment.extent()))

    # the end before its time

    def cancel(self, response: str | None) -> None:
        """The client's word. Raises BadInput when there is nothing to cancel."""
        opened = self._telling.opened
        current = opened.response if opened is not None else None
        if not self.slot_taken or response not in (None, current):
            raise BadInput("response_id", "no such response is active", "", code="response_cancel_not_active")
        self.interrupt("client_cancelled")

    def truncate(self, item: str, index: int, end_ms: int) -> None:
        """The client's word on what was heard of an item; cuts what is still being said of it. Raises BadInput."""
        response, segments = self._said.of_item(item)
        require_sent(segments, end_ms)
        going_on = response in self._said.unheard()
        if going_on:
            self.playout.flush(self._clock())
        changed = shorten(segments, end_ms)
        if going_on:
            self.interrupt("truncated")
        elif changed:
            self._tell_agent(self._said.interrupt(response, "truncated"))
        self._emit(ItemCut(item, index, min(end_ms, heard_ms(segments)), self._said.heard_text(item)))

    def hung_up(self) -> None:
        """The call ends: tells the agent what was heard of what is not heard to its end."""
        for segment in self.playout.advance(self._clock() + FAREWELL_SAMPLES):
            self._tell_played(segment)
        for response in self._said.unheard():
            self._tell_agent(self._said.interrupt(response, "client_cancelled"))

    def interrupt(self, reason: Reason) -> None:
        """Ends every response that is asked for, going on or not heard to its end."""
        now = self._clock()
        for segment in self.playout.advance(now):
            self._tell_played(segment)
        self.playout.flush(now)
        self._emit(Silenced(reason))
        self.owed.doom(reason)
        self._synthesis.hush()
        lines, self._script = self._script, []
        if any(isinstance(line, End) for line in lines):
            self.owed.went_on = True  # also where every word was heard: the next agent must not hang up for the last
        unopened = [line for line in lines if isinstance(line, OpenResponse)]
        opened = [self._telling.opened] if self._telling.opened is not None else []
        cut = dict.fromkeys([*self._said.unheard(), *(x.response for x in opened + unopened)])
        items = [item for response in cut for item in self._said.unheard_items(response)]
        for response in cut:
            self._cut(response, reason)
        self._telling.drop_item()
        for item in items:
            _, segments = self._said.of_item(item)
            self._emit(ItemCut(item, 0, heard_ms(segments), self._said.heard_text(item), asked=False))
        self._telling.cut(unopened, reason)

    def forgo(self, response: str) -> None:
        """A response that nobody asked for, and of which no client has been told, is not said: the slot is free."""
        self._cut(response, "client_cancelled")
        self._synthesis.hush()
        self._script = [line for line in self._script if line.response != response]
        self._on_free(0)

    def _cut(self, response: str, reason: Reason) -> None:
        metrics.interruptions.labels(reason).inc()
        self._tell_agent(self._said.interrupt(response, reason))
        self._said.settle(response)
        self.owed.cut(response)
