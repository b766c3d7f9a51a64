"""Writes one response: text in as it streams, items and segments out, to the gateway and to the record alike.

Nothing is said after stop. An item begins with its first segment, so that one without words never exists.
"""

from collections.abc import Callable, Sequence

from trunkline.agent.conversation import Conversation
from trunkline.agent.repetition import Diverged, Repetition
from trunkline.bus.port import Headers
from trunkline.proto import record
from trunkline.proto.envelope import Message
from trunkline.proto.ids import new_item_id
from trunkline.proto.response import (
    HangUp,
    ItemFinished,
    ItemStarted,
    Phase,
    PhaseSettled,
    ResponseFinished,
    ResponseStarted,
    ResponseStatus,
    Say,
    Source,
    ToolAsked,
)
from trunkline.record import CallView, ItemView, ToolView
from trunkline.segments import Segmenter

Send = Callable[[Message, Headers | None], None]


def without_phase(view: CallView, response: str) -> list[str]:
    """Ids of the messages that were begun, and whose phase isn't known yet."""
    items = [view.items[key] for key in view.responses[response].items if key in view.items]
    return [item.id for item in items if item.phase is None and item.segments]


class ResponseWriter:
    """headers: trace context that goes with every segment. on_first: called when the response's first segment leaves.

    A response that an earlier owner opened isn't started, but goes on.
    """

    def __init__(
        self,
        conversation: Conversation,
        send: Send,
        response: str,
        turn: int,
        *,
        headers: Headers | None = None,
        on_first: Callable[[], None] = lambda: None,
    ) -> None:
        self.response = response
        self.turn = turn
        self.stopped = False
        self._conversation = conversation
        self._send = send
        self._headers = headers
        self._on_first = on_first
        self._said_anything = False  # by this writer or an earlier owner
        self._item = ""  # "" until its first segment
        self._phase: Phase | None = None
        self._source: Source = "model"
        self._segmenter = Segmenter()
        self._said: list[str] = []
        self._again = Repetition()
        self._reserved = ""  # id of the item that begins next, where it was spoken of already

    def start(self) -> None:
        """A response of which nothing else is asked."""
        self.open(record.ResponseOpened(self._now_us(), self.response, self.turn))
        self.announce()

    def open(self, opened: record.ResponseOpened) -> None:
        """On record; before anything else of it."""
        self._conversation.append(opened)

    def announce(self) -> None:
        self._send(ResponseStarted(self.response, self.turn), None)

    def repeat(self, items: Sequence[ItemView]) -> None:
        """What is written next was said already, as these items of the record: it isn't said again.

        From then on write, flush, close_item and end_round raise Diverged where something else is written.
        """
        self._again = Repetition(items)
        self._said_anything = self._said_anything or bool(items)

    def leave(self) -> None:
        """What the record has of the response stays as it is, whatever was to be repeated; what follows is new."""
        self._reset()
        view = self._conversation.view
        for item in (view.items[key] for key in view.responses[self.response].items if key in view.items):
            if item.status == "in_progress":
                phase: Phase = item.phase or "final_answer"
                if item.phase is None:
                    self._settled(item.id, phase)
                self._ended(item.id, item.text, phase)

    def write(self, text: str, phase: Phase | None, source: Source = "model") -> None:
        """Words to be cut into segments here; see say."""
        if not self.stopped:
            self._turn_to(phase, source)
            for segment in self._segmenter.feed(text):
                self._say(segment)

    def say(self, segment: str, phase: Phase | None, source: Source = "model") -> None:
        """phase: None where it isn't known yet. Another phase or source than before begins another item."""
        if not self.stopped:
            self._turn_to(phase, source)
            self._say(segment)

    @property
    def in_item(self) -> bool:
        """An item has begun, and isn't closed."""
        return bool(self._item)

    @property
    def item_to_be(self) -> str:
        """Id of the item that is open, or of the next that begins."""
        if self._item:
            return self._item
        self._reserved = self._reserved or new_item_id()
        return self._reserved

    def hang_up(self, reason: str) -> None:
        """Once all that was said is heard."""
        self._send(HangUp(reason), None)

    def block(self, *events: record.Event, phase: Phase | None = None, source: Source = "model") -> None:
        """What was said of the item stays, what was to follow never is. events: the verdicts, about item_to_be.

        phase, source: of an item that hasn't begun.
        """
        item, view = self._item, self._conversation.view
        opened = [] if item else [self._opened(self.item_to_be, phase, source)]
        self._conversation.append(*opened, *events)
        if item:
            begun = view.items.get(item)  # or it was deleted meanwhile
            phase = begun.phase if begun is not None else self._phase
            if phase is None:
                self._settled(item, "final_answer")
            self._ended(item, begun.text if begun is not None else "".join(self._said), phase or "final_answer")
        self._reset()

    def _turn_to(self, phase: Phase | None, source: Source) -> None:
        if source != self._source or (phase is not None and self._phase is not None and phase != self._phase):
            self.close_item(self._phase or "final_answer")
        self._source = source
        if phase is not None:
            self._settle(phase)

    def flush(self) -> None:
        """What is held goes out: nothing is going to follow it soon."""
        for segment in self._segmenter.flush():
            if segment.strip() or self._item:
                self._say(segment)

    def close_item(self, phase: Phase) -> None:
        """phase: what the item is, if the model didn't say."""
        if self.stopped:
            return
        self.flush()
        if self._item:
            if self._phase is None:
                self._settle(phase)
            if self._again.ends():
                self._ended(self._item, "".join(self._said), self._phase)
        self._item, self._phase, self._said, self._segmenter = "", None, [], Segmenter()

    @property
    def ahead(self) -> list[str]:
        """Ids of the items that are to be repeated and have not begun."""
        return self._again.ahead

    def end_round(self, phase: Phase, *, last: bool = True) -> None:
        """As close_item; with the last round all that is repeated has been said."""
        self.close_item(phase)
        if last and not self._again.over:
            raise Diverged(self.response, "a round that ends early")

    def ask(self, tool: ToolView) -> None:
        """The client is to carry it out; it has passed its commit point."""
        self._send(ToolAsked(self.response, tool.id, tool.name, tool.arguments), self._headers)

    def finish(self, status: ResponseStatus, detail: str = "", tokens: tuple[int, int] = (0, 0)) -> None:
        """detail: what went wrong or what ended it. tokens: input, output. Nothing is said afterwards."""
        if self.stopped:
            return
        self.close_item("final_answer")
        self.stop()
        self._conversation.append(record.ResponseClosed(self._now_us(), self.response, status, detail))
        self._send(ResponseFinished(self.response, status, detail, *tokens), None)

    def cancel(self, reason: str) -> None:
        """Ends the response where it stands; what is held is never said. A message whose phase isn't known is settled
        as at a round's end: no tool followed it."""
        for item in without_phase(self._conversation.view, self.response):
            self._settled(item, "final_answer")
        self._reset()
        self.finish("cancelled", reason)

    def stop(self) -> None:
        self.stopped = True

    def _reset(self) -> None:
        self._item, self._phase, self._said, self._segmenter = "", None, [], Segmenter()
        self._again, self._reserved = Repetition(), ""

    def _settle(self, phase: Phase) -> None:
        if self._phase is None and self._item and self._again.settles(phase):
            self._settled(self._item, phase)
        self._phase = phase

    def _settled(self, item: str, phase: Phase) -> None:
        self._conversation.append(record.ItemPhaseSettled(self._now_us(), item, phase))
        self._send(PhaseSettled(self.response, item, phase), None)

    def _ended(self, item: str, text: str, phase: Phase | None) -> None:
        self._conversation.append(record.ItemClosed(self._now_us(), item))
        self._send(ItemFinished(self.response, item, text, phase), None)

    def _begin_item(self) -> None:
        self._item = self._again.begin(self._phase, self._source)
        if not self._item:
            self._item, self._reserved = self.item_to_be, ""
            opened = self._opened(self._item, self._phase, self._source)
            self._conversation.append(opened)
            self._send(ItemStarted(self.response, self._item, self._phase, self._source, opened.voice), None)
        elif self._phase is not None and self._again.settles(self._phase):
            self._settled(self._item, self._phase)

    def _opened(self, item: str, phase: Phase | None, source: Source) -> record.AssistantItem:
        conversation = self._conversation
        speaker = conversation.agent.name if conversation.handed_off else ""
        return record.AssistantItem(self._now_us(), self.response, item, phase, source, speaker, conversation.voice)

    def _say(self, text: str) -> None:
        if not self._item:
            self._begin_item()
        index = len(self._said)
        self._said.append(text)
        if self._again.passes(text):
            return
        self._conversation.append(record.SegmentSaid(self._now_us(), self._item, index, text))
        self._send(Say(self.response, self._item, index, text), self._headers)
        if not self._said_anything:
            self._said_anything = True
            self._on_first()

    def _now_us(self) -> int:
        return self._conversation.wall_us()
