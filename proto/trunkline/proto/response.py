"""The conversation between gateway and agent: turns in, phased messages out.

The gateway decides turns, the agent decides the conversation's items. Commentary and final answer are
items of one response; `phase` stays with an item from the model to the caller, the record and back.
"""

from typing import Literal

import msgspec

from trunkline.proto.tool import DescribedTool

Phase = Literal["commentary", "final_answer"]
Source = Literal["model", "filler", "greeting", "tool", "policy", "person"]
"""Who chose the words: the model; set words of the agent's definition (a filler, the greeting); a tool that reports
progress; the reply to what a guardrail blocked; a person who edited an answer."""
ResponseStatus = Literal["completed", "cancelled", "failed", "incomplete"]
TurnSource = Literal["speech", "text"]


class Converse(msgspec.Struct, frozen=True, array_like=True, gc=False, tag="converse"):
    """Gateway -> agent: take this call. hub: this gateway's number for the call, recorded as HubAttached.

    agent: the wanted agent's name, empty for the file's default.
    instructions: of the session, empty for the agent's own.
    reason: why another agent is needed, empty for a call's first. Then Recall follows once the agent has Attached.
    """

    hub: int
    gateway: str
    agent: str = ""
    instructions: str = ""
    modality: Literal["audio", "text"] = "audio"
    reason: str = ""


class Attached(msgspec.Struct, frozen=True, array_like=True, tag="attached"):
    """Agent -> gateway: the call is owned here under the envelope's epoch.

    greeting: id of the response that follows by itself, empty for none.
    dictations: see TurnRules.dictations. idle_s: tell CallerAway after so much silence of both sides, 0 for never.
    tools: names of the agents' own tools, which a client's tools can't have.
    """

    agent: str
    digest: str
    greeting: str = ""
    voice: str = ""
    instructions: str = ""
    dictations: tuple[str, ...] = ()
    idle_s: float = 0.0
    tools: tuple[str, ...] = ()


class Turn(msgspec.Struct, frozen=True, array_like=True, gc=False, tag="turn"):
    """Gateway -> agent: a committed turn of the caller, as item `item` after `previous`.

    from_sample, to_sample: in the caller's audio; both 0 for typed text. respond: answer it now.
    response: the id that the answer shall have, so that a turn told again is answered once; empty: the agent mints one.
    """

    turn: int
    item: str
    text: str
    source: TurnSource
    from_sample: int = 0
    to_sample: int = 0
    respond: bool = True
    previous: str = ""
    response: str = ""


class Retract(msgspec.Struct, frozen=True, array_like=True, gc=False, tag="retract"):
    """Gateway -> agent: this turn was no turn (the caller went on, the client deleted it)."""

    turn: int
    item: str


class Respond(msgspec.Struct, frozen=True, array_like=True, gc=False, tag="respond"):
    """Gateway -> agent: answer the conversation as it stands (a client's response.create). response: see Turn."""

    instructions: str = ""
    response: str = ""


class Equip(msgspec.Struct, frozen=True, array_like=True, tag="equip"):
    """Gateway -> agent: the tools that the client carries out itself, in place of those that it had before.

    tool_choice: "required", "none" or a tool's name, as ModelSettings has it; empty for the agent's own.
    """

    tools: tuple[DescribedTool, ...] = ()
    tool_choice: str = ""


class ToolOutput(msgspec.Struct, frozen=True, array_like=True, gc=False, tag="tool_output"):
    """Gateway -> agent: what the client says came of a tool call that it was asked. output: its words, or JSON."""

    tool_call: str
    output: str


