"""Tools that the agent carries out itself, once they have passed their commit point: handoff, transfer, the end.

From the record to the events that they come to. The end of a call stays open until its last words are heard.
"""

from collections.abc import Iterator

import msgspec

from trunkline.agent.conversation import Conversation
from trunkline.agents.control import (
    END_CALL,
    FAREWELL,
    HANDOFF,
    REASON,
    SUMMARY,
    TARGET,
    TRANSFER_CALL,
    address_of,
    handed_over,
)
from trunkline.proto import record
from trunkline.proto.ids import new_tool_call_id
from trunkline.proto.tool import ToolStatus
from trunkline.record import CallView, ToolView

ENDED = "The call was ended."
GOES_ON = "The call was not ended: the caller went on."
NOT_HANDED_OVER = "The call was not handed over: the caller went on."
ONE_HANDOFF = "This was not done: the call is handed over only once at a time."


class OwnTools:
    """Of one call."""

    def __init__(self, conversation: Conversation) -> None:
        self._conversation = conversation

    def carry_out(self, response: str) -> list[ToolView]:
        """Those of this response that are due, and what they come to."""
        tools = due(self._conversation, response)
        self._conversation.append(*carried_out(self._conversation, tools))
        return tools

    @property
    def ending(self) -> ToolView | None:
        return ending(self._conversation)

    def farewell_of(self, response: str) -> str | None:
        """The model's last words, as it gave them to the tool that ends the call; None if it doesn't."""
        end = self.ending
        return farewell(end) if end is not None and end.response == response else None

    @property
    def ends_with_words(self) -> bool:
        """The model spoke in the round in which it ended the call, as far as the record tells its rounds apart."""
        view, end = self._conversation.view, self.ending
        said = view.items.get(end.after) if end is not None else None
        if end is None or said is None or said.response != end.response or said.source not in ("model", "person"):
            return False
        return (
            next(view.tools[key] for key in view.responses[end.response].tools if view.tools[key].after == said.id)
            is end
        )

    def intend_end(self, response: str) -> None:
        """The call ends with this response, by policy's word or the definition's."""
        key, now_us = new_tool_call_id(), self._conversation.wall_us()
        self._conversation.append(record.ToolIntended(now_us, key, response, END_CALL, "{}", key, now_us, runs="agent"))

    def settle_end(self, *, ended: bool) -> None:
        """It has happened, or there is more to the call than the end that was meant: however often it was."""
        while (end := self.ending) is not None:
            self._conversation.append(end_settled(self._conversation, end, ended=ended))
            ended = False

    def give_up(self, response: str, status: ToolStatus, why: str) -> None:
        """Those of this response that nobody decides over will never be carried out."""
        now_us = self._conversation.wall_us()
        for tool in due(self._conversation, response):
            if not tool.approval:
                self._conversation.append(_finished(now_us, tool, status, why))


def due(conversation: Conversation, response: str) -> list[ToolView]:
    """Of this response, those that nothing holds back any more."""
    view = conversation.view
    tools = [view.tools[key] for key in view.responses[response].tools]
    return [tool for tool in tools if tool.runs == "agent" and tool.status is None and _may_run(conversation, tool)]


def carried_out(conversation: Conversation, tools: list[ToolView]) -> Iterator[record.Event]:
    """What these come to; nothing for the end of the call, which is open still."""
    view, agent, now_us = conversation.view, conversation.agent, conversation.wall_us()
    handed_off = False
    for tool in tools:
        given = arguments_of(tool)
        definition = conversation.tool(tool.name)
        if is_end(conversation, tool):
            continue
        if definition is not None and definition.control == TRANSFER_CALL:
            target = str(given.get(TARGET, ""))
            yield record.TransferAsked(now_us, tool.id, address_of(definition, target), str(given.get(SUMMARY, "")))
            yield _finished(now_us, tool, "ok", f"The caller is being connected to {target}. Please hold the line.")
        elif (handoff := agent.handoff_by(tool.name)) is not None and not handed_off:
            handed_off = True
            reason = str(given.get(REASON, ""))[:500]
            yield record.HandedOff(now_us, tool.response, handoff.to, tool.id, reason)
            yield _finished(now_us, tool, "ok", handed_over(handoff.to))
        else:
            already = view.speaker != agent.name or handed_off
            yield _finished(now_us, tool, "error", ONE_HANDOFF if already else f"{tool.name} can't be done here.")


def concluded(conversation: Conversation, outcome: record.ToolFinished) -> list[record.Event]:
    """A runner's outcome, and with it the handoff that waited for its tool: made if the answer still is going on."""
    view = conversation.view
    tool = view.tools[outcome.tool_call]
    definition = conversation.tool(tool.name)
    if outcome.status != "ok" or tool.runs != "runner" or definition is None or definition.control != HANDOFF:
        return [outcome]
    handoff = conversation.agent.handoff_by(tool.name)
    if handoff is None or _handed_off_since(view, tool):
        return [_refused(outcome, ONE_HANDOFF)]
    if view.responses[tool.response].status is not None or tool.status is not None:  # it comes late
        return [_refused(outcome, NOT_HANDED_OVER)]
    return [record.HandedOff(outcome.at_us, tool.response, handoff.to, tool.id), outcome]


def ending(conversation: Conversation) -> ToolView | None:
    """The end of the call that stands, until it has happened or the caller goes on."""
    view = conversation.view
    open_ones = (tool for tool in view.tools.values() if tool.status is None and is_end(conversation, tool))
    return next((tool for tool in open_ones if _may_run(conversation, tool)), None)


def is_end(conversation: Conversation, tool: ToolView) -> bool:
    definition = conversation.tool(tool.name)
    known = definition is not None and definition.control == END_CALL
    return tool.runs == "agent" and (known or tool.name == END_CALL)


def end_settled(conversation: Conversation, tool: ToolView, *, ended: bool) -> record.ToolFinished:
    now_us = conversation.wall_us()
    return _finished(now_us, tool, "ok", ENDED) if ended else _finished(now_us, tool, "cancelled", GOES_ON)


def farewell(tool: ToolView) -> str:
    said = arguments_of(tool).get(FAREWELL)
    return said if isinstance(said, str) else ""


def arguments_of(tool: ToolView) -> dict[str, object]:
    try:
        return msgspec.json.decode(tool.arguments, type=dict[str, object])
    except msgspec.MsgspecError:
        return {}


def _handed_off_since(view: CallView, tool: ToolView) -> bool:
    """The model asked for two at once."""
    place = list(view.tools).index(tool.id)
    return any(handoff.event.response == tool.response and handoff.tools > place for handoff in view.handoffs)


def _refused(outcome: record.ToolFinished, why: str) -> record.ToolFinished:
    return msgspec.structs.replace(outcome, status="error", output=msgspec.json.encode(why).decode())


def _may_run(conversation: Conversation, tool: ToolView) -> bool:
    approval = conversation.view.approvals.get(tool.approval)
    return approval is None or (approval.decided is not None and approval.decided.decision == "approved")


def _finished(now_us: int, tool: ToolView, status: ToolStatus, output: str) -> record.ToolFinished:
    return record.ToolFinished(now_us, tool.id, status, msgspec.json.encode(output).decode(), "")
