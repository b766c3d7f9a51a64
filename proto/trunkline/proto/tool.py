"""Tool calls between agent and tool runners (queue group, so no order and no link: seq 0, resent by key)."""

from typing import Literal

import msgspec

ToolStatus = Literal["ok", "error", "timeout", "denied", "cancelled", "unknown"]
RunsAt = Literal["runner", "agent", "client"]


class RunTool(msgspec.Struct, frozen=True, array_like=True, tag="run_tool"):
    """Agent -> one tool runner.

    arguments: JSON object. key: idempotency key, the same on every resend. deadline_us: absolute wall time;
    a runner never works past it. digest: of the agent file; a runner with another declines.
    state: JSON object of the call's tool state. attempt: from 1; a higher one only where the tool says that running
    twice is safe, after the outcome of the last is unknown. Each attempt has a claim of its own, all have one key.
    pin: of a tool server's tool, what the model was told of it; a runner that finds another description doesn't run it.
    """

    tool_call: str
    name: str
    arguments: str
    key: str
    deadline_us: int
    digest: str
    state: str = "{}"
    attempt: int = 1
    pin: str = ""


class ToolStarted(msgspec.Struct, frozen=True, array_like=True, gc=False, tag="tool_started"):
    """Tool runner -> agent: taken; the result follows before the deadline."""

    tool_call: str
    runner: str


class ToolResult(msgspec.Struct, frozen=True, array_like=True, gc=False, tag="tool_result"):
    """Tool runner -> agent.

    output: what the model reads: JSON of the return value, or the error in words.
    state_patch: JSON object merged into the call's tool state; null values delete.
    """

    tool_call: str
    status: ToolStatus
    output: str
    runner: str
    elapsed_ms: float = 0.0
    state_patch: str = "{}"


class ToolDeclined(msgspec.Struct, frozen=True, array_like=True, gc=False, tag="tool_declined"):
    """Tool runner -> agent: not run here: "digest" (another agent file), "busy", "draining", "unknown_tool"."""

    tool_call: str
    reason: Literal["digest", "busy", "draining", "unknown_tool", "expired"]
    runner: str


class CancelTool(msgspec.Struct, frozen=True, array_like=True, gc=False, tag="cancel_tool"):
    """Agent -> the runner that has it: the caller interrupted, and the tool says that it may be stopped then.

    Its outcome still follows as ToolResult. Any other tool that has begun runs to its end.
    """

    tool_call: str


class ToolProgress(msgspec.Struct, frozen=True, array_like=True, gc=False, tag="tool_progress"):
    """Tool runner -> agent: words for the caller while the tool runs; lost or late they are not said."""

    tool_call: str
    text: str


class DescribeTools(msgspec.Struct, frozen=True, array_like=True, gc=False, tag="describe_tools"):
    """Agent -> all tool runners: what tools has this tool server. digest: see RunTool; others keep silent."""

    server: str
    digest: str


class DescribedTool(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """parameters: JSON Schema of an object, as JSON text."""

    name: str
    description: str
    parameters: str


class ToolsDescribed(msgspec.Struct, frozen=True, array_like=True, tag="tools_described"):
    """Tool runner -> agent. tools: that are there and may be used. problem: why there are none to tell of."""

    server: str
    digest: str
    tools: tuple[DescribedTool, ...] = ()
    problem: str = ""
