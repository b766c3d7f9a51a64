"""Watches over the silence of one call, with one timer, which fires about once in the time that it may be silent."""

import asyncio
from collections.abc import Callable

from trunkline.gateway.call_events import CallEvent, ResponseEnded, ResponseOpened, SpeechEnded
from trunkline.gateway.listening import Listening
from trunkline.gateway.silence import Silence
from trunkline.gateway.speaking import Speaking
from trunkline.gateway.turns import Turns
from trunkline.proto.audio import SPEECH_RATE_HZ


class Vigil:
    """clock: in samples at SPEECH_RATE_HZ.

    tell: the agent, for the how manieth time; returns the response with which it answers. on_failure: of the call.
    """

    def __init__(
        self,
        clock: Callable[[], int],
        turns: Turns,
        speaking: Speaking,
        listening: Listening,
        *,
        tell: Callable[[int], str],
        on_failure: Callable[[Exception], None],
    ) -> None:
        self._clock = clock
        self._turns = turns
        self._speaking = speaking
        self._listening = listening
        self._present = False  # a client is there to be asked
        self._kept = False
        self._tell = tell
        self._on_failure = on_failure
        self._silence: Silence | None = None
        self._timer: asyncio.TimerHandle | None = None

    def keep(self, idle_s: float) -> None:
        """As the call's first agent wants it; 0 for no such thing."""
        kept, self._kept = self._kept, True
        if not kept and idle_s > 0:
            self._silence = Silence(round(idle_s * SPEECH_RATE_HZ), self._clock())
            self._look_in(self._silence.idle)

    def close(self) -> None:
        self._silence = None
        if self._timer is not None:
            self._timer.cancel()

    def client_left(self) -> None:
        self._present = False

    def client_came(self) -> None:
        self._present = True
        if self._silence is not None:
            self._silence.sounded(self._clock())

    def caller_said(self, to_sample: int) -> None:
        """A turn with words. to_sample: its end; 0 for typed text."""
        if self._silence is not None:
            self._silence.caller_said(self._listening.clock_of(to_sample) if to_sample else self._clock())

    def on_event(self, event: CallEvent) -> None:
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
        return not self._present or self._turns.under_way or self._speaking.busy

    def _sound_to(self) -> int:
        """Of either side. Where no VAD tells a voice from silence, whatever a client sends is the caller's voice."""
        unjudged = 0 if self._turns.policy.automatic else self._listening.heard_at
        return max(self._speaking.playout.ends_at, unjudged)

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
                silence.is_answered_by(self._tell(silence.tell(now)))
                wait = silence.idle
        except Exception as error:  # the rim of a call: its timer is nobody else's
            self._on_failure(error)
        else:
            self._look_in(wait)
