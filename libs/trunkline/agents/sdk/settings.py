"""Model settings of the SDK: what of them exists here is kept, what else is set is named in the log."""

import logging
from dataclasses import fields
from typing import Any, cast

from agents import ModelSettings as SdkSettings
from agents.agent import AgentBase
from agents.models.default_models import get_default_model_settings

from trunkline.agents.settings import EFFORTS, Effort, ModelSettings
from trunkline.proto.errors import BadInput

KEPT = ("temperature", "max_tokens", "tool_choice", "parallel_tool_calls", "reasoning", "verbosity")

log = logging.getLogger(__name__)


def model_of(agent: AgentBase[Any]) -> str:
    model = getattr(agent, "model", None)
    if model is not None and not isinstance(model, str):
        allowed = "a model's name: which endpoint answers to it is a setting of the service"
        raise BadInput(f"{agent.name}: model", f"is a {type(model).__name__}, a client of its own", allowed)
    return model or ""


def settings_of(agent: AgentBase[Any]) -> ModelSettings:
    given: SdkSettings = getattr(agent, "model_settings", None) or SdkSettings()
    model = model_of(agent)
    implied = get_default_model_settings(model or None)
    if given == implied and not model:
        return ModelSettings()  # the SDK's choice for its own default model
    effort = given.reasoning.effort if given.reasoning else None
    choice = given.tool_choice if isinstance(given.tool_choice, str) else None
    lost = [f.name for f in fields(given) if f.name not in KEPT and getattr(given, f.name) != getattr(implied, f.name)]
    lost += ["reasoning.effort"] if effort is not None and effort not in EFFORTS else []
    lost += ["tool_choice"] if given.tool_choice is not None and choice is None else []
    lost += ["reset_tool_choice=False"] if not getattr(agent, "reset_tool_choice", True) else []
    if lost:
        log.warning("%s: model settings that don't exist here are left out: %s", agent.name, ", ".join(lost))
    return ModelSettings(
        temperature=given.temperature,
        max_output_tokens=given.max_tokens,
        reasoning_effort=cast(Effort, effort) if effort in EFFORTS and effort else "",
        tool_choice=choice or "auto",
        parallel_tool_calls=given.parallel_tool_calls,
        verbosity=given.verbosity or "",
    )