class SegmentHeard(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """index: of the segment in its item. Samples at SPEECH_RATE_HZ; total is 0 while it isn't known."""

    item: str
    index: int
    heard_samples: int
    total_samples: int


class Played(msgspec.Struct, frozen=True, array_like=True, gc=False, tag="played"):
    """Gateway -> agent: a segment was heard to its end."""

    heard: SegmentHeard


class Interrupt(msgspec.Struct, frozen=True, array_like=True, tag="interrupt"):
    """Gateway -> agent: stop this response; what of it was heard, segment by segment, is all that was said.

    reason: "turn_detected" (the caller spoke), "client_cancelled", "truncated" (the client's own extent).
    asked: of the response's ToolAsked, the tool calls that the client knows of; it will not be asked any other.
    """

    response: str
    reason: Literal["turn_detected", "client_cancelled", "truncated"]
    heard: tuple[SegmentHeard, ...] = ()
    asked: tuple[str, ...] = ()


class ResponseStarted(msgspec.Struct, frozen=True, array_like=True, gc=False, tag="response_started"):
    """Agent -> gateway. turn: 0 for a greeting or a client's response.create."""

    response: str
    turn: int


class ItemStarted(msgspec.Struct, frozen=True, array_like=True, gc=False, tag="item_started"):
    """Agent -> gateway: an assistant message begins.

    phase: null until the round settles, where the model doesn't say. voice: in which it is spoken, empty for the
    session's.
    """

    response: str
    item: str
    phase: Phase | None
    source: Source = "model"
    voice: str = ""


class Say(msgspec.Struct, frozen=True, array_like=True, gc=False, tag="say"):
    """Agent -> gateway: the next segment of an item, passed by policy; texts of an item join to it without loss."""

    response: str
    item: str
    index: int
    text: str


class PhaseSettled(msgspec.Struct, frozen=True, array_like=True, gc=False, tag="phase_settled"):
    """Agent -> gateway: the phase of an item that began without one."""

    response: str
    item: str
    phase: Phase


class ItemFinished(msgspec.Struct, frozen=True, array_like=True, gc=False, tag="item_finished"):
    """Agent -> gateway: no segment follows; text is the whole of what was sent as Say."""

    response: str
    item: str
    text: str
    phase: Phase | None


class ToolAsked(msgspec.Struct, frozen=True, array_like=True, gc=False, tag="tool_asked"):
    """Agent -> gateway: the client is to carry this out. It has passed its commit point, and no words follow in this
    response; ToolOutput answers. arguments: JSON object."""

    response: str
    tool_call: str
    name: str
    arguments: str


class ResponseFinished(msgspec.Struct, frozen=True, array_like=True, gc=False, tag="response_finished"):
    """Agent -> gateway: nothing follows in this response. detail: what went wrong, for `failed`."""

    response: str
    status: ResponseStatus
    detail: str = ""
    input_tokens: int = 0
    output_tokens: int = 0


class HangUp(msgspec.Struct, frozen=True, array_like=True, gc=False, tag="hang_up"):
    """Agent -> gateway: end the call once what was said is heard."""

    reason: str


Utterance = ResponseStarted | ItemStarted | Say | PhaseSettled | ItemFinished | ResponseFinished | ToolAsked


class Recall(msgspec.Struct, frozen=True, array_like=True, tag="recall"):
    """Gateway -> agent: what a new owner can't know from the record; the first message after it has Attached.

    said: what earlier agents said and is not known to be recorded, in order: the caller may have heard it, so it is
    adopted as it stands. unfinished: responses asked for or begun whose end has not come to the gateway; what the
    record has of them is said again, and the gateway drops what it has. afresh: the gateway itself is new to the call
    and has none of the agent's words: everything that was not heard to its end is said again.
    inputs: how many messages follow that the gateway sent before and that may not be recorded (Turn, Respond, Played,
    Interrupt, Retract, …), as they were; what goes on is decided after them.
    got: the last audio that the client of a gateway that is afresh has, and how much of its segment; what lies behind
    was not heard, whatever is recorded. Its item is empty if the client has none; None where the client can't tell.
    """

    said: tuple[Utterance, ...] = ()
    unfinished: tuple[str, ...] = ()
    afresh: bool = False
    inputs: int = 0
    got: SegmentHeard | None = None


class Stored(msgspec.Struct, frozen=True, array_like=True, gc=False, tag="stored"):
    """Agent -> gateway: the effect of the gateway's messages up to `received` is in the record, and so are the agent's
    own up to `said`; both are seqs of this link. What lies behind needn't be told to a later agent."""

    received: int
    said: int


class Placed(msgspec.Struct, frozen=True, array_like=True, gc=False, tag="placed"):
    """Gateway -> agent, for the record: another worker of a stage serves the call.

    reason: what became of the last.
    """

    stage: str
    worker: str
    reason: str


class CallerLost(msgspec.Struct, frozen=True, array_like=True, gc=False, tag="caller_lost"):
    """Gateway -> agent, for the record: audio of the caller from from_sample on, before a reconnect, never arrived."""

    from_sample: int


class CallerAway(msgspec.Struct, frozen=True, array_like=True, gc=False, tag="caller_away"):
    """Gateway -> agent: nobody has said anything for Attached.idle_s; again after as long, until somebody does.

    count: how many times since somebody last did, from 1. response: the id of the answer, see Turn.
    """

    count: int
    response: str
