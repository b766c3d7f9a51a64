"""One client of a transcription session: each of its events is answered, and what is heard goes out as words.

Events are answered in order; one with audio waits until there is room for that, so that whoever sends faster than
people speak loses nothing. A bad one gets an `error` with its event_id and changes nothing.
"""

from collections.abc import Collection
from itertools import count

from trunkline.audio import pcm
from trunkline.gateway import metrics
from trunkline.gateway.call_events import (
    AudioCommitted,
    CallEvent,
    SpeechBegan,
    SpeechEnded,
    Transcribed,
    TranscribedSoFar,
    TranscriptionFailed,
)
from trunkline.gateway.dialects.realtime import events_in, events_out, transcription_events
from trunkline.gateway.dialects.realtime.caller_side import CallerSide
from trunkline.gateway.dialects.realtime.edge_audio import ear_of
from trunkline.gateway.dialects.realtime.events_in import BadEvent
from trunkline.gateway.dialects.realtime.item_list import ItemList
from trunkline.gateway.dialects.realtime.peer import (
    CLOSE_FAILED,
    CLOSE_GOING_AWAY,
    CLOSE_NORMAL,
    CLOSE_TOO_LARGE,
    Wire,
)
from trunkline.gateway.dialects.realtime.transcription_events import TranscriptionEvent, UpdateSession
from trunkline.gateway.dialects.realtime.transcription_session import (
    TranscriptionSession,
    merge_transcription,
    read_transcription_patch,
)
from trunkline.gateway.dialects.realtime.turn_detection import rules_of
from trunkline.gateway.transcribing import Transcribing
from trunkline.proto.audio import CALLER_RATE_HZ
from trunkline.proto.errors import BadInput, StageUnavailable
from trunkline.proto.ids import new_event_id
from trunkline.proto.speech import TurnRules
from trunkline.telemetry import logs

LONGEST_SAMPLES = 28 * CALLER_RATE_HZ  # without a commit, where the client alone commits: as the longest that VAD finds

log = logs.get(__name__)


