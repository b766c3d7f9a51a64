"""One agent of the SDK as an agent: field by field, what is kept, and what is refused because a call can't keep it."""

import inspect
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from agents.agent import AgentBase

from trunkline.agents.agent import Agent, Instructions
from trunkline.agents.call import CallContext
from trunkline.agents.sdk.guardrails import guardrails_of
from trunkline.agents.sdk.handoffs import handoffs_of
from trunkline.agents.sdk.hooks import hooks_of
from trunkline.agents.sdk.settings import model_of, settings_of
from trunkline.agents.sdk.shared import Shared
from trunkline.agents.sdk.tools import offered, tool_of
from trunkline.agents.tool import Tool
from trunkline.proto.errors import BadInput

KINDS = ("Agent", "RealtimeAgent")


class Definitions:
    """known: all agents of the file that are accepted, by name. A tool that two of them share is made once."""

    def __init__(self, known: Mapping[str, AgentBase[Any]], shared: Shared) -> None:
        self._known = known
        self._shared = shared
        self._tools: dict[int, Tool] = {}

    def agent(self, given: AgentBase[Any]) -> Agent:
        """Raises BadInput with the agent, the field, and what is allowed."""
        _refuse(given)
        guardrails = guardrails_of(given, self._shared)
        return Agent(
            given.name,
            instructions=_instructions(given, self._shared),
            tools=[self._tool(one, given) for one in given.tools if offered(one)],
            handoffs=handoffs_of(given, self._shared),
            guardrails=guardrails,
            model=model_of(given),
            settings=settings_of(given),
            approve="answer" if any(one.looks_at("output") for one in guardrails) else "segment",
            hooks=hooks_of(given, self._known, self._shared),
            description=given.handoff_description or "",
        )

    def _tool(self, given: object, agent: AgentBase[Any]) -> Tool:
        if id(given) not in self._tools:
            self._tools[id(given)] = tool_of(given, agent, self._shared)
        return self._tools[id(given)]


def structured(given: AgentBase[Any]) -> bool:
    """Its output is no text: a helper of other agents' code, for no caller."""
    return getattr(given, "output_type", None) not in (None, str)


def _refuse(given: AgentBase[Any]) -> None:
    kind = next(one for one in type(given).__mro__ if one.__module__.split(".")[0] == "agents")
    if kind.__name__ not in KINDS:
        raise BadInput(given.name, f"is a {kind.__name__}", "Agent, RealtimeAgent")
    if given.mcp_servers:
        allowed = "an agent of trunkline.agents with tool_servers=[McpServer(…)], which runs in the tool runner"
        raise BadInput(f"{given.name}: mcp_servers", "are the SDK's own connections", allowed)
    if structured(given):
        raise BadInput(f"{given.name}: output_type", f"is {given.output_type!r:.80}", "str: an answer is spoken")  # type: ignore[attr-defined]
    if getattr(given, "prompt", None) is not None:
        raise BadInput(f"{given.name}: prompt", "is kept at OpenAI", "instructions, as text or a function")
    if getattr(given, "tool_use_behavior", "run_llm_again") != "run_llm_again":
        problem = "makes a tool's result the answer, unseen by the model and by policy"
        raise BadInput(f"{given.name}: tool_use_behavior", problem, "run_llm_again")


def _instructions(given: AgentBase[Any], shared: Shared) -> Instructions:
    words: object = getattr(given, "instructions", None)
    if not callable(words):
        return str(words or "")
    count = len(inspect.signature(words).parameters)
    if count != 2:
        raise BadInput(f"{given.name}: instructions", f"take {count} arguments", "a function of (context, agent)")
    return _asked(given, words, shared)


def _asked(given: AgentBase[Any], words: Callable[..., Any], shared: Shared) -> Callable[[CallContext], Awaitable[str]]:
    async def instructions(call: CallContext) -> str:
        answer = words(shared.wrapped(call.state), given)
        said: str | None = await answer if inspect.isawaitable(answer) else answer
        return said or ""

    return instructions
