"""The durable record of a call: a list of events per log message, written by the call's one owner.

Events are facts, past tense; at_us is wall time. A reader drops events of a lower epoch than it has seen.
"""

from typing import Literal

import msgspec

from trunkline.proto.approval import ApprovalKind, Choice, Decision, OpenApproval
from trunkline.proto.errors import Undecodable
from trunkline.proto.image import ShownImage
from trunkline.proto.policy import Action, Point
from trunkline.proto.response import Asked, Inserted, Phase, ResponseStatus, Source, TurnSource
from trunkline.proto.tool import DescribedTool, RunsAt, ToolResult, ToolStatus

RECORD_VERSION = 1


class Configured(msgspec.Struct, frozen=True, array_like=True, gc=False, tag="configured"):
    """settings: JSON object of the session as asked for."""

    at_us: int
    agent: str
    settings: str = "{}"


class OwnerTook(msgspec.Struct, frozen=True, array_like=True, gc=False, tag="owner"):
    """A new owner's first event: the batch's epoch is one more than the last owner's. This is the fence.

    attach: of the placement, always higher than the last owner's. reason: what became of that, empty for the first.
    """

    at_us: int
    worker: str
    agent: str
    digest: str
    attach: int = 0
    reason: str = ""


class HubAttached(msgspec.Struct, frozen=True, array_like=True, gc=False, tag="attached"):
    at_us: int
    hub: int
    gateway: str


class CallerSaid(msgspec.Struct, frozen=True, array_like=True, gc=False, tag="user_item"):
    """A turn of the caller. Samples at CALLER_RATE_HZ since the call began; both 0 for typed text.

    images: that typed text shows; their bytes lie in the file store."""

    at_us: int
    turn: int
    item: str
    text: str
    source: TurnSource
    from_sample: int = 0
    to_sample: int = 0
    previous: str = ""
    images: tuple[ShownImage, ...] = ()


class ItemDeleted(msgspec.Struct, frozen=True, array_like=True, gc=False, tag="item_deleted"):
    at_us: int
    item: str


class ResponseOpened(msgspec.Struct, frozen=True, array_like=True, tag="response"):
    """instructions, asked: for this response alone, in place of the session's; empty for none.

    news: tool calls of earlier responses whose outcome is told by this one, which nobody asked for.
    """

    at_us: int
    response: str
    turn: int
    instructions: str = ""
    news: tuple[str, ...] = ()
    asked: Asked | None = None


class AssistantItem(msgspec.Struct, frozen=True, array_like=True, gc=False, tag="assistant_item"):
    """An assistant message begins; its words follow as SegmentSaid.

    agent: whose message it is, where that isn't the call's first. voice: of the text-to-speech engine, empty for
    the call's own.
    """

    at_us: int
    response: str
    item: str
    phase: Phase | None
    source: Source
    agent: str = ""
    voice: str = ""


class SegmentSaid(msgspec.Struct, frozen=True, array_like=True, gc=False, tag="segment"):
    """Words handed to the caller's side, not yet known to be heard."""

    at_us: int
    item: str
    index: int
    text: str


class ItemPhaseSettled(msgspec.Struct, frozen=True, array_like=True, gc=False, tag="phase_settled"):
    at_us: int
    item: str
    phase: Phase


class ItemClosed(msgspec.Struct, frozen=True, array_like=True, gc=False, tag="item_done"):
    at_us: int
    item: str


class ItemTruncated(msgspec.Struct, frozen=True, array_like=True, gc=False, tag="truncated"):
    """The caller heard only heard_text of this item; approximate: cut within a segment in proportion to time."""

    at_us: int
    item: str
    heard_text: str
    heard_samples: int
    approximate: bool


class PlayedOut(msgspec.Struct, frozen=True, array_like=True, gc=False, tag="played"):
    """One segment was heard to its end. samples at SPEECH_RATE_HZ."""

    at_us: int
    item: str
    index: int
    samples: int


class ResponseClosed(msgspec.Struct, frozen=True, array_like=True, gc=False, tag="response_done"):
    at_us: int
    response: str
    status: ResponseStatus
    reason: str = ""


class ToolIntended(msgspec.Struct, frozen=True, array_like=True, gc=False, tag="intent"):
    """Durable before the tool runs. arguments: the exact JSON that runs.

    after: the item behind which it was called, where that isn't the last; empty: the last of the response, or of all.
    runs: where it is carried out: by a tool runner, by the agent itself (handoffs, the end of the call), or at the
    client. deadline_us: one that waits for an approval has its own from ApprovalDecided.
    """

    at_us: int
    tool_call: str
    response: str
    name: str
    arguments: str
    key: str
    deadline_us: int
    after: str = ""
    runs: RunsAt = "runner"


class ToolFinished(msgspec.Struct, frozen=True, array_like=True, gc=False, tag="result"):
    """One outcome per tool call; only one that was `unknown` may be followed by what turned out later.

    item: the client's, of an outcome that it told."""

    at_us: int
    tool_call: str
    status: ToolStatus
    output: str
    runner: str
    elapsed_ms: float = 0.0
    state_patch: str = "{}"
    item: str = ""


class VerdictGiven(msgspec.Struct, frozen=True, array_like=True, gc=False, tag="verdict"):
    """A guardrail's word. What it blocked isn't recorded: nobody heard it.

    subject: the item (input, segment, answer) or tool call that it is about; of a message in the context of a response,
    the response and its place there, as in `resp_a.0`. reason: for people.
    to: the agent that goes on, for `hand_off`. text: of `rewrite` at the input, what the model reads instead of the
    words; what was rewritten elsewhere stands where it is used. guardrail: empty for `allow`, which all agreed on.
    """

    at_us: int
    point: Point
    subject: str
    action: Action
    guardrail: str = ""
    reason: str = ""
    to: str = ""
    text: str = ""


