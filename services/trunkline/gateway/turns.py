"""What a caller's speech means for the call: hold, resume, flush, and turns, decided from facts.

Pure: no clock, no loop. Positions are samples since the call began, at CALLER_RATE_HZ. Each utterance has one item
and makes at most one turn, in the order in which utterances began.
"""

from collections.abc import Callable

import msgspec

from trunkline.proto.audio import CALLER_RATE_HZ
from trunkline.proto.errors import BadInput
from trunkline.proto.response import TurnSource

CONFIRM_SAMPLES = CALLER_RATE_HZ * 180 // 1000  # voice this long over the agent's is no cough
COMMIT_SAMPLES = CALLER_RATE_HZ * 100 // 1000  # the least that a client may commit, as with the vendor
MANUAL_FROM = 1_000_000  # numbers of utterances that a client bounds; those of VAD count from 1, or on from there


class Policy(msgspec.Struct, frozen=True):
    """automatic: VAD bounds utterances. respond: a turn is answered by itself. interrupt: speech stops the agent."""

    automatic: bool = True
    respond: bool = True
    interrupt: bool = True


class Hold(msgspec.Struct, frozen=True):
    """Send the agent's audio no further for now."""


class Resume(msgspec.Struct, frozen=True):
    """It was nothing: go on."""


class Flush(msgspec.Struct, frozen=True):
    """The caller speaks: the agent's response is over."""


class AnnounceStarted(msgspec.Struct, frozen=True):
    item: str
    at_sample: int


class AnnounceStopped(msgspec.Struct, frozen=True):
    item: str
    at_sample: int


class CommitAudio(msgspec.Struct, frozen=True):
    """The utterance's audio is an item of the conversation now; its words may follow later."""

    item: str


class TakeTurn(msgspec.Struct, frozen=True):
    """turn: from 1, in order; 0, with empty text, when a client bounded an utterance without words: an item alone."""

    turn: int
    item: str
    text: str
    source: TurnSource
    from_sample: int = 0
    to_sample: int = 0
    respond: bool = False


class AnswerAfterAll(msgspec.Struct, frozen=True):
    """The last turn wasn't to be answered, since the caller seemed to go on; nothing came of that."""


class GiveUp(msgspec.Struct, frozen=True):
    """A committed item whose words will never be known."""

    item: str
    reason: str


class OrderFinish(msgspec.Struct, frozen=True):
    utterance: int
    from_sample: int
    to_sample: int


class OrderDiscard(msgspec.Struct, frozen=True):
    to_sample: int


Decision = (
    Hold
    | Resume
    | Flush
    | AnnounceStarted
    | AnnounceStopped
    | CommitAudio
    | TakeTurn
    | AnswerAfterAll
    | GiveUp
    | OrderFinish
    | OrderDiscard
)


class _Utterance:
    """tentative: holds the playout until it is confirmed or was nothing."""

    __slots__ = (
        "announced",
        "at_sample",
        "committed",
        "item",
        "number",
        "outcome",
        "stopped",
        "tentative",
        "voiced_samples",
    )

    def __init__(self, number: int, item: str, at_sample: int) -> None:
        self.number = number
        self.item = item
        self.at_sample = at_sample
        self.voiced_samples = 0
        self.tentative = self.announced = self.stopped = self.committed = False
        self.outcome: list[Decision] | None = None  # what its end means; None while it isn't known


