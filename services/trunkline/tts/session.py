"""One call at this worker: speaks its segments in order, one at a time.

Rule: after Hush or close nothing of what was hushed leaves, whatever a thread still brings.
"""

from collections.abc import Callable

from prometheus_client import Counter, Histogram

from trunkline.audio.pcm import to_bytes
from trunkline.bus.exchange import Link
from trunkline.bus.port import Headers
from trunkline.proto.audio import SPEECH_RATE_HZ, AudioChunk
from trunkline.proto.envelope import Message
from trunkline.proto.placement import Accepted
from trunkline.proto.speaking import Hush, SegmentFailed, SegmentSpoken, Speak, Synthesise
from trunkline.telemetry import logs, tracing
from trunkline.telemetry.metrics import VOICE_BUCKETS_S
from trunkline.tts.engines.port import Synthesiser
from trunkline.tts.orders import Order, Orders
from trunkline.tts.render import Rendered, render
from trunkline.tts.scheduler import Priority, Scheduler
from trunkline.tts.segment import SegmentAudio

REASON_CHARS = 300

log = logs.get(__name__)
_first_audio = Histogram(
    "trunkline_tts_first_audio_seconds",
    "From the order of a segment to its first audio",
    ["urgent"],
    buckets=VOICE_BUCKETS_S,
)
_audio = Counter("trunkline_tts_audio_seconds_total", "Audio sent")
_segments = Counter("trunkline_tts_segments_total", "Segments by what became of them", ["outcome"])
_spoken, _failed, _hushed = (_segments.labels(outcome) for outcome in ("spoken", "failed", "hushed"))
_urgent_audio, _other_audio = _first_audio.labels("true"), _first_audio.labels("false")


class SpeakingSession:
    """now_s: monotonic clock."""

    def __init__(
        self, link: Link, speak: Speak, engine: Synthesiser, scheduler: Scheduler, now_s: Callable[[], float]
    ) -> None:
        self.link = link
        self.engine = engine
        self.now_s = now_s
        self.audio_until_s = now_s()  # when what was sent will have been played
        self._handle = speak.handle
        self._scheduler = scheduler
        self._orders = Orders()
        self._current: _Speaking | None = None
        link.send(Accepted(voices=tuple(getattr(engine, "voices", ()))))  # a plugin may not tell

    def on_message(self, message: Message, headers: Headers | None) -> None:
        match message:
            case Synthesise():
                self._order(Order(message, headers, self.now_s()))
            case Hush(to_segment):
                self._hush(to_segment)
            case _:
                log.warning("message is not for this stage", call_id=self.link.call, message=type(message).__name__)

    def close(self, reason: str) -> None:
        self._orders = Orders()
        self._stop_current()

    def send(self, segment: int, position: int, pcm: bytes, last: bool) -> None:
        self.link.send_audio(AudioChunk(self._handle, self.link.attach, segment, position, pcm, last))

    def hasten(self) -> None:
        """What was sent is the first that is heard."""
        self.link.flush_audio()
        self.link.hasten()

    def schedule(self, speaking: "_Speaking") -> None:
        self._scheduler.add(speaking)

    def finished(self) -> None:
        """The current segment is over; the next begins."""
        order = self._orders.next()
        self._current = _Speaking(self, order) if order is not None else None
        if self._current is not None:
            self.schedule(self._current)

    def _order(self, order: Order) -> None:
        refusal = self._orders.add(order)
        if refusal:
            _failed.inc()
            self.link.send(SegmentFailed(order.message.segment, refusal))
        elif self._current is None:
            self.finished()

    def _hush(self, to_segment: int) -> None:
        _hushed.inc(len(self._orders.hush(to_segment)))
        self.audio_until_s = self.now_s()
        if self._current is not None and self._current.segment <= to_segment:
            self._stop_current()
            self.finished()

    def _stop_current(self) -> None:
        if self._current is not None:
            self._current.cancel()
            _hushed.inc()
            self._current = None


class _Speaking:
    """The scheduler's job for one segment."""

    def __init__(self, session: SpeakingSession, order: Order) -> None:
        self.cancelled = False
        self.segment = order.message.segment
        self._session = session
        self._order = order
        self._audio = SegmentAudio(order.message.from_sample)
        self._rendering = render(session.engine, order.message.text, order.message.speed)
        self._first_audio_s: float | None = None  # after the order
        self._span = tracing.start_span(
            "tts.segment",
            parent=tracing.extract(order.headers) or tracing.call_context(session.link.call),
            attributes={"tts.engine": session.engine.name, "tts.characters": len(order.message.text)},
        )

    def priority(self) -> Priority:
        begun = self._first_audio_s is not None
        due_s = max(self._session.now_s(), self._session.audio_until_s)
        return Priority(later=begun or not self._order.message.urgent, due_s=due_s)

    def step(self) -> Rendered:
        return next(self._rendering)

    def stepped(self, rendered: Rendered) -> None:
        session = self._session
        first = bool(len(rendered.samples)) and self._first_audio_s is None
        if first:
            self._observe_first_audio()
        before = self._audio.samples
        cuts = [(position, to_bytes(samples), last) for position, samples, last in self._audio.take(rendered)]
        sent_s = (self._audio.samples - before) / SPEECH_RATE_HZ
        _audio.inc(sent_s)
        session.audio_until_s = max(session.now_s(), session.audio_until_s) + sent_s
        if not rendered.last:
            session.schedule(self)  # before the bus is written to: what a step without work brings goes out with this
        for position, pcm, last in cuts:
            session.send(self.segment, position, pcm, last)
            if first and self._order.message.urgent:
                session.hasten()
                first = False
        if not rendered.last:
            return
        _spoken.inc()
        waited_ms = round((self._first_audio_s or 0.0) * 1000, 1)
        session.link.send(SegmentSpoken(self.segment, self._audio.samples, waited_ms))
        self._end()

    def failed(self, error: BaseException) -> None:
        _failed.inc()
        reason = f"{self._session.engine.name}: {type(error).__name__}: {error}"[:REASON_CHARS]
        log.error("segment failed", call_id=self._session.link.call, segment=self.segment, error=reason)
        self._session.link.send(SegmentFailed(self.segment, reason))
        self._end()

    def cancel(self) -> None:
        self.cancelled = True
        self._span.set_attribute("tts.hushed", True)
        self._span.end()

    def _observe_first_audio(self) -> None:
        self._first_audio_s = self._session.now_s() - self._order.at_s
        (_urgent_audio if self._order.message.urgent else _other_audio).observe(self._first_audio_s)

    def _end(self) -> None:
        self._span.set_attribute("tts.samples", self._audio.samples)
        self._span.end()
        self._session.finished()
