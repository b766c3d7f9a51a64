"""The listening side of a call: the caller's audio to STT, what STT makes of it to the turns, echoes told apart.

Rule: the ring keeps the audio until its words are known or STT says that there are none, so that another STT worker
can start from there at any moment. What was discarded or has its words is silence there: nobody hears it again.
"""

from collections.abc import Callable, Iterator

from trunkline.audio import pcm
from trunkline.audio.echo import LAG_SAMPLES, WINDOW_SAMPLES, likeness, thick
from trunkline.audio.ring import Ring
from trunkline.bus.exchange import Link
from trunkline.gateway import metrics
from trunkline.gateway.decisions import Decision
from trunkline.gateway.playout import Playout
from trunkline.gateway.progress import MUTE_LIMIT_S, Progress
from trunkline.gateway.turns import Turns
from trunkline.proto.audio import CALLER_RATE_HZ, CALLER_STREAM, SAMPLE_BYTES, SPEECH_RATE_HZ, AudioChunk
from trunkline.proto.envelope import Message
from trunkline.proto.speech import (
    AudioMissing,
    Discard,
    Final,
    Finish,
    Listened,
    Partial,
    RecognitionFailed,
    Silent,
    SpeechStarted,
    SpeechStopped,
)

RING_SAMPLES = CALLER_RATE_HZ * 30
LINE_SAMPLES = CALLER_RATE_HZ * 6 // 10  # for verdicts on echoes: two windows; if STT is later, the ring has it still
CHUNK_BYTES = CALLER_RATE_HZ * SAMPLE_BYTES  # of a client that sends seconds at once: no bus message grows too large
RECHECK_SAMPLES = CALLER_RATE_HZ * 40 // 1000  # of new audio between two verdicts on an echo
ONSET_SAMPLES = CALLER_RATE_HZ * 100 // 1000  # of an utterance's beginning, that its level is taken from
ECHO_LIKENESS = 0.5
STILL_VOICED_DB = 15.0  # below the level of its beginning an utterance pauses
HOLD_SAMPLES = 2 * CALLER_RATE_HZ  # without a voice: STT is late, and the agent is silent for nothing


class EchoCheck:
    """Whether the caller's line carries the agent's own voice.

    line: the newest audio as it came; ring: also older, with silence where something was discarded.
    """

    def __init__(self, line: Ring, ring: Ring, playout: Playout, clock_of: Callable[[int], int]) -> None:
        self._line = line
        self._ring = ring
        self._playout = playout
        self._clock_of = clock_of

    def verdict(self, end: int) -> bool:
        """Of the caller's audio just before end."""
        now = self._clock_of(end)
        if not self._playout.played_lately(now):
            return False
        begin = end - WINDOW_SAMPLES
        held = self._line if self._line.first <= max(begin, self._ring.first) else self._ring
        if not held.first < end <= held.end:
            return False
        caller = held.read(max(held.first, begin), end)
        wanted = (WINDOW_SAMPLES + LAG_SAMPLES) * SPEECH_RATE_HZ // CALLER_RATE_HZ
        return likeness(caller, thick(self._playout.recent(now, wanted))) > ECHO_LIKENESS


