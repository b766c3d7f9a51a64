"""Handoffs: another agent of the same file goes on with the call, with what is kept of the conversation."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from trunkline.proto.errors import BadInput
from trunkline.proto.image import ShownImage
from trunkline.proto.response import Phase

if TYPE_CHECKING:
    from trunkline.agents.agent import Agent
    from trunkline.agents.tool import Tool

PREFIX = "transfer_to_"


@dataclass(frozen=True, slots=True)
class Said:
    """A piece of the conversation as a filter sees it.

    kind: a message of "user" or "assistant", one that the client told the model itself ("system"), a "tool_call" or its
    "tool_output". text: the words, the arguments or the output. phase: of an assistant's message. tool: the tool's
    name. id: of the tool call, which a call and its output share. images: that a user's message or an output shows.
    """

    kind: Literal["user", "assistant", "tool_call", "tool_output", "system"]
    text: str
    phase: Phase | None = None
    tool: str = ""
    id: str = ""
    images: tuple[ShownImage, ...] = ()


Filter = Callable[[Sequence[Said]], Sequence[Said]]


@dataclass(frozen=True, slots=True)
class Handoff:
    """to: the agent's name. tool_name, description: of the tool by which the model asks for it.

    filter: what the next agent's model is told of the conversation so far: some of it, in order; all, without one. It
    is asked whenever the model is, so it must be quick and always give the same for the same. A tool call goes with
    its output. voice: of the next agent, empty for its own. tool: in place of the usual one; if that runs in a tool
    runner, the call is handed off once it has succeeded, and not if it fails.
    """

    to: str
    tool_name: str = ""
    description: str = ""
    filter: Filter | None = None
    voice: str = ""
    tool: "Tool | None" = None

    @property
    def name(self) -> str:
        return (self.tool.name if self.tool is not None else self.tool_name) or PREFIX + "".join(
            c if c.isalnum() or c in "_-" else "_" for c in self.to
        ).lower()


def handoff(
    to: "Agent | str",
    *,
    tool_name: str = "",
    description: str = "",
    filter: Filter | None = None,  # the field's word for it
    voice: str = "",
) -> Handoff:
    """to: an agent, or the name of one that the same file makes (so that two can hand off to each other)."""
    name = to if isinstance(to, str) else getattr(to, "name", "")
    if not isinstance(name, str) or not name:
        raise BadInput(
            "handoff.to", f"{type(to).__name__} is no agent", "an Agent, or the name of one of the same file"
        )
    return Handoff(name, tool_name, description, filter, voice)


def drop_tools(said: Sequence[Said]) -> list[Said]:
    """A filter: only what was said."""
    return [one for one in said if one.kind in ("user", "assistant", "system")]
