"""What a call tells its client's dialect, in the order in which the caller is to learn it.

Facts in the call's own terms (samples, items, responses); how a protocol words them is the dialect's business.
"""

from typing import Literal, Protocol

import msgspec

from trunkline.proto.response import Phase, ResponseStatus


class SpeechBegan(msgspec.Struct, frozen=True, gc=False):
    """at_sample, here and below: in the caller's audio, at CALLER_RATE_HZ."""

    item: str
    at_sample: int


class SpeechEnded(msgspec.Struct, frozen=True, gc=False):
    item: str
    at_sample: int


class AudioCommitted(msgspec.Struct, frozen=True, gc=False):
    """A caller's item begins; its words follow in Transcribed or never, in TranscriptionFailed."""

    item: str


class TimedOut(msgspec.Struct, frozen=True, gc=False):
    """Nobody said anything for as long as the client's session allows; the model answers that. The silence is an
    item of the caller's, which follows in AudioCommitted."""

    item: str
    from_sample: int
    to_sample: int


class TranscribedSoFar(msgspec.Struct, frozen=True, gc=False):
    """All words so far of an item that is still being said; they may still change."""

    item: str
    text: str


class Transcribed(msgspec.Struct, frozen=True, gc=False):
    """from_sample, to_sample: of what was said in it."""

    item: str
    text: str
    audio_s: float
    from_sample: int = 0
    to_sample: int = 0


class TranscriptionFailed(msgspec.Struct, frozen=True, gc=False):
    item: str
    reason: str


class ResponseOpened(msgspec.Struct, frozen=True, gc=False):
    """audible: its items are spoken; otherwise they are text alone."""

    response: str
    audible: bool


class ItemOpened(msgspec.Struct, frozen=True, gc=False):
    response: str
    item: str
    phase: Phase | None


class WordsSaid(msgspec.Struct, frozen=True, gc=False):
    """The text of a segment, as its audio begins. segment: its index in the item."""

    response: str
    item: str
    text: str
    segment: int = 0


class AudioSaid(msgspec.Struct, frozen=True, gc=False):
    """pcm: int16 LE mono at SPEECH_RATE_HZ. segment: its index in the item. position: of the first sample in it."""

    response: str
    item: str
    pcm: bytes
    segment: int = 0
    position: int = 0


class ItemEnded(msgspec.Struct, frozen=True, gc=False):
    """whole: False when it was cut short."""

    response: str
    item: str
    phase: Phase | None
    whole: bool


class ResponseEnded(msgspec.Struct, frozen=True, gc=False):
    """The response slot is free. reason: of a cancellation or failure."""

    response: str
    status: ResponseStatus
    reason: str = ""
    input_tokens: int = 0
    output_tokens: int = 0


class ToolCalled(msgspec.Struct, frozen=True, gc=False):
    """The client is to carry this out: the last of a response. arguments: JSON object."""

    response: str
    tool_call: str
    name: str
    arguments: str


class Silenced(msgspec.Struct, frozen=True, gc=False):
    """What was sent and isn't played yet never shall be: a line that holds it drops it. Before the ends of what is cut.

    An ItemCut follows for each item that isn't heard to its end; behind the client's own word, one that it asked for.
    """

    reason: Literal["turn_detected", "client_cancelled", "truncated"]


class ItemCut(msgspec.Struct, frozen=True, gc=False):
    """Only this much of the item counts as heard. text: the words of it, None where they aren't known.

    asked: the client's truncation is done; otherwise an interruption had this effect.
    """

    item: str
    index: int
    heard_ms: int
    text: str | None = None
    asked: bool = True


class MoveAsked(msgspec.Struct, frozen=True, gc=False):
    """This gateway goes away; a client that can take its call elsewhere should."""

    reason: str


class CallOver(msgspec.Struct, frozen=True, gc=False):
    """Nothing follows. code: empty for an ordinary end, otherwise what the client is told went wrong."""

    code: Literal["", "stage_lost", "server_error", "draining", "going_away", "moved"]
    detail: str = ""


CallEvent = (
    SpeechBegan
    | SpeechEnded
    | AudioCommitted
    | TimedOut
    | TranscribedSoFar
    | Transcribed
    | TranscriptionFailed
    | ResponseOpened
    | ItemOpened
    | WordsSaid
    | AudioSaid
    | ItemEnded
    | ResponseEnded
    | Silenced
    | ItemCut
    | ToolCalled
    | MoveAsked
    | CallOver
)


class Client(Protocol):
    """The dialect's end of a call: synchronous, never blocks, never fails for a slow peer."""

    def on_event(self, event: CallEvent) -> None: ...
