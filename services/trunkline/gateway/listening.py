"""The listening side of a call: the caller's audio to STT, what STT makes of it to the turns, echoes told apart.

The ring keeps the audio until nobody can need it again, so that another STT worker could start from there.
"""

from collections.abc import Callable

from trunkline.audio import pcm
from trunkline.audio.echo import LAG_SAMPLES, WINDOW_SAMPLES, likeness
from trunkline.audio.pcm import Samples
from trunkline.audio.resample import resample
from trunkline.audio.ring import Ring
from trunkline.bus.exchange import Link
from trunkline.gateway import metrics
from trunkline.gateway.playout import Playout
from trunkline.gateway.turns import Decision, Turns
from trunkline.proto.audio import CALLER_RATE_HZ, CALLER_STREAM, SPEECH_RATE_HZ, AudioChunk
from trunkline.proto.envelope import Message
from trunkline.proto.speech import (
    AudioMissing,
    Final,
    RecognitionFailed,
    Silent,
    SpeechStarted,
    SpeechStopped,
)

RING_SAMPLES = CALLER_RATE_HZ * 30
CHUNK_SAMPLES = CALLER_RATE_HZ  # of a client that sends seconds at once, so that no bus message grows too large
RECHECK_SAMPLES = CALLER_RATE_HZ * 40 // 1000  # of new audio between two verdicts on an echo
ECHO_LIKENESS = 0.5
STILL_VOICED_DB = 15.0  # below the level of its beginning an utterance pauses


class EchoCheck:
    """Whether the caller's line carries the agent's own voice. clock: samples at SPEECH_RATE_HZ."""

    def __init__(self, ring: Ring, playout: Playout, clock: Callable[[], int]) -> None:
        self._ring = ring
        self._playout = playout
        self._clock = clock

    def verdict(self) -> bool:
        now = self._clock()
        if not self._playout.played_lately(now):
            return False
        caller = self._ring.read(max(self._ring.first, self._ring.end - WINDOW_SAMPLES), self._ring.end)
        wanted = (WINDOW_SAMPLES + LAG_SAMPLES) * SPEECH_RATE_HZ // CALLER_RATE_HZ
        played = resample(self._playout.recent(now, wanted), SPEECH_RATE_HZ, CALLER_RATE_HZ)
        return likeness(caller, played) > ECHO_LIKENESS


class Listening:
    """decide: carries out what the turns decide. busy: a response is on its way or heard."""

    def __init__(
        self,
        handle: int,
        turns: Turns,
        playout: Playout,
        *,
        clock: Callable[[], int],
        busy: Callable[[], bool],
        decide: Callable[[list[Decision]], None],
    ) -> None:
        self.ring = Ring(RING_SAMPLES)
        self._handle = handle
        self._turns = turns
        self._echo = EchoCheck(self.ring, playout, clock)
        self._clock = clock
        self._busy = busy
        self._decide = decide
        self._stt: Link | None = None
        self._heard_at = clock()  # when the newest audio came
        self._checked_to = 0  # audio that the last verdict on an echo has seen
        self._onset_dbfs = 0.0

    def stt_placed(self, stt: Link) -> None:
        self._stt = stt

    def clock_of(self, at_sample: int) -> int:
        """The clock (SPEECH_RATE_HZ) at which this sample of the caller's came in, if it came in real time."""
        return self._heard_at - (self.ring.end - at_sample) * SPEECH_RATE_HZ // CALLER_RATE_HZ

    def hear(self, samples: Samples) -> None:
        """samples: the caller's next, at CALLER_RATE_HZ."""
        for at in range(0, len(samples), CHUNK_SAMPLES):
            part = samples[at : at + CHUNK_SAMPLES]
            self._send(self.ring.end, part)
            dropped = self.ring.append(part)
            if dropped:
                metrics.ring_dropped.inc(dropped)
        self._heard_at = self._clock()
        if self._turns.watching:
            self._watch()

    def on_stt(self, message: Message) -> None:
        turns = self._turns
        match message:
            case SpeechStarted(utterance=number, at_sample=at_sample):
                self._speech_started(number, at_sample)
            case SpeechStopped(utterance=number, at_sample=at_sample):
                self._decide(turns.speech_stopped(number, at_sample))
            case Final(utterance=number, text=text, from_sample=from_sample, to_sample=to_sample):
                self._decide(turns.final(number, text, from_sample, to_sample))
                self.ring.trim(to_sample)  # its words are known; audio is kept only for what isn't
            case RecognitionFailed(utterance=number, reason=reason):
                self._decide(turns.failed(number, reason))
            case Silent(to_sample=to_sample):
                self.ring.trim(to_sample)
            case AudioMissing(from_sample=from_sample):
                self._send_again(from_sample)

    def _speech_started(self, number: int, at_sample: int) -> None:
        echo = self._echo.verdict()
        self._checked_to = self.ring.end
        begin = min(max(at_sample, self.ring.first), self.ring.end)
        self._onset_dbfs = pcm.level_dbfs(self.ring.read(begin, self.ring.end))
        if echo:
            metrics.echoes.inc()
        self._decide(self._turns.speech_started(number, at_sample, self.ring.end, busy=self._busy(), echo=echo))

    def _watch(self) -> None:
        """The utterance that is being watched goes on, or pauses."""
        begin = max(self._checked_to, self.ring.first)
        if self.ring.end - begin < RECHECK_SAMPLES:
            return
        self._checked_to = self.ring.end
        samples = self.ring.read(begin, self.ring.end)
        voiced = pcm.level_dbfs(samples) > self._onset_dbfs - STILL_VOICED_DB
        echo = self._echo.verdict()
        self._decide(self._turns.goes_on(len(samples) if voiced else 0, self.ring.end, echo=echo))

    def _send_again(self, from_sample: int) -> None:
        """Asked for what is gone, STT gets what is left: it sees the jump in position."""
        begin = min(max(from_sample, self.ring.first), self.ring.end)
        samples = self.ring.read(begin, self.ring.end)
        for at in range(0, len(samples), CHUNK_SAMPLES):
            self._send(begin + at, samples[at : at + CHUNK_SAMPLES])

    def _send(self, position: int, samples: Samples) -> None:
        if self._stt is not None:
            chunk = AudioChunk(self._handle, self._stt.attach, CALLER_STREAM, position, pcm.to_bytes(samples))
            self._stt.send_audio(chunk)
