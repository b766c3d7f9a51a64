"""One call's conversation: its record, seen and appended to; the agent keeps no other state of it."""

import dataclasses
import inspect
from collections.abc import Callable, Collection, Sequence

import msgspec

from trunkline.agent.models.budget import within_budget
from trunkline.agent.models.history import history_of
from trunkline.agent.models.seam import ModelRequest, ToolOffer
from trunkline.agents import Agent, AgentFile, CallContext, Handoff, ModelSettings, Tool
from trunkline.agents.client_tool import client_tool
from trunkline.proto.record import ClientEquipped, Event
from trunkline.proto.response import Equip
from trunkline.record import CallLog, CallView
from trunkline.telemetry import logs

log = logs.get(__name__)

ToolsOf = Callable[[Agent], Sequence[Tool]]


def offered(agent: Agent) -> Sequence[Tool]:
    return agent.offered


def _is_enabled(tool: Tool, enabled: Callable[[CallContext], bool], context: CallContext) -> bool:
    try:
        return enabled(context)
    except Exception as error:  # a rim: the condition is a function of the agent file
        log.warning("condition of a tool failed", call_id=context.call_id, tool=tool.name, error=repr(error))
        return False


class Conversation:
    """wall_us: now, for the events' at_us. wanted: the agent that the call was placed for.

    instructions: of the client's session, "" for the agent's own. tools_of: what an agent may use at present.
    """

    def __init__(
        self,
        log: CallLog,
        wall_us: Callable[[], int],
        file: AgentFile,
        wanted: Agent,
        *,
        instructions: str = "",
        tools_of: ToolsOf = offered,
    ) -> None:
        self.log = log
        self.wall_us = wall_us
        self.file = file
        self._wanted = wanted
        self._instructions = instructions
        self.observe: Callable[[Event], None] = lambda event: None
        self._tools_of = tools_of
        self._clients: tuple[ClientEquipped, tuple[Tool, ...]] = ClientEquipped(0), ()  # made of what is recorded

    @property
    def view(self) -> CallView:
        return self.log.view

    def append(self, *events: Event) -> None:
        """Raises Fenced, StoreUnavailable."""
        self.log.append(*events)
        for event in events:
            self.observe(event)

    def equip(self, told: Equip) -> None:
        """The client's own tools from here on; told again they change nothing."""
        known = self.view.equipped
        if (told.tools, told.tool_choice) != (known.tools, known.tool_choice):
            self.append(ClientEquipped(self.wall_us(), told.tools, told.tool_choice))

    # who speaks

    @property
    def agent(self) -> Agent:
        """The one that answers now; the one that was asked for, where another file doesn't know who that is."""
        return self.file.agents.get(self.view.speaker, self._wanted)

    @property
    def handed_off(self) -> bool:
        return bool(self.view.handoffs)

    @property
    def voice(self) -> str:
        """In which the speaker talks, "" for the voice that the call began with."""
        if not self.handed_off or self.agent.name != self.view.speaker:
            return ""
        by = self._handoff(len(self.view.handoffs) - 1)
        return by.voice if by is not None and by.voice else self.agent.voice

    @property
    def tools(self) -> Sequence[Tool]:
        """Of the speaker and of the client, those that the model is told of now."""
        known = self._tools_of(self.agent)
        names = {tool.name for tool in known}
        clients = [tool for tool in self._of_client if tool.name not in names]
        if all(tool.enabled is None for tool in known):
            return [*known, *clients]
        context = self.context()
        own = [tool for tool in known if tool.enabled is None or _is_enabled(tool, tool.enabled, context)]
        return [*own, *clients]

    @property
    def _of_client(self) -> tuple[Tool, ...]:
        equipped, tools = self._clients
        if equipped is not self.view.equipped:
            equipped = self.view.equipped
            tools = tuple(client_tool(described) for described in equipped.tools)
            self._clients = equipped, tools
        return tools

    @property
    def own_names(self) -> tuple[str, ...]:
        """Names of the tools of all agents of the file: a client's can't have these."""
        return tuple(dict.fromkeys(tool.name for one in self.file.agents.values() for tool in self._tools_of(one)))

    def tool(self, name: str) -> Tool | None:
        """Of the speaker; or of an agent that spoke before, whose call of it has no outcome yet."""
        own = next((tool for tool in self.tools if tool.name == name), None)
        return own or next((t for a in self.file.agents.values() for t in self._tools_of(a) if t.name == name), None)

    def offers(self, name: str) -> bool:
        return any(tool.name == name for tool in self.tools)

    def _handoff(self, index: int) -> Handoff | None:
        """As the agent that handed off defines it; None where a verdict did, or another file."""
        handoffs = self.view.handoffs
        before = handoffs[index - 1].event.to if index else self.view.agent
        agent = self.file.agents.get(before)
        return agent.handoff_to(handoffs[index].event.to) if agent is not None else None

    def context(self) -> CallContext:
        state: dict[str, object] = msgspec.json.decode(msgspec.json.encode(self.view.state))
        return CallContext(self.log.call, self.agent.name, self.view.turns, state)

    # what the model is asked

    async def instructions(self, of_response: str = "") -> str:
        """of_response: of one response alone. A client's own words speak to the agent that it called: one that was
        handed the call keeps its own before them. Raises what a function of the agent file raises."""
        given = of_response or self._instructions
        if given and not self.handed_off:
            return given
        own = self.agent.instructions
        if callable(own):
            made = own(self.context())
            own = await made if inspect.isawaitable(made) else made
        return "\n\n".join(part for part in (own, given) if part)

    def request(
        self, instructions: str, response: str = "", without: Collection[str] = (), *, first: bool = True
    ) -> ModelRequest:
        """response: that is asked for. without: messages that the model isn't told of. first: round of the response."""
        agent = self.agent
        offers = tuple(ToolOffer(tool.name, tool.description, tool.parameters, tool.commentary) for tool in self.tools)
        filters = [made.filter if (made := self._handoff(at)) else None for at in range(len(self.view.handoffs))]
        items = history_of(self.view, without, filters, response)
        if agent.settings.history_tokens:
            items = within_budget(items, agent.settings.history_tokens)
        settings = self._settings(agent.settings if first else agent.settings_later, first=first)
        asked = self.view.responses.get(response)
        news = asked.news if asked is not None else ()
        return ModelRequest(
            instructions, items, offers, self.log.call, agent.model, settings, agent.name, frozenset(news)
        )

    def _settings(self, own: ModelSettings, *, first: bool) -> ModelSettings:
        """What a client says of the choice of tools comes before the agent's word; see ModelSettings.tool_choice."""
        choice = self.view.equipped.tool_choice
        if not choice or (choice not in ("required", "none") and not self.offers(choice)):
            return own
        return dataclasses.replace(own, tool_choice=choice if first or choice == "none" else "auto")
