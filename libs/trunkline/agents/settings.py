"""How an agent's model is asked, and how an agent fills and breaks silence. Values only; each says what is allowed."""

import math
from dataclasses import dataclass
from typing import Literal

from trunkline.proto.errors import BadInput

Effort = Literal["", "none", "minimal", "low", "medium", "high", "xhigh"]
EFFORTS: tuple[Effort, ...] = ("", "none", "minimal", "low", "medium", "high", "xhigh")
Verbosity = Literal["", "low", "medium", "high"]
VERBOSITIES: tuple[Verbosity, ...] = ("", "low", "medium", "high")
DURATION_LIMIT_S = 24 * 3600.0


@dataclass(frozen=True, slots=True)
class ModelSettings:
    """What of it a model's endpoint doesn't know is left out by that endpoint's engine. None: the endpoint's default.

    tool_choice: "auto", "required", "none" or a tool's name; it holds for the first round of an answer, so that a
    model which must use a tool may speak afterwards. prompt_cache_key: empty for the agent's name.
    history_tokens: of conversation that is sent, oldest left out first; 0 for all of it. verbosity: how much is said.
    """

    temperature: float | None = None
    max_output_tokens: int | None = None
    reasoning_effort: Effort = ""
    tool_choice: str = "auto"
    parallel_tool_calls: bool | None = None
    prompt_cache_key: str = ""
    history_tokens: int = 0
    verbosity: Verbosity = ""

    def __post_init__(self) -> None:
        if self.temperature is not None and not 0 <= self.temperature <= 2:
            raise BadInput("ModelSettings.temperature", f"is {self.temperature}", "0 to 2")
        if self.max_output_tokens is not None and self.max_output_tokens < 1:
            raise BadInput("ModelSettings.max_output_tokens", f"is {self.max_output_tokens}", "1 or more")
        if self.reasoning_effort not in EFFORTS:
            raise BadInput("ModelSettings.reasoning_effort", f"is {self.reasoning_effort!r}", ", ".join(EFFORTS[1:]))
        if self.verbosity not in VERBOSITIES:
            raise BadInput("ModelSettings.verbosity", f"is {self.verbosity!r}", ", ".join(VERBOSITIES[1:]))
        if self.history_tokens < 0:
            raise BadInput("ModelSettings.history_tokens", f"is {self.history_tokens}", "0 (no limit) or more")


@dataclass(frozen=True, slots=True)
class Fillers:
    """Set words while the caller waits for a model: said as commentary, each once per answer, in turn.

    after_s: without a word; the next one after as long again.
    """

    words: tuple[str, ...] = ("One moment, please.",)
    after_s: float = 1.5

    def __post_init__(self) -> None:
        require_words("Fillers.words", self.words)
        require_seconds("Fillers.after_s", self.after_s)


@dataclass(frozen=True, slots=True)
class Silence:
    """What is said to a caller who says nothing, one prompt each time; after the last one the call is ended.

    after_s: of silence of both sides. goodbye: the last words.
    """

    after_s: float = 10.0
    prompts: tuple[str, ...] = ("Are you still there?",)
    goodbye: str = "I can't hear anybody, so I am going to hang up. Goodbye."

    def __post_init__(self) -> None:
        require_seconds("Silence.after_s", self.after_s)
        if self.prompts:
            require_words("Silence.prompts", self.prompts)


@dataclass(frozen=True, slots=True)
class Duration:
    """The longest that a call may last. goodbye: said then, before the call is ended."""

    limit_s: float
    goodbye: str = "I am sorry, our time is up. Please call again. Goodbye."

    def __post_init__(self) -> None:
        require_seconds("Duration.limit_s", self.limit_s)


def require_seconds(param: str, value: float) -> None:
    if not (isinstance(value, int | float) and math.isfinite(value) and 0 < value <= DURATION_LIMIT_S):
        raise BadInput(param, f"is {value!r}", f"seconds, more than 0, up to {DURATION_LIMIT_S:g}")


def require_words(param: str, words: tuple[str, ...]) -> None:
    if isinstance(words, str) or not words or not all(isinstance(one, str) and one.strip() for one in words):
        raise BadInput(param, f"is {words!r}", "one or more texts that can be spoken")