class ApprovalAsked(msgspec.Struct, frozen=True, array_like=True, gc=False, tag="approval_asked"):
    """A person is to decide; nothing of it happens before. Fields as in OpenApproval; response: that it belongs to.

    subject: the tool call, or the response whose answer it is.
    """

    at_us: int
    approval: str
    kind: ApprovalKind
    subject: str
    response: str
    name: str
    text: str
    deadline_us: int
    default: Choice


class ApprovalDecided(msgspec.Struct, frozen=True, array_like=True, gc=False, tag="approval_decided"):
    """by: who decided; empty where the time was over, or nobody needed it any more (`withdrawn`).

    text: of an answer that was edited, what is said instead. deadline_us: of an approved tool call, for its run.
    """

    at_us: int
    approval: str
    decision: Decision
    by: str = ""
    text: str | None = None
    note: str = ""
    deadline_us: int = 0


class HandedOff(msgspec.Struct, frozen=True, array_like=True, gc=False, tag="handoff"):
    """From here on another agent of the file answers. tool_call: by which the model asked for it, empty if it was a
    guardrail's verdict."""

    at_us: int
    response: str
    to: str
    tool_call: str = ""
    reason: str = ""


class TransferAsked(msgspec.Struct, frozen=True, array_like=True, gc=False, tag="transfer"):
    """The caller is to be connected elsewhere; whoever runs the line carries it out."""

    at_us: int
    tool_call: str
    target: str
    summary: str = ""


class ClientEquipped(msgspec.Struct, frozen=True, array_like=True, tag="client_tools"):
    """From here on the client itself carries out these tools, in place of those before. The other fields: see Equip."""

    at_us: int
    tools: tuple[DescribedTool, ...] = ()
    tool_choice: str = ""
    parallel: bool = True
    max_output_tokens: int = 0
    effort: str = ""


class ItemInserted(msgspec.Struct, frozen=True, array_like=True, tag="inserted"):
    """The client added this to the conversation. See Insert."""

    at_us: int
    item: Inserted
    previous: str = ""


class StageMoved(msgspec.Struct, frozen=True, array_like=True, gc=False, tag="moved"):
    """Another worker of a stage serves the call from here on; owners tell of themselves in OwnerTook."""

    at_us: int
    stage: str
    worker: str
    reason: str


class AudioLost(msgspec.Struct, frozen=True, array_like=True, gc=False, tag="audio_lost"):
    """What the caller said from from_sample on, until its client came back, never arrived. At CALLER_RATE_HZ."""

    at_us: int
    from_sample: int


class Ended(msgspec.Struct, frozen=True, array_like=True, gc=False, tag="ended"):
    """The last event of a call. reason: "caller_hung_up", "agent_hung_up", "hung_up", "lost", "failed: ..." """

    at_us: int
    reason: str


Event = (
    Configured
    | OwnerTook
    | HubAttached
    | CallerSaid
    | ItemDeleted
    | ResponseOpened
    | AssistantItem
    | SegmentSaid
    | ItemPhaseSettled
    | ItemClosed
    | ItemTruncated
    | PlayedOut
    | ResponseClosed
    | ToolIntended
    | ToolFinished
    | StageMoved
    | AudioLost
    | Ended
    | VerdictGiven
    | ApprovalAsked
    | ApprovalDecided
    | HandedOff
    | TransferAsked
    | ClientEquipped
    | ItemInserted
)


class RecordEntry(msgspec.Struct, frozen=True, array_like=True):
    """One log message. index: of its first event in the call, dense from 0; entry: id of this append."""

    version: int
    epoch: int
    index: int
    entry: str
    events: list[Event]


class CallSummary(msgspec.Struct, frozen=True, array_like=True):
    """A call's line in the index. Times in microseconds of wall time; ended_us 0 while it goes on.

    owner, gateway: worker ids, as of the last owner. approvals: that wait for a person.
    """

    call: str
    agent: str
    started_us: int
    ended_us: int = 0
    turns: int = 0
    status: Literal["live", "ended"] = "live"
    owner: str = ""
    gateway: str = ""
    approvals: tuple[OpenApproval, ...] = ()


class Claim(msgspec.Struct, frozen=True, array_like=True):
    """Of one attempt of a tool call, beside the call's record; written by compare-and-set, so one runner has it.

    result: None while it runs, and for ever if its runner died. void: nobody may run it any more, nobody did.
    """

    at_us: int
    runner: str
    epoch: int
    result: ToolResult | None = None
    void: bool = False


_encoder = msgspec.msgpack.Encoder()
_entries = msgspec.msgpack.Decoder(RecordEntry)
_summaries = msgspec.msgpack.Decoder(CallSummary)
_claims = msgspec.msgpack.Decoder(Claim)


def encode_entry(entry: RecordEntry) -> bytes:
    return _encoder.encode(entry)


def decode_entry(data: bytes) -> RecordEntry:
    """Raises Undecodable."""
    try:
        return _entries.decode(data)
    except msgspec.MsgspecError as error:
        raise Undecodable(f"record entry: {error}") from error


def encode_summary(summary: CallSummary) -> bytes:
    return _encoder.encode(summary)


def decode_summary(data: bytes) -> CallSummary:
    """Raises Undecodable."""
    try:
        return _summaries.decode(data)
    except msgspec.MsgspecError as error:
        raise Undecodable(f"call summary: {error}") from error


def encode_claim(claim: Claim) -> bytes:
    return _encoder.encode(claim)


def decode_claim(data: bytes) -> Claim:
    """Raises Undecodable."""
    try:
        return _claims.decode(data)
    except msgspec.MsgspecError as error:
        raise Undecodable(f"claim: {error}") from error
