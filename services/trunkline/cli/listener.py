"""What a caller makes of the server's events: the turns of the call and how long each reply took. Pure.

Time comes in as samples at SPEECH_RATE_HZ since the call began, the caller's own media clock.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from trunkline.audio import pcm
from trunkline.cli.player import Player
from trunkline.cli.realtime import ClientEvent, Truncate
from trunkline.client import ServerEvent
from trunkline.proto.audio import SPEECH_RATE_HZ
from trunkline.proto.response import Phase

SAMPLES_PER_MS = SPEECH_RATE_HZ // 1000
SESSION_PREFIX = "sess_"  # a Trunkline session is named after its call: sess_rtc_…


@dataclass(slots=True)
class HeardItem:
    """An assistant message as it reached the caller.

    first_sample: when its sound began, -1 before. stopped: when it was interrupted, -1 if it wasn't.
    """

    item: str
    phase: Phase | None = None
    text: str = ""
    first_sample: int = -1
    stopped: int = -1

    @property
    def interrupted(self) -> bool:
        return self.stopped >= 0


@dataclass(slots=True)
class HeardTurn:
    """What came of one line of the caller. speech_end: its last voiced sample; -1 while it is being said.

    Turn 0 holds what came before the first line: the greeting.
    """

    speech_end: int = -1
    transcripts: dict[str, str] = field(default_factory=dict)  # by the caller's item
    items: list[HeardItem] = field(default_factory=list)
    responses: list[str] = field(default_factory=list)
    response_samples: list[int] = field(default_factory=list)  # when each response was created
    cancelled: bool = False  # one of its responses was, by the server

    @property
    def interrupted(self) -> bool:
        return self.cancelled or any(item.interrupted for item in self.items)


@dataclass(frozen=True, slots=True)
class Moment:
    """Something worth telling while the call goes on. kind: one of KINDS."""

    sample: int
    kind: str
    text: str = ""


KINDS = (
    "greeting_audio",
    "speech_end",
    "transcript",
    "commentary_audio",
    "answer_audio",
    "item",
    "interrupted",
    "error",
)


class Listener:
    def __init__(self, player: Player, tell: Callable[[Moment], None] = lambda moment: None) -> None:
        self.player = player
        self.turns: list[HeardTurn] = [HeardTurn()]
        self.call_id = ""
        self.configured = False
        self.errors: list[str] = []
        self.last_event = "nothing"
        self.silent_since = 0  # when the agent's sound ended, as of the caller's last speech that was noticed
        self._tell = tell
        self._items: dict[str, HeardItem] = {}
        self._active: set[str] = set()  # responses that aren't done
        self._speaking = False  # the server hears the caller speak
        self._awaited: set[str] = set()  # the caller's items that may still lead to a response

    def begin_turn(self) -> HeardTurn:
        self.turns.append(HeardTurn())
        return self.turns[-1]

    def end_speech(self, turn: HeardTurn, sample: int) -> None:
        turn.speech_end = sample
        self._tell(Moment(sample, "speech_end"))

    @property
    def answering(self) -> bool:
        """A response has begun and isn't done."""
        return bool(self._active)

    def quiet(self, now: int) -> bool:
        """Nothing is said, expected or still to be heard."""
        return not (self._active or self._speaking or self._awaited or self.player.sounding(now))

    def answered(self, turn: HeardTurn, now: int) -> bool:
        """A reply to the whole of this line has been heard to its end (or was cut short)."""
        late = any(sample > turn.speech_end for sample in turn.response_samples)
        return turn.speech_end >= 0 and late and self.quiet(now)

    def reply_began(self, turn: HeardTurn, now: int) -> int | None:
        """When the reply to this line began to sound, once it has."""
        first = first_after(turn.items, turn.speech_end)
        return first if first is not None and first <= now else None

    def on_event(self, event: ServerEvent, now: int) -> list[ClientEvent]:
        """What the caller's end says in return."""
        self.last_event = event.type
        match event.type:
            case "session.created" | "session.updated":
                self.call_id = event.session.id.removeprefix(SESSION_PREFIX) or self.call_id
                self.configured = event.type == "session.updated"
            case "input_audio_buffer.speech_started":
                self._speaking = True
                return self._stop_playing(now)
            case "input_audio_buffer.speech_stopped":
                self._speaking = False
            case "input_audio_buffer.committed":
                self._awaited.add(event.item_id)
            case "conversation.item.input_audio_transcription.completed":
                self._on_transcript(event, now)
            case "conversation.item.input_audio_transcription.failed":
                self._awaited.discard(event.item_id)
            case "error":
                self.errors.append(event.error.message)
                self._tell(Moment(now, "error", event.error.message))
            case _:
                self._on_reply(event, now)
        return []

    def _on_transcript(self, event: ServerEvent, now: int) -> None:
        self.turns[-1].transcripts[event.item_id] = event.transcript
        if not event.transcript.strip():  # no words: nothing will be answered
            self._awaited.discard(event.item_id)
        self._tell(Moment(now, "transcript", event.transcript))

    def _on_reply(self, event: ServerEvent, now: int) -> None:
        match event.type:
            case "response.created":
                self._active.add(event.response.id)
                self._awaited.clear()  # one response answers all that was committed before it
                self.turns[-1].responses.append(event.response.id)
                self.turns[-1].response_samples.append(now)
            case "response.done":
                self._active.discard(event.response.id)
                if event.response.status == "cancelled":
                    self._turn_of(event.response.id).cancelled = True
            case "response.output_item.added" | "response.output_item.done" if event.item.role == "assistant":
                self._on_item(event, now)
            case "response.output_audio_transcript.delta":
                self._item(event.item_id, event.response_id).text += event.delta
            case "response.output_audio.delta":
                self._on_audio(event, now)

    def _on_item(self, event: ServerEvent, now: int) -> None:
        item = self._item(event.item.id, event.response_id)
        item.phase = event.item.phase or item.phase
        if event.type.endswith("done"):
            self._tell(Moment(now, "item", f"{item.phase or 'unsettled'}: {item.text}"))

    def _on_audio(self, event: ServerEvent, now: int) -> None:
        item = self._item(event.item_id, event.response_id)
        samples = pcm.from_bytes(event.audio)
        start = self.player.receive(item.item, samples, now)
        if item.first_sample < 0:
            item.first_sample = start
            self._tell(Moment(start, self._kind(item)))

    def _kind(self, item: HeardItem) -> str:
        if item in self.turns[0].items:
            return "greeting_audio"
        return "commentary_audio" if item.phase == "commentary" else "answer_audio"

    def _stop_playing(self, now: int) -> list[ClientEvent]:
        self.silent_since = min(now, self.player.end)
        cuts = self.player.stop(now)
        for cut in cuts:
            self._items[cut.item].stopped = now
            self._tell(Moment(now, "interrupted", f"{cut.played / SPEECH_RATE_HZ:.2f} s of it were heard"))
        return [Truncate(cut.item, cut.played // SAMPLES_PER_MS) for cut in cuts]

    def _item(self, item_id: str, response_id: str) -> HeardItem:
        """The item, in the turn of its response from the first time that it is named."""
        item = self._items.get(item_id)
        if item is None:
            item = self._items[item_id] = HeardItem(item_id)
            self._turn_of(response_id).items.append(item)
        return item

    def _turn_of(self, response_id: str) -> HeardTurn:
        return next((turn for turn in self.turns if response_id in turn.responses), self.turns[-1])


def first_after(items: list[HeardItem], sample: int, phase: Phase | None = None) -> int | None:
    """When the first of the items (of this phase, where one is given) began to sound after `sample`."""
    begins = (item.first_sample for item in items if phase is None or item.phase == phase)
    return min((begin for begin in begins if begin > sample), default=None)
