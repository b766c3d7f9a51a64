"""Models for tests: what they answer is written down, or made by a function of what they are asked."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field

import msgspec

from trunkline.agents.handoff import Said
from trunkline.proto.response import Phase


@dataclass(frozen=True, slots=True)
class Says:
    """phase: None for a model that doesn't say: text before a tool call is commentary then, other text the answer."""

    text: str
    phase: Phase | None = None


@dataclass(frozen=True, slots=True)
class Calls:
    """arguments: JSON, as the model would write it; it needn't be valid."""

    tool: str
    arguments: str


@dataclass(frozen=True, slots=True)
class Waits:
    seconds: float


@dataclass(frozen=True, slots=True)
class Fails:
    reason: str


Step = Says | Calls | Waits | Fails
Answer = Step | Sequence[Step]


@dataclass(frozen=True, slots=True)
class Asked:
    """What the model was told, once per round.

    conversation: oldest first. tools: their names. agent: who answers. news: the caller has said nothing new, and a
    tool's outcome is to be told.
    """

    instructions: str
    conversation: tuple[Said, ...]
    tools: tuple[str, ...]
    agent: str
    news: bool = False
    settings: Mapping[str, object] = field(default_factory=dict)

    @property
    def words(self) -> str:
        """What the caller said last."""
        return next((one.text for one in reversed(self.conversation) if one.kind == "user"), "")

    @property
    def outputs(self) -> tuple[Said, ...]:
        """Of tools, since the caller spoke."""
        since: list[Said] = []
        for one in reversed(self.conversation):
            if one.kind == "user":
                break
            if one.kind == "tool_output":
                since.insert(0, one)
        return tuple(since)


FakeModel = Callable[[Asked], Answer | Awaitable[Answer]]


def says(text: str, *, phase: Phase | None = None) -> Says:
    return Says(text, phase)


def calls(tool: str, raw: str | None = None, /, **arguments: object) -> Calls:
    """The model wants a tool: `calls("refund", order="4712", amount=25)`. raw: text in place of valid arguments."""
    return Calls(tool, raw if raw is not None else msgspec.json.encode(arguments).decode())


def waits(seconds: float) -> Waits:
    """It takes its time; `call.passes` shortens that."""
    return Waits(seconds)


def fails(reason: str = "the model is away") -> Fails:
    return Fails(reason)


class Scripted:
    """A model that answers what is written down, whatever it is asked. Raises ScriptOver where nothing is left."""

    def __init__(self, answers: Sequence[Answer]) -> None:
        self._answers = list(answers)
        self._asked = 0

    def __call__(self, asked: Asked) -> Answer:
        self._asked += 1
        if self._asked > len(self._answers):
            raise ScriptOver(self._asked, len(self._answers), asked)
        return self._answers[self._asked - 1]


class ScriptOver(AssertionError):
    def __init__(self, times: int, answers: int, asked: Asked) -> None:
        after = f"after the tools gave {[one.text for one in asked.outputs]}" if asked.outputs else "to answer that"
        super().__init__(
            f"the model was asked for answer {times}, and its script has {answers}. The caller had said "
            f"{asked.words!r}; {asked.agent} was asked {after}. Every round asks once: before tools, and after them"
        )


def scripted(answers: Sequence[Answer]) -> Scripted:
    """A model that gives these answers, one each time that it is asked: so one before a tool runs, and one after.

    An answer is a step, or a list of steps: `[says("Let me see.", phase="commentary"), calls("lookup")]`. Two `calls`
    in one list run in parallel.
    """
    return Scripted(answers)
