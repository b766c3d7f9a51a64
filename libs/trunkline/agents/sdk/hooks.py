"""Hooks of the SDK's agents, as far as a call has the same moments; what is lost is named in the log."""

import logging
from collections.abc import Mapping
from typing import Any

import msgspec
from agents import AgentHookContext
from agents.agent import AgentBase
from agents.lifecycle import AgentHooksBase

from trunkline.agents.call import CallContext
from trunkline.agents.hooks import Hooks
from trunkline.agents.sdk.shared import Shared

LOST = ("on_end", "on_tool_start", "on_llm_start", "on_llm_end")
SILENT: AgentHooksBase[Any, Any] = AgentHooksBase()

log = logging.getLogger(__name__)


def hooks_of(agent: AgentBase[Any], known: Mapping[str, AgentBase[Any]], shared: Shared) -> Hooks:
    """known: the file's agents by name. Each gets a copy of the context: what it changes there is not kept."""
    given = _given(agent)
    if lost := [name for name in LOST if _has(given, name)]:
        log.warning("%s: hooks that a call has no moment for are never called: %s", agent.name, ", ".join(lost))

    async def on_turn(call: CallContext, text: str) -> None:
        context = AgentHookContext(shared.load(call.state), turn_input=[{"role": "user", "content": text}])
        await given.on_start(context, agent)

    async def on_tool(call: CallContext, name: str, status: str, output: str) -> None:
        tool = next((one for one in agent.tools if getattr(one, "name", "") == name), None)
        if tool is not None:
            await given.on_tool_end(shared.wrapped(call.state), agent, tool, _plain(output))

    async def on_handoff(call: CallContext, from_agent: str, to_agent: str) -> None:
        """The SDK tells the agent that hands off; a call tells whoever speaks then, which is the other one."""
        if from_agent in known and to_agent in known:
            source = known[from_agent]
            await _given(source).on_handoff(shared.wrapped(call.state), known[to_agent], source)

    return Hooks(
        on_turn=on_turn if _has(given, "on_start") else None,
        on_tool=on_tool if _has(given, "on_tool_end") else None,
        on_handoff=on_handoff if any(_has(_given(one), "on_handoff") for one in known.values()) else None,
    )


def _given(agent: AgentBase[Any]) -> AgentHooksBase[Any, Any]:
    hooks: AgentHooksBase[Any, Any] | None = getattr(agent, "hooks", None)
    return hooks or SILENT


def _has(given: AgentHooksBase[Any, Any], name: str) -> bool:
    return getattr(type(given), name) is not getattr(AgentHooksBase, name)


def _plain(output: str) -> object:
    try:
        return msgspec.json.decode(output)
    except msgspec.MsgspecError:
        return output
