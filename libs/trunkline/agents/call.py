"""What a definition's own functions may know of the call that they are asked about."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class CallContext:
    """Handed to instructions, guardrails, conditions of approvals, and hooks; a copy: changing it changes nothing.

    call_id: `rtc_…`. agent: name of the one that has the call. turn: the caller's last, from 1, 0 before the first.
    state: what the call's tools have put into `ToolContext.state`.
    """

    call_id: str
    agent: str
    turn: int = 0
    state: Mapping[str, Any] = field(default_factory=dict)
