"""What a client says of the conversation's items: each word is checked, done, and told back.

Rule: a word that is refused has changed nothing. Codes of errors are the vendor's where clients know them by those.
"""

from collections.abc import Callable, Iterable

from trunkline.gateway.call import Call
from trunkline.gateway.dialects.realtime import events_in, events_out
from trunkline.gateway.dialects.realtime.images_in import Images
from trunkline.gateway.dialects.realtime.items import has_audio
from trunkline.gateway.dialects.realtime.new_items import Given, read_item
from trunkline.gateway.dialects.realtime.projection import Projection
from trunkline.proto.errors import BadInput
from trunkline.proto.response import ROOT


class ItemWords:
    """Every method raises BadInput. send: events to the client."""

    def __init__(
        self, call: Call, projection: Projection, send: Callable[[Iterable[events_out.ServerEvent]], None]
    ) -> None:
        self._call = call
        self._projection = projection
        self._items = projection.items
        self._send = send

    def create(self, event: events_in.CreateItem, images: Images) -> None:
        """images: all that it shows."""
        self._place(self._read(event, images), event.previous_item_id or "")

    def check(self, event: events_in.CreateItem) -> None:
        """Before what it shows is stored."""
        self._read(event, None)

    def _read(self, event: events_in.CreateItem, images: Images | None) -> Given:
        given = read_item(event.item, "item", images)
        name = given.told.item
        if name in self._items:
            raise BadInput("item.id", f"{name!r} is taken", "an id used once", code="item_create_duplicate_item_id")
        previous = event.previous_item_id or ""
        if previous not in ("", ROOT) and previous not in self._items:
            code = "item_create_invalid_previous_item_id"
            raise BadInput("previous_item_id", f"there is no item {previous[:80]!r}", f"an item, {ROOT!r}", code=code)
        return given

    def type(self, name: str, text: str) -> None:
        """A user's message. name: of the new item."""
        part = events_in.NewPart(type="input_text", text=text)
        self._place(read_item(events_in.NewItem(type="message", id=name, role="user", content=[part]), "item"))

    def answer(self, name: str, call_id: str, output: str) -> None:
        """What came of a tool call. name: of the new item."""
        item = events_in.NewItem(type="function_call_output", id=name, call_id=call_id, output=output)
        self._place(read_item(item, "item"))

    def _place(self, given: Given, previous: str = "") -> None:
        """previous: an item that is there, ROOT, or empty for the end."""
        told, conversation, anchor = given.told, self._call.conversation, self._anchor(previous)
        if told.kind == "function_call_output":
            if told.call_id in self._projection.aside:
                allowed = "in the input of a response, behind its call"
                raise BadInput("item.call_id", "was asked out of band", allowed, code="item_not_found")
            if previous not in ("", self._items.last) and not self._is_call(previous, told.call_id):
                allowed = "the last item, that of the call, or leave it out"
                raise BadInput("previous_item_id", "an output stands behind its call", allowed, code="not_supported")
            conversation.answer(told.item, told.call_id, told.text, anchor)
            self._send(self._projection.add(given.shown, previous))
            return
        if told.kind == "message" and told.role == "user":
            self._send(self._projection.add(given.shown, previous))  # an answer to it comes behind it
            conversation.type(told.item, told.text, anchor, told.images)
            return
        conversation.insert(told, anchor)
        self._send(self._projection.add(given.shown, previous))

    def _anchor(self, previous: str) -> str:
        """The item itself, or the nearest before it that has a place with the agent: a caller's without words has none,
        and an output stands with its call there."""
        while (found := self._items.get(previous)) is not None and self._is_placeless(found):
            previous = self._items.before(previous) or ROOT
        return previous

    def _is_call(self, item: str, call_id: str) -> bool:
        found = self._items.get(item)
        return isinstance(found, events_out.FunctionCall) and found.call_id == call_id

    def _is_placeless(self, item: events_out.AnyItem) -> bool:
        return isinstance(item, events_out.FunctionOutput) or item.id in self._projection.caller.wordless

    def retrieve(self, item: str) -> None:
        found = self._find(item, "item_retrieve_invalid_item_id")
        self._send([events_out.ItemRetrieved(event_id=self._projection.event_id(), item=found)])

    def delete(self, item: str) -> None:
        """What is being said is not said on: it would be in no conversation."""
        found = self._find(item, "item_delete_invalid_item_id")
        if found.status == "in_progress":
            self._call.cancel(self._projection.response_saying(item))
        if isinstance(found, events_out.FunctionCall):
            self._call.client_tools.call_deleted(found.call_id)
        elif isinstance(found, events_out.FunctionOutput):
            self._call.client_tools.output_deleted(found.call_id)
        self._call.conversation.delete(item)
        self._send([self._projection.delete(item)])

    def truncate(self, event: events_in.TruncateItem) -> None:
        found = self._find(event.item_id, "item_truncate_invalid_item_id")
        if not (isinstance(found, events_out.Item) and has_audio(found)):
            raise BadInput("item_id", f"{event.item_id!r} has no audio", "a message of the assistant with audio")
        if event.content_index != 0:
            raise BadInput("content_index", f"is {event.content_index}", "0")
        if event.audio_end_ms < 0:
            raise BadInput("audio_end_ms", f"is {event.audio_end_ms}", "0 or more")
        self._call.truncate(event.item_id, event.content_index, event.audio_end_ms)

    def _find(self, item: str, code: str) -> events_out.AnyItem:
        found = self._items.get(item)
        if found is None:
            raise BadInput("item_id", f"there is no item {item[:80]!r}", "the id of an item", code=code)
        return found
