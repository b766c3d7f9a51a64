"""One call's conversation: its record, seen and appended to; the agent keeps no other state of it."""

from collections.abc import Callable, Iterable

from trunkline.agent.models.history import ToolPlaces, history_of
from trunkline.agent.models.seam import ModelRequest, ToolOffer
from trunkline.agents import Agent
from trunkline.proto.record import Event
from trunkline.record import CallLog, CallView


class Conversation:
    """recorded: the events already in the log, oldest first. wall_us: now, for the events' at_us."""

    def __init__(self, log: CallLog, recorded: Iterable[Event], wall_us: Callable[[], int]) -> None:
        self.log = log
        self.wall_us = wall_us
        self._places = ToolPlaces()
        for event in recorded:
            self._places.apply(event)

    @property
    def view(self) -> CallView:
        return self.log.view

    def append(self, *events: Event) -> None:
        """Raises Fenced, StoreUnavailable."""
        self.log.append(*events)
        for event in events:
            self._places.apply(event)

    def request(self, instructions: str, agent: Agent) -> ModelRequest:
        offers = tuple(ToolOffer(tool.name, tool.description, tool.parameters, tool.commentary) for tool in agent.tools)
        return ModelRequest(instructions, history_of(self.view, self._places.behind), offers, self.log.call)
