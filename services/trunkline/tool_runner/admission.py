"""Whether a tool call is run here: facts in, an answer out. No is an answer (`ToolDeclined`), never an error."""

from dataclasses import dataclass
from typing import Literal

from trunkline.agents import Tool
from trunkline.proto.tool import RunTool

DeclineReason = Literal["digest", "busy", "draining", "unknown_tool", "expired"]


@dataclass(frozen=True, slots=True)
class Limits:
    """runs: at a time in this process. lost_runs: given up by timeout but still occupying a thread or the loop."""

    runs: int
    lost_runs: int


@dataclass(frozen=True, slots=True)
class Occupation:
    """runs: going on now. lost: given up, not yet over. of_tool: both, of the tool that is asked for."""

    runs: int
    lost: int
    of_tool: int


def reason_to_decline(
    order: RunTool, tool: Tool | None, *, digest: str, draining: bool, now_us: int, occupied: Occupation, limits: Limits
) -> DeclineReason | None:
    """None to run it. What another runner can't do either ("expired") is told before what it might ("busy")."""
    if order.digest != digest:
        return "digest"
    if tool is None:
        return "unknown_tool"
    if order.deadline_us <= now_us:
        return "expired"
    if draining:
        return "draining"
    if occupied.runs >= limits.runs or occupied.lost >= limits.lost_runs:
        return "busy"
    if tool.concurrency and occupied.of_tool >= tool.concurrency:
        return "busy"
    return None
