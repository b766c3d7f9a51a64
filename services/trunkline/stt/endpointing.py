"""When an utterance begins and ends: a pure state machine over voice probabilities and the words so far.

One per placement; fed one window after the other, it answers with decisions. Every `Stopped` names the attempt whose
words are its utterance's Final, and every `Started` is followed by exactly one `Stopped` unless the hub discards it or
turns automatic rules off. Nearly all windows decide nothing, so what they cost is what a call costs.
"""

from collections.abc import Sequence

import msgspec

from trunkline.proto.audio import CALLER_RATE_HZ
from trunkline.proto.speech import TurnRules
from trunkline.stt.vad import WINDOW_SAMPLES
from trunkline.stt.words import looks_unfinished

ONSET_WINDOWS = 3  # 96 ms of voice begin an utterance: less than that is a click
RESUME_WINDOWS = 2  # and 64 ms continue one
ONSET_HYSTERESIS = 0.15  # below the threshold a voice that has begun still counts, by so much before the onset is sure
HYSTERESIS = 0.3  # and so much in an utterance: the telephone makes word ends faint, and 0.15 cut callers off there
FAINTEST = 0.1  # no threshold goes below
TENTATIVE_MS = 200  # silence after which recognition starts, in case this is the end
LEAD_MS = 100  # before the first voice, for the recogniser: more silence than this costs it digits ("4712")
LONGEST_SAMPLES = 28 * CALLER_RATE_HZ  # an utterance that goes on is cut at its best pause
CUT_SAMPLES = 10 * CALLER_RATE_HZ  # of its last seconds
NO_ATTEMPT = 0
NO_WINDOW = 2.0  # more than any probability
VOICES_LIMIT = 1024  # runs of voice that are remembered; the oldest give way


class Started(msgspec.Struct, frozen=True):
    utterance: int
    at_sample: int


class Attempt(msgspec.Struct, frozen=True):
    """Recognise these samples now; whether the words are wanted turns out later."""

    utterance: int
    number: int
    from_sample: int
    to_sample: int


class Draft(msgspec.Struct, frozen=True):
    """The caller speaks on: recognise what there is, if that costs nobody anything, so that it can be told already."""

    utterance: int
    from_sample: int
    to_sample: int


class Resumed(msgspec.Struct, frozen=True):
    """The caller went on, or the client had its word: the attempt's words are not wanted."""

    attempt: int


class Dropped(msgspec.Struct, frozen=True):
    """The utterance that was open is none: discarded, or rules are no longer automatic."""

    utterance: int


class Stopped(msgspec.Struct, frozen=True):
    """The words of `attempt` (none for NO_ATTEMPT) are the Final. announced: a Started came before."""

    utterance: int
    attempt: int
    from_sample: int
    to_sample: int
    announced: bool


Decision = Started | Attempt | Draft | Resumed | Dropped | Stopped
NOTHING: Sequence[Decision] = ()


class _Utterance:
    """words_from: where the recogniser begins. voiced_from: the first voiced sample; voiced_to: after the last.

    attempt: of the silence since then; words: its words, once there. drafted_to: the end of the last Draft.
    """

    def __init__(self, number: int, from_sample: int, voiced_from: int, voiced_to: int) -> None:
        self.number = number
        self.from_sample = from_sample
        self.words_from = max(from_sample, voiced_from - _samples(LEAD_MS))
        self.voiced_from = voiced_from
        self.voiced_to = voiced_to
        self.drafted_to = voiced_from
        self.resuming_windows = 0
        self.attempt = NO_ATTEMPT
        self.words: str | None = None
        self.least_voice = NO_WINDOW  # of its last CUT_SAMPLES, the window least like a voice
        self.cut_at = 0  # and its end


class _Finish(msgspec.Struct, frozen=True):
    utterance: int
    from_sample: int
    to_sample: int


