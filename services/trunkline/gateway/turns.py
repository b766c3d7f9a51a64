"""What a caller's speech means for the call: hold, resume, flush, and turns, decided from facts.

Pure: no clock, no loop. Positions are samples since the call began, at CALLER_RATE_HZ. Each utterance has one item
and makes at most one turn, in the order in which utterances began, however many STT workers heard it.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import msgspec

from trunkline.gateway.decisions import (
    AnnounceStarted,
    AnnounceStopped,
    AnnounceWords,
    AnswerAfterAll,
    Change,
    CommitAudio,
    Decision,
    Flush,
    GiveUp,
    Hold,
    OrderDiscard,
    OrderFinish,
    Resume,
    TakeTurn,
)
from trunkline.gateway.utterance import NEAR_SAMPLES, NO_NUMBER, Utterance
from trunkline.proto.audio import CALLER_RATE_HZ
from trunkline.proto.errors import BadInput
from trunkline.proto.image import ShownImage
from trunkline.proto.response import Insert, Retract

CONFIRM_SAMPLES = CALLER_RATE_HZ * 180 // 1000  # voice this long over the agent's is no cough
COMMIT_SAMPLES = CALLER_RATE_HZ * 100 // 1000  # the least that a client may commit, as with the vendor
ONSET_SAMPLES = CALLER_RATE_HZ * 200 // 1000  # STT has told of a voice by then
MANUAL_FROM = 1_000_000  # numbers of utterances that a client bounds; those of VAD count from 1, or on from there


class Policy(msgspec.Struct, frozen=True):
    """automatic: VAD bounds utterances. respond: a turn is answered by itself. interrupt: speech stops the agent."""

    automatic: bool = True
    respond: bool = True
    interrupt: bool = True


class Begun(NamedTuple):
    """An utterance that another gateway has told of and that is in no recorded turn."""

    item: str
    at_sample: int


class Turns:
    def __init__(self, new_item: Callable[[], str]) -> None:
        """new_item: mints ids of callers' items."""
        self.policy = Policy()
        self._new_item = new_item
        self._utterances: list[Utterance] = []  # in the order in which they began
        self._turn = 0
        self._next_number = MANUAL_FROM
        self._unanswered = False  # the last turn, since the caller seemed to go on
        self._taken_to = 0  # audio before belongs to a turn or to nothing, or was cleared
        self._discarded_to = 0

    def go_on(self, turn: int, from_sample: int, begun: Sequence[Begun]) -> None:
        """Behind this turn and this sample of a call that another gateway began; before anything else."""
        self._turn = turn
        self._taken_to = self._discarded_to = from_sample
        for item, at_sample in begun:
            utterance = Utterance(NO_NUMBER, item, max(at_sample, from_sample), from_sample)
            utterance.announced = True
            self._utterances.append(utterance)

    @property
    def watching(self) -> bool:
        """Whether goes_on has anything to decide."""
        return bool(self._utterances) and any(u.tentative for u in self._utterances if not u.stopped)

    @property
    def unsettled(self) -> bool:
        """Something is committed whose words aren't there yet, or waits behind what was said before."""
        return any(u.committed or u.outcome is not None for u in self._utterances)

    @property
    def under_way(self) -> bool:
        """Somebody speaks, or what comes of an utterance isn't known yet."""
        return bool(self._utterances)

    @property
    def speaking(self) -> bool:
        """The caller is known to speak right now."""
        return any(u.announced and not u.stopped for u in self._utterances)

    def settled_to(self, silent_to: int) -> int:
        """Audio before it needn't be heard again. silent_to: STT's word that there is nothing before."""
        wanted = [u.needed_from for u in self._utterances if u.outcome is None]
        return min([max(self._taken_to, silent_to), *wanted])

    def knows(self, at_sample: int) -> bool:
        """An utterance that begins there is one that another STT worker has told of."""
        return self._orphan_at(at_sample) is not None

    # what STT says

    def listener_changed(self, from_sample: int) -> list[Decision]:
        """Another STT worker hears the caller, again from from_sample; its utterances have numbers of its own.

        Those that are open keep their item and what was decided of them, and wait to be heard again; those that a
        client bounded keep their number, since the client's order is given again.
        """
        decisions: list[Decision] = []
        for utterance in self._utterances:
            if utterance.committed:
                utterance.absorbed.clear()
                continue
            utterance.number = NO_NUMBER
            if utterance.orphaned and utterance.stopped and utterance.to_sample <= from_sample:
                decisions += self._come_to_nothing(utterance, from_sample)  # its audio is gone
            utterance.at_sample = max(utterance.at_sample, from_sample)
        return decisions + self._release()

    def judged(self, to_sample: int) -> list[Decision]:
        """STT has listened up to there. What it should have heard again by now, and didn't, is nothing."""
        if any(u.heard_now for u in self._utterances):  # it may be part of that
            return []
        return self._pass_by(to_sample - NEAR_SAMPLES - ONSET_SAMPLES) + self._release()

    def speech_started(
        self, number: int, at_sample: int, now_sample: int, *, voiced_samples: int, busy: bool, echo: bool
    ) -> list[Decision]:
        """now_sample: the newest audio. busy: a response is on its way or heard. echo: it sounds like the agent.

        voiced_samples: so many of it are voice, as far as is known.
        """
        if not self.policy.automatic or self._find(number) is not None:
            return []
        self._next_number = max(self._next_number, number + 1)
        orphan = self._orphan_at(at_sample)
        if orphan is not None:
            orphan.number = number
            return self._pass_by(orphan.at_sample) + self._release()
        discarded = at_sample < self._discarded_to
        if discarded and not self._is_bounded(at_sample):  # STT hadn't heard of that, and lets it go
            return []
        decisions = self._pass_by(at_sample - NEAR_SAMPLES)
        if echo:  # discarded, so that STT hears afresh when the caller speaks in the middle of it
            self._discarded_to = max(self._discarded_to, now_sample)
            return [*decisions, *self._release(), OrderDiscard(at_sample, now_sample)]
        utterance = Utterance(number, self._new_item(), at_sample, self._taken_to)
        utterance.voiced_samples = voiced_samples
        if any(u.takes_in(utterance) for u in self._utterances):
            return decisions + self._release()
        if at_sample < self._taken_to:  # the client committed it meanwhile: an utterance only if words come of it
            utterance.doubtful = discarded  # STT lets it go, unless its end was there before the client's word
            self._insert(utterance)
            return decisions + self._release()
        self._utterances.append(utterance)
        return [*decisions, *self._open(utterance, busy), *self._release()]

    def goes_on(self, voiced_samples: int, now_sample: int, *, echo: bool) -> list[Decision]:
        """More audio of an utterance that is being watched, so many samples of it voice. echo: the latest verdict."""
        decisions: list[Decision] = []
        for utterance in [u for u in self._utterances if u.tentative and not u.stopped]:
            utterance.voiced_samples += voiced_samples
            if echo:
                self._utterances.remove(utterance)
                self._discarded_to = max(self._discarded_to, now_sample)
                decisions += [*self._let_go(utterance), OrderDiscard(utterance.at_sample, now_sample)]
            elif utterance.voiced_samples >= CONFIRM_SAMPLES:
                decisions += self._confirm(utterance)
        return decisions + self._release()

    def falls_silent(self) -> list[Decision]:
        """How a hold would end may never be known, or too late. Words that come all the same still count."""
        return [d for u in self._utterances for d in self._let_go(u)]

    def speech_stopped(self, number: int, at_sample: int) -> list[Decision]:
        utterance = self._find(number)
        return self._stop(utterance, at_sample) if utterance is not None else []

    def partial(self, number: int, text: str) -> list[Decision]:
        utterance = self._find(number)
        if utterance is None or not utterance.announced or utterance.outcome is not None:
            return []
        return [AnnounceWords(utterance.item, text)]

    def final(self, number: int, text: str, from_sample: int, to_sample: int) -> list[Decision]:
        utterance = self._find(number)
        text = text.strip()
        if utterance is None or utterance.outcome is not None:
            for bounded in self._utterances:
                bounded.absorb(number, text, from_sample)
            return []
        if utterance.lacking:
            return self.failed(number, utterance.lacking)
        decisions: list[Decision] = self._give_up_doubtful(utterance)
        if utterance.prefix:
            text, from_sample = f"{utterance.prefix} {text}".strip(), utterance.prefix_from
        if not text and not utterance.committed:
            decisions += self._come_to_nothing(utterance, to_sample)
        else:
            utterance.stopped = utterance.stopped and utterance.announced  # an end is told after its beginning
            decisions += self._confirm(utterance) + self._stop(utterance, to_sample)
            utterance.outcome = [] if utterance.committed else [CommitAudio(utterance.item)]
            utterance.outcome.append(self._turn_of(utterance, text, from_sample, to_sample))
        utterance.stopped = True
        self._taken_to = max(self._taken_to, to_sample)
        return decisions + self._pass_by(to_sample) + self._release()

    def failed(self, number: int, reason: str) -> list[Decision]:
        utterance = self._find(number)
        if utterance is None or utterance.outcome is not None:
            for bounded in self._utterances:
                bounded.lack(number, reason)
            return []
        utterance.stopped = True
        known = utterance.announced or utterance.committed
        decisions = self._give_up_doubtful(utterance) + self._let_go(utterance)
        utterance.outcome = [] if utterance.committed or not known else [CommitAudio(utterance.item)]
        if known:
            utterance.outcome.append(GiveUp(utterance.item, reason))
        self._taken_to = max(self._taken_to, utterance.to_sample)
        return decisions + self._release()

    # what the client says

    def commit(self, end_sample: int) -> list[Decision]:
        """The client ends the turn at end_sample. Raises BadInput when there is next to no audio since the last."""
        open_one = next((u for u in self._utterances if not u.stopped), None)
        from_sample = self._taken_to
        if end_sample - from_sample < COMMIT_SAMPLES:
            held_ms = max(0, end_sample - from_sample) * 1000 // CALLER_RATE_HZ
            raise BadInput(
                "input_audio_buffer",
                f"holds {held_ms} ms of audio",
                "a commit of at least 100 ms",
                code="input_audio_buffer_commit_empty",
            )
        number, self._next_number = self._next_number, self._next_number + 1
        decisions: list[Decision] = []
        item, absorbed = self._new_item(), set()
        if open_one is not None:  # the client's word replaces what VAD had begun
            self._utterances.remove(open_one)
            item, absorbed = open_one.item, {open_one.number}
            decisions += self._confirm(open_one)
            if open_one.announced:
                decisions.append(AnnounceStopped(item, end_sample))
        utterance = Utterance(number, item, from_sample, from_sample)
        self._utterances.append(utterance)
        utterance.committed = utterance.stopped = True
        utterance.to_sample = self._taken_to = end_sample
        utterance.absorbed = absorbed
        self._unanswered = False  # a client that commits asks for the answer
        return [*decisions, OrderFinish(number, from_sample, end_sample), CommitAudio(item)]

    def clear(self, end_sample: int) -> list[Decision]:
        """The client forgets what is being said; what has ended, by VAD or by commit, is in the conversation."""
        decisions = self._forget_open(end_sample)
        kept_to = max([self._taken_to, *(u.to_sample for u in self._utterances)])
        self._taken_to = self._discarded_to = max(self._taken_to, end_sample)
        return [*decisions, OrderDiscard(min(kept_to, end_sample), end_sample), *self._release()]

    def follow(self, policy: Policy, end_sample: int) -> list[Decision]:
        """A new policy. From automatic to not, STT drops what is open, and no Final will come of it."""
        went_manual = self.policy.automatic and not policy.automatic
        self.policy = policy
        return [*self._forget_open(end_sample), *self._release()] if went_manual else []

    def typed(self, item: str, text: str, previous: str = "", images: tuple[ShownImage, ...] = ()) -> list[Decision]:
        """previous: see Turn."""
        return self._behind(item, TakeTurn(0, item, text, "text", previous=previous, images=images))

    def changed(self, word: Insert | Retract) -> list[Decision]:
        return self._behind("", Change(word))

    def _behind(self, item: str, outcome: Decision) -> list[Decision]:
        """Waits behind what was said to its end before it; what is still being said comes after it."""
        utterance = Utterance(NO_NUMBER, item, self._taken_to, self._taken_to)
        utterance.stopped = True
        utterance.outcome = [outcome]
        ended = [u for u in self._utterances if u.stopped]
        self._utterances = [*ended, utterance, *(u for u in self._utterances if not u.stopped)]
        return self._release()

    # the steps

    def _find(self, number: int) -> Utterance | None:
        return next((u for u in self._utterances if u.number == number and number != NO_NUMBER), None)

    def _is_bounded(self, at_sample: int) -> bool:
        """By the client, and its words aren't known yet."""
        return any(
            u.committed and u.outcome is None and u.at_sample <= at_sample < u.to_sample for u in self._utterances
        )

    def _give_up_doubtful(self, bounded: Utterance) -> list[Decision]:
        """Words come in order: what STT had ended before what the client bounded is told by now."""
        earlier = self._utterances[: self._utterances.index(bounded)] if bounded.committed else []
        return [d for u in earlier if u.doubtful and u.outcome is None for d in self._come_to_nothing(u, u.at_sample)]

    def _orphan_at(self, at_sample: int) -> Utterance | None:
        """The nearest."""
        near = [(d, u) for u in self._utterances if u.orphaned and (d := u.distance(at_sample)) is not None]
        return min(near, key=lambda found: found[0])[1] if near else None

    def _insert(self, utterance: Utterance) -> None:
        """Before what a client bounded: it was said before the end of that."""
        bounded = (i for i, u in enumerate(self._utterances) if u.committed and u.to_sample > utterance.at_sample)
        self._utterances.insert(next(bounded, len(self._utterances)), utterance)

    def _pass_by(self, to_sample: int) -> list[Decision]:
        """Utterances that began before, and that the present worker doesn't hear: they end as one without words."""
        passed = [u for u in self._utterances if u.orphaned and u.at_sample < to_sample]
        return [d for u in passed for d in self._come_to_nothing(u, to_sample)]

    def _come_to_nothing(self, utterance: Utterance, at_sample: int) -> list[Decision]:
        decisions = self._let_go(utterance) + self._stop(utterance, at_sample)
        utterance.outcome = []
        return decisions

    def _stop(self, utterance: Utterance, at_sample: int) -> list[Decision]:
        if utterance.stopped:
            return []
        utterance.stopped = True
        utterance.to_sample = at_sample
        return [AnnounceStopped(utterance.item, at_sample)] if utterance.announced else []

    def _open(self, utterance: Utterance, busy: bool) -> list[Decision]:
        if not busy or not self.policy.interrupt:
            utterance.announced = True
            return [AnnounceStarted(utterance.item, utterance.at_sample)]
        held = self._held()
        utterance.tentative = True
        return [] if held else [Hold()]

    def _confirm(self, utterance: Utterance) -> list[Decision]:
        if utterance.announced or utterance.committed:
            return []
        flush = [Flush()] if utterance.tentative else []
        utterance.tentative = False
        utterance.announced = True
        return [AnnounceStarted(utterance.item, utterance.at_sample), *flush]

    def _let_go(self, utterance: Utterance) -> list[Decision]:
        if not utterance.tentative:
            return []
        utterance.tentative = False
        return [] if self._held() else [Resume()]

    def _forget_open(self, end_sample: int) -> list[Decision]:
        decisions: list[Decision] = []
        for utterance in [u for u in self._utterances if not u.stopped]:
            if self._is_bounded(utterance.at_sample):
                utterance.doubtful = True
                continue
            self._utterances.remove(utterance)
            decisions += self._let_go(utterance)
            if utterance.announced:
                decisions.append(AnnounceStopped(utterance.item, end_sample))
        return decisions

    def _held(self) -> bool:
        return any(u.tentative for u in self._utterances)

    def _turn_of(self, utterance: Utterance, text: str, from_sample: int, to_sample: int) -> TakeTurn:
        return TakeTurn(
            turn=0,  # numbered when it is released
            item=utterance.item,
            text=text,
            source="speech",
            from_sample=from_sample,
            to_sample=to_sample,
            respond=bool(text) and not utterance.committed and self.policy.respond,
        )

    def _release(self) -> list[Decision]:
        """Outcomes of utterances before which nothing is open; a turn after which the caller goes on isn't answered."""
        decisions: list[Decision] = []
        while self._utterances:
            utterance = self._utterances[0]
            if utterance.outcome is None:
                break
            del self._utterances[0]
            goes_on = self._goes_on()
            for decision in utterance.outcome:
                if isinstance(decision, TakeTurn) and decision.says_something:
                    self._turn += 1
                    self._unanswered = goes_on if decision.respond else self._unanswered
                    respond = decision.respond and not goes_on
                    decision = msgspec.structs.replace(decision, turn=self._turn, respond=respond)
                decisions.append(decision)
        if self._unanswered and not self._goes_on():
            self._unanswered = False
            decisions += [AnswerAfterAll()] if self.policy.respond else []
        return decisions

    def _goes_on(self) -> bool:
        return any(u.announced for u in self._utterances)
