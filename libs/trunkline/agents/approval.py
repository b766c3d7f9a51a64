"""Approvals: what waits for a person before it happens, and what happens if nobody decides in time."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from trunkline.agents.call import CallContext
from trunkline.agents.settings import require_seconds
from trunkline.proto.approval import Choice
from trunkline.proto.errors import BadInput

TIMEOUT_S = 120.0
Condition = Callable[[CallContext, Mapping[str, Any]], bool]


@dataclass(frozen=True, slots=True)
class Approval:
    """Asks a person for a tool call (its exact arguments) or for an answer (its exact words).

    when: given the call and the tool's arguments (for an answer: {"text": …}), whether a person is needed; always,
    without one. It must be quick, and the same however often it is asked; one that raises asks.
    timeout_s: then `default` is decided. commentary: told to the caller who waits. again_s: told to him again, every
    so often, with `reminder`; 0 for never. denied: what the model reads of a tool, or the caller hears instead of
    an answer.
    """

    when: Condition | None = None
    timeout_s: float = TIMEOUT_S
    default: Choice = "deny"
    commentary: str = "I need a colleague to agree to that. One moment, please."
    reminder: str = "I am still waiting for my colleague."
    again_s: float = 30.0
    denied: str = "I am sorry, my colleague did not agree to that."

    def __post_init__(self) -> None:
        require_seconds("Approval.timeout_s", self.timeout_s)
        if self.default not in ("approve", "deny"):
            raise BadInput("Approval.default", f"is {self.default!r}", "approve, deny")
        if self.again_s:
            require_seconds("Approval.again_s", self.again_s)
