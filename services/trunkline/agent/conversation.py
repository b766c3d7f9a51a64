"""One call's conversation: its record, seen and appended to; the agent keeps no other state of it."""

from collections.abc import Callable, Collection

from trunkline.agent.models.history import history_of
from trunkline.agent.models.seam import ModelRequest, ToolOffer
from trunkline.agents import Agent
from trunkline.proto.record import Event
from trunkline.record import CallLog, CallView


class Conversation:
    """wall_us: now, for the events' at_us."""

    def __init__(self, log: CallLog, wall_us: Callable[[], int]) -> None:
        self.log = log
        self.wall_us = wall_us

    @property
    def view(self) -> CallView:
        return self.log.view

    def append(self, *events: Event) -> None:
        """Raises Fenced, StoreUnavailable."""
        self.log.append(*events)

    def request(self, instructions: str, agent: Agent, without: Collection[str] = ()) -> ModelRequest:
        """without: messages that the model isn't told of."""
        offers = tuple(ToolOffer(tool.name, tool.description, tool.parameters, tool.commentary) for tool in agent.tools)
        return ModelRequest(instructions, history_of(self.view, without), offers, self.log.call)
