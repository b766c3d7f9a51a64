"""An agent: who it is, what it may do, how it greets. A definition only; the agent service holds the conversation."""

from collections.abc import Sequence
from dataclasses import dataclass

from trunkline.agents.tool import Tool
from trunkline.proto.errors import BadInput

NAME_CHARACTERS = 128


@dataclass(frozen=True, slots=True, eq=False)
class Agent:
    """name: one line; `trunkline up --agent FILE.py:NAME` chooses by it.

    instructions: what the model is told about its task.
    tools: functions decorated with `@tool`; no two of one name.
    greeting: said when a call begins, "" for none.
    voice: of the text-to-speech engine, "" for its default.
    Raises BadInput with the field that can't be used.
    """

    name: str
    instructions: str = ""
    tools: Sequence[Tool] = ()
    greeting: str = ""
    voice: str = ""

    def __post_init__(self) -> None:
        for field in ("name", "instructions", "greeting", "voice"):
            value = getattr(self, field)
            if not isinstance(value, str):
                raise BadInput(f"Agent.{field}", f"is of type {type(value).__name__}", "text")
        if not (self.name.strip() and self.name.isprintable() and len(self.name) <= NAME_CHARACTERS):
            raise BadInput("Agent.name", f"is {self.name[:80]!r}", f"one line of 1 to {NAME_CHARACTERS} characters")
        object.__setattr__(self, "tools", tuple(self.tools))  # a list that changes later would be another agent
        self._check_tools()

    def _check_tools(self) -> None:
        names: set[str] = set()
        for given in self.tools:
            if not isinstance(given, Tool):
                what = getattr(given, "__name__", type(given).__name__)
                raise BadInput(f"Agent {self.name!r}: tools", f"{what} is no tool", "functions decorated with @tool")
            if given.name in names:
                raise BadInput(f"Agent {self.name!r}: tools", f"{given.name} is there twice", "one tool of each name")
            names.add(given.name)

    @property
    def dictations(self) -> tuple[str, ...]:
        """Patterns of what callers dictate to this agent's tools (TurnRules.dictations), each once."""
        return tuple(dict.fromkeys(pattern for given in self.tools for pattern in given.dictations))

    def tool(self, name: str) -> Tool | None:
        return next((given for given in self.tools if given.name == name), None)