class Listening:
    """decide: carries out what the turns decide. busy: a response is on its way or heard.

    on_progress: STT has said something, and all of that is carried out. mute_limit_s: see Progress."""

    def __init__(
        self,
        handle: int,
        turns: Turns,
        playout: Playout,
        *,
        clock: Callable[[], int],
        busy: Callable[[], bool],
        decide: Callable[[list[Decision]], None],
        on_progress: Callable[[], None] = lambda: None,
        mute_limit_s: float = MUTE_LIMIT_S,
    ) -> None:
        self.ring = Ring(RING_SAMPLES)
        self.languages: tuple[str, ...] = ()
        self._handle = handle
        self._turns = turns
        self._line = Ring(LINE_SAMPLES)  # as it came: a discarded echo still tells what follows it
        self._echo = EchoCheck(self._line, self.ring, playout, self.clock_of)
        self._clock = clock
        self._busy = busy
        self._decide = decide
        self._on_progress = on_progress
        self._mute_limit_s = mute_limit_s
        self._stt: Link | None = None
        self._progress = Progress(0, mute_limit_s)
        self._finishes: dict[int, Finish] = {}  # without an answer, by utterance
        self._silent_to = 0  # STT's word
        self.heard_at = clock()  # when the newest audio came
        self._checked_to = 0  # audio that the last verdict on an echo has seen
        self._voiced_to = 0  # of the utterance that is being watched
        self._onset_dbfs = 0.0

    def go_on(self, from_sample: int) -> None:
        """The caller's audio goes on there, in a call that another gateway began; before anything else."""
        self.ring.skip(from_sample)
        self._line.skip(from_sample)
        self._silent_to = self._checked_to = from_sample

    # who listens

    @property
    def replay_from(self) -> int:
        """Where another STT worker begins."""
        return self.ring.first

    @property
    def settled_to(self) -> int:
        """The caller's audio before need never be heard again."""
        return self.ring.first

    @property
    def judged_to(self) -> int:
        """STT, as it is placed now, has listened up to there."""
        return self._progress.judged_to

    def stt_placed(self, stt: Link, from_sample: int) -> None:
        """From now on this worker listens. from_sample: of its Listen; what was said since comes at once."""
        self._stt = stt
        self._progress = Progress(from_sample, self._mute_limit_s)
        self._decide(self._turns.listener_changed(from_sample))
        for finish in self._finishes.values():
            self._order(finish)
        self._send_again(from_sample)

    def stt_lost(self) -> None:
        """Nobody listens; the ring goes on."""
        self._stt = None

    def stalled(self, now_s: float) -> bool:
        """The worker has audio, or an utterance's end, and says nothing. now_s: of the same clock."""
        return self._stt is not None and self._progress.stalled(int(now_s * SPEECH_RATE_HZ))

    def tell(self, message: Message) -> None:
        """Nobody is told when nobody listens: the next Listen says it."""
        if self._stt is not None:
            self._stt.send(message)

    def finish(self, utterance: int, from_sample: int, to_sample: int) -> None:
        finish = self._finishes[utterance] = Finish(utterance, from_sample, to_sample)
        if self._stt is not None:
            self._order(finish)

    def discard(self, from_sample: int, to_sample: int) -> None:
        self.ring.silence(from_sample, to_sample)
        self.tell(Discard(to_sample))

    def _order(self, finish: Finish) -> None:
        """Behind the audio that it ends."""
        self._progress.ended(finish.utterance, self._clock())
        if self._stt is not None:
            self._stt.flush_audio()
        self.tell(finish)
        if self._stt is not None:
            self._stt.hasten()

    # the caller

    def clock_of(self, at_sample: int) -> int:
        """The clock (SPEECH_RATE_HZ) at which this sample of the caller's came in, if it came in real time."""
        return self.heard_at - (self.ring.end - at_sample) * SPEECH_RATE_HZ // CALLER_RATE_HZ

    def hear(self, audio: bytes) -> None:
        """audio: the caller's next, int16 LE at CALLER_RATE_HZ. Kept as it came, so nothing here copies it."""
        self.heard_at = now = self._clock()
        for part in (audio,) if len(audio) <= CHUNK_BYTES else _parts(audio):
            self._send(self.ring.end, part, now)
            self._line.append(part)
            dropped = self.ring.append(part)
            if dropped:
                metrics.ring_dropped.inc(dropped)
        if self._turns.watching:
            self._watch()

    # what STT says

    def on_stt(self, message: Message) -> None:
        turns, progress, now = self._turns, self._progress, self._clock()
        match message:
            case SpeechStarted(utterance=number, at_sample=at_sample):
                progress.judged(at_sample, now)
                self._speech_started(number, at_sample)
            case SpeechStopped(utterance=number, at_sample=at_sample):
                progress.judged(at_sample, now)
                progress.ended(number, now)
                self._decide(turns.speech_stopped(number, at_sample))
            case Partial(utterance=number, text=text, to_sample=to_sample):
                progress.judged(to_sample, now)
                self._decide(turns.partial(number, text))
            case Final(utterance=number, text=text, from_sample=from_sample, to_sample=to_sample):
                progress.judged(to_sample, now)
                self._answered(number)
                if text.strip():  # what has no words may be part of what a client ended, which will have them
                    self.ring.silence(from_sample, to_sample)  # it may have to stay for what was said before
                self._decide(turns.final(number, text, from_sample, to_sample))
            case RecognitionFailed(utterance=number, reason=reason):
                self._answered(number)
                self._decide(turns.failed(number, reason))
            case Listened(to_sample=to_sample):
                progress.judged(to_sample, now)
                self._decide(turns.judged(to_sample))
            case Silent(to_sample=to_sample, judged_to=judged_to):
                judged_to = max(to_sample, judged_to)
                progress.judged(judged_to, now)
                self._silent_to = max(self._silent_to, to_sample)
                self._decide(turns.judged(judged_to))
            case AudioMissing(from_sample=from_sample):
                self._send_again(from_sample)
        self.ring.trim(turns.settled_to(self._silent_to))
        self._on_progress()

    def _answered(self, utterance: int) -> None:
        self._progress.worded(utterance)
        self._finishes.pop(utterance, None)

    def _speech_started(self, number: int, at_sample: int) -> None:
        """What is replayed is judged by how it began, what is live by what is there."""
        begin = min(max(at_sample, self.ring.first), self.ring.end)
        end = min(begin + WINDOW_SAMPLES, self.ring.end)
        echo = not self._turns.knows(at_sample) and self._echo.verdict(end)
        self._checked_to = self._voiced_to = self.ring.end
        self._onset_dbfs = pcm.level_dbfs(self.ring.read(begin, min(begin + ONSET_SAMPLES, end)))
        if echo:
            metrics.echoes.inc()
        voiced = self._voiced_samples(begin, self.ring.end)
        busy = self._busy()
        self._decide(self._turns.speech_started(number, at_sample, end, voiced_samples=voiced, busy=busy, echo=echo))

    def _watch(self) -> None:
        """The utterance that is being watched goes on, or pauses."""
        begin = max(self._checked_to, self.ring.first)
        end = self.ring.end
        if end - begin < RECHECK_SAMPLES:
            return
        self._checked_to = end
        voiced = self._is_voiced(begin, end)
        echo = self._echo.verdict(end)
        self._decide(self._turns.goes_on(end - begin if voiced else 0, end, echo=echo))
        if voiced:
            self._voiced_to = end
        elif end - self._voiced_to > HOLD_SAMPLES:
            self._decide(self._turns.falls_silent())

    def _voiced_samples(self, begin: int, end: int) -> int:
        spans = ((at, min(at + RECHECK_SAMPLES, end)) for at in range(begin, end, RECHECK_SAMPLES))
        return sum(to - at for at, to in spans if self._is_voiced(at, to))

    def _is_voiced(self, begin: int, end: int) -> bool:
        return pcm.level_dbfs(self.ring.read(begin, end)) > self._onset_dbfs - STILL_VOICED_DB

    # to STT

    def _send_again(self, from_sample: int) -> None:
        """What is gone is silence: its words are known, or lost."""
        begin = min(max(from_sample, self.ring.first), self.ring.end)
        if 0 < begin - from_sample <= RING_SAMPLES:
            self._send_parts(from_sample, bytes((begin - from_sample) * SAMPLE_BYTES))
        self._send_parts(begin, self.ring.read_bytes(begin, self.ring.end))

    def _send_parts(self, position: int, audio: bytes) -> None:
        now = self._clock()
        for part in _parts(audio):
            self._send(position, part, now)
            position += len(part) // SAMPLE_BYTES

    def _send(self, position: int, audio: bytes, now: int) -> None:
        stt = self._stt
        if stt is not None:
            self._progress.gave(position + len(audio) // SAMPLE_BYTES, now)
            stt.send_audio(AudioChunk(self._handle, stt.attach, CALLER_STREAM, position, audio))


def _parts(audio: bytes) -> Iterator[bytes]:
    return (audio[at : at + CHUNK_BYTES] for at in range(0, len(audio), CHUNK_BYTES))
