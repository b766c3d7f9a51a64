"""What is still to be said to the caller, in order, and what of it has been heard.

Pure. The script is what the agent said, laid out as the client is to learn it: an item opens when the one before it
has been sent, not when the agent thought of it.
"""

from collections import OrderedDict
from typing import Literal

import msgspec

from trunkline.bus.port import Headers
from trunkline.gateway.playout import Segment
from trunkline.proto.audio import SPEECH_RATE_HZ
from trunkline.proto.errors import BadInput
from trunkline.proto.response import Interrupt, Phase, ResponseStatus, ToolAsked
from trunkline.record import heard_of

REMEMBERED_RESPONSES = 16  # whose items a client may still truncate
REMEMBERED_VOICES = 64  # items, the newest: far more than are spoken at a time

Reason = Literal["turn_detected", "client_cancelled", "truncated"]


class Style(msgspec.Struct, frozen=True):
    """How the words of a response are said. voice: empty for the engine's own. audible: otherwise as text alone."""

    voice: str = ""
    speed: float = 1.0
    audible: bool = True


class OpenResponse(msgspec.Struct, frozen=True):
    response: str
    turn: int
    audible: bool


class OpenItem(msgspec.Struct, frozen=True):
    response: str
    item: str
    phase: Phase | None


class Words(msgspec.Struct):
    """A segment. audible: spoken; otherwise text alone. urgent: the first of its response. begun: its text went out.

    voice, speed: the same however often it is ordered, or a segment would change its voice in the middle.
    """

    response: str
    segment: Segment
    text: str
    audible: bool
    voice: str = ""
    speed: float = 1.0
    urgent: bool = False
    headers: Headers | None = None
    begun: bool = False


class CloseItem(msgspec.Struct, frozen=True):
    response: str
    item: str


class CloseResponse(msgspec.Struct, frozen=True):
    response: str
    status: ResponseStatus
    detail: str
    input_tokens: int
    output_tokens: int


class End(msgspec.Struct, frozen=True):
    """Hang up once everything before is heard."""

    reason: str
    response: str = ""


Line = OpenResponse | OpenItem | Words | CloseItem | ToolAsked | CloseResponse | End


class Said:
    """The segments of the last responses, and what of the client's tools each of them has asked for."""

    def __init__(self) -> None:
        self._responses: OrderedDict[str, list[Segment]] = OrderedDict()
        self._texts: dict[int, str] = {}  # by number of a segment
        self._voices: OrderedDict[str, str] = OrderedDict()  # of items that have one of their own
        self._asked: OrderedDict[str, tuple[str, ...]] = OrderedDict()

    def begin(self, item: str, voice: str) -> None:
        """voice: of the whole item, empty for the session's."""
        if voice:
            self._voices[item] = voice
            if len(self._voices) > REMEMBERED_VOICES:
                self._voices.popitem(last=False)

    def voice_of(self, item: str) -> str:
        return self._voices.get(item, "")

    def add(self, response: str, segment: Segment, text: str) -> None:
        if response not in self._responses:
            self._responses[response] = []
            if len(self._responses) > REMEMBERED_RESPONSES:
                _, forgotten = self._responses.popitem(last=False)
                for one in forgotten:
                    del self._texts[one.number]
        self._responses[response].append(segment)
        self._texts[segment.number] = text

    def ask(self, response: str, tool_call: str) -> None:
        """The client has been asked."""
        self._asked[response] = (*self._asked.get(response, ()), tool_call)
        if len(self._asked) > REMEMBERED_RESPONSES:
            self._asked.popitem(last=False)

    def interrupt(self, response: str, reason: Reason) -> Interrupt:
        heard = tuple(segment.extent() for segment in self._responses.get(response, ()))
        return Interrupt(response, reason, heard, self._asked.get(response, ()))

    def unheard(self) -> list[str]:
        """Responses of which something was or will be sent and wasn't heard to the end."""
        return [response for response, segments in self._responses.items() if not all(s.told for s in segments)]

    def unheard_items(self, response: str) -> list[str]:
        """Of which the client has audio, and not all of it was heard."""
        segments = self._responses.get(response, ())
        known = {segment.item for segment in segments if segment.sent}
        return list(dict.fromkeys(s.item for s in segments if s.item in known and not s.told))

    def heard_text(self, item: str) -> str | None:
        """None where the beginning of the item was said at an earlier gateway."""
        _, segments = self.of_item(item)
        if segments[0].index:
            return None
        texts = [self._texts[segment.number] for segment in segments]
        return heard_of(texts, {at: segment.extent() for at, segment in enumerate(segments)}, ()).text

    def settle(self, response: str) -> None:
        """Nothing more of it will be sent or heard."""
        for segment in self._responses.get(response, ()):
            segment.drop()
            segment.told = True

    def of_item(self, item: str) -> tuple[str, list[Segment]]:
        """Raises BadInput for an item that isn't an assistant's, or too long ago."""
        for response, segments in self._responses.items():
            found = [segment for segment in segments if segment.item == item]
            if found:
                return response, found
        raise BadInput(
            "item_id", f"{item!r} has no audio that could be cut", "a message of the assistant that was spoken lately"
        )


def require_sent(segments: list[Segment], end_ms: int) -> None:
    """Raises BadInput for an end beyond what was sent of an item; clients round that up to milliseconds.

    The Agents SDK rounds up a sum of floats, one per delta: it may be a millisecond more than there is.
    """
    sent_ms = -(-sum(segment.sent for segment in segments) * 1000 // SPEECH_RATE_HZ)
    if end_ms > sent_ms + 1:
        raise BadInput("audio_end_ms", f"{end_ms} ms is beyond the {sent_ms} ms of audio", f"0 to {sent_ms}")


def shorten(segments: list[Segment], end_ms: int) -> bool:
    """Lowers what counts as heard of an item to its first end_ms; never raises it. Whether anything changed."""
    left = end_ms * SPEECH_RATE_HZ // 1000
    changed = False
    for segment in segments:
        part = min(left, segment.sent)
        left -= part
        if part < segment.heard:
            segment.heard = part
            changed = True
    return changed


def heard_ms(segments: list[Segment]) -> int:
    return sum(segment.heard for segment in segments) * 1000 // SPEECH_RATE_HZ
