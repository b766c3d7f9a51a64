"""What a client changes in the conversation itself: what it adds, what it deletes, and which agent it calls for.

Rule: told again it changes nothing. What was deleted and is added once more is told again in that order too, so of an
id the last word holds.
"""

import msgspec

from trunkline.agent.client_tools import ClientTools
from trunkline.agent.conversation import SUMMONED, Conversation, is_summons
from trunkline.agent.image_places import moved
from trunkline.agent.redaction import Redaction
from trunkline.proto import record
from trunkline.proto.response import Insert, Inserted, Turn
from trunkline.telemetry import logs

log = logs.get(__name__)


class Edits:
    """Of one call. client: what is known of its client's tools."""

    def __init__(self, conversation: Conversation, redaction: Redaction, client: ClientTools) -> None:
        self._conversation = conversation
        self._client = client
        self._redaction = redaction

    def hear(self, turn: Turn) -> None:
        """The caller's words, as an item that isn't there."""
        conversation = self._conversation
        at_us, text = conversation.wall_us(), self._redaction.redact(conversation.log.call, turn.text)
        extent = turn.from_sample, turn.to_sample
        images = moved(turn.images, turn.text, text)
        conversation.append(
            record.CallerSaid(at_us, turn.turn, turn.item, text, turn.source, *extent, turn.previous, images)
        )

    def insert(self, told: Insert) -> None:
        item = told.item
        if not self._is_new(item):
            return
        if item.kind == "function_call_output":
            self._client.pass_on(item.call_id, item.text, item.item, lambda passed: self._add(told, passed.output))
        else:
            self._add(told, item.text)

    def _add(self, told: Insert, text: str) -> None:
        conversation = self._conversation
        item = msgspec.structs.replace(told.item, text=text)
        item = self._redaction.redact_inserted(conversation.log.call, item)
        conversation.append(record.ItemInserted(conversation.wall_us(), item, told.previous))

    def _is_new(self, item: Inserted) -> bool:
        """Not what is there, nor the output of a call that isn't."""
        tool = self._conversation.view.tools.get(item.call_id)
        match item.kind:
            case "message":
                return item.item not in self._conversation.view.items
            case "function_call":
                return tool is None or tool.call_deleted
            case "function_call_output" if tool is not None:
                return not tool.has_output
        log.warning("item can't be added", call_id=self._conversation.log.call, kind=item.kind, item=item.item)
        return False

    def delete(self, item: str) -> None:
        """A message, a tool call or an output."""
        if self._conversation.view.has(item):
            self._conversation.append(record.ItemDeleted(self._conversation.wall_us(), item))
        else:
            self._client.drop(item)

    def summon(self, agent: str, *, repeated: bool) -> None:
        """repeated: it may have been told to an earlier owner of the call, since when agents may have handed it on."""
        conversation, view = self._conversation, self._conversation.view
        if agent not in conversation.file.agents:
            log.warning("the session names an unknown agent", call_id=conversation.log.call, agent=agent[:80])
            return
        summoned = next((one.event.to for one in reversed(view.handoffs) if is_summons(one.event)), "")
        if agent != view.speaker and not (repeated and agent == summoned):
            conversation.append(record.HandedOff(conversation.wall_us(), "", agent, reason=SUMMONED))
