"""One call's conversation: its record, seen and appended to; the agent keeps no other state of it."""

import dataclasses
import inspect
from collections.abc import Callable, Collection, Sequence

import msgspec

from trunkline.agent.models.budget import within_budget
from trunkline.agent.models.given_context import context_of
from trunkline.agent.models.history import history_of
from trunkline.agent.models.seam import HistoryItem, ModelRequest, ToolOffer
from trunkline.agents import Agent, AgentFile, CallContext, Handoff, ModelSettings, Tool
from trunkline.agents.client_tool import client_tool
from trunkline.agents.settings import EFFORTS, Effort
from trunkline.proto.record import ClientEquipped, Event, HandedOff
from trunkline.proto.response import Asked, Equip
from trunkline.proto.tool import DescribedTool
from trunkline.record import CallLog, CallView
from trunkline.telemetry import logs

log = logs.get(__name__)

SUMMONED = "session.model"  # as the reason of a handoff: the client's session names that agent

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
        self._clients: tuple[Sequence[DescribedTool], tuple[Tool, ...]] = (), ()  # made of what is recorded

    @property
    def view(self) -> CallView:
        return self.log.view

    def append(self, *events: Event) -> None:
        """Raises Fenced, StoreUnavailable."""
        self.log.append(*events)
        for event in events:
            self.observe(event)

    def equip(self, told: Equip) -> None:
        """What the client asks of the model from here on; told again it changes nothing."""
        equipped = ClientEquipped(
            self.view.equipped.at_us, told.tools, told.tool_choice, told.parallel, told.max_output_tokens, told.effort
        )
        if equipped != self.view.equipped:
            self.append(msgspec.structs.replace(equipped, at_us=self.wall_us()))

    @property
    def asked(self) -> Asked:
        """What a client asked of the response that goes on."""
        going_on = (one for one in reversed(self.view.responses.values()) if one.status is None)
        response = next(going_on, None)
        return response.asked if response is not None and response.asked is not None else Asked()

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
        if self.asked.aside:
            known = [tool for tool in known if not changes_the_call(tool)]
        names = {tool.name for tool in known}
        clients = [tool for tool in self._of_client if tool.name not in names]
        if all(tool.enabled is None for tool in known):
            return [*known, *clients]
        context = self.context()
        own = [tool for tool in known if tool.enabled is None or _is_enabled(tool, tool.enabled, context)]
        return [*own, *clients]

    @property
    def _of_client(self) -> tuple[Tool, ...]:
        described, tools = self._clients
        wanted = self.view.equipped.tools if self.asked.tools is None else self.asked.tools
        if described is not wanted:
            tools = tuple(client_tool(one) for one in wanted)
            self._clients = wanted, tools
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
        called = not self.handed_off or is_summons(self.view.handoffs[-1].event)
        if given and called:
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
        items = (*self._context(response, first=first), *history_of(self.view, without, filters, response))
        if agent.settings.history_tokens:
            items = within_budget(items, agent.settings.history_tokens)
        settings = self._settings(agent.settings if first else agent.settings_later, first=first)
        opened = self.view.responses.get(response)
        news = opened.news if opened is not None else ()
        return ModelRequest(
            instructions, items, offers, self.log.call, agent.model, settings, agent.name, frozenset(news)
        )

    def _context(self, response: str, *, first: bool) -> tuple[HistoryItem, ...]:
        """What a client wants to be read in place of the conversation."""
        items, left_out = context_of(self.view, self.asked.context or (), response)
        if left_out and first:
            log.warning("items of a response's context are left out", call_id=self.log.call, items=list(left_out))
        return items

    def _settings(self, own: ModelSettings, *, first: bool) -> ModelSettings:
        """What a client says comes before the agent's word: of this response, or else in its session."""
        equipped, asked = self.view.equipped, self.asked
        choice = asked.tool_choice or (equipped.tool_choice if equipped.tool_choice != "auto" else "")
        return dataclasses.replace(
            own,
            tool_choice=self._tool_choice(choice, first=first) or own.tool_choice,
            parallel_tool_calls=own.parallel_tool_calls if equipped.parallel else False,
            max_output_tokens=asked.max_output_tokens or equipped.max_output_tokens or own.max_output_tokens,
            reasoning_effort=effort_of(equipped.effort) or own.reasoning_effort,
        )

    def _tool_choice(self, choice: str, *, first: bool) -> str:
        """See ModelSettings.tool_choice; empty for the agent's own. "auto" comes before it in one response alone."""
        if choice not in ("", "auto", "required", "none") and not self.offers(choice):
            return ""
        return choice if first or choice in ("", "none") else "auto"


def effort_of(text: str) -> Effort:
    """Empty for one that no model is asked for."""
    return next((effort for effort in EFFORTS if effort == text), "")


def is_summons(handoff: HandedOff) -> bool:
    """Whether the client called for that agent itself."""
    return handoff.reason == SUMMONED and not handoff.response


def changes_the_call(tool: Tool) -> bool:
    """Whether it does something to the call as a whole: hands it over, transfers or ends it."""
    return tool.runs == "agent" or bool(tool.control)