class TranscriptionPeer:
    """models: names that mean the recogniser. limit_bytes: of one event."""

    def __init__(self, session: TranscriptionSession, models: Collection[str], limit_bytes: int) -> None:
        self.session = session
        self.over = False
        self._models = models
        self._limit_bytes = limit_bytes
        self._event_ids = (f"{base}_{n}" for base in (new_event_id(),) for n in count(1))
        self._items = ItemList()
        self._caller = CallerSide(self._next_event_id, self._items)
        self._ear = ear_of(session.audio.input.format)
        self._bounded_to = 0  # the client has committed or cleared the audio before
        self._heard: Transcribing
        self._wire: Wire

    def begin(self, heard: Transcribing, wire: Wire) -> None:
        """The session's first event."""
        self._heard, self._wire = heard, wire
        self.follow(self.session)
        self._send(events_out.SessionCreated(event_id=self._next_event_id(), session=self.session))

    def follow(self, session: TranscriptionSession) -> None:
        self.session = session
        self._heard.configure(self.rules, self.language)

    @property
    def rules(self) -> TurnRules:
        return rules_of(self.session.audio.input.turn_detection)

    @property
    def language(self) -> str:
        return self.session.transcription.language or "en"

    # what is heard

    def on_event(self, event: CallEvent) -> None:
        match event:
            case (
                SpeechBegan()
                | SpeechEnded()
                | AudioCommitted()
                | TranscribedSoFar()
                | Transcribed()
                | TranscriptionFailed()
            ):
                for told in self._caller.translate(event):
                    self._send(told)

    # the client's side

    async def take(self, text: bytes | bytearray) -> bool:
        """One message of the client's; True if it brought audio. Raises StageUnavailable."""
        size = len(text)
        if size > self._limit_bytes:
            problem = f"the event has {size} bytes"
            self.refuse(BadInput("", problem, f"{self._limit_bytes} bytes", code="event_too_large"))
            self._finish(CLOSE_TOO_LARGE, "event too large")
            return False
        try:
            event = transcription_events.decode(text)
        except BadEvent as bad:
            self.refuse(bad.cause, bad.event_id)
            return False
        try:
            await self._obey(event)
        except BadInput as error:
            self.refuse(error, event.event_id)
            return False
        return isinstance(event, events_in.AppendAudio)

    async def _obey(self, event: TranscriptionEvent) -> None:
        match event:
            case events_in.AppendAudio(audio=audio):
                await self._hear(self._ear.hear(audio))
            case events_in.CommitAudio():
                await self._hear(self._ear.rest())
                self._commit()
            case events_in.ClearAudio():
                await self._hear(self._ear.rest())
                self._heard.clear_audio()
                self._bounded_to = self._heard.heard_to
                self._send(events_out.Cleared(event_id=self._next_event_id()))
            case UpdateSession(session=patch):
                await self._update(bytes(patch))
            case events_in.RetrieveItem(item_id=item):
                self._retrieve(item)

    async def _hear(self, audio: bytes) -> None:
        samples = pcm.from_bytes(audio)
        while len(samples):
            room = await self._heard.room()
            if not self.rules.automatic:
                room = min(room, self._bounded_to + LONGEST_SAMPLES - self._heard.heard_to)
            self._heard.hear(samples[:room])
            samples = samples[room:]
            if not self.rules.automatic and self._heard.heard_to - self._bounded_to >= LONGEST_SAMPLES:
                self._commit()

    def _commit(self) -> None:
        self._heard.commit_audio()
        self._bounded_to = self._heard.heard_to

    async def _update(self, patch: bytes) -> None:
        given = read_transcription_patch(patch)
        session = merge_transcription(self.session, given, self._models, self._heard.languages)
        if session.audio.input.format != self.session.audio.input.format:
            await self._hear(self._ear.rest())
            self._ear = ear_of(session.audio.input.format)
        if self.rules.automatic:
            self._bounded_to = self._heard.heard_to
        self.follow(session)
        self._send(events_out.SessionUpdated(event_id=self._next_event_id(), session=session))

    def _retrieve(self, item: str) -> None:
        found = self._items.get(item)
        if found is None:
            code = "item_retrieve_invalid_item_id"
            raise BadInput("item_id", f"there is no item {item[:80]!r}", "the id of an item", code=code)
        self._send(events_out.ItemRetrieved(event_id=self._next_event_id(), item=found))

    # the end

    def lost(self, error: StageUnavailable) -> None:
        """Nobody listens any more."""
        log.warning("transcription session lost", call_id=self._heard.request_id, reason=str(error))
        leaving = error.stage == "gateway"
        code = "draining" if leaving else "stage_lost"
        self.refuse(BadInput("", str(error), "", code=code), kind="server_error")
        self._finish(CLOSE_GOING_AWAY if leaving else CLOSE_FAILED, code)

    def fail(self, error: Exception) -> None:
        """A bug met this session."""
        log.error("transcription session failed", call_id=self._heard.request_id, error=repr(error), exc_info=error)
        self.refuse(BadInput("", "the session failed at the gateway", "", code="server_error"), kind="server_error")
        self._finish(CLOSE_FAILED, "server_error")

    def idle(self, idle_s: float) -> None:
        """Nothing was heard for so long."""
        problem = f"no audio came for {idle_s:.0f} s"
        self.refuse(BadInput("", problem, "a new session", code="session_idle"))
        self._finish(CLOSE_NORMAL, "session_idle")

    # out

    def refuse(self, error: BadInput, event_id: str | None = None, kind: str = "invalid_request_error") -> None:
        """event_id: the client's event that caused it."""
        metrics.client_errors.labels(error.code).inc()
        problem = events_out.problem_of(error, event_id, kind)
        self._send(events_out.Error(event_id=self._next_event_id(), error=problem))

    def _finish(self, code: int, reason: str) -> None:
        self.over = True
        self._wire.finish(code, reason)

    def _next_event_id(self) -> str:
        return next(self._event_ids)

    def _send(self, event: events_out.ServerEvent) -> None:
        if not self._wire.put(events_out.encode(event)):
            log.warning("client reads too slowly", call_id=self._heard.request_id)
            self.over = True
