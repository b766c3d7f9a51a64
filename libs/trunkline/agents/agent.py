"""An agent: who it is, what it may do, how it greets. A definition only; the agent service holds the conversation."""

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from trunkline.agents.approval import Approval
from trunkline.agents.call import CallContext
from trunkline.agents.control import handoff_tool
from trunkline.agents.guardrail import Guardrail
from trunkline.agents.handoff import Handoff, handoff
from trunkline.agents.hooks import Hooks
from trunkline.agents.settings import Duration, Fillers, ModelSettings, Silence
from trunkline.agents.tool import Tool
from trunkline.agents.toolserver import ToolServer
from trunkline.proto.errors import BadInput

NAME_CHARACTERS = 128
DEFAULT_SETTINGS = ModelSettings()
NO_HOOKS = Hooks()
APOLOGY = "I'm sorry, something went wrong on our side. Please say that again."
_KINDS: dict[str, type] = {
    "settings": ModelSettings,
    "answer_approval": Approval,
    "fillers": Fillers,
    "silence": Silence,
    "duration": Duration,
    "hooks": Hooks,
}
Instructions = str | Callable[[CallContext], str | Awaitable[str]]


@dataclass(frozen=True, slots=True, eq=False)
class Agent:
    """name: one line; `trunkline up --agent FILE.py:NAME` chooses by it.

    instructions: what the model is told about its task, or a function of the call that gives it, asked before every
        round; it must be quick.
    tools: functions decorated with `@tool`, `end_call()`, `transfer_call(…)`; no two of one name.
    greeting: said when a call begins, "" for none.
    voice: of the text-to-speech engine, "" for its default.
    handoffs: agents of the same file that may go on with the call: agents, names, or `handoff(…)`.
    guardrails: `@guardrail` functions, and those of `trunkline.agents.policies`; they are asked in this order.
    model: name of the model, "" for the service's own. settings: how it is asked.
    approve: what output guardrails see, and what waits for them: every "segment" by itself, or the whole "answer",
        while commentary goes out by segments.
    answer_approval: a person sees each answer before the caller does; it implies approve="answer".
    fillers, silence, duration: what is said, and when, if nothing is; None for nothing.
    tool_servers: MCP servers whose tools it may use.
    apology: said in place of an answer where the model fails, or is left alone since it failed again and again.
    hooks: the agent's own functions that are told what happens. description: for agents that may hand off to it.
    Raises BadInput with the field that can't be used.
    """

    name: str
    instructions: Instructions = ""
    tools: Sequence[Tool] = ()
    greeting: str = ""
    voice: str = ""
    handoffs: Sequence["Handoff | Agent | str"] = ()
    guardrails: Sequence[Guardrail] = ()
    model: str = ""
    settings: ModelSettings = DEFAULT_SETTINGS
    approve: Literal["segment", "answer"] = "segment"
    answer_approval: Approval | None = None
    fillers: Fillers | None = None
    silence: Silence | None = None
    duration: Duration | None = None
    tool_servers: Sequence[ToolServer] = ()
    hooks: Hooks = NO_HOOKS
    description: str = ""
    apology: str = APOLOGY
    offered: tuple[Tool, ...] = field(init=False)
    """Its tools, and those by which it hands off."""

    def __post_init__(self) -> None:
        for name in ("name", "greeting", "voice", "model", "description", "apology"):
            value = getattr(self, name)
            if not isinstance(value, str):
                raise BadInput(f"Agent.{name}", f"is of type {type(value).__name__}", "text")
        if not (self.name.strip() and self.name.isprintable() and len(self.name) <= NAME_CHARACTERS):
            raise BadInput("Agent.name", f"is {self.name[:80]!r}", f"one line of 1 to {NAME_CHARACTERS} characters")
        if not self.apology.strip():
            raise BadInput("Agent.apology", "is empty", "what is said where the model fails")
        if not (isinstance(self.instructions, str) or callable(self.instructions)):
            what = type(self.instructions).__name__
            raise BadInput("Agent.instructions", f"is of type {what}", "text, or a function of the call")
        if self.approve not in ("segment", "answer"):
            raise BadInput("Agent.approve", f"is {self.approve!r}", "segment, answer")
        for name in ("tools", "handoffs", "guardrails", "tool_servers"):
            value = getattr(self, name)
            if isinstance(value, str) or not isinstance(value, Iterable):
                raise BadInput(f"Agent.{name}", f"is of type {type(value).__name__}", "a list")
        for name, kind in _KINDS.items():
            value = getattr(self, name)
            if not (isinstance(value, kind) or (value is None and name not in ("settings", "hooks"))):
                raise BadInput(f"Agent.{name}", f"is of type {type(value).__name__}", f"{kind.__name__}(…)")
        handoffs = tuple(one if isinstance(one, Handoff) else handoff(one) for one in self.handoffs)
        for name, value in (("tools", tuple(self.tools)), ("handoffs", handoffs)):
            object.__setattr__(self, name, value)  # a list that changes later would be another agent
        for name in ("guardrails", "tool_servers"):
            object.__setattr__(self, name, tuple(getattr(self, name)))
        self._check_kind("guardrails", Guardrail, "functions decorated with @guardrail")
        self._check_kind("tool_servers", ToolServer, "tool servers, as McpServer(…)")
        self._check_kind("tools", Tool, "functions decorated with @tool")
        self.meet({})
        self._check_names()

    def meet(self, others: Mapping[str, "Agent"]) -> None:
        """The agents of its file, by name, once all are there: of each the model is told by its description."""
        transfers = [
            one.tool or handoff_tool(one, others[one.to].description if one.to in others else "")
            for one in self.handoffs
            if isinstance(one, Handoff)
        ]
        object.__setattr__(self, "offered", (*self.tools, *transfers))

    def _check_kind(self, name: str, kind: type, allowed: str) -> None:
        for given in getattr(self, name):
            if not isinstance(given, kind):
                what = getattr(given, "__name__", type(given).__name__)
                raise BadInput(f"Agent {self.name!r}: {name}", f"{what} is none of them", allowed)

    def _check_names(self) -> None:
        names: set[str] = set()
        for given in self.offered:
            if given.name in names:
                raise BadInput(f"Agent {self.name!r}: tools", f"{given.name} is there twice", "one tool of each name")
            names.add(given.name)
        if self.name in (one.to for one in self.handoffs if isinstance(one, Handoff)):
            raise BadInput(f"Agent {self.name!r}: handoffs", "it hands off to itself", "other agents of the same file")
        guardrails = [one.name for one in self.guardrails]
        if twice := next((name for name in guardrails if guardrails.count(name) > 1), ""):
            raise BadInput(f"Agent {self.name!r}: guardrails", f"{twice} is there twice", "one guardrail of each name")

    @property
    def dictations(self) -> tuple[str, ...]:
        """Patterns of what callers dictate to this agent's tools (TurnRules.dictations), each once."""
        return tuple(dict.fromkeys(pattern for given in self.tools for pattern in given.dictations))

    @property
    def holds_answers(self) -> bool:
        """Nothing of an answer leaves before all of it has passed."""
        return self.approve == "answer" or self.answer_approval is not None

    def tool(self, name: str) -> Tool | None:
        return next((given for given in self.offered if given.name == name), None)

    @property
    def settings_later(self) -> ModelSettings:
        """Of the rounds behind an answer's first: a model that must use a tool may speak now."""
        if self.settings.tool_choice in ("auto", "none"):
            return self.settings
        return replace(self.settings, tool_choice="auto")

    def handoff_to(self, agent: str) -> Handoff | None:
        return next((one for one in self.handoffs if isinstance(one, Handoff) and one.to == agent), None)

    def handoff_by(self, tool: str) -> Handoff | None:
        """The handoff that the model asks for by this tool."""
        return next((one for one in self.handoffs if isinstance(one, Handoff) and one.name == tool), None)
