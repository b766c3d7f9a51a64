"""Lifecycle hooks: an agent's own functions that are told what happens; none can change or delay a call.

Each runs in the agent's process, once, after what it tells stands in the record; one that raises or takes longer than
HOOK_S is logged and given up. Should the process die first, it doesn't run: whoever must not miss anything reads
the record.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from trunkline.agents.call import CallContext

HOOK_S = 10.0
Hook = Callable[..., Awaitable[None] | None]


@dataclass(frozen=True, slots=True)
class Hooks:
    """Plain functions run in a thread.

    on_start(call); on_turn(call, text): what the caller said, as recorded; on_tool(call, name, status, output);
    on_handoff(call, from_agent, to_agent); on_verdict(call, point, action, guardrail, reason), of all but `allow`;
    on_end(call, reason).
    """

    on_start: Callable[[CallContext], Awaitable[None] | None] | None = None
    on_turn: Callable[[CallContext, str], Awaitable[None] | None] | None = None
    on_tool: Callable[[CallContext, str, str, str], Awaitable[None] | None] | None = None
    on_handoff: Callable[[CallContext, str, str], Awaitable[None] | None] | None = None
    on_verdict: Callable[[CallContext, str, str, str, str], Awaitable[None] | None] | None = None
    on_end: Callable[[CallContext, str], Awaitable[None] | None] | None = None
