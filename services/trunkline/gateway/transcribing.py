"""STT alone: what a request or a session says is written down, by the listening and the turns of calls, with no agent.

Rule: whoever brings audio faster than it is said waits for `room`, so that neither STT nor the ring loses any of it,
were it that its worker dies at any moment.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from types import TracebackType
from typing import TypeVar

import numpy as np

from trunkline.audio import pcm
from trunkline.audio.pcm import Samples
from trunkline.gateway.announcing import announcement
from trunkline.gateway.call_events import CallEvent
from trunkline.gateway.decisions import Decision, OrderDiscard, OrderFinish
from trunkline.gateway.listening import RING_SAMPLES, Listening
from trunkline.gateway.playout import Playout
from trunkline.gateway.posts import SttPost
from trunkline.gateway.requests import Request, Requests
from trunkline.gateway.turns import Policy, Turns
from trunkline.proto.audio import CALLER_RATE_HZ, SPEECH_RATE_HZ
from trunkline.proto.errors import BadInput
from trunkline.proto.ids import new_item_id
from trunkline.proto.speech import Tune, TurnRules

SAID_SAMPLES = CALLER_RATE_HZ * 6 // 5  # so often STT says how far it has judged, and a few windows
AHEAD_SAMPLES = 3 * CALLER_RATE_HZ  # of what STT may have judged and not said yet
SURE_SAMPLES = CALLER_RATE_HZ // 5  # a detector needs a few windows to be sure that a voice is over

RULES = TurnRules()

T = TypeVar("T")
OnEvent = Callable[[CallEvent], None]


class Transcribing:
    """`async with Transcribing(requests, name, on_event) as heard`: an STT worker listens from there on.

    name: of its span. on_event: is told SpeechBegan, SpeechEnded, AudioCommitted, TranscribedSoFar, Transcribed and
    TranscriptionFailed; items end in the order in which they began. language: ISO 639-1.
    patient: nobody speaks while it listens, so calls go before it, and a worker that has much to do is given time.
    Entering raises StageUnavailable; `room`, `finish` and `settled` do when nobody listens any more.
    """

    def __init__(
        self,
        requests: Requests,
        name: str,
        on_event: OnEvent,
        *,
        rules: TurnRules = RULES,
        language: str = "en",
        patient: bool = False,
    ) -> None:
        self._requests = requests
        self._name = name
        self._on_event = on_event
        self._rules = rules
        self._language = language
        self._patient = patient
        self._progress = asyncio.Event()
        self._turns = Turns(new_item_id)
        self._turns.policy = _policy(rules)

    def _post(self, request: Request) -> SttPost:
        now_s = self._requests.now_s
        self._listening = Listening(
            request.handle,
            self._turns,
            Playout(),  # nothing is ever played, so there is no echo
            clock=lambda: int(now_s() * SPEECH_RATE_HZ),
            busy=lambda: False,
            decide=self._carry_out,
            on_progress=self._progress.set,
        )
        return SttPost(
            request.handle,
            self._listening,
            rules=lambda: self._rules,
            tell=lambda moved: None,  # there is no agent, and no record
            now_s=now_s,
            language=lambda: self._language,
            patience=self._requests.audibility if self._patient else None,
        )

    async def __aenter__(self) -> "Transcribing":
        self._request = self._requests.open("stt", self._name, self._post)
        await self._request.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._request.__aexit__(kind, error, trace)

    # what there is

    @property
    def request_id(self) -> str:
        return self._request.id

    @property
    def languages(self) -> tuple[str, ...]:
        """Of the recogniser that listens; empty if it doesn't tell."""
        return self._listening.languages

    @property
    def heard_to(self) -> int:
        """Samples heard so far."""
        return self._listening.ring.end

    @property
    def judged_to(self) -> int:
        """STT has listened up to there."""
        return self._listening.judged_to

    # what is heard

    def hear(self, samples: Samples) -> None:
        """samples: the next, at CALLER_RATE_HZ; what comes faster than in real time, no more than there is room for."""
        self._listening.hear(pcm.to_bytes(samples))

    async def wait(self, what: Awaitable[T]) -> T:
        """Its outcome. Raises StageUnavailable."""
        return await self._request.wait(what)

    async def room(self) -> int:
        """Waits until there is room for more audio; returns for how many samples. Raises StageUnavailable."""
        while (free := self._free) <= 0:
            await self._heard_of()
        return free

    async def finish(self) -> None:
        """Waits for the words of all that was heard, where VAD bounds utterances. Raises StageUnavailable.

        No commit, which would be in a race with an end that STT finds by itself: silence after it, until STT says that
        it has heard more of that than an utterance lasts beyond its last voice.
        """
        silent_to = self.heard_to + _samples(max(self._rules.silence_ms, self._rules.unfinished_ms)) + SURE_SAMPLES
        while (missing := silent_to + self._unsaid - self.heard_to) > 0:
            self.hear(np.zeros(min(await self.room(), missing), dtype=np.int16))
        while self.judged_to < silent_to:
            await self._heard_of()
        await self.settled()

    async def settled(self) -> None:
        """Waits until nobody speaks and the words of all that ended are told. Raises StageUnavailable."""
        while self._turns.under_way:
            await self._heard_of()

    @property
    def _free(self) -> int:
        """Where VAD bounds utterances, no more than the ring holds from the first whose words aren't known."""
        limit = self.judged_to + self._unsaid + AHEAD_SAMPLES
        if self._rules.automatic:
            limit = min(limit, self._listening.replay_from + RING_SAMPLES)
        return limit - self.heard_to

    @property
    def _unsaid(self) -> int:
        """What STT has judged without saying so: in silence it tells of what it needn't hear again, no more."""
        return SAID_SAMPLES + _samples(self._rules.prefix_padding_ms)

    async def _heard_of(self) -> None:
        self._progress.clear()
        await self._request.wait(self._progress.wait())

    # the verbs of a client; BadInput is for the client to see

    def configure(self, rules: TurnRules, language: str) -> None:
        """From the next decision on; a language, from the next worker on."""
        before, self._rules, self._language = self._rules, rules, language
        self._carry_out(self._turns.follow(_policy(rules), self.heard_to))
        if rules != before:
            self._listening.tell(Tune(rules))

    def commit_audio(self) -> None:
        """What is being said, or was heard since the last utterance, is an item. Raises BadInput below 100 ms of it."""
        self._carry_out(self._turns.commit(self.heard_to))

    def clear_audio(self) -> None:
        self._carry_out(self._turns.clear(self.heard_to))

    def _carry_out(self, decisions: list[Decision]) -> None:
        for decision in decisions:
            told = announcement(decision)
            if told is not None:
                self._on_event(told)
            match decision:
                case OrderFinish(utterance=number, from_sample=from_sample, to_sample=to_sample):
                    self._listening.finish(number, from_sample, to_sample)
                case OrderDiscard(from_sample=from_sample, to_sample=to_sample):
                    self._listening.discard(from_sample, to_sample)


def require_language(param: str, language: str, languages: Sequence[str]) -> None:
    """Raises BadInput. language: a region after it doesn't count. languages: none if the recogniser doesn't tell."""
    if languages and language.replace("_", "-").split("-")[0].lower() not in languages:
        problem = f"{language[:80]!r} is no language of the recogniser"
        raise BadInput(param, problem, ", ".join(languages), code="not_supported")


def _samples(duration_ms: int) -> int:
    return duration_ms * CALLER_RATE_HZ // 1000


def _policy(rules: TurnRules) -> Policy:
    """Nobody answers, so there is nothing to interrupt."""
    return Policy(automatic=rules.automatic, respond=False, interrupt=False)
