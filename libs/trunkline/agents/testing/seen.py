"""What a test sees of a call: replies with their messages, tools and verdicts, what waits. Values only."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from trunkline.agents.testing.model import Asked
from trunkline.proto.approval import ApprovalKind, Choice
from trunkline.proto.policy import Action, Point
from trunkline.proto.response import Phase, ResponseStatus, Source
from trunkline.proto.tool import RunsAt, ToolStatus


class RehearsalFailed(AssertionError):
    """What the test asked for can't happen; the transcript so far is in the text."""


@dataclass(frozen=True, slots=True)
class Message:
    """source: who chose the words. agent: whose message it is. voice: its own, "" for the call's.

    heard: of it by the caller; all, unless he interrupted.
    """

    text: str
    phase: Phase | None
    source: Source
    agent: str
    voice: str = ""
    heard: str = ""


@dataclass(frozen=True, slots=True)
class ToolUse:
    """A tool that the model called.

    arguments: as they ran; {} where they were no JSON object, see json. status: None while it has no outcome.
    result: what it returned, as JSON gives it; of any other status than "ok", what the model was told.
    runs: by a tool runner, or by the agent itself (handoffs, transfers, the end of the call).
    """

    name: str
    arguments: Mapping[str, object]
    status: ToolStatus | None
    result: object
    json: str = "{}"
    id: str = ""
    runs: RunsAt = "runner"

    def __repr__(self) -> str:
        return f"{self.name}({self.json}) -> {self.status}: {self.result!r}"


@dataclass(frozen=True, slots=True)
class GivenVerdict:
    """Of a guardrail, other than to allow; failed: it raised or was late, and this is its `on_failure`."""

    point: Point
    action: Action
    guardrail: str
    reason: str = ""
    to: str = ""

    @property
    def failed(self) -> bool:
        return self.reason.startswith("failed: ")


@dataclass(frozen=True, slots=True)
class Waiting:
    """An approval that nobody has decided. text: the exact arguments (JSON) or the exact answer that is shown.

    seconds: that are left until `default` is decided.
    """

    id: str
    kind: ApprovalKind
    tool: str
    text: str
    default: Choice
    seconds: float


@dataclass(frozen=True, slots=True)
class Transfer:
    """Asked for by `transfer_call`. target: its address."""

    target: str
    summary: str


@dataclass(frozen=True, slots=True, repr=False)
class Reply:
    """What the agent made of a turn, or said by itself (turn 0: the greeting, a prompt, a tool's late outcome).

    said: the caller's words, as recorded. messages: in order. handoffs: agents that the call went to meanwhile.
    agent: that has the call afterwards. status: None while it goes on, as it does while something waits for a person.
    """

    turn: int
    said: str
    messages: tuple[Message, ...] = ()
    tools: tuple[ToolUse, ...] = ()
    verdicts: tuple[GivenVerdict, ...] = ()
    handoffs: tuple[str, ...] = ()
    transfers: tuple[Transfer, ...] = ()
    waiting: tuple[Waiting, ...] = ()
    agent: str = ""
    status: ResponseStatus | None = None
    reason: str = ""
    id: str = ""

    @property
    def text(self) -> str:
        """All that was said."""
        return " ".join(message.text.strip() for message in self.messages)

    @property
    def answer(self) -> str:
        """What was said as the final answer."""
        return " ".join(message.text.strip() for message in self.messages if message.phase == "final_answer")

    @property
    def commentary(self) -> tuple[str, ...]:
        """What was said besides: while tools ran, fillers, progress, words on an approval."""
        return tuple(message.text.strip() for message in self.messages if message.phase == "commentary")

    @property
    def phases(self) -> tuple[Phase | None, ...]:
        return tuple(message.phase for message in self.messages)

    def tool(self, name: str) -> ToolUse:
        """The one use of this tool. Raises RehearsalFailed where there is none, or several."""
        uses = [one for one in self.tools if one.name == name]
        if len(uses) != 1:
            called = "\n".join(f"  {one!r}" for one in self.tools) or "  none at all"
            raise RehearsalFailed(f"{name} was called {len(uses)} times in this reply; tools that were:\n{called}")
        return uses[0]

    def __repr__(self) -> str:
        parts = [f"answer={self.answer!r}"]
        for name in ("commentary", "tools", "verdicts", "handoffs", "transfers", "waiting"):
            if value := getattr(self, name):
                parts.append(f"{name}={list(value)!r}")
        parts.append(f"status={self.status!r}" + (f" ({self.reason})" if self.reason else ""))
        return f"Reply({', '.join(parts)})"


@dataclass(frozen=True, slots=True)
class Sight:
    """A call at one moment. ended: why, "" while it goes on. asked: what the model was, round by round."""

    greeting: Reply | None = None
    replies: tuple[Reply, ...] = ()
    approvals: tuple[Waiting, ...] = ()
    transfers: tuple[Transfer, ...] = ()
    state: Mapping[str, object] = field(default_factory=dict)
    agent: str = ""
    ended: str = ""
    asked: tuple[Asked, ...] = ()
    transcript: str = ""
