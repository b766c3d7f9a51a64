"""The conversation between gateway and agent: turns in, phased messages out.

The gateway decides turns, the agent decides the conversation's items. Commentary and final answer are
items of one response; `phase` stays with an item from the model to the caller, the record and back.
"""

from typing import Literal

import msgspec

from trunkline.proto.image import ShownImage
from trunkline.proto.tool import DescribedTool

Phase = Literal["commentary", "final_answer"]
Source = Literal["model", "filler", "greeting", "tool", "policy", "person"]
"""Who chose the words: the model; set words of the agent's definition (a filler, the greeting); a tool that reports
progress; the reply to what a guardrail blocked; a person who edited an answer."""
ROOT = "root"
"""Stands for the item before the first; no item has this id."""
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
    tools: names of the agents' own tools, which a client's tools can't have. agents: names of all of the file.
    """

    agent: str
    digest: str
    greeting: str = ""
    voice: str = ""
    instructions: str = ""
    dictations: tuple[str, ...] = ()
    idle_s: float = 0.0
    tools: tuple[str, ...] = ()
    agents: tuple[str, ...] = ()


class Turn(msgspec.Struct, frozen=True, array_like=True, gc=False, tag="turn"):
    """Gateway -> agent: a committed turn of the caller, as item `item` after `previous`: an item's id, empty for the
    end of the conversation, ROOT for its beginning. images: that a typed one shows.

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
    images: tuple[ShownImage, ...] = ()


class Retract(msgspec.Struct, frozen=True, array_like=True, gc=False, tag="retract"):
    """Gateway -> agent: this turn was no turn (the caller went on), or, with turn 0, the client deleted this item,
    whoever said it. A tool call and its output are items too: item_<tool call>, and ToolOutput.item."""

    turn: int
    item: str


class Inserted(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """An item that the client puts before the model; fields that its kind hasn't are empty.

    kind: "reference" to an item of the conversation, which alone has only an id; "message" (role, text, phase);
    "function_call" (call_id, name, text: its arguments as a JSON object); "function_call_output" (call_id, text).
    images: of a user's message, or of an output.
    """

    kind: Literal["reference", "message", "function_call", "function_call_output"]
    item: str
    role: Literal["", "user", "assistant", "system"] = ""
    text: str = ""
    phase: Phase | None = None
    call_id: str = ""
    name: str = ""
    images: tuple[ShownImage, ...] = ()


class Insert(msgspec.Struct, frozen=True, array_like=True, tag="insert"):
    """Gateway -> agent: the client adds this to the conversation, and asks for no answer. No reference, no user's
    message (that is a Turn), and no output of a tool call that the client was asked (that is a ToolOutput).

    previous: as in Turn.
    """

    item: Inserted
    previous: str = ""


class Asked(msgspec.Struct, frozen=True, array_like=True):
    """What a client asks of one response alone; what it leaves out is as in its session.

    tools: that the client carries out itself, None for the session's. tool_choice: as in Equip.
    max_output_tokens: 0 for the session's.
    context: in place of the conversation, None for that. aside: neither the answer nor what it calls becomes part of
    the conversation.
    """

    tools: tuple[DescribedTool, ...] | None = None
    tool_choice: str = ""
    max_output_tokens: int = 0
    context: tuple[Inserted, ...] | None = None
    aside: bool = False


class Respond(msgspec.Struct, frozen=True, array_like=True, tag="respond"):
    """Gateway -> agent: answer the conversation as it stands (a client's response.create). response: see Turn."""

    instructions: str = ""
    response: str = ""
    asked: Asked | None = None


class Equip(msgspec.Struct, frozen=True, array_like=True, tag="equip"):
    """Gateway -> agent: what the client's session asks of the model, in place of what it asked before.

    tools: that the client carries out itself.
    tool_choice: "required", "none" or a tool's name, as ModelSettings has it; empty for the agent's own.
    parallel: more than one tool call in a round. max_output_tokens: of a response, 0 for the agent's own.
    effort: of reasoning, as ModelSettings has it, empty for the agent's own.
    """

    tools: tuple[DescribedTool, ...] = ()
    tool_choice: str = ""
    parallel: bool = True
    max_output_tokens: int = 0
    effort: str = ""


class Summon(msgspec.Struct, frozen=True, array_like=True, gc=False, tag="summon"):
    """Gateway -> agent: the client's session names another agent of the file, one of Attached.agents; it answers from
    here on."""

    agent: str


class ToolOutput(msgspec.Struct, frozen=True, array_like=True, gc=False, tag="tool_output"):
    """Gateway -> agent: what the client says came of a tool call that it was asked. output: its words, or JSON.

    item: the id of the client's item."""

    tool_call: str
    output: str
    item: str = ""


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
    own up to `said`; both are seqs of this link. What lies behind needn't be told to a later agent.

    Once more behind the call's end, outside the sequence: all of it is recorded."""

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
