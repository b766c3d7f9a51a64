"""What this client reads of the server's events, and what it says itself.

Format: OpenAI Realtime (GA), JSON over WebSocket; `trunkline.*` events and the fields segment, position and samples
are this server's own and come only over the subprotocols RESUME and BINARY. Unknown fields and types are passed over.
"""

import binascii
from typing import Literal

import msgspec

from trunkline.proto.binary_dialect import SUBPROTOCOL, AudioMessage, speech_samples
from trunkline.proto.response import Phase

RESUME = "trunkline.resume.v1"  # the subprotocol of a client that can come back
BINARY = SUBPROTOCOL  # the same, and its audio isn't JSON
OURS = frozenset((RESUME, BINARY))
STOCK = "realtime"
AUDIO, STREAM = "response.output_audio.delta", "trunkline.audio.stream"


class Trunkline(msgspec.Struct, frozen=True):
    """resume_token: with it the call can be taken up again, at any gateway."""

    resume_token: str = ""


class Session(msgspec.Struct, frozen=True):
    id: str = ""


class Item(msgspec.Struct, frozen=True):
    """content: its parts, as they came."""

    id: str = ""
    content: msgspec.Raw = msgspec.Raw(b"[]")
    role: str = ""
    phase: Phase | None = None


class Details(msgspec.Struct, frozen=True):
    reason: str = ""


class Response(msgspec.Struct, frozen=True):
    id: str = ""
    status: str = ""
    status_details: Details = Details()


class Problem(msgspec.Struct, frozen=True):
    message: str = ""
    code: str | None = None
    event_id: str | None = None


class ServerEvent(msgspec.Struct):
    """Any event of the server; fields that its type doesn't have are empty. text: the event as it came; empty for audio
    that came as a binary message, which is told as the same event, but for `delta`: `audio` has it either way.

    delta: base64 for audio, else text. segment, position, samples: which samples of which segment of the item an
    audio delta carries, at SPEECH_RATE_HZ. audio_end_ms, audio_from_ms: in the caller's audio since the call began.
    """

    type: str
    item_id: str = ""
    response_id: str = ""
    delta: str = ""
    transcript: str = ""
    audio_start_ms: int = 0
    audio_end_ms: int = 0
    audio_from_ms: int = 0
    segment: int = -1
    position: int = 0
    samples: int = 0
    reason: str = ""
    session: Session = Session()
    item: Item = Item()
    response: Response = Response()
    error: Problem = Problem()
    trunkline: Trunkline = Trunkline()
    text: str = msgspec.field(default="", name="-")
    sound: bytes = msgspec.field(default=b"", name="-sound")

    @property
    def audio(self) -> bytes:
        """Of an audio delta, in the session's output format; decoded at each look where it came as base64."""
        return self.sound or binascii.a2b_base64(self.delta)


class _Format(msgspec.Struct, frozen=True):
    type: str


class AudioStream(msgspec.Struct, frozen=True):
    """Binary messages of this number are audio of this segment."""

    stream: int
    response_id: str
    item_id: str
    segment: int
    format: _Format

    def event(self, message: AudioMessage) -> ServerEvent:
        """What a delta of that audio would say."""
        return ServerEvent(
            AUDIO,
            self.item_id,
            self.response_id,
            segment=self.segment,
            position=message.position,
            samples=speech_samples(self.format.type, len(message.audio)),
            sound=message.audio,
        )


class Received(msgspec.Struct, frozen=True):
    """samples: of this segment of an item, how much has come, at SPEECH_RATE_HZ."""

    item_id: str
    segment: int
    samples: int


class Begun(msgspec.Struct, frozen=True):
    """An utterance that was announced and isn't settled. start_ms: of its audio; -1 where a client bounds turns."""

    item_id: str
    start_ms: int = -1


class TypedItem(msgspec.Struct, frozen=True, omit_defaults=True):
    """A text of the client's own that the record may lack. event_id: by which a refusal names it. content: all its
    parts, of one that shows pictures."""

    item_id: str
    text: str
    event_id: str = ""
    content: msgspec.Raw | None = None


class GivenOutput(msgspec.Struct, frozen=True):
    """What the client said came of a tool, and that the record may lack. event_id: as above."""

    item_id: str
    call_id: str
    output: str
    event_id: str = ""


class Cancelled(msgspec.Struct, frozen=True):
    """A response whose early end the client has seen."""

    response_id: str
    reason: Literal["turn_detected", "client_cancelled"] = "client_cancelled"


class Resume(msgspec.Struct, frozen=True, tag="trunkline.resume", tag_field="type", kw_only=True, omit_defaults=True):
    """The first event of a client that comes back. settled_ms: the audio before needn't be sent again; kept_from_ms,
    end_ms: what the client still has. session: all its session.update that were confirmed, merged. unanswered: those
    that a gateway was told and that were neither confirmed nor refused, in order and as they were said.

    responses: opened and not done. respond: instructions of a response.create that nothing has come of, respond_id:
    its event_id, after which a gateway names the response.

    attempt: how many gateways were asked before, since one last had the call.
    """

    settled_ms: int
    kept_from_ms: int
    end_ms: int
    received: list[Received] = []
    session: dict[str, object] | None = None
    begun: list[Begun] = []
    typed: list[TypedItem] = []
    outputs: list[GivenOutput] = []
    cancelled: list[Cancelled] = []
    responses: list[str] = []
    respond: str | None = None
    respond_id: str = ""
    attempt: int = 0
    unanswered: list[dict[str, object]] = []


encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(ServerEvent).decode


decode_stream = msgspec.json.Decoder(AudioStream).decode


def append(audio: bytes) -> str:
    """The event that says it, where audio is no message of its own."""
    return f'{{"type":"input_audio_buffer.append","audio":"{binascii.b2a_base64(audio, newline=False).decode()}"}}'


def decode(text: str) -> ServerEvent:
    """Raises msgspec.MsgspecError."""
    event = _decode(text)
    event.text = text
    return event
