"""Which agents of a file are the SDK's, and which of them takes the call.

The SDK's programs name the first agent where they start a run; here it is told by what hands off to what.
"""

import logging
from collections import deque
from collections.abc import Mapping
from typing import Any

from agents.agent import AgentBase

from trunkline.agents.agent import Agent
from trunkline.agents.sdk.definition import Definitions, structured
from trunkline.agents.sdk.handoffs import target_of
from trunkline.agents.sdk.shared import PARAM, Shared

log = logging.getLogger(__name__)


def adopt(variables: Mapping[str, object], chosen: str) -> dict[str, Agent]:
    """variables: of the file's module, `context` among them. chosen: the agent that is asked for by name, "" for none.

    Gives them by variable, or by name where one is reached by a handoff alone; those first that nobody hands off to.
    Raises BadInput for what can't be accepted.
    """
    named = {key: value for key, value in variables.items() if isinstance(value, AgentBase)}
    found = _reached(named)
    targets = {id(to) for one in found.values() for to in _targets(one)}
    helpers = {
        id(one) for key, one in found.items() if structured(one) and id(one) not in targets | _asked_for(found, chosen)
    }
    if len(helpers) < len({id(one) for one in found.values()}):
        for one in [one for one in found.values() if id(one) in helpers]:
            log.info("%s answers with an output_type, and nobody hands off to it: it takes no calls", one.name)
        found = {key: one for key, one in found.items() if id(one) not in helpers}
    definitions = Definitions({one.name: one for one in found.values()}, Shared(variables.get(PARAM)))
    made: dict[int, Agent] = {}
    for one in found.values():
        if id(one) not in made:
            made[id(one)] = definitions.agent(one)
    ordered = sorted(found.items(), key=lambda pair: id(pair[1]) in targets)
    return {key: made[id(one)] for key, one in ordered}


def _asked_for(found: Mapping[str, AgentBase[Any]], chosen: str) -> set[int]:
    return {id(one) for key, one in found.items() if chosen in (key, one.name)}


def _targets(given: AgentBase[Any]) -> list[AgentBase[Any]]:
    return [to for one in getattr(given, "handoffs", ()) if (to := target_of(one)) is not None]


def _reached(named: Mapping[str, AgentBase[Any]]) -> dict[str, AgentBase[Any]]:
    """Those of the variables, and behind them all that one can come to by handoffs, in that order."""
    found = dict(named)
    seen = {id(one) for one in found.values()}
    waiting = deque(found.values())
    while waiting:
        for to in _targets(waiting.popleft()):
            if id(to) not in seen:
                seen.add(id(to))
                found[f"{to.name} (by handoff)"] = to
                waiting.append(to)
    return found
