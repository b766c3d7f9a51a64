"""One call at this worker: audio in, facts out. Decides nothing: `Endpointer` does, this carries its decisions out."""

import asyncio
from collections.abc import Callable, Sequence

from opentelemetry.trace import Status, StatusCode
from prometheus_client import Counter, Histogram

from trunkline.audio.pcm import Samples
from trunkline.bus.exchange import Link
from trunkline.bus.port import Headers
from trunkline.proto.audio import CALLER_RATE_HZ
from trunkline.proto.envelope import Message
from trunkline.proto.placement import Accepted
from trunkline.proto.speech import (
    Discard,
    Final,
    Finish,
    HeardCall,
    Listen,
    Listened,
    Partial,
    RecognitionFailed,
    Silent,
    SpeechStarted,
    SpeechStopped,
    Tune,
)
from trunkline.stt.arrival import Arrival
from trunkline.stt.endpointing import (
    NO_ATTEMPT,
    Attempt,
    Decision,
    Draft,
    Dropped,
    Endpointer,
    Resumed,
    Started,
    Stopped,
)
from trunkline.stt.intake import Overrun
from trunkline.stt.listening import Listening
from trunkline.stt.recognition import Job, Outcome, Recognition
from trunkline.stt.telling import Telling
from trunkline.stt.vad import WINDOW_SAMPLES
from trunkline.telemetry import logs, tracing
from trunkline.telemetry.metrics import VOICE_BUCKETS_S

LISTENED_SAMPLES = CALLER_RATE_HZ  # how often the hub hears that this engine works, if not by Heard
BEHIND_SAMPLES = 4 * WINDOW_SAMPLES  # more than that in hand isn't live
REPLAY_SAMPLES = CALLER_RATE_HZ // 2  # with more than that, media time goes on only as words keep up
REPLAY_JOBS = 4
TRIM_SAMPLES = 4 * WINDOW_SAMPLES  # are held longer than they must be

log = logs.get(__name__)
_final = Histogram(
    "trunkline_stt_final_seconds",
    "From the end of an utterance of a live caller's to its words",
    buckets=VOICE_BUCKETS_S,
)
_drafts_dropped = Counter(
    "trunkline_stt_partials_dropped_total", "Times that a caller who spoke on was not recognised anew, for want of time"
)


class _Try:
    """An attempt: its job, its words once they are there, and the utterance's end once that is known.

    held: not submitted yet, since more audio is there already that may make it worthless.
    """

    def __init__(self, job: Job, to_sample: int, begun_s: float) -> None:
        self.job = job
        self.held = True
        self.to_sample = to_sample
        self.begun_s = begun_s
        self.recognise_ms = 0.0
        self.outcome: Outcome | None = None
        self.stopped: Stopped | None = None
        self.stopped_s = 0.0


