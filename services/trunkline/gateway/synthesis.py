"""What of a call is at TTS: the segments that are ordered there, and what came of each.

Rule: the loss of a worker costs no sample and repeats none. What isn't complete is ordered again at the next one, from
its next sample; engines needn't be deterministic, so a segment is over when its worker says that nothing is left.
"""

from collections.abc import Callable

from trunkline.bus.port import Headers
from trunkline.gateway import metrics
from trunkline.gateway.script import Words
from trunkline.proto.audio import SPEECH_RATE_HZ, AudioChunk
from trunkline.proto.envelope import Message
from trunkline.proto.speaking import Hush, SegmentFailed, SegmentSpoken, Synthesise

ORDER_AHEAD = 3  # segments at TTS that aren't sent yet: enough to be gapless, little to throw away
ASK_AGAIN_SAMPLES = SPEECH_RATE_HZ  # between two orders for the same missing audio
AUDIO_GRACE_SAMPLES = SPEECH_RATE_HZ * 200 // 1000  # audio may come this much after the word that it is complete
PROGRESS_SAMPLES = 3 * SPEECH_RATE_HZ  # a worker that owes audio and says nothing for so long is mute

Send = Callable[[Message, Headers | None], None]


class Synthesis:
    """clock: in samples at SPEECH_RATE_HZ, as every time here."""

    def __init__(self, clock: Callable[[], int]) -> None:
        self._clock = clock
        self._send: Send | None = None
        self._waiting: list[Words] = []
        self._ordered: dict[int, Words] = {}  # at TTS and not yet sent whole
        self._progress_at = clock()

    # who speaks

    def placed(self, send: Send) -> None:
        """A worker, from here on the only one: what isn't complete is its."""
        self._send = send
        self._progress_at = self._clock()
        incomplete = self._incomplete()
        for words in incomplete:
            words.segment.begin_again()
            self._order(words, urgent=words is incomplete[0])  # the caller may be waiting for it right now
        self.order_ahead()

    def lost(self) -> None:
        self._send = None

    @property
    def movable(self) -> bool:
        """Nothing is being spoken: another worker would have nothing to say again."""
        return not self._incomplete()

    def stalled(self, now: int) -> bool:
        """Words are ordered, and nothing comes of them."""
        return self._send is not None and now - self._progress_at > PROGRESS_SAMPLES and not self.movable

    def _incomplete(self) -> list[Words]:
        return [words for words in self._ordered.values() if not words.segment.complete]

    # what it is asked

    def add(self, words: Words) -> None:
        self._waiting.append(words)
        self.order_ahead()

    def order_ahead(self) -> None:
        while self._send is not None and self._waiting and len(self._ordered) < ORDER_AHEAD:
            words = self._waiting.pop(0)
            if self.movable:
                self._progress_at = self._clock()
            self._ordered[words.segment.number] = words
            self._order(words, urgent=words.urgent)

    def ask_if_missing(self, words: Words, now: int) -> None:
        """Audio that should be there by now is ordered again."""
        asked_at = words.segment.asked_at
        if asked_at is not None and now - asked_at >= ASK_AGAIN_SAMPLES and not words.segment.waiting:
            self._order_again(words)

    def sent(self, words: Words) -> None:
        """All of it went out."""
        self._ordered.pop(words.segment.number, None)

    def hush(self) -> None:
        """Nothing of what is ordered or waits is wanted."""
        if self._ordered and self._send is not None:
            self._send(Hush(max(self._ordered)), None)
        self._ordered.clear()
        self._waiting.clear()

    def _order_again(self, words: Words) -> None:
        metrics.speech_missing.inc()
        words.segment.asked_at = self._clock()
        self._order(words, urgent=words.urgent)

    def _order(self, words: Words, *, urgent: bool) -> None:
        if self._send is not None:
            segment = words.segment
            order = Synthesise(segment.number, words.text, words.voice, words.speed, segment.received, urgent)
            self._send(order, words.headers)

    # what it says

    def on_fact(self, message: Message) -> None:
        match message:
            case SegmentSpoken(segment=number, samples=samples) if number in self._ordered:
                self._progress_at = self._clock()
                segment = self._ordered[number].segment
                segment.total = max(samples, segment.received)  # shorter than another rendering of which more came
                if not segment.complete and segment.asked_at is None:
                    segment.asked_at = self._clock() - ASK_AGAIN_SAMPLES + AUDIO_GRACE_SAMPLES
            case SegmentFailed(segment=number) if number in self._ordered:
                self._progress_at = self._clock()
                metrics.speech_failed.inc()
                segment = self._ordered[number].segment
                segment.close()
                segment.told = segment.total == 0  # nobody will hear it

    def on_chunk(self, chunk: AudioChunk) -> bool:
        """Whether it is wanted; not what was hushed meanwhile."""
        words = self._ordered.get(chunk.stream)
        if words is None:
            return False
        self._progress_at = self._clock()
        segment = words.segment
        if not segment.arrive(chunk.position, chunk.pcm, chunk.last):
            if segment.asked_at is None:
                self._order_again(words)
        elif segment.total is not None and not segment.complete:
            segment.asked_at = self._clock()
        return True
