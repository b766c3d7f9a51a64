"""The envelope of text and control on the bus, and the union of all that it can carry.

encode and decode are the only way to the wire. A tag that this release doesn't know raises UnknownTag with
enough of the envelope to acknowledge it; anything else that can't be read raises Undecodable.
"""

import msgspec

from trunkline.proto import approval, generation, placement, response, speaking, speech, tool
from trunkline.proto.audio import U32, U64
from trunkline.proto.errors import Undecodable, UnknownTag

Message = (
    placement.Accepted
    | placement.Declined
    | placement.Release
    | placement.CallFailed
    | placement.Acknowledge
    | speech.Listen
    | speech.Tune
    | speech.Finish
    | speech.Discard
    | speech.SpeechStarted
    | speech.SpeechStopped
    | speech.Partial
    | speech.Final
    | speech.Silent
    | speech.AudioMissing
    | speech.RecognitionFailed
    | speaking.Speak
    | speaking.Synthesise
    | speaking.Hush
    | speaking.SegmentSpoken
    | speaking.SegmentFailed
    | response.Converse
    | response.Attached
    | response.Turn
    | response.Retract
    | response.Respond
    | response.Played
    | response.Interrupt
    | response.ResponseStarted
    | response.ItemStarted
    | response.Say
    | response.PhaseSettled
    | response.ItemFinished
    | response.ResponseFinished
    | response.HangUp
    | tool.RunTool
    | tool.ToolStarted
    | tool.ToolResult
    | tool.ToolDeclined
    | tool.CancelTool
    | placement.Superseded
    | speech.Listened
    | response.Recall
    | response.Stored
    | response.Placed
    | response.CallerLost
    | response.CallerAway
    | approval.DecideApproval
    | approval.ApprovalAnswered
    | tool.ToolProgress
    | tool.DescribeTools
    | tool.ToolsDescribed
    | response.Equip
    | response.ToolAsked
    | response.ToolOutput
    | response.Insert
    | response.Summon
    | placement.HangUpCall
    | generation.Generate
    | generation.PromptPart
    | generation.GeneratedText
    | generation.GeneratedMessageEnded
    | generation.GeneratedCall
    | generation.Generated
    | generation.GenerationFailed
    | speech.Heard
)


class Envelope(msgspec.Struct, frozen=True, array_like=True):
    """call: id. sender: `<stage>.<worker>`, where an answer goes.

    epoch: of the record's owner (agent), as far as the sender knows; 0 before there is one.
    attach: number of the placement, minted by the hub, its own number in the bits above ATTACH_BITS, so a later
        gateway's placements outrank an earlier one's.
    seq: 1, 2, … per sender, receiver and attach; 0 outside any sequence (acks, tools).
    ack: the highest seq up to which everything of the other side has arrived.
    sent_us: wall time, for people; nothing is decided by it.
    """

    call: str
    sender: str
    epoch: U32
    attach: U64
    seq: U32
    ack: U32
    sent_us: U64
    message: Message


ATTACH_BITS = 20


def hub_of(attach: int) -> int:
    """The hub number in an attach number."""
    return attach >> ATTACH_BITS


def attach_number(hub: int, placement_number: int) -> int:
    """hub: from 1; placement_number: 1 to 2**ATTACH_BITS - 1, counted by that hub."""
    return (hub << ATTACH_BITS) | placement_number


class _Head(msgspec.Struct, frozen=True, array_like=True):
    """An envelope whose message isn't looked at yet."""

    call: str
    sender: str
    epoch: U32
    attach: U64
    seq: U32
    ack: U32
    sent_us: U64
    message: msgspec.Raw


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Envelope)
_heads = msgspec.msgpack.Decoder(_Head)
_any = msgspec.msgpack.Decoder()
TAGS: frozenset[str] = frozenset(str(t.__struct_config__.tag) for t in Message.__args__)


def encode(envelope: Envelope) -> bytes:
    return _encoder.encode(envelope)


def decode(data: bytes) -> Envelope:
    """Raises UnknownTag, Undecodable."""
    try:
        return _decoder.decode(data)
    except msgspec.MsgspecError as error:
        raise _explain(data, error) from error


def _explain(data: bytes, error: msgspec.MsgspecError) -> Undecodable:
    try:
        head = _heads.decode(data)
        body = _any.decode(head.message)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return Undecodable(str(error))
    if isinstance(body, list) and body and isinstance(body[0], str) and body[0] not in TAGS:
        return UnknownTag(body[0], head.call, head.sender, head.attach, head.seq, head.ack)
    return Undecodable(str(error))
