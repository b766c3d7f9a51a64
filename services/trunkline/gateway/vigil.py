"""Watches over the silence of one call, with one timer, which fires about once in the time that it may be silent."""

import asyncio
from collections.abc import Callable

from trunkline.gateway.asking import Asking
from trunkline.gateway.call_events import (
    AudioCommitted,
    CallEvent,
    ResponseEnded,
    ResponseOpened,
    SpeechEnded,
    TimedOut,
    Transcribed,
)
from trunkline.gateway.listening import Listening
from trunkline.gateway.silence import Silence
from trunkline.gateway.speaking import Speaking
from trunkline.gateway.turns import Turns
from trunkline.proto.audio import CALLER_RATE_HZ, SPEECH_RATE_HZ
from trunkline.proto.ids import new_item_id


class Vigil:
    """clock: in samples at SPEECH_RATE_HZ. on_failure: of the call.

    Where the client wishes for it, only the silence after an answer counts, the client is told of it, and the model
    answers; what an agent has set for its callers' silence is said in either case.
    """

    def __init__(
        self,
        clock: Callable[[], int],
        turns: Turns,
        listening: Listening,
        speaking: Speaking,
        asking: Asking,
        *,
        emit: Callable[[CallEvent], None],
        on_failure: Callable[[Exception], None],
    ) -> None:
        self._clock = clock
        self._turns = turns
        self._speaking = speaking
        self._listening = listening
        self._present = False  # a client is there to be asked
        self._own_s: float | None = None  # of the call's first agent
        self._wished_s = 0.0
        self._over = False
        self._answered = False  # and nobody has said anything since
        self._asking = asking
        self._emit = emit
        self._on_failure = on_failure
        self._silence: Silence | None = None
        self._timer: asyncio.TimerHandle | None = None

    def keep(self, idle_s: float) -> None:
        """As the call's first agent wants it; 0 for no such thing."""
        if self._own_s is None:
            self._own_s = idle_s
            self._watch()

    def wish(self, idle_s: float) -> None:
        """As the client's session has it; 0 for the agent's own."""
        if idle_s != self._wished_s:
            self._wished_s = idle_s
            self._watch()

    def close(self) -> None:
        self._over = True
        self._stop()

    def _stop(self) -> None:
        self._silence = None
        if self._timer is not None:
            self._timer.cancel()

    def _watch(self) -> None:
        self._stop()
        idle_s = self._wished_s or self._own_s or 0.0
        if idle_s > 0 and not self._over:
            self._silence = Silence(round(idle_s * SPEECH_RATE_HZ), self._clock())
            self._look_in(self._silence.idle)

    def client_left(self) -> None:
        self._present = False

    def client_came(self) -> None:
        self._present = True
        if self._silence is not None:
            self._silence.sounded(self._clock())

    def caller_said(self, to_sample: int) -> None:
        """A turn with words. to_sample: its end; 0 for typed text."""
        self._answered = False
        if self._silence is not None:
            self._silence.caller_said(self._listening.clock_of(to_sample) if to_sample else self._clock())

    def on_event(self, event: CallEvent) -> None:
        if isinstance(event, ResponseEnded):
            self._answered = True
        if self._silence is None:
            return
        match event:
            case SpeechEnded(at_sample=at_sample):
                self._silence.sounded(self._listening.clock_of(at_sample))
            case ResponseOpened(response=response):
                self._silence.agent_answers(response)
            case ResponseEnded():
                self._silence.sounded(self._clock())

    def _going_on(self) -> bool:
        """Somebody speaks, or is about to, or nobody is there."""
        awaited = bool(self._wished_s) and not self._answered
        return awaited or not self._present or self._turns.under_way or self._speaking.busy

    def _sound_to(self) -> int:
        """Of either side. Where no VAD tells a voice from silence, whatever a client sends is the caller's voice."""
        unjudged = 0 if self._turns.policy.automatic else self._listening.heard_at
        return max(self._speaking.playout.ends_at, unjudged)

    def _time_out(self, quiet: int) -> None:
        """The client's limit: its silence is an item of the conversation, as with the vendor."""
        end, item = self._listening.ring.end, new_item_id()
        begin = max(0, end - quiet * CALLER_RATE_HZ // SPEECH_RATE_HZ)
        self._emit(TimedOut(item, begin, end))
        self._emit(AudioCommitted(item))
        self._emit(Transcribed(item, "", (end - begin) / CALLER_RATE_HZ))

    def _look_in(self, samples: int) -> None:
        self._timer = asyncio.get_running_loop().call_later(samples / SPEECH_RATE_HZ, self._look)

    def _look(self) -> None:
        silence = self._silence
        if silence is None:
            return
        try:
            now = self._clock()
            silence.sounded(min(self._sound_to(), now))
            wait = silence.look(now, going_on=self._going_on())
            if not wait:
                if self._wished_s:
                    self._time_out(silence.quiet(now))
                count = silence.tell(now)
                silence.is_answered_by(self._asking.away(count) if self._own_s else self._asking.prompt())
                wait = silence.idle
        except Exception as error:  # the rim of a call: its timer is nobody else's
            self._on_failure(error)
        else:
            self._look_in(wait)
