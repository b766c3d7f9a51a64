"""Handoffs of the SDK: the tool's name and words as the SDK gives them to the model, its filter as ours."""

import functools
import inspect
from collections.abc import Mapping
from typing import Any

from agents import Handoff as SdkHandoff
from agents.agent import AgentBase
from agents.handoffs import nest_handoff_history

from trunkline.agents.agent import Agent
from trunkline.agents.handoff import Handoff, handoff
from trunkline.agents.sdk.history import filter_of
from trunkline.proto.errors import BadInput

ALLOWED = "agents of the file, handoff(agent, …) with a tool name, a description, an input_filter"


def handoffs_of(agent: AgentBase[Any]) -> tuple[Handoff, ...]:
    """Raises BadInput for one that can't be kept."""
    return tuple(_handoff(one, agent) for one in getattr(agent, "handoffs", ()) if _offered(one))


def target_of(given: object) -> AgentBase[Any] | None:
    """The SDK's agent that it leads to; None where it leads elsewhere, or can't be told."""
    if isinstance(given, SdkHandoff):
        given = _inside(given).get("agent")
    return given if isinstance(given, AgentBase) else None


def _offered(given: object) -> bool:
    return not (isinstance(given, SdkHandoff) and given.is_enabled is False)


def _handoff(given: object, agent: AgentBase[Any]) -> Handoff:
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
    if _inside(given).get("on_handoff") is not None:
        raise BadInput(where, f"{given.tool_name} has on_handoff", f"{ALLOWED}; a tool for what it does")
    if callable(given.is_enabled):
        raise BadInput(where, f"{given.tool_name} has a function as is_enabled", f"{ALLOWED}; True or False")
    filter_ = given.input_filter or (nest_handoff_history if given.nest_handoff_history else None)
    if inspect.iscoroutinefunction(filter_):
        raise BadInput(where, f"the input_filter of {given.tool_name} is asynchronous", "a plain function")
    made = filter_of(filter_, agent, given.tool_name) if filter_ is not None else None
    return Handoff(target.name, given.tool_name, given.tool_description, made)


def _inside(given: SdkHandoff[Any, Any]) -> Mapping[str, Any]:
    """What `handoff(…)` keeps in its closure; nothing for one that is made otherwise."""
    made = given.on_invoke_handoff
    if not (isinstance(made, functools.partial) and made.args and inspect.isfunction(made.args[0])):
        return {}
    return inspect.getclosurevars(made.args[0]).nonlocals
