"""Handoffs of the SDK: the tool's name and words as the SDK gives them to the model, its filter as ours."""

import functools
import inspect
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from agents import Handoff as SdkHandoff
from agents.agent import AgentBase
from agents.handoffs import nest_handoff_history

from trunkline.agents.agent import Agent
from trunkline.agents.context import ToolContext
from trunkline.agents.control import HANDOFF, handoff_tool
from trunkline.agents.handoff import Handoff, handoff
from trunkline.agents.schema import GivenSchema
from trunkline.agents.sdk.history import filter_of
from trunkline.agents.sdk.shared import Shared
from trunkline.agents.sdk.tools import SdkTool, in_this_thread, is_enabled
from trunkline.agents.tool import Tool
from trunkline.proto.errors import BadInput

ALLOWED = "agents of the file, handoff(agent, …)"


def handoffs_of(agent: AgentBase[Any], shared: Shared) -> tuple[Handoff, ...]:
    """Raises BadInput for one that can't be kept."""
    return tuple(_handoff(one, agent, shared) for one in getattr(agent, "handoffs", ()) if _offered(one))


def target_of(given: object) -> AgentBase[Any] | None:
    """The SDK's agent that it leads to; None where it leads elsewhere, or can't be told."""
    if isinstance(given, SdkHandoff):
        given = _inside(given).get("agent")
    return given if isinstance(given, AgentBase) else None


def _offered(given: object) -> bool:
    return not (isinstance(given, SdkHandoff) and given.is_enabled is False)


def _handoff(given: object, agent: AgentBase[Any], shared: Shared) -> Handoff:
    where = f"{agent.name}: handoffs"
    if isinstance(given, Agent | Handoff):
        return handoff(given) if isinstance(given, Agent) else given
    if isinstance(given, AgentBase):
        return Handoff(given.name, SdkHandoff.default_tool_name(given), SdkHandoff.default_tool_description(given))
    if not isinstance(given, SdkHandoff):
        raise BadInput(where, f"{type(given).__name__} is none", ALLOWED)
    target = target_of(given)
    if target is None:
        raise BadInput(where, f"{given.tool_name} is made by hand, and may lead anywhere", ALLOWED)
    filter_ = given.input_filter or (nest_handoff_history if given.nest_handoff_history else None)
    if inspect.iscoroutinefunction(filter_):
        raise BadInput(where, f"the input_filter of {given.tool_name} is asynchronous", "a plain function")
    made = filter_of(filter_, agent, given.tool_name) if filter_ is not None else None
    plain = Handoff(target.name, given.tool_name, given.tool_description, made)
    return replace(plain, tool=_tool(given, plain, agent, shared))


def _tool(given: SdkHandoff[Any, Any], plain: Handoff, agent: AgentBase[Any], shared: Shared) -> Tool | None:
    """None for the usual one. A callback runs in a tool runner, where it may wait, and its context is recorded."""
    enabled = functools.partial(is_enabled, given, agent, shared) if callable(given.is_enabled) else None
    callback = _inside(given).get("on_handoff")
    if callback is None:
        return replace(handoff_tool(plain, plain.description), enabled=enabled) if enabled is not None else None
    asynchronous = inspect.iscoroutinefunction(callback)
    return SdkTool(
        name=given.tool_name,
        description=given.tool_description,
        function=functools.partial(_hand_off if asynchronous else _hand_off_in_thread, given, shared),
        signature=GivenSchema(given.tool_name, given.input_json_schema),
        asynchronous=asynchronous,
        control=HANDOFF,
        enabled=enabled,
    )


async def _hand_off(given: SdkHandoff[Any, Any], shared: Shared, context: ToolContext, text: str) -> str:
    wrapped = shared.wrapped(context.state)
    target = await given.on_invoke_handoff(wrapped, text)
    shared.save(wrapped.context, context.state)
    return given.get_transfer_message(target)


def _hand_off_in_thread(given: SdkHandoff[Any, Any], shared: Shared, context: ToolContext, text: str) -> str:
    return in_this_thread(_hand_off(given, shared, context, text))


def _inside(given: SdkHandoff[Any, Any]) -> Mapping[str, Any]:
    """What `handoff(…)` keeps in its closure; nothing for one that is made otherwise."""
    made = given.on_invoke_handoff
    if not (isinstance(made, functools.partial) and made.args and inspect.isfunction(made.args[0])):
        return {}
    return inspect.getclosurevars(made.args[0]).nonlocals
