"""What each stage's worker is for a call: the order that places it, what follows when it takes it, who hears it."""

import asyncio
from collections.abc import Callable
from functools import partial

from trunkline.bus.exchange import Link
from trunkline.bus.port import Headers
from trunkline.gateway.agent_line import AgentLine
from trunkline.gateway.audibility import Audibility
from trunkline.gateway.listening import Listening
from trunkline.gateway.placing import Placement
from trunkline.gateway.speaking import Speaking
from trunkline.proto.audio import SPEECH_RATE_HZ, AudioChunk
from trunkline.proto.envelope import Message
from trunkline.proto.placement import Accepted
from trunkline.proto.response import Attached, Converse, Placed, Stored
from trunkline.proto.speaking import Speak, Synthesise
from trunkline.proto.speech import Listen, Tune, TurnRules

START_LIMIT_SAMPLES = 3 * SPEECH_RATE_HZ  # for an agent to begin a response that was asked for

Tell = Callable[[Message], None]


def _moved(placement: Placement) -> list[Placed]:
    """For the record, of every worker of a stage but the first."""
    if not placement.reason:
        return []
    return [Placed(placement.stage, placement.worker, placement.reason)]


class SttPost:
    """rules: for the end of a turn, as of now. tell: the agent. language: of the caller, ISO 639-1.

    patience: calls go before it, and a worker that others hear is busy, not mute.
    """

    movable = True

    def __init__(
        self,
        handle: int,
        listening: Listening,
        *,
        rules: Callable[[], TurnRules],
        tell: Tell,
        now_s: Callable[[], float],
        language: Callable[[], str] = lambda: "en",
        patience: Audibility | None = None,
    ) -> None:
        self._handle = handle
        self._listening = listening
        self._language = language
        self._patience = patience
        self._worker = ""
        self._rules = rules
        self._tell = tell
        self._now_s = now_s
        self._ordered = Listen(handle, 0, TurnRules())

    def order(self, reason: str) -> Listen:
        patient = self._patience is not None
        from_sample, rules, language = self._listening.replay_from, self._rules(), self._language()
        self._ordered = Listen(self._handle, from_sample, rules, language, patient, joined=not patient)
        return self._ordered

    def declined(self) -> None:
        """The worker that serves was never disturbed."""

    def taken(self, placement: Placement, answer: Accepted | Attached) -> None:
        if isinstance(answer, Accepted):
            self._listening.languages = answer.languages
        self._worker = placement.worker
        if self._patience is not None:
            self._patience.heard(self._worker)
        if self._rules() != self._ordered.rules:
            placement.link.send(Tune(self._rules()))
        self._listening.stt_placed(placement.link, self._ordered.from_sample)
        for moved in _moved(placement):
            self._tell(moved)

    def hear(self, message: Message, headers: Headers | None) -> None:
        if self._patience is not None:
            self._patience.heard(self._worker)
        self._listening.on_stt(message)

    def lost(self) -> None:
        self._listening.stt_lost()

    @property
    def stalled(self) -> bool:
        stalled = self._listening.stalled(self._now_s())
        return stalled and (self._patience is None or self._patience.mute(self._worker))


def _order(link: Link, message: Message, headers: Headers | None) -> None:
    link.send(message, headers=headers)
    if isinstance(message, Synthesise) and message.urgent:
        link.hasten()


class TtsPost:
    """beating: carries out a step of speaking and keeps its beat. tell: the agent."""

    def __init__(
        self,
        handle: int,
        speaking: Speaking,
        *,
        beating: Callable[..., None],
        tell: Tell,
        now_s: Callable[[], float],
    ) -> None:
        self._handle = handle
        self._speaking = speaking
        self._beating = beating
        self._tell = tell
        self._now_s = now_s

    def order(self, reason: str) -> Speak:
        return Speak(self._handle)

    def declined(self) -> None:
        """The worker that serves was never disturbed."""

    def taken(self, placement: Placement, answer: Accepted | Attached) -> None:
        if isinstance(answer, Accepted):
            self._speaking.voices = answer.voices
        link = placement.link
        link.bind_audio(self._handle, self._hear_audio)
        self._speaking.tts_placed(partial(_order, link))
        for moved in _moved(placement):
            self._tell(moved)

    def hear(self, message: Message, headers: Headers | None) -> None:
        self._beating(self._speaking.on_tts, message)

    def lost(self) -> None:
        self._speaking.tts_lost()

    @property
    def movable(self) -> bool:
        return self._speaking.tts_movable

    @property
    def stalled(self) -> bool:
        return self._speaking.tts_stalled(self._now_s())

    def _hear_audio(self, chunk: AudioChunk) -> None:
        self._beating(self._speaking.on_chunk, chunk)


class AgentPost:
    """converse: the order, without a reason. resumed: why this hub itself is not the call's first, or empty.

    on_attached: the call has an agent; each of its agents once. pump: tells the client what was learnt. answers: the
    call's record, as far as is known.
    """

    def __init__(
        self,
        line: AgentLine,
        speaking: Speaking,
        *,
        converse: Callable[[str], Converse],
        resumed: str,
        on_attached: Callable[[Attached], None],
        pump: Callable[[], None],
        clock: Callable[[], int],
        answers: Callable[[], bool],
    ) -> None:
        self._line = line
        self._speaking = speaking
        self._answers = answers
        self._converse = converse
        self._resumed = resumed
        self._on_attached = on_attached
        self._pump = pump
        self._pumping: asyncio.Handle | None = None
        self._clock = clock
        self._placed_at = 0

    def order(self, reason: str) -> Converse:
        self._line.hold()
        return self._converse(reason or self._resumed)

    def declined(self) -> None:
        self._line.go_on()

    def taken(self, placement: Placement, answer: Accepted | Attached) -> None:
        assert isinstance(answer, Attached)
        self._placed_at = self._clock()
        self._line.placed(placement.link, recall=bool(placement.reason or self._resumed))
        self._on_attached(answer)

    def hear(self, message: Message, headers: Headers | None) -> None:
        self._line.hear(message)
        if not isinstance(message, Stored):
            self._speaking.learn(message, headers)
            if self._pumping is None:
                self._pumping = asyncio.get_running_loop().call_soon(self._pump_now)

    def _pump_now(self) -> None:
        """Once for all that an agent says at a time, and behind what that orders: a caller waits for audio."""
        self._pumping = None
        self._pump()

    def lost(self) -> None:
        self._line.lost()

    @property
    def movable(self) -> bool:
        return not self._speaking.owed.anything and self._answers()

    @property
    def stalled(self) -> bool:
        since = self._speaking.owed.waits_since
        return since is not None and self._clock() - max(since, self._placed_at) > START_LIMIT_SAMPLES