class Turns:
    def __init__(self, new_item: Callable[[], str]) -> None:
        """new_item: mints ids of callers' items."""
        self.policy = Policy()
        self._new_item = new_item
        self._utterances: dict[int, _Utterance] = {}  # in the order in which they began
        self._turn = 0
        self._next_number = MANUAL_FROM
        self._typed = 0  # texts, numbered downwards: STT knows nothing of them
        self._unanswered = False  # the last turn, since the caller seemed to go on
        self._taken_to = 0  # audio before belongs to a turn, or was cleared

    @property
    def watching(self) -> bool:
        """Whether goes_on has anything to decide."""
        return any(u.tentative for u in self._utterances.values() if not u.stopped)

    @property
    def unsettled(self) -> bool:
        """Something is committed whose words aren't there yet, or waits behind what was said before."""
        return any(u.committed or u.outcome is not None for u in self._utterances.values())

    @property
    def speaking(self) -> bool:
        """The caller is known to speak right now."""
        return any(u.announced and not u.stopped for u in self._utterances.values())

    # what STT says

    def speech_started(self, number: int, at_sample: int, now_sample: int, *, busy: bool, echo: bool) -> list[Decision]:
        """now_sample: the newest audio. busy: a response is on its way or heard. echo: it sounds like the agent."""
        if not self.policy.automatic or number in self._utterances:
            return []
        self._next_number = max(self._next_number, number + 1)
        if echo:  # discarded, so that STT hears afresh when the caller speaks in the middle of it
            return [OrderDiscard(now_sample)]
        utterance = self._utterances[number] = _Utterance(number, self._new_item(), at_sample)
        utterance.voiced_samples = max(0, now_sample - at_sample)
        return self._open(utterance, busy)

    def goes_on(self, voiced_samples: int, now_sample: int, *, echo: bool) -> list[Decision]:
        """More audio of an utterance that is being watched, so many samples of it voice. echo: the latest verdict."""
        decisions: list[Decision] = []
        for utterance in [u for u in self._utterances.values() if u.tentative and not u.stopped]:
            utterance.voiced_samples += voiced_samples
            if echo:
                del self._utterances[utterance.number]
                decisions += [*self._let_go(utterance), OrderDiscard(now_sample)]
            elif utterance.voiced_samples >= CONFIRM_SAMPLES:
                decisions += self._confirm(utterance)
        return decisions + self._release()

    def falls_silent(self) -> list[Decision]:
        """No more audio comes, so how a hold would end may never be known. Words that come all the same still count."""
        return [d for u in list(self._utterances.values()) for d in self._let_go(u)]

    def speech_stopped(self, number: int, at_sample: int) -> list[Decision]:
        utterance = self._utterances.get(number)
        if utterance is None or utterance.stopped:
            return []
        utterance.stopped = True
        return [AnnounceStopped(utterance.item, at_sample)] if utterance.announced else []

    def final(self, number: int, text: str, from_sample: int, to_sample: int) -> list[Decision]:
        utterance = self._utterances.get(number)
        if utterance is None or utterance.outcome is not None:
            return []
        text = text.strip()
        decisions: list[Decision] = []
        if not text and not utterance.committed:
            decisions = self._let_go(utterance) + self.speech_stopped(number, to_sample)
            utterance.outcome = []
        else:
            utterance.stopped = utterance.stopped and utterance.announced  # an end is told after its beginning
            decisions = self._confirm(utterance) + self.speech_stopped(number, to_sample)
            utterance.outcome = [] if utterance.committed else [CommitAudio(utterance.item)]
            utterance.outcome.append(self._turn_of(utterance, text, from_sample, to_sample))
        utterance.stopped = True
        self._taken_to = max(self._taken_to, to_sample)
        return decisions + self._release()

    def failed(self, number: int, reason: str) -> list[Decision]:
        utterance = self._utterances.get(number)
        if utterance is None or utterance.outcome is not None:
            return []
        utterance.stopped = True
        known = utterance.announced or utterance.committed
        decisions = self._let_go(utterance)
        utterance.outcome = [] if utterance.committed or not known else [CommitAudio(utterance.item)]
        if known:
            utterance.outcome.append(GiveUp(utterance.item, reason))
        return decisions + self._release()

    # what the client says

    def commit(self, end_sample: int) -> list[Decision]:
        """The client ends the turn at end_sample. Raises BadInput when there is next to no audio since the last."""
        open_one = next((u for u in self._utterances.values() if not u.stopped), None)
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
        item = self._new_item()
        if open_one is not None:  # the client's word replaces what VAD had begun
            del self._utterances[open_one.number]
            item = open_one.item
            decisions += self._confirm(open_one)
            if open_one.announced:
                decisions.append(AnnounceStopped(item, end_sample))
        utterance = self._utterances[number] = _Utterance(number, item, from_sample)
        utterance.committed = utterance.stopped = True
        self._taken_to = end_sample
        self._unanswered = False  # a client that commits asks for the answer
        return [*decisions, OrderFinish(number, from_sample, end_sample), CommitAudio(item)]

    def clear(self, end_sample: int) -> list[Decision]:
        """The client forgets what is being said; what has ended, by VAD or by commit, is in the conversation."""
        decisions = self._forget_open(end_sample)
        self._taken_to = end_sample
        return [*decisions, OrderDiscard(end_sample), *self._release()]

    def follow(self, policy: Policy, end_sample: int) -> list[Decision]:
        """A new policy. From automatic to not, STT drops what is open, and no Final will come of it."""
        went_manual = self.policy.automatic and not policy.automatic
        self.policy = policy
        return [*self._forget_open(end_sample), *self._release()] if went_manual else []

    def typed(self, item: str, text: str) -> list[Decision]:
        """Waits behind what was said to its end before it; what is still being said comes after it."""
        self._typed -= 1
        utterance = _Utterance(self._typed, item, self._taken_to)
        utterance.stopped = True
        utterance.outcome = [TakeTurn(0, item, text, "text")]
        ended = {number: u for number, u in self._utterances.items() if u.stopped}
        self._utterances = {**ended, self._typed: utterance, **self._utterances}
        return self._release()

    # the steps

    def _open(self, utterance: _Utterance, busy: bool) -> list[Decision]:
        if not busy or not self.policy.interrupt:
            utterance.announced = True
            return [AnnounceStarted(utterance.item, utterance.at_sample)]
        held = self._held()
        utterance.tentative = True
        return [] if held else [Hold()]

    def _confirm(self, utterance: _Utterance) -> list[Decision]:
        if utterance.announced or utterance.committed:
            return []
        flush = [Flush()] if utterance.tentative else []
        utterance.tentative = False
        utterance.announced = True
        return [AnnounceStarted(utterance.item, utterance.at_sample), *flush]

    def _let_go(self, utterance: _Utterance) -> list[Decision]:
        if not utterance.tentative:
            return []
        utterance.tentative = False
        return [] if self._held() else [Resume()]

    def _forget_open(self, end_sample: int) -> list[Decision]:
        decisions: list[Decision] = []
        for utterance in [u for u in self._utterances.values() if not u.stopped]:
            del self._utterances[utterance.number]
            decisions += self._let_go(utterance)
            if utterance.announced:
                decisions.append(AnnounceStopped(utterance.item, end_sample))
        return decisions

    def _held(self) -> bool:
        return any(u.tentative for u in self._utterances.values())

    def _turn_of(self, utterance: _Utterance, text: str, from_sample: int, to_sample: int) -> TakeTurn:
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
            number, utterance = next(iter(self._utterances.items()))
            if utterance.outcome is None:
                break
            del self._utterances[number]
            goes_on = self._goes_on()
            for decision in utterance.outcome:
                if isinstance(decision, TakeTurn) and decision.text:
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
        return any(u.announced for u in self._utterances.values())
