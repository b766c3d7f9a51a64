"""What a caller makes of the events of his call: what he was sent, what sounds, and whether he was answered. Pure.

Time comes in as seconds on the run's clock; sound plays as it comes, at once or after what still sounds.
"""

from itertools import takewhile

from trunkline.cli.chaos.evidence import Piece
from trunkline.cli.chaos.scene import FORBIDDEN
from trunkline.client import ServerEvent
from trunkline.proto.audio import SPEECH_RATE_HZ


class Ear:
    def __init__(self) -> None:
        self.call = ""
        self.let_in_s = 0.0  # the session was there
        self._transcripts: dict[str, str] = {}  # by item: words that are told anew replace those before
        self.heard: list[Piece] = []
        self.sound_end_s = 0.0  # when all that came has been played
        self.errors: list[str] = []
        self.leaks: list[str] = []  # events with forbidden words
        self._active: set[str] = set()  # responses that aren't done
        self._awaited: set[str] = set()  # the caller's items that may still lead to a response
        self._untold = False  # words are to come, and nothing is an answer before them
        self._speaking = False  # the server hears the caller
        self._created_s = 0.0  # the last response that wasn't lost with who had begun it
        self._sounded: set[str] = set()  # responses that were heard

    @property
    def transcripts(self) -> list[str]:
        """Of his turns, in order."""
        return list(self._transcripts.values())

    def quiet(self, now_s: float) -> bool:
        """Nothing is said, expected or still to be heard."""
        return not (self._active or self._awaited or self._speaking) and now_s >= self.sound_end_s

    def answered(self, since_s: float, now_s: float) -> bool:
        """What was said until since_s has been answered, and the answer heard to its end."""
        return self._created_s > since_s and self.quiet(now_s)

    def heard_since(self, since_s: float) -> bool:
        """Whether any of an answer to what was said until then has come, though it may have stopped sounding."""
        return bool(self.heard) and self.heard[-1].at_s > since_s

    def sounding(self, since_s: float, now_s: float) -> float:
        """For how long an answer to what was said until since_s has been sounding and still does, in seconds."""
        if now_s >= self.sound_end_s:
            return 0.0
        answer = takewhile(lambda piece: piece.at_s > since_s, reversed(self.heard))
        return now_s - min((piece.at_s for piece in answer), default=now_s)

    def on_event(self, event: ServerEvent, now_s: float) -> None:
        if event.type != "response.output_audio.delta" and any(word in event.text for word in FORBIDDEN):
            self.leaks.append(event.text)
        match event.type:
            case "session.created":
                self.call = event.session.id.removeprefix("sess_")
                self.let_in_s = self.let_in_s or now_s
            case "input_audio_buffer.speech_started":
                self._speaking = True
                self.sound_end_s = min(self.sound_end_s, now_s)  # the client stops playing
            case "input_audio_buffer.speech_stopped":
                self._speaking = False
            case "input_audio_buffer.committed":
                self._awaited.add(event.item_id)
                self._untold = True
            case "conversation.item.input_audio_transcription.completed":
                self._transcripts[event.item_id] = event.transcript
                self._untold = False
                if not event.transcript.strip():
                    self._awaited.discard(event.item_id)
            case "conversation.item.input_audio_transcription.failed":
                self._awaited.discard(event.item_id)
                self._untold = False
            case "response.created":
                self._active.add(event.response.id)
                if not (self._untold or self._speaking):  # or it is news, which nobody asked for
                    self._awaited.clear()  # one response answers all that was committed before it
                    self._created_s = now_s
            case "response.done":
                self._active.discard(event.response.id)
                if event.response.status in ("incomplete", "cancelled") and event.response.id not in self._sounded:
                    self._created_s = 0.0  # another comes
            case "response.output_audio.delta":
                self._hear(event, now_s)
            case "error":
                self.errors.append(event.error.message)

    def _hear(self, event: ServerEvent, now_s: float) -> None:
        self._sounded.add(event.response_id)
        samples = event.samples or len(event.audio) // 2
        self.heard.append(Piece(event.item_id, event.segment, event.position, samples, now_s))
        self.sound_end_s = max(self.sound_end_s, now_s) + samples / SPEECH_RATE_HZ
