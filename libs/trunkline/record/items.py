"""A conversation's messages, responses and tool calls, where each stands, and how a client's word changes that. Pure.

A client knows a tool call and its output as items too; here they are one, and stand together.
"""

from trunkline.proto.response import ROOT, Inserted
from trunkline.record.parts import ItemView, ResponseView, ToolView
from trunkline.record.places import Places


class Items:
    """items and responses are in the conversation's order, by id; tools as they came: see tools_behind.

    deleted: ids of items that were. turns: the caller's that stand.
    news: tools whose outcome came when their response was over, and of which no response since can have told.
    """

    __slots__ = ("deleted", "items", "news", "places", "responses", "tools", "turns")

    def __init__(self) -> None:
        self.items: dict[str, ItemView] = {}
        self.deleted: set[str] = set()
        self.responses: dict[str, ResponseView] = {}
        self.tools: dict[str, ToolView] = {}
        self.places = Places()
        self.news: dict[str, None] = {}
        self.turns = 0

    def tools_behind(self, item: str) -> list[ToolView]:
        """The tool calls between this message and the next, in order; "": those before the first message."""
        return [self.tools[key] for key in self.places.behind(item)]

    def tool_of(self, item: str) -> ToolView | None:
        """The tool call that has this item as its call or its output, deleted or not."""
        return next((tool for tool in self.tools.values() if item in (tool.call_item, tool.output_item)), None)

    def has(self, item: str) -> bool:
        """Whether it is an item of the conversation now: a message, a tool call or an output."""
        tool = self.tool_of(item) if item not in self.items else None
        if tool is None:
            return item in self.items
        return not tool.call_deleted if item == tool.call_item else tool.has_output

    def is_aside(self, response: str) -> bool:
        """Whether what belongs to it is out of band. response: "" for none."""
        return response in self.responses and self.responses[response].aside

    # what changes it; each says whether it did

    def insert_message(self, item: ItemView, previous: str) -> bool:
        """After previous, see Turn; at the end if that is gone."""
        if item.id in self.items:
            return False
        if item.id in self.deleted:  # its id is another message's from here on
            for response in self.responses.values():
                response.items = [key for key in response.items if key != item.id]
        self.turns += item.role == "user"
        message, behind = self._place_of(previous)
        follow: list[str] = []
        if message != next(reversed(self.items), ""):
            keys = list(self.items)
            follow = keys[keys.index(message) + 1 :] if message else keys
        self.items[item.id] = item
        for key in follow:
            self.items[key] = self.items.pop(key)
        self.places.part(message, behind, item.id, self._may_move)
        return True

    def place_call(self, tool_call: str, after: str) -> None:
        """Behind the message after, or where it stood; at the beginning if that never was."""
        message = self.places.standing(after)
        self.places.call(tool_call, message if message in self.items else "")

    def insert(self, item: Inserted, previous: str) -> bool:
        """What a client added: not if it is there, nor an output without its call."""
        match item.kind:
            case "message" if item.role:
                made = ItemView(item.item, item.role, "client", 0, phase=item.phase, status="completed")
                made.segments[0], made.images = item.text, item.images
                return self.insert_message(made, previous)
            case "function_call":
                return self._insert_call(item, previous)
            case "function_call_output":
                return self._insert_output(item)
        return False

    def delete(self, item: str) -> bool:
        message, tool = self.items.get(item), self.tool_of(item)
        self.deleted.add(item)
        if message is not None:
            keys = list(self.items)
            place = keys.index(item)
            self.places.close(item, keys[place - 1] if place else "")
            del self.items[item]
            self.turns -= message.role == "user"
        elif tool is not None:
            tool.call_deleted = tool.call_deleted or item == tool.call_item
            tool.output_deleted = tool.output_deleted or item == tool.output_item
            self.news.pop(tool.id, None)
        return message is not None or tool is not None

    def _insert_call(self, item: Inserted, previous: str) -> bool:
        tool = self.tools.get(item.call_id)
        if tool is not None and not tool.call_deleted:
            return False
        if tool is None:
            tool = ToolView(item.call_id, "", item.name, item.text, item.call_id, 0, runs="client")
        else:
            self.places.take(tool.id)
        message, behind = self._place_of(previous if self.tool_of(previous) is not tool else "")
        self.tools[tool.id] = tool
        if not tool.response:
            tool.name, tool.arguments = item.name, item.text
        tool.inserted, tool.call_deleted, tool.after = item.item, False, message
        self.places.put(tool.id, message, behind, self._may_move)
        return True

    def _insert_output(self, item: Inserted) -> bool:
        tool = self.tools.get(item.call_id)
        if tool is None or tool.has_output:
            return False
        tool.status, tool.output, tool.runner = "ok", item.text, "client"
        tool.item, tool.output_deleted = item.item, False
        return True

    def _place_of(self, previous: str) -> tuple[str, str]:
        """The message, and the tool call behind it, that an item after previous stands behind; "" for none."""
        if previous == ROOT:
            return "", ""
        if previous in self.items:
            return previous, ""
        tool = self.tool_of(previous) if previous and self.has(previous) else None
        if tool is not None:
            return self.places.message_of(tool.id), tool.id
        last = next(reversed(self.items), "")
        return last, next(reversed(self.places.behind(last)), "")

    def _may_move(self, tool_call: str) -> bool:
        """The client sees where it stands, and no response goes on behind it."""
        tool = self.tools[tool_call]
        response = self.responses.get(tool.response)
        return tool.runs == "client" and (response is None or response.status is not None)
