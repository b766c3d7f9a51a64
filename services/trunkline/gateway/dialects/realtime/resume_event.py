"""What a client of ours says first on a socket with which it comes back: where it stands, in milliseconds.

Unknown fields are passed over, so that a client may be newer than the gateway.
"""

import msgspec
from msgspec import UNSET

from trunkline.gateway.dialects.realtime.events_in import BadEvent
from trunkline.gateway.dialects.realtime.offer import ANYTHING, Offer
from trunkline.gateway.dialects.realtime.session import Session, merge, read_patch
from trunkline.gateway.resuming import Progress
from trunkline.gateway.turns import Begun
from trunkline.gateway.validation import explain_validation
from trunkline.proto.audio import CALLER_RATE_HZ
from trunkline.proto.errors import BadInput

SUBPROTOCOL = "trunkline.resume.v1"
ATTEMPTS_LIMIT = 255  # of a client that asks one gateway after the other
SAMPLES_PER_MS = CALLER_RATE_HZ // 1000


class ReceivedSegment(msgspec.Struct, frozen=True):
    """samples: of this segment of an item, how much has come, at SPEECH_RATE_HZ."""

    item_id: str
    segment: int
    samples: int


class BegunItem(msgspec.Struct, frozen=True):
    """start_ms: of an utterance's audio; negative where the client bounds turns."""

    item_id: str
    start_ms: int = -1


class TypedItem(msgspec.Struct, frozen=True):
    """event_id: the client's, by which a refusal names it. content: all its parts, in place of text."""

    item_id: str
    text: str
    event_id: str = ""
    content: msgspec.Raw = msgspec.Raw(b"null")


class GivenOutput(msgspec.Struct, frozen=True):
    """Of a function_call_output. event_id: the client's, by which a refusal names it."""

    item_id: str
    call_id: str
    output: str
    event_id: str = ""


class CancelledResponse(msgspec.Struct, frozen=True):
    response_id: str
    reason: str = ""


class ResumeEvent(msgspec.Struct, frozen=True, tag="trunkline.resume", tag_field="type", kw_only=True):
    """settled_ms: audio before was said to be settled. kept_from_ms, end_ms: what the client still has.

    session: all its updates that were confirmed, merged. unanswered: its other updates, whole events; they are answered
    before anything that it says next. begun: utterances that aren't settled. typed: texts that may not be recorded,
    outputs: of tools that the client carried out, likewise.
    cancelled: whose early end it has seen. responses: open ones. respond: instructions of a response.create that
    nothing has come of, respond_id: its event_id. attempt: how many gateways were asked before, since one last had it.
    """

    settled_ms: int
    kept_from_ms: int
    end_ms: int
    received: list[ReceivedSegment] = []
    session: msgspec.Raw = msgspec.Raw(b"null")  # read apart: a bad one must not keep a call from going on
    begun: list[BegunItem] = []
    typed: list[TypedItem] = []
    outputs: list[GivenOutput] = []
    cancelled: list[CancelledResponse] = []
    responses: list[str] = []
    respond: str | None = None
    respond_id: str = ""
    attempt: int = 0
    unanswered: list[msgspec.Raw] = []

    def configure(self, session: Session, offer: Offer = ANYTHING) -> Session:
        """As this client has it. Raises BadInput; then nothing has changed."""
        patch = read_patch(self.session)
        if patch is None:
            return session
        if patch.type is UNSET:  # gateways of earlier releases confirmed such updates
            patch = msgspec.structs.replace(patch, type=session.type)
        return merge(session, patch, offer)

    @property
    def progress(self) -> Progress:
        return Progress(
            settled_to=max(0, self.settled_ms) * SAMPLES_PER_MS,
            kept_from=max(0, self.kept_from_ms) * SAMPLES_PER_MS,
            end=max(0, self.end_ms) * SAMPLES_PER_MS,
            got={(one.item_id, one.segment): max(0, one.samples) for one in self.received},
            begun=tuple(Begun(one.item_id, one.start_ms * SAMPLES_PER_MS) for one in self.begun if one.start_ms >= 0),
            attempt=max(0, min(self.attempt, ATTEMPTS_LIMIT)),
            cancelled=tuple((one.response_id, one.reason) for one in self.cancelled),
        )


_decoder = msgspec.json.Decoder(ResumeEvent)


def decode(text: bytes | bytearray) -> ResumeEvent:
    """Raises BadEvent."""
    try:
        return _decoder.decode(text)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        cause = explain_validation(error)
        if cause.param == "type":
            cause = BadInput("type", cause.problem, "trunkline.resume, first on a socket that resumes")
        raise BadEvent(cause, None) from error
