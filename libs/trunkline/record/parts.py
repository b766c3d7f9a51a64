"""What a call's view is made of: messages, responses, tool calls, approvals, handoffs. Changed by `view` alone."""

from dataclasses import dataclass, field
from typing import Literal

from trunkline.proto import record
from trunkline.proto.approval import OpenApproval
from trunkline.proto.ids import item_of_tool_call
from trunkline.proto.image import ShownImage
from trunkline.proto.response import Asked, Phase, ResponseStatus, Source, TurnSource
from trunkline.proto.tool import RunsAt, ToolStatus

ItemStatus = Literal["in_progress", "completed", "interrupted", "blocked"]


@dataclass(slots=True)
class ItemView:
    """A message of the conversation. turn: the caller's turn that it is or answers; 0 for none.

    source: "client" for what a client added itself.
    """

    id: str
    role: Literal["user", "assistant", "system"]
    source: Source | TurnSource | Literal["client"]
    turn: int
    response: str = ""
    phase: Phase | None = None
    status: ItemStatus = "in_progress"
    segments: dict[int, str] = field(default_factory=dict)
    played: dict[int, int] = field(default_factory=dict)  # samples of each segment that was heard to its end
    truncated: record.ItemTruncated | None = None
    agent: str = ""  # whose message it is, where that isn't the call's first
    voice: str = ""
    rewritten: str | None = None  # by policy: what the model reads instead of a caller's words
    images: tuple[ShownImage, ...] = ()  # that a user's message shows

    @property
    def text(self) -> str:
        """What was said, heard or not."""
        return "".join(self.segments.values())

    @property
    def heard_text(self) -> str:
        """What the other side heard: of an assistant's item, whole segments unless it was cut within one."""
        if self.role == "user" or self.source == "client":
            return self.text
        if self.truncated is not None:
            return self.truncated.heard_text
        return "".join(text for index, text in self.segments.items() if index in self.played)


@dataclass(slots=True)
class ResponseView:
    """items: ids, in order. instructions, asked, news: see ResponseOpened. status: None while it goes on."""

    id: str
    turn: int
    instructions: str = ""
    news: tuple[str, ...] = ()
    status: ResponseStatus | None = None
    reason: str = ""
    items: list[str] = field(default_factory=list)
    tools: list[str] = field(default_factory=list)
    asked: Asked | None = None

    @property
    def aside(self) -> bool:
        """Out of band: no later response knows of it."""
        return self.asked is not None and self.asked.aside


@dataclass(slots=True)
class ToolView:
    """after: the message behind which the tool was called, empty for none. approval: that it waits or waited for.

    status: None while no outcome is recorded; `unknown` if there was none when the call ended.
    response: empty for a call that the client added itself, whose item is inserted. item: the client's, of the output.
    """

    id: str
    response: str
    name: str
    arguments: str
    key: str
    deadline_us: int
    after: str = ""
    status: ToolStatus | None = None
    output: str = ""
    runner: str = ""
    elapsed_ms: float = 0.0
    runs: RunsAt = "runner"
    approval: str = ""
    inserted: str = ""
    item: str = ""
    call_deleted: bool = False
    output_deleted: bool = False

    @property
    def call_item(self) -> str:
        """Id of the call as an item of the conversation."""
        return self.inserted or item_of_tool_call(self.id)

    @property
    def output_item(self) -> str:
        """Id of its output as an item, once there is one."""
        return self.item or f"{item_of_tool_call(self.id)}_output"

    @property
    def has_output(self) -> bool:
        """As an item of the conversation, which may be given again once it was deleted."""
        return self.status is not None and not self.output_deleted

    @property
    def stands(self) -> bool:
        """Nothing of it was deleted: a call and its output are told to a model together or not at all."""
        return not (self.call_deleted or self.output_deleted)


@dataclass(slots=True)
class ApprovalView:
    """tools: so many tool calls stood before it. decided: None while it waits for a person."""

    asked: record.ApprovalAsked
    tools: int
    decided: record.ApprovalDecided | None = None

    def open(self) -> OpenApproval:
        """As the index has it."""
        a = self.asked
        return OpenApproval(a.approval, a.kind, a.name, a.text, a.at_us, a.deadline_us, a.default)


@dataclass(slots=True, frozen=True)
class HandoffView:
    """Where in the conversation it was: behind the message item ("" for none) and so many tool calls."""

    event: record.HandedOff
    item: str
    tools: int
