"""The client's word on the conversation's items, in order, behind what the caller has said to its end before it."""

from collections.abc import Callable

from trunkline.gateway.client_tools import ClientTools
from trunkline.gateway.decisions import Decision
from trunkline.gateway.turns import Turns
from trunkline.proto.image import ShownImage
from trunkline.proto.response import Insert, Inserted, Retract


class Conversation:
    """Of one call. previous: as in Turn. Every item's id is new to the call, or was deleted."""

    def __init__(self, turns: Turns, tools: ClientTools, carry_out: Callable[[list[Decision]], None]) -> None:
        self._turns = turns
        self._tools = tools
        self._carry_out = carry_out

    def type(self, item: str, text: str, previous: str = "", images: tuple[ShownImage, ...] = ()) -> None:
        """A user's message; it isn't answered by itself."""
        self._carry_out(self._turns.typed(item, text, previous, images))

    def insert(self, item: Inserted, previous: str = "") -> None:
        """Another message, or a tool call. Raises BadInput for a call whose id is taken."""
        if item.kind == "function_call":
            self._tools.add(item.call_id)
        self._carry_out(self._turns.changed(Insert(item, previous)))

    def answer(self, item: str, tool_call: str, output: str, previous: str = "") -> None:
        """What came of a tool call that the client was asked, or added itself. Raises BadInput."""
        if self._tools.answer(tool_call, output, item):
            given = Inserted("function_call_output", item, text=output, call_id=tool_call)
            self._carry_out(self._turns.changed(Insert(given, previous)))

    def delete(self, item: str) -> None:
        self._carry_out(self._turns.changed(Retract(0, item)))