class CallerSession:
    """on_failure: when a callback raises. telling: of hubs that take Heard. draft_samples: see Endpointer."""

    def __init__(
        self,
        link: Link,
        listen: Listen,
        listening: Listening,
        recognition: Recognition,
        on_failure: Callable[[Link, Exception], None],
        languages: tuple[str, ...] = (),
        *,
        telling: Telling | None = None,
        draft_samples: int = 0,
    ) -> None:
        self.hub = link.peer
        self._patient = listen.patient
        self._link = link
        self._listening = listening
        self._recognition = recognition
        self._on_failure = on_failure
        self._loop = asyncio.get_running_loop()
        self._telling = telling if listen.joined else None
        self._arrival = Arrival(link, listen.from_sample, self)
        self._ring = self._arrival.ring
        drafted = 0 if listen.patient else draft_samples  # nobody is there to read on while a file is heard
        self._endpointer = Endpointer(listen.rules, listen.from_sample, drafted)
        self._tries: dict[int, _Try] = {}
        self._draft: Job | None = None
        self._ended: list[int] = []  # utterances whose words aren't told
        self._known: dict[int, Callable[[], None]] = {}  # of these, how to tell what is known
        self._spans: dict[int, tracing.Span] = {}
        self._told_to = listen.from_sample  # the hub knows that the audio before has been judged
        self._told_silent_to = 0
        self._trim_at = listen.from_sample
        self._closed = False
        link.bind_audio(listen.handle, self._arrival.on_chunk)
        link.send(Accepted(languages=languages))
        self.place = listening.join()  # last: nobody closes a session that came to nothing

    # the pool's side

    def on_message(self, message: Message, headers: Headers | None) -> None:
        match message:
            case Tune(rules=rules):
                self._carry_out(self._endpointer.tune(rules))
            case Finish():
                self._begin_span(message.utterance)
                finish = self._endpointer.finish(message.utterance, message.from_sample, message.to_sample)
                self._carry_out(finish)
            case Discard(to_sample=to_sample):
                self._carry_out(self._endpointer.discard(to_sample))
            case _:
                log.warning("message not for STT", call_id=self._link.call, message=type(message).__name__)
        self._arrival.expect()
        self._ring.trim(self._endpointer.kept_from)

    def close(self, reason: str) -> None:
        self._closed = True
        self._listening.forget(self)
        if self._telling is not None:
            self._telling.forget(self)
        for attempt in self._tries.values():
            self._recognition.cancel(attempt.job)
        self._tries.clear()
        self._drop_draft()
        self._arrival.stop()
        for span in self._spans.values():
            span.end()
        self._spans.clear()

    # audio

    def next_window(self) -> bytes | None:
        """None too while a replay waits for words: it is told apart as if it were said now."""
        endpointer, ring = self._endpointer, self._ring
        heard_to = endpointer.heard_to
        unheard = ring.end - heard_to
        if self._closed or unheard < WINDOW_SAMPLES:
            return None
        if unheard > REPLAY_SAMPLES and (endpointer.awaits_words or len(self._tries) >= REPLAY_JOBS):
            self._submit_held()
            return None
        return ring.read_bytes(heard_to, heard_to + WINDOW_SAMPLES)

    def hear(self, probability: float) -> None:
        endpointer = self._endpointer
        decisions = endpointer.hear(probability)
        if decisions:
            self._carry_out(decisions)
        heard_to = endpointer.heard_to
        unheard = self._ring.end - heard_to
        if self._tries and unheard <= REPLAY_SAMPLES:
            self._submit_held()
        if heard_to - self._told_to >= LISTENED_SAMPLES:
            self._tell_alone()
        elif self._telling is not None:
            self._telling.note(self)
        if decisions or heard_to >= self._trim_at:
            self._trim_at = heard_to + TRIM_SAMPLES
            self._ring.trim(endpointer.kept_from)
        if unheard >= WINDOW_SAMPLES:
            self._listening.enlist(self, behind=unheard >= BEHIND_SAMPLES)

    def heard(self) -> HeardCall:
        """For Heard. While words are to come their audio may be needed again, at another worker."""
        self._told_to = judged_to = self._endpointer.heard_to
        silent_to = 0 if self._tries else self._endpointer.quiet_to()
        return HeardCall(self._link.call, self._link.attach, self._link.state.sent, judged_to, silent_to)

    def _tell_alone(self) -> None:
        before, heard = self._told_silent_to, self.heard()
        self._told_silent_to = max(before, heard.silent_to)
        silent = self._told_silent_to > before
        self._link.send(Silent(heard.silent_to, heard.judged_to) if silent else Listened(heard.judged_to))

    @property
    def _unheard(self) -> int:
        """Samples that are here and not judged."""
        return self._ring.end - self._endpointer.heard_to

    def fail(self, error: Exception) -> None:
        self._on_failure(self._link, error)

    @property
    def wanted_to(self) -> int:
        return self._endpointer.wanted_to

    def took(self, pushed_out: int) -> None:
        """More audio is here. pushed_out: may be samples that are not judged. Raises Overrun."""
        if pushed_out and self._ring.first > self._endpointer.heard_to:
            raise Overrun(self._unheard)
        self._enlist()

    def _enlist(self) -> None:
        unheard = self._ring.end - self._endpointer.heard_to
        if unheard >= WINDOW_SAMPLES:
            self._listening.enlist(self, behind=unheard >= BEHIND_SAMPLES)

    # decisions

    def _carry_out(self, decisions: Sequence[Decision]) -> None:
        for decision in decisions:
            match decision:
                case Started(utterance=utterance, at_sample=at_sample):
                    self._begin_span(utterance)
                    self._link.send(SpeechStarted(utterance, at_sample))
                case Attempt():
                    self._recognise(decision)
                case Draft():
                    self._begin_draft(decision)
                case Resumed(attempt=number):
                    attempt = self._tries.pop(number, None)
                    if attempt is not None:
                        self._recognition.cancel(attempt.job)
                case Dropped(utterance=utterance):
                    self._drop_draft()
                    self._end_span(utterance)
                case Stopped():
                    self._stop(decision)

    def _recognise(self, decision: Attempt) -> None:
        number, audio = decision.number, self._audio_of(decision)
        job = Job(self._link.call, decision.utterance, audio, lambda outcome: self._recognised(number, outcome))
        self._tries[number] = _Try(job, decision.to_sample, self._loop.time())

    def _audio_of(self, decision: Attempt | Draft) -> Samples:
        ring = self._ring
        from_sample = min(max(decision.from_sample, ring.first), ring.end)
        return ring.read(from_sample, max(from_sample, min(decision.to_sample, ring.end)))

    def _begin_draft(self, draft: Draft) -> None:
        """Only of what is live, and only where no other recognition waits for it."""
        if self._draft is not None or self._tries or self._unheard > REPLAY_SAMPLES or not self._recognition.idle:
            _drafts_dropped.inc()
            return
        self._draft = Job(
            self._link.call, draft.utterance, self._audio_of(draft), lambda words: self._drafted(draft, words)
        )
        self._recognition.submit(self._draft)

    def _drafted(self, draft: Draft, outcome: Outcome) -> None:
        """What goes wrong with it is left to the Final."""
        self._draft = None
        try:
            if isinstance(outcome, str) and outcome:
                self._link.send(Partial(draft.utterance, outcome, draft.to_sample))
        except Exception as error:  # the rim of a call: a thread's result concerns no other
            self.fail(error)

    def _drop_draft(self) -> None:
        draft, self._draft = self._draft, None
        if draft is not None:
            self._recognition.cancel(draft)

    def _submit_held(self) -> None:
        for attempt in self._tries.values():
            self._submit(attempt)

    def _submit(self, attempt: _Try) -> None:
        if attempt.held:
            attempt.held = False
            attempt.begun_s = self._loop.time()
            self._recognition.submit(attempt.job)

    def _recognised(self, number: int, outcome: Outcome) -> None:
        attempt = self._tries.get(number)
        if attempt is None:
            return
        attempt.outcome = outcome
        attempt.recognise_ms = (self._loop.time() - attempt.begun_s) * 1000.0
        try:
            if attempt.stopped is not None:
                self._tell(number, attempt, attempt.stopped, outcome)
            else:
                self._understand(number, attempt, outcome if isinstance(outcome, str) else "")
            self._enlist()  # a replay waits for it
        except Exception as error:  # the rim of a call: a thread's result concerns no other
            self.fail(error)

    def _understand(self, number: int, attempt: _Try, words: str) -> None:
        self._carry_out(self._endpointer.recognised(number, words))
        if number in self._tries and words:
            self._link.send(Partial(attempt.job.utterance, words, attempt.to_sample))

    def _stop(self, stopped: Stopped) -> None:
        self._drop_draft()
        self._ended.append(stopped.utterance)
        if stopped.announced:
            self._link.send(SpeechStopped(stopped.utterance, stopped.to_sample))
        if stopped.attempt == NO_ATTEMPT:
            self._settle(stopped.utterance, lambda: self._send_final(stopped, "", 0.0))
            return
        attempt = self._tries[stopped.attempt]
        attempt.stopped, attempt.stopped_s = stopped, self._loop.time()
        self._recognition.want(attempt.job)
        self._submit(attempt)
        if attempt.outcome is not None:
            self._tell(stopped.attempt, attempt, stopped, attempt.outcome)

    def _tell(self, number: int, attempt: _Try, stopped: Stopped, outcome: Outcome) -> None:
        del self._tries[number]
        if not self._patient:
            _final.observe(self._loop.time() - attempt.stopped_s)
        if isinstance(outcome, str):
            self._settle(stopped.utterance, lambda: self._send_final(stopped, outcome, attempt.recognise_ms))
        else:
            self._settle(stopped.utterance, lambda: self._send_failed(stopped.utterance, str(outcome)))

    def _settle(self, utterance: int, tell: Callable[[], None]) -> None:
        """Words come in the order in which utterances ended: a client's word that ends one may meet another's end."""
        self._known[utterance] = tell
        while self._ended and self._ended[0] in self._known:
            self._known.pop(self._ended.pop(0))()

    def _send_failed(self, utterance: int, problem: str) -> None:
        log.error("recognition failed", call_id=self._link.call, utterance=utterance, error=problem)
        self._end_span(utterance, problem)
        self._link.send(RecognitionFailed(utterance, problem[:300]))

    def _send_final(self, stopped: Stopped, text: str, recognise_ms: float) -> None:
        span = self._spans.pop(stopped.utterance, None)
        final = Final(stopped.utterance, text, stopped.from_sample, stopped.to_sample, recognise_ms)
        self._link.send(final, headers=tracing.inject(span) if span is not None else None)
        self._link.hasten()
        if span is not None:
            span.set_attribute("trunkline.audio_s", (stopped.to_sample - stopped.from_sample) / CALLER_RATE_HZ)
            span.set_attribute("trunkline.recognise_ms", recognise_ms)
            span.end()

    def _begin_span(self, utterance: int) -> None:
        if utterance not in self._spans:
            parent = tracing.call_context(self._link.call)
            self._spans[utterance] = tracing.start_span(
                "stt.utterance", parent=parent, attributes={tracing.CALL_ATTRIBUTE: self._link.call}
            )

    def _end_span(self, utterance: int, problem: str = "") -> None:
        span = self._spans.pop(utterance, None)
        if span is not None:
            if problem:
                span.set_status(Status(StatusCode.ERROR, problem))
            span.end()