class Endpointer:
    """from_sample: of the first window. draft_samples: between two Drafts of an utterance, 0 for none."""

    def __init__(self, rules: TurnRules, from_sample: int, draft_samples: int = 0) -> None:
        self._follow(rules)
        self._draft_samples = draft_samples
        self.heard_to = from_sample
        self._floor = from_sample  # what lies before belongs to an earlier utterance, or was discarded
        self._ended_to = from_sample  # what lies before belongs to an earlier utterance
        self._utterances = 0
        self._attempts = 0
        self._open: _Utterance | None = None
        self._onset_windows = 0
        self._voiced = False
        self._voices: list[tuple[int, int]] = []  # for Finish: voiced runs after the floor
        self._finishes: list[_Finish] = []
        self._quiet_to = from_sample

    @property
    def needed_from(self) -> int:
        """Audio before this position may be let go of."""
        if self._open is not None:
            return self._open.from_sample
        floor = min(self._floor, self.heard_to)  # what isn't judged yet can lie before a Discard or Finish
        if not self._rules.automatic or self._finishes:
            return min([floor, *(finish.from_sample for finish in self._finishes)])
        onset = self._onset_windows + 1
        return max(floor, self.heard_to - onset * WINDOW_SAMPLES - _samples(self._rules.prefix_padding_ms))

    @property
    def kept_from(self) -> int:
        """Audio before is given to no recogniser: that begins just before a voice, wherever an utterance does."""
        if self._open is not None:
            return self.needed_from
        voiced_from = self._voices[0][0] if self._voices else self.heard_to
        return max(self.needed_from, voiced_from - WINDOW_SAMPLES - _samples(LEAD_MS))

    def quiet_to(self) -> int:
        """Nothing before will be listened to again, here or by another who goes on from there; never falls."""
        if self._rules.automatic and self._open is None and not self._onset_windows and not self._finishes:
            self._quiet_to = max(self._quiet_to, self.needed_from)
            self._forget_voices(self._quiet_to)
        return self._quiet_to

    @property
    def wanted_to(self) -> int:
        """Audio up to here is waited for by a Finish; 0 when none waits."""
        return max((finish.to_sample for finish in self._finishes), default=0)

    @property
    def awaits_words(self) -> bool:
        """Whether the utterance is over depends on words that aren't there yet."""
        utterance = self._open
        if utterance is None or utterance.attempt == NO_ATTEMPT or utterance.words is not None:
            return False
        return self.heard_to - utterance.voiced_to >= _samples(self._rules.silence_ms)

    # what is asked

    def tune(self, rules: TurnRules) -> list[Decision]:
        went_manual = self._rules.automatic and not rules.automatic
        self._follow(rules)
        return self._drop_open() if went_manual else []

    def _follow(self, rules: TurnRules) -> None:
        self._rules = rules
        self._limit = max(rules.threshold, FAINTEST)
        self._silence_samples = _samples(rules.silence_ms)
        self._tentative_samples = _samples(min(TENTATIVE_MS, rules.silence_ms))

    def discard(self, to_sample: int) -> list[Decision]:
        """What a Finish asked for before is not concerned; what is voiced after it begins another utterance."""
        self._floor = max(self._floor, to_sample)
        self._forget_voices(min([self._floor, *(finish.from_sample for finish in self._finishes)]))
        utterance = self._open
        if utterance is None or utterance.from_sample >= to_sample:
            return []
        if utterance.voiced_from >= to_sample:
            utterance.from_sample, utterance.least_voice = to_sample, NO_WINDOW
            utterance.words_from = max(utterance.words_from, to_sample)
            return []
        return [*self._drop_open(), *self._begin_after(to_sample)]

    def _begin_after(self, to_sample: int) -> list[Decision]:
        """A replay is heard faster than the hub can judge it: the caller may have gone on long since."""
        runs = [(max(begin, to_sample), end) for begin, end in self._voices if end > to_sample]
        if not self._rules.automatic or sum(end - begin for begin, end in runs) < ONSET_WINDOWS * WINDOW_SAMPLES:
            return []
        return [self._start(to_sample, runs[0][0], runs[-1][1])]

    def finish(self, utterance: int, from_sample: int, to_sample: int) -> list[Decision]:
        """Acts at once if the audio has been heard, else once it has. No other utterance gets this number from now on.

        What is discarded later is still the client's.
        """
        self._utterances = max(self._utterances, utterance)
        self._finishes.append(_Finish(utterance, max(self._floor, from_sample), to_sample))
        return self._finish_due()

    def recognised(self, attempt: int, words: str) -> Sequence[Decision]:
        utterance = self._open
        if utterance is None or utterance.attempt != attempt or attempt == NO_ATTEMPT:
            return NOTHING
        utterance.words = words
        return self._stop_if_silent(utterance)

    # what is heard

    def hear(self, probability: float) -> Sequence[Decision]:
        """The next window of WINDOW_SAMPLES."""
        self.heard_to += WINDOW_SAMPLES
        utterance = self._open
        if utterance is None and probability < self._limit and not self._voiced and not self._finishes:
            self._onset_windows = 0
            return NOTHING  # silence goes on
        self._judge(probability)
        decisions = NOTHING
        if self._rules.automatic:
            decisions = self._go_on(utterance, probability) if utterance is not None else self._look_for_onset()
        return [*decisions, *self._finish_due()] if self._finishes else decisions

    def _judge(self, probability: float) -> None:
        """Between the two thresholds a window is what the one before it was."""
        margin = HYSTERESIS if self._open is not None else ONSET_HYSTERESIS
        limit = max(self._rules.threshold - margin, FAINTEST) if self._voiced else self._limit
        self._voiced = probability >= limit
        if not self._voiced:
            return
        voices, from_sample = self._voices, self.heard_to - WINDOW_SAMPLES
        if voices and voices[-1][1] == from_sample:
            voices[-1] = (voices[-1][0], self.heard_to)
            return
        voices.append((from_sample, self.heard_to))
        if len(voices) > VOICES_LIMIT:
            del voices[0]

    def _look_for_onset(self) -> Sequence[Decision]:
        fresh = self._voiced and self.heard_to > self._floor  # a Discard may come before its audio
        self._onset_windows = self._onset_windows + 1 if fresh else 0
        if self._onset_windows < ONSET_WINDOWS:
            return NOTHING
        voiced_from = max(self._floor, self.heard_to - self._onset_windows * WINDOW_SAMPLES)
        from_sample = max(self._floor, voiced_from - _samples(self._rules.prefix_padding_ms))
        return [self._start(from_sample, voiced_from, self.heard_to)]

    def _start(self, from_sample: int, voiced_from: int, voiced_to: int) -> Started:
        self._utterances += 1
        self._onset_windows = 0
        self._open = _Utterance(self._utterances, from_sample, voiced_from, voiced_to)
        return Started(self._utterances, voiced_from)

    def _go_on(self, utterance: _Utterance, probability: float) -> Sequence[Decision]:
        length = self.heard_to - utterance.from_sample
        if length > LONGEST_SAMPLES - CUT_SAMPLES and probability < utterance.least_voice:
            utterance.least_voice, utterance.cut_at = probability, self.heard_to
        decisions = NOTHING
        if not self._voiced:
            utterance.resuming_windows = 0
            decisions = self._stop_if_silent(utterance)
        else:
            utterance.resuming_windows += 1
            if self._resumes(utterance):
                decisions = self._resume(utterance)
        if length >= LONGEST_SAMPLES and self._open is utterance:
            decisions = [*decisions, *self._cut(utterance)]
        return decisions

    def _resumes(self, utterance: _Utterance) -> bool:
        unbroken = self.heard_to - utterance.voiced_to <= WINDOW_SAMPLES
        return unbroken or utterance.resuming_windows >= RESUME_WINDOWS

    def _resume(self, utterance: _Utterance) -> Sequence[Decision]:
        utterance.voiced_to = self.heard_to
        if utterance.attempt == NO_ATTEMPT:
            return self._draft(utterance)
        abandoned, utterance.attempt, utterance.words = utterance.attempt, NO_ATTEMPT, None
        return [Resumed(abandoned)]

    def _draft(self, utterance: _Utterance) -> Sequence[Decision]:
        """While there is a voice: in silence an attempt says the same, and must not wait."""
        if not self._draft_samples or self.heard_to - utterance.drafted_to < self._draft_samples:
            return NOTHING
        utterance.drafted_to = self.heard_to
        return [Draft(utterance.number, utterance.words_from, self.heard_to)]

    def _stop_if_silent(self, utterance: _Utterance) -> Sequence[Decision]:
        """Short silence: begin to recognise. Longer: stop if the words look finished. Longest: stop in any case."""
        rules = self._rules
        silence = self.heard_to - utterance.voiced_to
        if silence < self._tentative_samples:
            return NOTHING
        decisions: list[Decision] = []
        if utterance.attempt == NO_ATTEMPT:
            decisions.append(self._attempt(utterance, self.heard_to))
        if utterance.resuming_windows or silence < self._silence_samples:
            return decisions
        finished = utterance.words is not None and not looks_unfinished(utterance.words, rules.dictations)
        if finished or silence >= _samples(max(rules.silence_ms, rules.unfinished_ms)):
            decisions += self._stop(utterance, utterance.voiced_to)
        return decisions

    def _attempt(self, utterance: _Utterance, to_sample: int) -> Attempt:
        self._attempts += 1
        utterance.attempt, utterance.words = self._attempts, None
        return Attempt(utterance.number, self._attempts, utterance.words_from, to_sample)

    def _stop(self, utterance: _Utterance, to_sample: int) -> list[Decision]:
        self._open = None
        self._end(to_sample)
        return [Stopped(utterance.number, utterance.attempt, utterance.from_sample, to_sample, announced=True)]

    def _cut(self, utterance: _Utterance) -> list[Decision]:
        """Too long for a recogniser: ends at the window least like a voice, and the next begins right there."""
        decisions: list[Decision] = []
        if utterance.attempt != NO_ATTEMPT:
            decisions.append(Resumed(utterance.attempt))
        cut = utterance.cut_at
        decisions.append(self._attempt(utterance, cut))
        decisions += self._stop(utterance, cut)
        voiced_to = min(max(utterance.voiced_to, cut), self.heard_to)
        decisions.append(self._start(cut, cut, voiced_to))
        return decisions

    def _drop_open(self) -> list[Decision]:
        dropped = self._open
        return [*self._close_open(), Dropped(dropped.number)] if dropped is not None else []

    def _close_open(self) -> list[Decision]:
        closed, self._open, self._onset_windows = self._open, None, 0
        return [Resumed(closed.attempt)] if closed is not None and closed.attempt != NO_ATTEMPT else []

    def _end(self, to_sample: int) -> None:
        """An utterance's audio is no other's."""
        self._ended_to = max(self._ended_to, to_sample)
        self._floor = max(self._floor, to_sample)
        self._forget_voices(self._ended_to)

    def _forget_voices(self, to_sample: int) -> None:
        while self._voices and self._voices[0][1] <= to_sample:
            del self._voices[0]

    # the client's own word that the turn is over

    def _finish_due(self) -> list[Decision]:
        decisions: list[Decision] = []
        while self._finishes and self._finishes[0].to_sample < self.heard_to + WINDOW_SAMPLES:
            decisions += self._finish_now(self._finishes.pop(0))
        return decisions

    def _finish_now(self, finish: _Finish) -> list[Decision]:
        """What is open under the same number becomes this utterance; what is open under another ends without words."""
        decisions: list[Decision] = []
        opened, announced = self._open, False
        if opened is not None and (opened.from_sample < finish.to_sample or opened.number == finish.utterance):
            decisions += self._close_open()
            announced = opened.number == finish.utterance
            if not announced:
                decisions.append(Stopped(opened.number, NO_ATTEMPT, opened.from_sample, opened.voiced_to, True))
        from_sample = max(self._ended_to, finish.from_sample)
        voice = self._voice_within(from_sample, finish.to_sample)
        self._end(finish.to_sample)
        if voice is None:
            nothing = Stopped(finish.utterance, NO_ATTEMPT, from_sample, finish.to_sample, announced)
            return [*decisions, nothing]
        self._attempts += 1
        to_sample = min(finish.to_sample, voice[1] + _samples(TENTATIVE_MS))
        decisions.append(Attempt(finish.utterance, self._attempts, voice[0], to_sample))
        decisions.append(Stopped(finish.utterance, self._attempts, *voice, announced))
        return decisions

    def _voice_within(self, from_sample: int, to_sample: int) -> tuple[int, int] | None:
        """From the first voice (padded) to the last; None where no more than a click was heard."""
        runs = [(max(a, from_sample), min(b, to_sample)) for a, b in self._voices if a < to_sample and b > from_sample]
        if sum(b - a for a, b in runs) < RESUME_WINDOWS * WINDOW_SAMPLES:
            return None
        speaking = runs[-1][1] == self.heard_to  # and so in the rest of a window that is not judged yet
        voiced_to = to_sample if speaking else runs[-1][1]
        return max(from_sample, runs[0][0] - _samples(LEAD_MS)), voiced_to


def _samples(duration_ms: int) -> int:
    return duration_ms * CALLER_RATE_HZ // 1000
